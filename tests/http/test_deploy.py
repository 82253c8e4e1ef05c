"""deploy/ asks for nothing that there is not: metrics, settings, files, and no moving versions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from f5serve.settings import Settings
from tests.http.house import house
from tests.tools.metrics_reference import Counted

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
BOARD = json.loads((DEPLOY / "grafana/dashboards/f5serve.json").read_text())
OURS = ("f5serve:cpu", "f5serve:cu128")
METRIC = re.compile(r"\b((?:f5|process)_[a-z0-9_]+)\b")


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """The labels of every metric that a server tells once it has been asked for things."""
    with house(tmp_path_factory.mktemp("house"), engine=Counted()) as home:
        home.speak()
        home.speak(speed=99)
        home.client.get("/v1/nothing")
        text = home.client.get("/metrics").text
    assert not [f.name for f in text_string_to_metric_families(text) if not f.documentation]
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def panels() -> Iterator[dict[str, Any]]:
    yield from (panel for panel in BOARD["panels"] if panel["type"] != "row")


def expressions() -> Iterator[str]:
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])
    yield from (note["expr"] for note in BOARD["annotations"]["list"])
    yield from (variable["definition"] for variable in BOARD["templating"]["list"])


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


@pytest.mark.parametrize("expression", [*expressions(), *(rule["expr"] for rule in rules())])
def test_what_is_shown_and_watched_is_counted(
    expression: str, there: Mapping[str, set[str]]
) -> None:
    names = set(METRIC.findall(expression))
    assert names <= there.keys() or names <= {"up"}, names - there.keys()
    labels = {"instance", "job", "le"}.union(*(there[name] for name in names))
    used = re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", expression)
    used += re.split(r",\s*", ",".join(re.findall(r"by \(([^)]*)\)", expression)))
    assert set(filter(None, used)) <= labels, expression


def test_every_metric_of_ours_is_shown_somewhere(there: Mapping[str, set[str]]) -> None:
    shown = set(METRIC.findall(" ".join([*expressions(), *(rule["expr"] for rule in rules())])))
    bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    left = {n for n in there if re.sub(r"_(bucket|sum|count)$", "", n) not in bases}
    assert left <= {"process_max_fds"}, left


def test_the_dashboard_has_a_meaning_for_each_panel_and_no_overlap() -> None:
    places: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not mine & places, panel["title"]
        assert at["x"] + at["w"] <= 24
        places |= mine
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    source = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text()
    )
    assert {panel["datasource"]["uid"] for panel in panels()} == {source["datasources"][0]["uid"]}


def test_alerts_say_what_they_mean() -> None:
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in ("page", "warn")


def test_services_are_given_settings_that_there_are() -> None:
    known = {str(field.metadata["env"]) for field in fields(Settings)}
    for name, service in SERVICES.items():
        if service.get("image") in OURS:
            assert set(service.get("environment", {})) <= known, name
    offered = {line.lstrip("#").split("=")[0] for line in example()}
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert asked | {"COMPOSE_PROFILES"} == offered
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}
    assert profiles == {"cpu", "gpu"}


def test_the_settings_of_the_server_are_taken(tmp_path: Path) -> None:
    asked = {"F5_API_KEYS": f"me:{'0' * 64}", "BUCKET_KEY": "k", "BUCKET_SECRET": "s"}
    for name in ("server", "server-gpu"):
        environ = {}
        for key, value in SERVICES[name]["environment"].items():
            filled = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda m: asked[m[1]], str(value))
            environ[key] = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", filled)
        made = Settings.from_environ(environ)
        assert (made.mode, made.port, made.s3_bucket) == ("serve", 8000, "f5serve")
        assert made.s3_public_url == "http://localhost:7070"


def test_images_are_pinned_and_files_are_there() -> None:
    for name, service in SERVICES.items():
        image = service["image"]
        assert image in OURS or re.search(r":v?\d+\.\d+\.\d+$", image), name
        assert (image in OURS) == ("build" in service)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), source
        for port in service.get("ports", []):
            assert ":-127.0.0.1:" in port, "published beyond this machine"
        waits = service.get("depends_on", {})
        assert set(waits) <= set(SERVICES)
    prometheus = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    assert all((DEPLOY / file).is_file() for file in prometheus["rule_files"])
    (scrape,) = prometheus["scrape_configs"]
    aliases = SERVICES["server"]["networks"]["default"]["aliases"]
    assert scrape["static_configs"][0]["targets"] == [f"{aliases[0]}:8000"]
    key = Path(scrape["authorization"]["credentials_file"]).name
    assert SERVICES["prometheus"]["secrets"] == [key]
    assert key in COMPOSE["secrets"]


def test_no_secret_is_committed() -> None:
    for line in example():
        name, _, value = line.partition("=")
        assert not value or name.startswith("#") or name == "COMPOSE_PROFILES", line
    ignored = (DEPLOY / ".gitignore").read_text().split()
    secret = Path(COMPOSE["secrets"]["prometheus_key"]["file"]).name
    assert {".env", secret} <= set(ignored)
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("KEY|SECRET|PASSWORD", name):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), name


def test_the_bucket_is_made_by_a_program_that_compiles() -> None:
    compile((DEPLOY / "make_bucket.py").read_text(), "make_bucket.py", "exec")


def example() -> list[str]:
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    return [line for line in lines if re.match(r"#?[A-Z0-9_]+=", line)]

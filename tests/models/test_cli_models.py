"""The verb `models`, in this process, against the hub stand-in."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from f5serve.cli import models as cli_models
from f5serve.cli.model_options import add_models
from f5serve.errors import F5Error
from f5serve.models import own_models
from f5serve.models.registry import PUBLISHED, Registry
from f5serve.settings import Settings
from f5serve.text.treatment import TextTreatment
from tests.models.conftest import REGISTRY, VOCAB, WEIGHTS, convert
from tests.models.hub_standin import Hub


@pytest.fixture
def settings(hub: Hub, models_dir: Path) -> Settings:
    return Settings(models_dir=models_dir, hub_endpoint=hub.endpoint, hub_timeout_s=2.0)


def models(settings: Settings, *words: str, registry: Registry | None = REGISTRY) -> int:
    parser = argparse.ArgumentParser()
    add_models(parser.add_subparsers())
    args = parser.parse_args(["models", *words])
    code: int = cli_models.run(args, settings, registry)
    return code


def test_list_shows_what_is_here(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert models(settings, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["MODEL", "LANGUAGES", "LICENCE", "HERE", "VERIFIED"]
    assert lines[1].split() == ["pinned", "en", "CC-BY-NC-4.0", "absent", "yes"]
    models(settings, "pull", "pinned")
    capsys.readouterr()
    models(settings, "list", "--json")
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["pinned"]["on_disk"] == "published"
    assert rows["pinned"]["size"] == len(WEIGHTS)
    assert rows["open"]["on_disk"] is None
    convert(settings.models_dir, b"small")
    models(settings, "list", "--json")
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["pinned"]["on_disk"], rows["pinned"]["size"]) == ("converted", 5)


def test_the_published_list_fits_a_terminal(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_models(parser.add_subparsers())
    cli_models.run(parser.parse_args(["models", "list"]), settings)
    lines = capsys.readouterr().out.splitlines()
    notes = [line for line in lines if ": Expects " in line]
    assert len(lines) - len(notes) == 1 + len(PUBLISHED.models) + 1
    assert {line.partition(":")[0] for line in notes} == {"russian-stress", "thai", "thai-v2"}
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--language", "vi"], {"vietnamese"}),
        (["--language", "VI", "--commercial"], set()),
        (["--language", "te", "--commercial"], {"indicf5"}),
    ],
)
def test_list_can_be_filtered(
    settings: Settings, capsys: pytest.CaptureFixture[str], words: list[str], ids: set[str]
) -> None:
    assert models(settings, "list", "--json", *words, registry=None) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["id"] for row in rows} == ids


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models of the hub stand-in are the published ones."""
    monkeypatch.setattr(own_models, "PUBLISHED", REGISTRY)


MINE = ("mine", "--repo", "owner/open", "--file", "model_*.pt", "--arch", "F5TTS_Base")


@pytest.mark.usefixtures("known")
def test_a_model_of_ones_own_is_added_pulled_and_removed(
    settings: Settings, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repos["owner/open"].files["old/vocab.txt"] = b"?"
    options = (
        "--language",
        "de",
        "en",
        "--lower-case",
        "--prefix",
        'a"\\ö',
        "--revision",
        "c" * 40,
    )
    assert models(settings, "add", *MINE, *options, registry=None) == 0
    (spec,) = own_models.read_own(settings.models_dir)
    assert (spec.languages, spec.license, spec.commercial) == (("de", "en"), "unknown", False)
    assert spec.text == TextTreatment(lower_case=True, prefix='a"\\ö')
    assert models(settings, "pull", "mine", "--json", registry=None) == 0
    found = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert Path(found["vocab"]).read_bytes() == VOCAB
    assert (found["arch"], found["revision"]) == ("F5TTS_Base", "c" * 40)
    models(settings, "add", *MINE, "--license", "MIT", "--commercial", registry=None)
    (again,) = own_models.read_own(settings.models_dir)
    assert (again.license, again.commercial, again.revision) == ("MIT", True, None)
    assert models(settings, "remove", "mine", registry=None) == 0
    assert own_models.known_models(settings) is REGISTRY
    with pytest.raises(F5Error) as caught:
        models(settings, "remove", "pinned", registry=None)
    assert caught.value.code == "NOT_OWN_MODEL"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["Pinned", *MINE[1:]], "NAME_TAKEN"),
        (["vocos", *MINE[1:]], "NAME_TAKEN"),
        ([*MINE[:-1], "F5TTS_v2"], "BAD_OPTION"),
        ([*MINE, "--commercial"], "BAD_OPTION"),
    ],
)
@pytest.mark.usefixtures("known")
def test_add_refuses(settings: Settings, words: list[str], code: str) -> None:
    with pytest.raises(F5Error) as caught:
        models(settings, "add", *words, registry=None)
    assert caught.value.code == code
    assert not settings.models_dir.exists()


@pytest.mark.usefixtures("known")
def test_a_damaged_file_of_ones_own_hides_no_published_model(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    models(settings, "add", *MINE, registry=None)
    path = own_models.own_file(settings.models_dir)
    damaged = path.read_text().replace('"mine"', '"pinned"')
    path.write_text(damaged)
    capsys.readouterr()
    assert models(settings, "list", registry=None) == 3
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1 + len(REGISTRY.models) + 1
    assert said.err.count("pinned is the name of a published model") == 1
    assert own_models.known_models(settings).get("pinned").repo == "owner/pinned"
    for words in (["pull", "mine"], ["add", *MINE], ["remove", "mine"]):
        with pytest.raises(F5Error) as caught:
            models(settings, *words, registry=None)
        assert caught.value.code == "BAD_REGISTRY"
    assert path.read_text() == damaged


def test_pull_tells_the_licence_first_and_the_paths_last(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models(settings, "pull", "pinned") == 0
    said = capsys.readouterr()
    first, *rest = said.err.splitlines()
    assert first == "pinned: CC-BY-NC-4.0, which does not permit commercial use."
    assert "download base/model.safetensors: 300 kB of 300 kB" in rest
    assert len(rest) <= 12 * 6  # at most a line a tenth, for three downloads and three checks
    assert said.out.splitlines()[0].startswith("weights  /")
    models(settings, "pull", "pinned", "--json")
    assert Path(json.loads(capsys.readouterr().out)["weights"]).read_bytes() == WEIGHTS


def test_pull_draws_a_bar_on_a_terminal(settings: Settings) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    with contextlib.redirect_stderr(screen):
        models(settings, "pull", "pinned")
    assert "download base/model.safetensors: 100%" in screen.getvalue()


def test_a_forbidding_licence_is_refused_before_anything_is_asked(
    hub: Hub, settings: Settings
) -> None:
    with pytest.raises(F5Error) as caught:
        models(replace(settings, require_commercial_license=True), "pull", "pinned")
    assert caught.value.code == "LICENSE_FORBIDS"
    assert caught.value.exit_code == 4
    assert hub.requests == []
    assert not settings.models_dir.exists()


def test_verify_exits_with_4_when_something_is_wrong(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models(settings, "verify") == 0
    assert models(settings, "verify", "pinned") == 4
    models(settings, "pull", "pinned")
    capsys.readouterr()
    assert models(settings, "verify", "--json") == 0
    checks = json.loads(capsys.readouterr().out)
    assert [c["state"] for c in checks] == ["ok", "ok", "ok"]
    Path(checks[1]["path"]).resolve().write_bytes(b"other words")
    assert models(settings, "verify", "pinned") == 4
    assert "changed " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["pinned"], "MODEL_NOT_PULLED"),
        (["pined"], "UNKNOWN_MODEL"),
        (["vocos"], "NOT_A_MODEL"),
        (["no/such.safetensors", "--arch", "F5TTS_Base"], "NO_SUCH_FILE"),
        ([__file__], "ARCH_REQUIRED"),
    ],
)
def test_convert_says_what_it_lacks(settings: Settings, words: list[str], code: str) -> None:
    with pytest.raises(F5Error) as caught:
        models(settings, "convert", *words)
    assert caught.value.code == code
    assert caught.value.hint


def test_convert_refuses_a_file_that_is_no_checkpoint(settings: Settings, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    models(settings, "pull", "pinned")
    with pytest.raises(F5Error) as caught:
        models(settings, "convert", "pinned", "-o", str(tmp_path / "out" / "x.safetensors"))
    assert caught.value.exit_code == 4
    assert not list((tmp_path / "out").iterdir())

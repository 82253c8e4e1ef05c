"""RunPod's hub files and the workflows: nobody runs them here, so their shape is checked."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from f5serve.settings import Settings
from tests.test_wheel import OPERATIONS

ROOT = Path(__file__).parents[2]
SETTINGS = {str(field.metadata["env"]): field for field in fields(Settings)}
HUB = json.loads((ROOT / ".runpod" / "hub.json").read_text())
TESTS = json.loads((ROOT / ".runpod" / "tests.json").read_text())
CONFIG = HUB["config"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CUDA = re.compile(r"1[23]\.\d")
INPUT_KEYS = {
    *("name", "type", "description", "default", "required", "advanced"),
    *("options", "min", "max", "trueValue", "falseValue"),
}


def accepts(key: str, value: str) -> None:
    """The setting takes the value, as the environment of a worker would hold it."""
    assert key in SETTINGS, f"{key} is no setting"
    Settings.from_environ({key: value})


def test_hub_says_what_is_asked_for() -> None:
    assert {"title", "description", "type", "category", "config"} <= HUB.keys()
    assert (HUB["type"], HUB["category"], CONFIG["runsOn"]) == ("serverless", "audio", "GPU")
    assert CONFIG["containerDiskInGb"] >= 15, "the CUDA image alone is about 7 GB"
    assert all(CUDA.fullmatch(version) for version in CONFIG["allowedCudaVersions"])
    assert "cu128" in (ROOT / "Dockerfile").read_text()
    assert min(CONFIG["allowedCudaVersions"]) == "12.8"
    for needed in ("handler.py", "Dockerfile", "README.md"):
        assert (ROOT / needed).is_file()


@pytest.mark.parametrize("entry", CONFIG["env"], ids=lambda entry: entry["key"])
def test_every_variable_is_a_setting_and_takes_what_it_is_given(entry: dict[str, Any]) -> None:
    if "value" in entry:
        accepts(entry["key"], entry["value"])
        return
    asked = entry["input"]
    assert asked.keys() <= INPUT_KEYS
    assert asked["type"] in ("string", "number", "boolean", "huggingface")
    values = [option["value"] for option in asked.get("options", [])]
    if asked["type"] == "boolean":
        values += [asked["trueValue"], asked["falseValue"]]
    else:
        values += [asked["default"], *(asked[end] for end in ("min", "max") if end in asked)]
    for value in values:
        accepts(entry["key"], str(value))


def test_presets_change_what_can_be_changed() -> None:
    variables = {entry["key"] for entry in CONFIG["env"] if "input" in entry}
    for preset in CONFIG["presets"]:
        for key, value in preset["defaults"].items():
            assert key in variables
            accepts(key, value)


def test_hub_tests_ask_for_what_there_is() -> None:
    assert {test["name"] for test in TESTS["tests"]} >= {"speak"}
    for test in TESTS["tests"]:
        assert test["timeout"] >= 1000, "milliseconds"
        assert test["input"].get("endpoint", "tts") in OPERATIONS
    for entry in TESTS["config"]["env"]:
        accepts(entry["key"], entry["value"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_pinned_and_modest(path: Path) -> None:
    flow = yaml.safe_load(path.read_text())
    assert flow["name"] == path.stem
    assert True in flow, "`on`, which YAML reads as true"
    assert flow["permissions"]["contents"] == "read"
    for job in flow["jobs"].values():
        assert re.fullmatch(r"ubuntu-\d\d\.04", job["runs-on"])
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+\.\d+\.\d+", step["uses"]), step


def test_workflows_call_what_there_is() -> None:
    text = "".join(path.read_text() for path in WORKFLOWS)
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    called = set(re.findall(r"\bmake ([a-z-]+)", text))
    assert {"check", "test", "setup"} <= called <= verbs
    assert "tests.image.drive --published-base" in text


def test_images_are_named_by_version_and_commit_alone() -> None:
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "publish.yml").read_text())
    (push,) = (s for s in flow["jobs"]["image"]["steps"] if "build-push" in s.get("uses", ""))
    tags = push["with"]["tags"].split("\n")
    assert any("github.ref_name" in tag for tag in tags)
    assert any("github.sha" in tag for tag in tags)
    for path in (*WORKFLOWS, *(ROOT / ".runpod").iterdir(), ROOT / "Makefile"):
        assert ":latest" not in path.read_text()
    variants = flow["jobs"]["image"]["strategy"]["matrix"]["torch"]
    for variant in variants:
        assert (ROOT / "requirements" / f"{variant}.txt").is_file()

"""Which model hears: by name, by folder, or what there is; nothing is fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from f5serve.asr.whisper import REPOSITORIES, find_model
from f5serve.errors import ModelUnavailable


def make_model(folder: Path, tokens: int = 51_865, json_too: bool = False) -> Path:
    """A folder that looks like a model."""
    folder.mkdir(parents=True)
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    if json_too:
        (folder / "vocabulary.json").write_text(json.dumps(["a"] * tokens))
    else:
        (folder / "vocabulary.txt").write_text("a\n" * tokens)
    return folder


def refusal(name: str, models_dir: Path) -> ModelUnavailable:
    with pytest.raises(ModelUnavailable) as caught:
        find_model(name, models_dir)
    assert caught.value.hint
    return caught.value


def test_off_is_off(tmp_path: Path) -> None:
    make_model(tmp_path / "recognisers" / "small")
    assert find_model("off", tmp_path) is None


def test_auto_takes_the_wheel_and_before_it_what_was_put_here(tmp_path: Path) -> None:
    wheel = find_model("auto", tmp_path)
    assert wheel is not None
    assert (wheel.name, wheel.languages) == ("tiny.en", {"en"})
    assert wheel.sha256
    make_model(tmp_path / "recognisers" / "base.en", tokens=51_864)
    found = find_model("auto", tmp_path)
    assert found is not None
    assert (found.name, found.languages) == ("base.en", {"en"})
    make_model(tmp_path / "recognisers" / "small", json_too=True)
    found = find_model("auto", tmp_path)
    assert found is not None
    assert found.name == "small"
    assert {"en", "de", "zh"} <= found.languages


def test_a_named_model_may_be_in_a_hub_cache(tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    error = refusal("small", tmp_path)
    assert error.code == "RECOGNISER_MISSING"
    assert REPOSITORIES["small"] in error.hint
    repo = cache / f"models--{REPOSITORIES['small'].replace('/', '--')}"
    make_model(repo / "snapshots" / "old")
    make_model(repo / "snapshots" / "new")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("new\n")
    found = find_model("small", tmp_path, [tmp_path / "nowhere", cache])
    assert found is not None
    assert (found.name, found.path.name) == ("small", "new")
    assert find_model("auto", tmp_path, [cache]) != found  # only what was put there on purpose


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "my-model")
    found = find_model(str(folder), tmp_path)
    assert found is not None
    assert (found.name, found.path) == ("my-model", folder)
    (folder / "tokenizer.json").unlink()
    error = refusal(str(folder), tmp_path)
    assert error.code == "RECOGNISER_INCOMPLETE"
    assert "tokenizer.json" in error.message


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    error = refusal("tiny-en", tmp_path)
    assert error.code == "UNKNOWN_RECOGNISER"
    assert "tiny.en" in error.hint

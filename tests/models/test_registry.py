"""The list of checkpoints: complete, consistent, and honest about what is not known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.models.registry import (
    ARCHITECTURES,
    PUBLISHED,
    Registry,
    check_usable,
    parse_spec,
    read_specs,
)

EVERY = [pytest.param(spec, id=spec.id) for spec in (*PUBLISHED.models, PUBLISHED.vocoder)]


def test_rows_are_complete() -> None:
    """Their form is validated when they are read."""
    for spec in PUBLISHED.models:
        roles = {file.role for file in spec.files}
        assert not roles or roles == {"weights", "vocab"}
        assert spec.languages
        assert spec.source
        assert spec.arch or "architecture is not known" in spec.remarks
        assert spec.verified or "Not verified" in spec.remarks
    assert [spec.id for spec in PUBLISHED.models if spec.verified] == [
        *("F5TTS_v1_Base", "F5TTS_Base", "E2TTS_Base", "silma-ar-en")
    ]
    spoken = {language for spec in PUBLISHED.models for language in spec.languages}
    wanted = "zh en ar fi fr de hi it ja lv ru es vi th pt id hu as bn gu kn ml mr or pa ta te"
    assert spoken == set(wanted.split())


def test_architectures_are_the_presets_of_the_engine() -> None:
    config = pytest.importorskip("f5serve.engine.config", exc_type=ImportError)
    assert tuple(config.PRESETS) == ARCHITECTURES


GOOD = {
    "id": "mine",
    "repo": "owner/repo",
    "license": "MIT",
    "commercial": True,
    "arch": "F5TTS_Base",
    "files": [{"role": "weights", "path": "a/m.pt"}],
}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"id": "../x"}, "no id"),
        ({"id": 3}, "id is of another type"),
        ({"repo": "repo"}, "no repo"),
        ({"arch": "F5TTS_v2"}, "no arch; there are F5TTS_v1_Base"),
        ({"license": "all rights"}, "no license"),
        ({"license": "CC-BY-NC-4.0"}, "does not permit commercial use"),
        ({"license": "unknown"}, "does not permit commercial use"),
        ({"commercial": 1}, "commercial is of another type"),
        ({"revision": "main"}, "no revision"),
        ({"languages": ["German"]}, "not an ISO 639 code"),
        ({"languages": "de"}, "not a list"),
        ({"note": "a\x1b[2J"}, "cannot be shown"),
        ({"licence": "MIT"}, "'licence' is not known"),
        ({"text": {"upper_case": True}}, "'upper_case' is not known"),
        ({"files": [{"role": "weights"}]}, "path is missing"),
        ({"files": [{"role": "weights", "path": "../m.pt"}]}, "not a path in a repository"),
        ({"files": [{"role": "music", "path": "m.pt"}]}, "a role of their own"),
        ({"files": [{"role": "vocab", "path": "v", "repo": "o/r"}]}, "needs repo and revision"),
    ],
)
def test_a_wrong_row_is_refused(change: dict[str, object], why: str) -> None:
    parse_spec(GOOD)
    with pytest.raises(ValueError, match=re.escape(why)):
        parse_spec(GOOD | change)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[[models]\n", "line 1"),
        ("models = 3", "not a list"),
        ("[[model]]", "'model' is not known"),
        ('[[models]]\nid = "a"', "a: commercial is missing"),
        ("", "no vocoder"),
    ],
)
def test_a_file_that_is_no_registry_is_refused(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(content)
    with pytest.raises(InvalidRequest, match=re.escape(why)) as caught:
        Registry.load(path)
    assert caught.value.code == "BAD_REGISTRY"
    assert str(path) in caught.value.message


def test_names_are_unique(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    row = '[[models]]\nid = "{}"\nrepo = "o/r"\nlicense = "MIT"\ncommercial = true\n'
    path.write_text(row.format("one") + row.format("One"))
    with pytest.raises(InvalidRequest, match="one is there twice"):
        read_specs(path)


@pytest.mark.parametrize("spec", EVERY)
def test_commercial_is_what_the_licence_says(spec) -> None:  # type: ignore[no-untyped-def]
    assert spec.commercial == ("-NC-" not in spec.license and spec.license != "unknown")


def test_the_pins_that_are_known() -> None:
    v1 = PUBLISHED.get("F5TTS_v1_Base")
    assert v1.revision == "84e5a410d9cead4de2f847e7c9369a6440bdfaca"
    assert v1.files[0].size == 1_348_435_761
    assert v1.files[0].sha256 == "670900fd14e6c458b95da6e9ed317cdb20dbaf7a1c02ac06a05475a9d32b6a38"
    assert PUBLISHED.vocoder.revision == "0feb3fdd929bcd6649e0e7c5a688cf7dd012ef21"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("F5TTS_v1_base", "F5TTS_v1_Base"), ("F5TTS-v1-Base", "F5TTS_v1_Base"), ("germn", "german")],
)
def test_a_misspelled_name_is_told_its_neighbours(typed: str, meant: str) -> None:
    with pytest.raises(ModelUnavailable, match=re.escape(repr(typed))) as caught:
        PUBLISHED.get(typed)
    assert caught.value.code == "UNKNOWN_MODEL"
    assert meant in caught.value.hint


def test_a_name_like_no_other_has_no_neighbours() -> None:
    with pytest.raises(ModelUnavailable) as caught:
        PUBLISHED.get("../../etc/passwd")
    assert "Nearest" not in caught.value.hint


def test_a_forbidding_licence_is_refused_only_when_asked_to() -> None:
    check_usable(PUBLISHED.get("F5TTS_v1_Base"), require_commercial=False)
    check_usable(PUBLISHED.get("openf5"), require_commercial=True)
    with pytest.raises(ModelUnavailable, match=r"CC-BY-NC-4\.0") as caught:
        check_usable(PUBLISHED.get("F5TTS_v1_Base"), require_commercial=True)
    assert caught.value.code == "LICENSE_FORBIDS"
    assert "openf5" in caught.value.hint
    assert "F5TTS_Base" not in caught.value.hint


def test_a_model_without_architecture_is_refused_before_it_is_fetched() -> None:
    with pytest.raises(ModelUnavailable, match="hungarian") as caught:
        check_usable(PUBLISHED.get("hungarian"), require_commercial=False)
    assert caught.value.code == "ARCH_UNKNOWN"
    assert "--repo Maxdorger29/f5-tts-hungarian" in caught.value.hint

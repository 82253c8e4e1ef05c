"""The list of checkpoints: complete, consistent, and honest about what is not known."""

from __future__ import annotations

import re

import pytest

from f5serve.errors import ModelUnavailable
from f5serve.models.registry import PUBLISHED, check_license

ARCHITECTURES = {"F5TTS_v1_Base", "F5TTS_Base", "F5TTS_v1_Small", "F5TTS_Small", "E2TTS_Base"}
EVERY = [pytest.param(spec, id=spec.id) for spec in (*PUBLISHED.models, PUBLISHED.vocoder)]


@pytest.mark.parametrize("spec", EVERY)
def test_a_row_is_well_formed(spec) -> None:  # type: ignore[no-untyped-def]
    assert re.fullmatch(r"[A-Za-z0-9][\w-]*", spec.id)
    assert re.fullmatch(r"[\w-]+/[\w.-]+", spec.repo)
    assert spec.revision is None or re.fullmatch(r"[0-9a-f]{40}", spec.revision)
    roles = [file.role for file in spec.files]
    assert len(roles) == len(set(roles))
    for file in spec.files:
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert not file.path.startswith("/")
        assert (file.repo is None) == (file.revision is None)
    if spec is not PUBLISHED.vocoder:
        assert spec.arch in ARCHITECTURES
        assert not spec.files or {"weights", "vocab"} == set(roles)
    unknown = spec.revision is None or any(f.role == "weights" and not f.sha256 for f in spec.files)
    assert not unknown or "not known" in spec.note


def test_names_are_unique() -> None:
    names = [spec.id.lower() for spec in (*PUBLISHED.models, PUBLISHED.vocoder)]
    assert len(names) == len(set(names)) == 16


@pytest.mark.parametrize("spec", EVERY)
def test_commercial_is_what_the_licence_says(spec) -> None:  # type: ignore[no-untyped-def]
    assert spec.commercial == ("-NC-" not in spec.license)


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
    check_license(PUBLISHED.get("F5TTS_v1_Base"), require_commercial=False)
    check_license(PUBLISHED.get("openf5"), require_commercial=True)
    with pytest.raises(ModelUnavailable, match=r"CC-BY-NC-4\.0") as caught:
        check_license(PUBLISHED.get("F5TTS_v1_Base"), require_commercial=True)
    assert caught.value.code == "LICENSE_FORBIDS"
    assert "openf5" in caught.value.hint
    assert "F5TTS_Base" not in caught.value.hint

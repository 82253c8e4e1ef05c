"""The guide to text says what is spoken."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from f5serve.cli.main import run
from f5serve.text.clean import clean_text
from f5serve.text.spoken import spoken_text
from f5serve.text_kinds import TEXT_KINDS

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "text.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| (\w\w) \| `(.+)` \| (.+) \|$", GUIDE, flags=re.MULTILINE)


def spoken(text: str, language: str = "", voice_language: str = "", off: str = "") -> str:
    clean = clean_text(text, 500)
    kinds = frozenset([off] if off else [])
    return spoken_text(clean, language, voice_language, kinds).mapped.text


def test_its_first_command_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("F5_DATA_DIR", str(tmp_path))
    block = re.findall(r"^    (.*)", GUIDE.split("\n\n")[2], flags=re.MULTILINE)
    assert run(shlex.split(block[0])[2:]) == 0
    assert capsys.readouterr().out.splitlines() == block[1:]


def test_every_kind_has_an_example() -> None:
    assert [kind for kind, *_ in ROWS] == list(TEXT_KINDS)


@pytest.mark.parametrize(("kind", "language", "written", "said"), ROWS)
def test_examples_are_spoken_as_the_guide_says(
    kind: str, language: str, written: str, said: str
) -> None:
    assert spoken(written, language) == said
    assert spoken(written, language, off=kind) != said


def test_sentences_of_the_guide_hold() -> None:
    for written, said in re.findall(r"`([^`]+)` is \*([^*]+)\*", GUIDE.replace("\n", " ")):
        assert spoken(written) == said
    assert "three euros" in spoken("Es kostet 3,50 €.", voice_language="en")
    assert spoken("@ana", "zh") == "@ana"
    assert spoken_text("Cena dnia 3.4.2024", "pl").warnings
    assert "April" in spoken("3/4/2024", "de")

"""What is written against what is spoken, line by line: tests/data/text/<language>.tsv.

A line of a table: the text, then its accepted readings, with tabs between; # begins a comment.
Words are compared, not marks of punctuation or capitals.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization.normalizer import normalize

TABLES = Path(__file__).parents[1] / "data" / "text"
_NO_SPACES = {"zh", "ja"}


def lines(table: Path) -> list[tuple[str, list[str]]]:
    """The texts of a table and their accepted readings."""
    found = []
    for line in table.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            text, *readings = line.split("\t")
            assert readings, f"{table.name}: {text!r} has no reading"
            found.append((text, readings))
    return found


def words(text: str, language: str) -> str:
    """The words alone, to compare."""
    plain = unicodedata.normalize("NFC", text.replace("\u2019", "'").casefold())
    found = re.findall(r"[^\W_]+(?:['\u0300-\u036f\u0900-\u0dff]+[^\W_]*)*", plain)
    return ("" if language in _NO_SPACES else " ").join(found)


CASES = [
    pytest.param(table.stem, text, readings, id=f"{table.stem}-{text}")
    for table in sorted(TABLES.glob("*.tsv"))
    for text, readings in lines(table)
]


@pytest.mark.parametrize(("language", "text", "readings"), CASES)
def test_a_line_is_spoken_as_one_of_its_readings(
    language: str, text: str, readings: list[str]
) -> None:
    spoken = normalize(MappedText.of(text), language).mapped.text
    assert words(spoken, language) in [words(reading, language) for reading in readings]


@pytest.mark.parametrize(("language", "text", "readings"), CASES)
def test_normalizing_twice_changes_nothing(language: str, text: str, readings: list[str]) -> None:
    once = normalize(MappedText.of(text), language).mapped.text
    assert normalize(MappedText.of(once), language).mapped.text == once

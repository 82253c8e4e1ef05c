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


TABLE_BY_LANGUAGE = {table.stem: lines(table) for table in sorted(TABLES.glob("*.tsv"))}


def spoken(text: str, language: str) -> str:
    return normalize(MappedText.of(text), language).mapped.text


@pytest.mark.parametrize("language", TABLE_BY_LANGUAGE)
def test_each_line_is_spoken_as_one_of_its_readings(language: str) -> None:
    wrong = []
    for text, readings in TABLE_BY_LANGUAGE[language]:
        said = words(spoken(text, language), language)
        if said not in [words(reading, language) for reading in readings]:
            wrong.append((text, said, readings))
    assert wrong == []


@pytest.mark.parametrize("language", TABLE_BY_LANGUAGE)
def test_normalizing_twice_changes_nothing(language: str) -> None:
    wrong = []
    for text, _ in TABLE_BY_LANGUAGE[language]:
        once = spoken(text, language)
        if (twice := spoken(once, language)) != once:
            wrong.append((text, once, twice))
    assert wrong == []


def test_there_are_tables_to_read() -> None:
    assert len(TABLE_BY_LANGUAGE) >= 8
    assert all(len(table) > 50 for table in TABLE_BY_LANGUAGE.values())

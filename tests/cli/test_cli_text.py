"""`f5serve text`, and the options of `say` that say how a text is read."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from f5serve.cli.main import run
from tests.voices.material import DATA, WORDS

TEXT = "It costs $3.50 on 3/4/2024 🙂."
MONEY = "three dollars and fifty cents"
DATE = "March fourth, twenty twenty four"

Show = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    """What `f5serve text` prints as JSON."""

    def call(*argv: str, exit_code: int = 0) -> Any:
        capsys.readouterr()
        assert run(["text", *argv, "--json"]) == exit_code
        return json.loads(capsys.readouterr().out)

    return call


def test_words_changes_and_length_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["text", TEXT]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == [
        f"It costs {MONEY} on {DATE}.",
        f"  '$3.50' -> '{MONEY}'",
        f"  '3/4/2024' -> '{DATE}'",
        "  ' 🙂' -> ''",
    ]
    assert lines[-1].startswith("1 utterance, about ")
    assert lines[-1].endswith("; language: en")


def test_json_is_that_of_the_server(show: Show) -> None:
    shown = show(TEXT)
    assert list(shown) == [
        *("text", "language", "spoken_text", "changes", "parts"),
        *("utterances", "unspeakable", "warnings"),
    ]
    assert shown["changes"][0] == {"start": 9, "end": 14, "written": "$3.50", "spoken": MONEY}
    assert (shown["language"], shown["unspeakable"]) == ("en", None)


def test_a_text_comes_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Um 8 Uhr.\n")))
    assert run(["text", "-", "--language", "de-AT"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "Um acht Uhr."


def test_reading_is_chosen(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    written = "It costs $3.50 on 3/4/2024."
    assert show(written, "--normalize", "off")["spoken_text"] == written
    assert (
        show(written, "--normalize", "date, time")["spoken_text"]
        == f"It costs {MONEY} on 3/4/2024."
    )
    monkeypatch.setenv("F5_NORMALIZE", "off")
    assert show(written)["spoken_text"] == written
    assert show(written, "--normalize", "on")["spoken_text"] == f"It costs {MONEY} on {DATE}."


def test_what_may_be_read_wrongly_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["text", "Cena 3,50 zł dnia 3.4.2024", "--language", "pl"]) == 0
    assert "note: Dates are not read as words in Polish" in capsys.readouterr().out


def test_rules_come_from_file_voice_and_library(show: Show, folder: Path) -> None:
    def spoken(*argv: str) -> str:
        return str(show("Nguyen met Lee.", *argv)["spoken_text"])

    sample = str(DATA / "librivox-0880.wav")
    assert run(["voices", "add", "Ana", sample, "--ref-text", WORDS]) == 0
    assert run(["lexicon", "add", "Nguyen", "Win"]) == 0
    assert run(["lexicon", "add", "Lee", "Li", "--voice", "Ana"]) == 0
    (folder / "rules.json").write_text('[{"text": "Nguyen", "alias": "New"}]')
    assert spoken() == "Win met Lee."
    assert spoken("-v", "Ana") == "Win met Li."
    assert spoken("-v", "Ana", "--lexicon", "rules.json") == "New met Li."


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["a", "--normalize", "dates"], "BAD_OPTION", "dates"),
        (["a", "--language", "english"], "BAD_OPTION", "english"),
        (["a", "--lexicon", "none.json"], "FILE_UNREADABLE", "none.json"),
        (["a", "--lexicon", "bad.json"], "BAD_LEXICON", "Rule 1"),
        (["a", "-v", "nobody"], "VOICE_NOT_FOUND", "nobody"),
        (["🙂"], "EMPTY_TEXT", ""),
        (["[pinyin:xyz9] a"], "BAD_PINYIN", "xyz9"),
    ],
)
def test_bad_values_end_with_3(
    show: Show, folder: Path, argv: list[str], code: str, words: str
) -> None:
    (folder / "bad.json").write_text('[{"text": "a"}]')
    refused = show(*argv, exit_code=3)
    assert refused["code"] == code
    assert words in refused["error"]


def test_say_reads_a_text_in_the_same_way(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "rules.json").write_text('[{"text": "Nguyen", "alias": "Win"}]')
    say = ["say", "Nguyen has 2.", "--engine", "standin", "-o", "a.wav", "--json"]

    def spoken(*argv: str) -> str:
        capsys.readouterr()
        assert run([*say, *argv]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["text"] == "Nguyen has 2."
        return str(told["spoken_text"])

    assert spoken("--lexicon", "rules.json") == "Win has two."
    assert spoken("--language", "es", "--normalize", "cardinal") == "Nguyen has 2."
    assert run([*say, "--normalize", "dates"]) == 3
    assert run([*say, "--language", "english"]) == 3

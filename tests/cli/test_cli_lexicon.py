"""`f5serve lexicon` as people and scripts meet it, over a store in a folder."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from f5serve.cli.main import run
from f5serve.text.lexicon_files import read_lexicon
from f5serve.text.lexicon_rules import LexiconRule
from tests.voices.material import DATA, WORDS

pytestmark = pytest.mark.usefixtures("folder")


class Lexicon:
    """Runs commands and reads what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *argv: str, exit_code: int = 0) -> str:
        """What a command prints on standard output; on standard error, where it fails."""
        self._capsys.readouterr()
        assert run(["lexicon", *argv]) == exit_code
        printed = self._capsys.readouterr()
        return printed.err if exit_code else printed.out

    def json(self, *argv: str, exit_code: int = 0) -> Any:
        """What a command prints as JSON."""
        self._capsys.readouterr()
        assert run(["lexicon", *argv, "--json"]) == exit_code
        return json.loads(self._capsys.readouterr().out)


@pytest.fixture
def lexicon(capsys: pytest.CaptureFixture[str]) -> Lexicon:
    return Lexicon(capsys)


def test_add_show_remove(lexicon: Lexicon) -> None:
    assert lexicon("add", "Nguyen", "Win") == "Nguyen -> Win: added\n"
    assert lexicon("add", "nguyen", "New en") == "nguyen -> New en: replaced\n"
    lexicon("add", "US", "U S", "--case-sensitive", "--language", "en-US")
    lexicon("add", "ology", "ollojy", "--inside-words")
    lexicon("add", "重庆", "--pinyin", "chong2 qing4")
    assert lexicon("show").splitlines() == [
        "nguyen -> New en",
        "US -> U S  (en, these capitals only)",
        "ology -> ollojy  (also inside words)",
        "重庆 -> chong2 qing4  (pinyin)",
    ]
    shown = lexicon.json("show")
    assert (shown["voice"], shown["count"]) == (None, 4)
    assert shown["rules"][0] == LexiconRule("nguyen", "New en").as_dict()
    assert lexicon("remove", "us") == "us: 1 removed, 3 left\n"
    assert lexicon.json("remove", "NGUYEN") == {"removed": 1, "count": 2}
    refused = lexicon.json("remove", "us", exit_code=3)
    assert refused["code"] == "RULE_NOT_FOUND"
    assert "'us'" in refused["error"]


def test_a_voice_has_rules_of_its_own(lexicon: Lexicon, folder: Path) -> None:
    refused = lexicon.json("add", "a", "b", "--voice", "ana", exit_code=3)
    assert refused["code"] == "VOICE_NOT_FOUND"
    sample = str(DATA / "librivox-0880.wav")
    assert run(["voices", "add", "Ana", sample, "--ref-text", WORDS]) == 0
    lexicon("add", "a", "b", "--voice", "Ana")
    lexicon("add", "a", "c", "--voice", "default")
    lexicon("add", "a", "d")
    lexicon("add", "e", "f")
    assert lexicon("list").splitlines() == ["library: 2 rules", "ana: 1 rule", "default: 1 rule"]
    listed = lexicon.json("list")
    assert [(each["voice"], each["rules"]) for each in listed["lexicons"]] == [
        (None, 2),
        ("ana", 1),
        ("default", 1),
    ]
    record = folder / "data" / "store" / "lexicons" / "voices" / "ana.json"
    record.write_text("?")
    assert "ana: cannot be read (LEXICON_DAMAGED)" in lexicon("list")
    assert "damaged" in lexicon("show", "--voice", "ana", exit_code=5)
    assert run(["voices", "remove", "ana"]) == 0
    assert not record.exists()


def test_a_rule_that_is_wrong(lexicon: Lexicon) -> None:
    for argv in (["add", "a"], ["add", "a", "b", "--pinyin", "a1"], ["add", " ", "b"]):
        assert lexicon.json(*argv, exit_code=3)["code"] == "BAD_LEXICON"
    assert lexicon("show") == ""


@pytest.mark.parametrize("format", ["json", "pls"])
def test_files_are_imported_and_exported(lexicon: Lexicon, folder: Path, format: str) -> None:
    lexicon("add", "Nguyen", "Win & more")
    lexicon("add", "US", "U S", "--case-sensitive")
    file = folder / "rules"
    assert lexicon("export", str(file), "--format", format) == ""
    rules = read_lexicon(file.read_bytes())
    assert rules == (
        LexiconRule("Nguyen", "Win & more"),
        LexiconRule("US", "U S", case_sensitive=True),
    )
    assert lexicon("export", "--format", format).encode() == file.read_bytes()
    lexicon("remove", "us")
    lexicon("add", "Lee", "Li")
    assert lexicon("import", str(file)) == "2 rules imported, 3 in the lexicon\n"
    assert lexicon.json("import", str(file), "--replace") == {"imported": 2, "count": 2}


def test_standard_input(lexicon: Lexicon, monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO(b'[{"string_to_replace": "a", "type": "alias", "alias": "b"}]')
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
    assert lexicon("import", "-") == "1 rules imported, 1 in the lexicon\n"


def test_files_that_cannot_be_used(lexicon: Lexicon, folder: Path) -> None:
    assert lexicon.json("import", "none.json", exit_code=3)["code"] == "FILE_UNREADABLE"
    (folder / "bad.pls").write_text("<lexicon>\n<lexeme>")
    refused = lexicon("import", "bad.pls", exit_code=3)
    assert refused.startswith("error: The lexicon cannot be read as PLS: line 2, column ")
    assert "hint: Send PLS 1.0" in refused
    assert "cannot be written" in lexicon("export", "no/such/folder", exit_code=5)

"""`f5serve transcribe`, and the other verbs where somebody listens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from f5serve.cli.main import run
from tests.hearing import word_error_rate
from tests.voices.test_prepare import DATA, TEXTS

OTHER = "And this is the other thing that they would have said there."
FILE = str(DATA / "librivox-0890.wav")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("F5_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


def test_words_and_their_places(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["transcribe", FILE, "--json", "--language", "en"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["language"], told["model"]) == ("en", "tiny.en")
    assert word_error_rate(TEXTS["0890"], told["text"]) < 0.2
    assert 0.5 < told["confidence"] < 1
    assert "".join(word["word"] for word in told["words"]) == told["text"].replace(" ", "")
    assert all(
        0 <= word["start_time"] <= word["end_time"] <= told["duration"] for word in told["words"]
    )


@pytest.mark.parametrize(
    ("argv", "recogniser", "code", "exit_code"),
    [
        (["transcribe", FILE, "--language", "de"], "auto", "UNKNOWN_LANGUAGE", 3),
        (["transcribe", "nowhere.wav"], "auto", "FILE_UNREADABLE", 3),
        (["transcribe", FILE], "off", "RECOGNISER_NOT_INSTALLED", 4),
        (["transcribe", FILE], "huge", "UNKNOWN_RECOGNISER", 4),
        (["transcribe", FILE], "small", "RECOGNISER_MISSING", 4),
        (["voices", "add", "jane", FILE], "off", "REF_TEXT_REQUIRED", 3),
        (["voices", "add", "jane", FILE, "--ref-text", OTHER], "auto", "REF_TEXT_MISMATCH", 3),
    ],
)
def test_refusals(
    argv: list[str],
    recogniser: str,
    code: str,
    exit_code: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("F5_RECOGNISER", recogniser)
    assert run([*argv, "--json"]) == exit_code
    said = json.loads(capsys.readouterr().out)
    assert (said["code"], bool(said["hint"])) == (code, True)


def test_a_voice_without_words_is_heard_and_marked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["voices", "add", "jane", FILE]) == 0
    told = capsys.readouterr()
    assert "heard: " in told.out
    assert word_error_rate(TEXTS["0890"], told.out.partition("heard: ")[2]) < 0.2
    assert "--ref-text" in told.err
    assert run(["voices", "list"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("jane"))
    assert "written by a recogniser" in line
    assert run(["voices", "list", "--json"]) == 0
    (jane,) = [v for v in json.loads(capsys.readouterr().out)["voices"] if v["name"] == "jane"]
    assert jane["needs_review"] is True
    assert 0.5 < jane["transcript_confidence"] < 1


def test_a_folder_without_words_is_heard(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "jane.wav").write_bytes(Path(FILE).read_bytes())
    assert run(["voices", "import", "in", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["what"] == "added"

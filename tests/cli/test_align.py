"""The verb that tells when each word of a recording is heard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from f5serve.alignment.subtitles import FORMATS
from f5serve.cli.main import run
from tests.voices.material import DATA, OTHER_WORDS, WORDS

AUDIO = str(DATA / "librivox-0880.wav")


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "words.txt"
    path.write_text(WORDS + "\n")
    return str(path)


@pytest.mark.parametrize("format", FORMATS)
def test_the_ending_decides_the_format(format: str, text: str, tmp_path: Path) -> None:
    out = tmp_path / f"words.{format}"
    assert run(["align", AUDIO, text, "-o", str(out)]) == 0
    written = out.read_text()
    assert "ill-disposed" in written
    assert {"srt": "-->", "vtt": "WEBVTT", "ass": r"{\k", "csv": "start_time", "json": "{"}[
        format
    ] in written


def test_standard_output_and_word_mode(text: str, capsysbinary: pytest.CaptureFixture) -> None:
    assert run(["align", AUDIO, text, "--mode", "word", "--format", "vtt"]) == 0
    assert capsysbinary.readouterr().out.count(b" --> ") == len(WORDS.split())


def test_json_has_the_names_of_answers(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["align", AUDIO, text, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [word["word"] for word in told["word_timings"]] == WORDS.split()
    assert (told["timing_method"], told["word_count"], told["path"]) == ("pocketsphinx", 7, None)


def test_another_text_is_refused_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, out = tmp_path / "wrong.txt", tmp_path / "out.srt"
    wrong.write_text(OTHER_WORDS)
    assert run(["align", AUDIO, str(wrong), "-o", str(out), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["code"] == "NOT_ALIGNED"
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["-o", "words.doc"], "UNKNOWN_FORMAT"),
        (["--language", "de"], "NOT_ALIGNED"),
    ],
)
def test_what_cannot_be_done_is_said(
    options: list[str], code: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["align", AUDIO, text, *options, "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["code"] == code


def test_say_writes_times_beside_the_sound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "said.wav"
    asked = ["say", "Pay $3.50.", "--engine", "standin", "-o", str(out), "--json"]
    assert run([*asked, "--timings", "srt", "--timings", "csv"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [word["word"] for word in told["word_timings"]] == ["Pay", "$3.50."]
    assert told["timing_method"] == "exact"
    assert told["timing_files"] == {
        name: str(out.with_suffix(f".{name}")) for name in ("srt", "csv")
    }
    assert "Pay $3.50." in out.with_suffix(".srt").read_text()


def test_say_refuses_times_beside_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["say", "Hi.", "-o", "-", "--timings", "srt"]) == 3
    assert "Word timings go beside the audio file" in capsys.readouterr().err

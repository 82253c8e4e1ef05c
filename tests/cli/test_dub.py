"""`f5serve dub`: files on this machine spoken here or by a server; what is wrong is known first."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from f5serve.cli.main import run
from tests.http.house import House, house
from tests.service.test_dubs import CUES, FIRST, LONG

STANDIN = ("--engine", "standin")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("server")) as made:
        yield made


def test_a_file_is_spoken_here(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.srt").write_bytes(b"\xef\xbb\xbf" + FIRST.replace("\n", "\r\n").encode())
    argv = ["dub", "a.srt", "-o", "a.flac", "--timings", "vtt", "--json", *STANDIN]
    assert run(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["text"], told["duration"]) == ("Hello there.", 2.0)
    samples, rate = soundfile.read("a.flac")
    assert len(samples) == 2 * rate
    assert told["word_timings"][0]["start_time"] == pytest.approx(0.5, abs=0.05)
    assert "-->" in (folder / "a.vtt").read_text()


def test_what_does_not_fit_and_who_is_unknown_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voiced = "WEBVTT\n\n00:00.000 --> 00:00.300\n<v Clara>Hello there, my dear friend.\n"
    (folder / "a.vtt").write_text(voiced)
    assert run(["dub", "a.vtt", "--max-speed", "1", *STANDIN]) == 0
    told = capsys.readouterr().err
    assert "speech.wav: 0.3 s of speech" in told
    assert "note: 1 of 1 subtitles are too long for their time" in told
    assert "first 'Clara' in cue 1 in line 3" in told


def test_a_server_speaks_a_file(
    home: House, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.srt").write_text(CUES + "\n" + LONG.replace("00:00,000 -->", "00:00,200 -->"))
    argv = ["dub", "a.srt", "-o", "a.wav", "--server", home.url]
    assert run([*argv, "--timings", "csv", "--max-speed", "1.2", "--json"]) == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told["duration"] == 9.0
    assert "even 1.2 times as fast" in " ".join(told["warnings"])
    assert f"job {told['job_id']} at {home.url}" in printed.err
    assert soundfile.info("a.wav").frames == 9 * 24_000
    assert "Hello" in (folder / "a.csv").read_text()
    assert run(argv) == 0
    assert "a.wav: 9.0 s of speech · all after " in capsys.readouterr().err


def test_standard_input_in_utf16(
    home: House, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = io.TextIOWrapper(io.BytesIO(FIRST.encode("utf-16")))
    monkeypatch.setattr(sys, "stdin", data)
    assert run(["dub", "-", "-o", "a.wav", "--server", home.url]) == 0
    assert soundfile.info("a.wav").frames == 2 * 24_000


@pytest.mark.parametrize("server", [False, True])
@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"Hello.", "BAD_SUBTITLES", "no subtitles"),
        (FIRST.replace("02,", "0x,").encode(), "BAD_SUBTITLES", "cue 1 in line 2"),
        ("1\n00:01,0 --> 00:02,0\nGrüße".encode("latin-1"), "BAD_SUBTITLES", "0xfc"),
        (b"\x00" * 99, "BAD_SUBTITLES", "zero"),
        (b" " * 4_000_001, "BAD_SUBTITLES", "4,000,000 bytes"),
        (None, "FILE_UNREADABLE", "a.srt cannot be read"),
    ],
)
def test_files_that_cannot_be_used(
    home: House,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    data: bytes | None,
    code: str,
    says: str,
    server: bool,
) -> None:
    if data is not None:
        (folder / "a.srt").write_bytes(data)
    where = ["--server", home.url] if server else STANDIN
    assert run(["dub", "a.srt", "-o", "a.wav", "--json", *where]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["code"] == code
    assert says in told["error"]
    assert not (folder / "a.wav").exists()


def test_options_that_cannot_be_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.srt").write_text(FIRST)
    assert run(["dub", "a.srt", "--max-speed", "9", "--json", *STANDIN]) == 3
    assert json.loads(capsys.readouterr().out)["error"] == "max_speed is 9.0."
    assert run(["dub", "a.srt", "-v", "nobody", "--json", *STANDIN]) == 3
    assert json.loads(capsys.readouterr().out)["code"] == "UNKNOWN_VOICE"
    (folder / "a.srt").write_text(FIRST.replace("Hello there.", "word " * 2_000))
    assert run(["dub", "a.srt", "--json", *STANDIN]) == 3
    assert json.loads(capsys.readouterr().out)["code"] == "TEXT_TOO_LONG"


def test_a_job_that_fails_on_the_server_is_an_error(
    home: House, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.srt").write_text(FIRST)
    argv = ["dub", "a.srt", "-v", "nobody", "-o", "a.wav", "--server", home.url, "--json"]
    assert run(argv) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["code"] == "VOICE_NOT_FOUND"
    assert "nobody" in told["error"]
    assert not (folder / "a.wav").exists()

"""`f5serve voices` as people and scripts meet it, over a store in a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from f5serve.cli.main import run
from tests.voices.material import DATA, OTHER_WORDS, WORDS, recording

FILE = str(DATA / "librivox-0880.wav")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("F5_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("F5_RECOGNISER", "off")
    return tmp_path


class Said:
    """Runs commands and reads what they print as JSON."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *argv: str, exit_code: int = 0) -> Any:
        self._capsys.readouterr()
        assert run([*argv, "--json"]) == exit_code
        return json.loads(self._capsys.readouterr().out)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys)


def test_add_list_remove(said: Said, capsys: pytest.CaptureFixture[str]) -> None:
    added = said("voices", "add", "Ana.wav", FILE, "--ref-text", WORDS, "--consent-by", "Ana")
    assert (added["name"], added["voice_file"], added["consent_by"]) == ("Ana", "Ana.wav", "Ana")
    (listed,) = [v for v in said("voices", "list")["voices"] if v["source"] == "library"]
    assert {**listed, "style": "", "warnings": []} == added
    assert run(["voices", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["default", "Ana  (3.0 s)"]
    assert "jm_kumo  (stand-in speaker)" in lines
    assert said("voices", "remove", "ana") == {"removed": "ana"}
    refused = said("voices", "remove", "ana", exit_code=3)
    assert refused["code"] == "VOICE_NOT_FOUND"
    assert refused["hint"] == "See f5serve voices list for all names, or f5serve voices add."


def test_a_voice_is_removed_with_its_results(
    said: Said, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said("voices", "add", "ana", FILE, "--ref-text", WORDS)
    state = {
        "schema": 1,
        "request_sha256": "0" * 64,
        "phase": "failed",
        "failure": {"message": "x", "code": "X"},
        "about": {"text": "Secret.", "voice": "Ana.wav"},
    }
    job = folder / "data" / "store" / "jobs" / "j" / "state.json"
    job.parent.mkdir(parents=True)
    job.write_text(json.dumps(state))
    capsys.readouterr()
    assert run(["voices", "delete", "ana", "--with-results"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("ana: removed, with 1 jobs and 0 cache entries, 1 files, ")
    assert printed.err == "1 jobs looked at, 1 removed\n"
    assert not job.exists()
    again = said("voices", "remove", "ana", "--with-results", exit_code=3)
    assert again["code"] == "VOICE_NOT_FOUND"
    job.parent.mkdir(parents=True)
    job.write_text(json.dumps(state))
    removed = said("voices", "remove", "ana", "--with-results")
    assert (removed["removed"], removed["results"]["jobs"]) == ("ana", 1)


def test_gc_removes_what_no_voice_refers_to(
    said: Said, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said("voices", "add", "ana", FILE, "--ref-text", WORDS)
    other = str(DATA / "librivox-0890.wav")
    said("voices", "add", "ana", other, "--ref-text", OTHER_WORDS)
    for path in (folder / "data" / "store" / "voices").rglob("*"):
        os.utime(path, (1, 1))
    assert run(["voices", "gc", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.rpartition(".")[2] for line in lines[:-1]} == {"txt", "wav"}
    assert lines[-1].startswith("would go: 2 recordings and words, ")
    assert said("voices", "gc", "--dry-run")["files"] == 2
    swept = said("voices", "gc")
    assert (swept["files"], swept["dry_run"]) == (2, False)
    assert run(["voices", "gc"]) == 0
    assert capsys.readouterr().out == "removed: 0 recordings and words, 0 bytes\n"


def test_add_reads_the_words_beside_the_recording(said: Said, folder: Path) -> None:
    (folder / "a.wav").write_bytes(recording())
    refused = said("voices", "add", "a", "a.wav", exit_code=3)
    assert refused["code"] == "REF_TEXT_REQUIRED"
    (folder / "a.txt").write_text(WORDS)
    assert said("voices", "add", "a", "a.wav")["duration_s"] == pytest.approx(2.99)
    assert said("voices", "add", "b", "missing.wav", exit_code=3)["code"] == "FILE_UNREADABLE"
    assert said("voices", "add", "../b", "a.wav", exit_code=3)["code"] == "BAD_VOICE_NAME"


def test_an_odd_transcript_is_noted(
    said: Said, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add = ("voices", "add", "ana", FILE, "--ref-text", WORDS.upper())
    (warning,) = said(*add)["warnings"]
    assert "in capitals" in warning
    assert run([*add]) == 0
    assert capsys.readouterr().err == f"note: {warning}\n"
    (folder / "in").mkdir()
    (folder / "in" / "声.wav").write_bytes(recording())
    (folder / "in" / "声.txt").write_text(WORDS.upper())
    assert run(["voices", "import", "in"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "声.wav: added as u58f0\n"
    assert printed.err.startswith("note: The transcript of the voice 'u58f0' is in capitals")
    (file,) = said("voices", "import", "in")["files"]
    assert (file["name"], file["what"], len(file["warnings"])) == ("u58f0", "unchanged", 1)


def test_consent_can_be_required(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("F5_REQUIRE_CONSENT", "1")
    add = ("voices", "add", "ana", FILE, "--ref-text", WORDS)
    assert said(*add, exit_code=3)["code"] == "CONSENT_REQUIRED"
    assert said(*add, "--consent-by", "Ana")["name"] == "ana"


def test_import_tells_of_every_file(
    said: Said, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "a.wav").write_bytes(recording())
    (folder / "in" / "a.txt").write_text(WORDS)
    assert said("voices", "import", "in")["failed"] == 0
    (folder / "in" / "b.wav").write_bytes(recording())
    assert run(["voices", "import", "in"]) == 3
    printed = capsys.readouterr()
    assert printed.out == (
        "a.wav: unchanged as a\n"
        "b.wav: failed: The words spoken in b.wav are not known."
        " Put them into b.txt, .srt or .csv beside it.\n"
    )
    assert printed.err == "1 of 2 recordings are voices\n"
    files = said("voices", "import", "in", exit_code=3)["files"]
    assert [file.get("code") for file in files] == [None, "REF_TEXT_REQUIRED"]
    assert said("voices", "import", "nowhere", exit_code=3)["code"] == "FOLDER_UNREADABLE"


def test_say_finds_voices_of_the_library(said: Said, folder: Path) -> None:
    said("voices", "add", "ana", str(DATA / "librivox-0890.wav"), "--ref-text", OTHER_WORDS)
    spoken = said("say", "Yes.", "-v", "Ana.wav", "-o", "x.wav", "--engine", "standin")
    assert spoken["voice"] == "ana"
    refused = said("say", "Yes.", "-v", "anna", "--engine", "standin", exit_code=3)
    assert refused["code"] == "UNKNOWN_VOICE"
    assert "Did you mean ana?" in refused["hint"]
    refused = said("say", "Yes.", "-v", "http://localhost/a.wav", "--ref-text", "x", exit_code=3)
    assert refused["code"] == "URL_NOT_ALLOWED"


def test_styles_are_added_listed_and_removed(
    said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    happy = ["ana", FILE, "--style", "Happy", "--ref-text", WORDS]
    refused = said("voices", "add", *happy, exit_code=3)
    assert refused["code"] == "VOICE_NOT_FOUND"
    assert "f5serve voices add" in refused["hint"]
    said("voices", "add", "ana", FILE, "--ref-text", WORDS)
    added = said("voices", "add", *happy)
    assert (added["name"], added["style"], added["styles"]) == ("ana", "happy", ["happy"])
    assert run(["voices", "add", *happy]) == 0
    assert capsys.readouterr().out == "ana, style happy: 3.0 s kept\n"
    assert run(["voices", "list"]) == 0
    assert "ana  (3.0 s)  (styles: happy)\n" in capsys.readouterr().out
    (listed,) = [v for v in said("voices", "list")["voices"] if v["source"] == "library"]
    assert listed["styles"] == ["happy"]
    remove = ("voices", "remove", "ana", "--style")
    assert said(*remove, "", exit_code=3)["code"] == "RESERVED_STYLE_NAME"
    assert said(*remove, "happy", "--with-results", exit_code=3)["code"] == "BAD_OPTION"
    assert said(*remove, "Happy") == {"removed": "ana", "style": "happy"}
    assert said(*remove, "happy", exit_code=3)["code"] == "STYLE_NOT_FOUND"
    (listed,) = [v for v in said("voices", "list")["voices"] if v["source"] == "library"]
    assert listed["styles"] == []

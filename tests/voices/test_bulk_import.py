"""A folder of recordings becomes voices; what cannot is told, file by file."""

from __future__ import annotations

from pathlib import Path

import pytest

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.store.memory import MemoryStore
from f5serve.voices.bulk_import import ImportResult, import_folder
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.records import Consent
from tests.voices.material import WORDS, CountingStore, recording


@pytest.fixture
def library(tmp_path: Path) -> VoiceLibrary:
    return VoiceLibrary(MemoryStore(), tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def told(outcomes: list[ImportResult]) -> dict[str, str]:
    return {o.file: o.error.code if o.error else f"{o.status} {o.name}" for o in outcomes}


def test_every_kind_of_transcript(library: VoiceLibrary, folder: Path) -> None:
    stems = ["plain", "Sub Titles", "timings", "tabled", "listed"]
    for stem in stems:
        (folder / f"{stem}.wav").write_bytes(recording())
    (folder / "plain.txt").write_text(WORDS)
    (folder / "Sub Titles.SRT").write_text(f"1\n00:00:00,000 --> 00:00:03,000\n{WORDS}\n")
    rows = "".join(f"{word},0,1,1\n" for word in WORDS.split())
    (folder / "timings.csv").write_text("word,start_time,end_time,confidence\n" + rows)
    (folder / "all.csv").write_text(f"file,text\nwavs/tabled.wav,{WORDS}\nlisted,{WORDS}\n")
    (folder / "notes.pdf").write_bytes(b"%PDF")
    (folder / "sub.wav").mkdir()

    outcomes = list(import_folder(library, folder))
    assert told(outcomes) == {
        "Sub Titles.wav": "added Sub_Titles",
        "listed.wav": "added listed",
        "plain.wav": "added plain",
        "tabled.wav": "added tabled",
        "timings.wav": "added timings",
    }
    assert {library.get(o.name).ref_text for o in outcomes} == {WORDS}


def test_a_bad_one_stops_nothing(library: VoiceLibrary, folder: Path) -> None:
    for name in ("a.wav", "b.mp3", "c.wav", "d.wav", "d.flac", "default.wav", "e.wav"):
        (folder / name).write_bytes(recording())
        (folder / name).with_suffix(".txt").write_text(WORDS)
    (folder / "b.mp3").write_bytes(b"<html>")
    (folder / "c.txt").write_bytes(b"\xe9")
    (folder / "e.txt").unlink()
    assert told(list(import_folder(library, folder))) == {
        "a.wav": "added a",
        "b.mp3": "NOT_AUDIO",
        "c.wav": "NOT_TEXT",
        "d.flac": "added d",
        "d.wav": "VOICE_NAME_TAKEN",
        "default.wav": "RESERVED_VOICE_NAME",
        "e.wav": "REF_TEXT_REQUIRED",
    }
    assert [record.name for record in library.list()] == ["a", "d"]


def test_again(library: VoiceLibrary, folder: Path) -> None:
    (folder / "a.wav").write_bytes(recording())
    (folder / "a.txt").write_text(WORDS)
    steps = []
    for words in (WORDS, WORDS, WORDS + " Yes."):
        (folder / "a.txt").write_text(words)
        steps += [o.status for o in import_folder(library, folder, Consent("Ana"))]
    assert steps == ["added", "unchanged", "replaced"]
    assert library.list()[0].consent is not None


def test_no_folder_and_an_empty_one(library: VoiceLibrary, folder: Path) -> None:
    for path, code in ((folder / "x", "FOLDER_UNREADABLE"), (folder, "NO_RECORDINGS")):
        with pytest.raises(InvalidRequest) as caught:
            list(import_folder(library, path))
        assert caught.value.code == code


def test_a_failing_store_ends_it(folder: Path, tmp_path: Path) -> None:
    def fail(call: str, key: str) -> None:
        if call == "put":
            raise StorageFailed("The disk is full.", code="NO_SPACE")

    library = VoiceLibrary(CountingStore(MemoryStore(), before=fail), tmp_path / "cache")
    for name in ("a.wav", "b.wav"):
        (folder / name).write_bytes(recording())
        (folder / name).with_suffix(".txt").write_text(WORDS)
    with pytest.raises(StorageFailed):
        list(import_folder(library, folder))

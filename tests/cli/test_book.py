"""`f5serve book`: plan, files, what a second run makes, and what is refused before any work."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from f5serve.cli.main import run
from tests.http.house import house
from tests.voices.material import WORDS, recording

STANDIN = ("--engine", "standin")
TEXT = """# One

It rained all night. "Who is there?" she asked.

# Two

Bo: Twelve boats had gone.
"""


def read(path: str) -> tuple[list[tuple[float, str]], dict[str, str]]:
    """Start and title of each chapter of a file, and its tags."""
    with av.open(path) as file:
        marks = [
            (one["start"] * one["time_base"], one["metadata"]["title"]) for one in file.chapters()
        ]
        return [(float(start), title) for start, title in marks], dict(file.metadata)


def test_the_plan_is_shown_and_nothing_is_spoken(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "lamp.md").write_text(TEXT)
    assert run(["book", "lamp.md", "--list", "--json", "--chapters", "2"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [one["title"] for one in plan["chapters"]] == ["Two"]
    assert plan["left_out"] == [{"number": 1, "title": "One", "reason": "not chosen"}]
    assert plan["book_id"].startswith("lamp-")
    assert run(["book", "lamp.md", "--list"]) == 0
    shown = capsys.readouterr().out
    assert "2 chapters, " in shown
    assert "time of the device: unknown until something was spoken here" in shown
    assert plan["device_s"] is plan["cost_usd"] is None
    assert not (folder / "data").exists()


def test_an_m4b_with_chapters_and_what_a_second_run_makes(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("F5_TENANT", "acme")
    (folder / "ana.wav").write_bytes(recording())
    assert run(["voices", "add", "ana", "ana.wav", "--ref-text", WORDS]) == 0
    capsys.readouterr()
    (folder / "lamp.md").write_text(TEXT)
    speaking = ["book", "lamp.md", "-v", "ana", *STANDIN]
    argv = [*speaking, "-o", "lamp.m4b", "--subtitles", "srt", "--json"]
    assert run([*argv, "--epub", "lamp.epub", "--highlight", "word"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == ["lamp.m4b", "lamp.srt", "lamp.epub"]
    assert told["problems"] == []
    marks, tags = read("lamp.m4b")
    assert [title for _, title in marks] == ["One", "Two"]
    assert (tags["title"], tags["composer"]) == ("lamp", "ana")
    with av.open("lamp.m4b") as file:
        frames = [frame.to_ndarray()[0] for frame in file.decode(audio=0)]
    samples = np.concatenate(frames)
    assert len(samples) / 24_000 == pytest.approx(told["duration"], abs=0.05)
    for start_s, _ in marks:  # the first word is near the mark
        after = np.abs(samples[round(start_s * 24_000) :][:24_000])
        assert np.flatnonzero(after > 0.02)[0] / 24_000 < 0.05
    assert "Twelve" in (folder / "lamp.srt").read_text()
    with zipfile.ZipFile("lamp.epub") as file:
        assert "EPUB/audio/c00002.mp3" in file.namelist()

    assert run(["book", "lamp.md", *STANDIN, "--list", "--json", "--gpu-price", "3600"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["device_s"] > 0
    assert plan["cost_usd"] == pytest.approx(plan["device_s"], abs=0.1)
    assert not any(one["done"] for one in plan["chapters"])  # in another voice
    assert run([*speaking, "--list", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [one["done"] for one in plan["chapters"]] == [True, True]
    assert plan["device_s"] == 0

    kept = sorted((folder / "data/store/tenants/acme/books").rglob("utterances/*"))
    changed = TEXT.replace("all night", "all day")
    (folder / "lamp.md").write_text(changed)
    argv = [*speaking, "-o", "parts", "--format", "flac"]
    assert run([*argv, "--redo", "2.2", "--clean", "--loudness", "-18"]) == 0
    printed = capsys.readouterr().err
    assert "chapter 1 is done (1 of 2)" in printed
    assert "removed 2 utterances" in printed
    names = sorted(path.name for path in (folder / "parts").iterdir())
    assert names == ["1 One.flac", "2 Two.flac"]
    assert soundfile.info("parts/1 One.flac").samplerate == 24_000
    left = set((folder / "data/store/tenants/acme/books").rglob("utterances/*"))
    assert (len(left), len(left & set(kept))) == (len(kept), len(kept) - 2)
    assert run(["book", "lamp.md", "--review", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sentences"] == []
    another = (folder / "parts/2 Two.flac").read_bytes()
    assert run([*argv, "--take", "2.2=1"]) == 0  # its chapter is there
    assert set((folder / "data/store/tenants/acme/books").rglob("utterances/*")) == left
    assert (folder / "parts/2 Two.flac").read_bytes() != another


def test_a_server_speaks_a_book(
    tmp_path_factory: pytest.TempPathFactory, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / 'la"mp.md').write_text(TEXT)
    with house(tmp_path_factory.mktemp("server"), data_dir=folder / "server") as home:
        argv = ["book", 'la"mp.md', "--server", home.url, "--json"]
        assert run([*argv, "-o", "lamp.m4b", "--paragraph-pause", "0.5"]) == 0
        assert json.loads(capsys.readouterr().out)["files"] == ["lamp.m4b"]
        assert [title for _, title in read("lamp.m4b")[0]] == ["One", "Two"]
        assert run([*argv, "-o", "parts", "--paragraph-pause", "0.5"]) == 0
        files = json.loads(capsys.readouterr().out)["files"]
        assert files == ["parts/1.flac", "parts/2.flac"]
        assert soundfile.info("parts/2.flac").samplerate == 24_000
        assert len(home.tone.spoken) == len(set(home.tone.spoken)) == 5
        assert {"One", "Two"} < set(home.tone.spoken)
        for options in (["--acx"], ["--format", "mp3"], ["-o", "a.m4b", "--format", "flac"]):
            assert run([*argv, *options]) == 3
            assert json.loads(capsys.readouterr().out)["code"] == "BAD_OPTION"
        assert run([*argv, "-v", "nobody"]) == 3
        assert json.loads(capsys.readouterr().out)["code"] == "VOICE_NOT_FOUND"
    assert not (folder / "data").exists()


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--chapters", "9"], "BAD_OPTION", "There are no chapters '9'"),
        (["--loudness", "3"], "BAD_OPTION", "--loudness is 3"),
        (["-o", "a.m4b", "--format", "mp3"], "BAD_OPTION", "one file .m4b"),
        (["-o", "a.m4b", "--acx"], "BAD_OPTION", "one file .m4b"),
        (["-o", "no/a.m4b"], "OUTPUT_UNWRITABLE", "does not exist"),
        (["-o", "lamp.md", "--format", "mp3"], "OUTPUT_UNWRITABLE", "it is no folder"),
        (["--id", "A b"], "BAD_OPTION", "book_id is 'A b'"),
        (["--gpu-price", "-1"], "BAD_OPTION", "--gpu-price is -1"),
        (["--speed", "9"], "BAD_OPTION", "speed is 9"),
        (["--sentence-pause", "-1"], "BAD_OPTION", "sentence_pause is -1"),
        (["--cast", "cast.toml"], "BAD_OPTION", "speakers"),
        (["--redo", "seven"], "BAD_OPTION", "'seven' names no sentence"),
        (["--redo", "1.1"], "BOOK_NOT_FOUND", "There is no book"),
        (["--take", "1.1"], "BAD_OPTION", "'1.1' names no take of a sentence"),
        (["--take", "1.1=2"], "BOOK_NOT_FOUND", "There is no book"),
        (["--review"], "BOOK_NOT_FOUND", "There is no book"),
        (["-v", "nobody"], "VOICE_NOT_FOUND", "nobody"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    code: str,
    says: str,
) -> None:
    (folder / "lamp.md").write_text(TEXT)
    (folder / "cast.toml").write_text('[speakers]\nBo = { voices = "x" }\n')
    status = run(["book", "lamp.md", "--json", *options, *STANDIN])
    told = json.loads(capsys.readouterr().out)
    assert (told["code"], status) == (code, 5 if code == "OUTPUT_UNWRITABLE" else 3)
    assert says in told["error"]


def test_a_book_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["book", "none.epub", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["code"] == "FILE_UNREADABLE"

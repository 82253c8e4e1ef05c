"""A book whose speaker is killed again and again: nothing is lost, hardly anything made twice."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from f5serve.jobs.records import Record
from f5serve.jobs.store import JobStore
from f5serve.service.book_files import spoken_chapters
from f5serve.service.book_store import BookStore
from f5serve.store.local import LocalStore
from tests.conftest import IS_FULL

CHAPTERS, SENTENCES = 4, 20
KILLS = 20 if IS_FULL else 5
COST_S = 0.05
LOST = 4
"""Utterances that a kill may cost: those that are being made and written, on a slow disk."""


def write_book(path: Path, sentences: int = SENTENCES) -> Path:
    """A book whose sentences are all different; so many in each chapter."""
    numbers = iter(range(CHAPTERS * sentences))
    path.write_text(
        "\n\n".join(
            f"# Part {chapter + 1}\n\n"
            + " ".join(f"This is sentence {next(numbers)} of it." for _ in range(sentences))
            for chapter in range(CHAPTERS)
        )
    )
    return path


def start(book: Path, folder: Path, log: Path, cost_s: float) -> subprocess.Popen[bytes]:
    module = [sys.executable, "-m", "tests.service.book_speaker"]
    return subprocess.Popen(
        [*module, str(book), str(folder), str(log), str(cost_s)], stdout=subprocess.PIPE
    )


def results(folder: Path) -> list[Record]:
    """What is recorded of the sound of each chapter."""
    store = LocalStore(folder)
    spoken = spoken_chapters(JobStore(store), BookStore(store).get("book"))
    return [one.record["outputs"][0] for one in spoken]


def test_kills_at_any_time_cost_what_is_under_way(tmp_path: Path) -> None:
    book, log = write_book(tmp_path / "book.md"), tmp_path / "killed.log"
    rng = random.Random(7)
    kills = 0
    for _ in range(KILLS):
        with start(book, tmp_path / "killed", log, COST_S) as process:
            assert process.stdout is not None
            for _ in range(rng.randint(1, 2 * CHAPTERS * SENTENCES // KILLS)):
                if not process.stdout.readline():
                    break
            else:
                kills += 1
            process.kill()
    assert kills > KILLS // 2
    for name in ("killed", "whole"):
        with start(book, tmp_path / name, tmp_path / f"{name}.log", 0.0) as process:
            process.communicate(timeout=300)
        assert process.returncode == 0
    made = Counter(log.read_text().splitlines())
    wanted = Counter((tmp_path / "whole.log").read_text().splitlines())
    assert set(made) == set(wanted)
    assert sum(made.values()) <= sum(wanted.values()) + LOST * kills
    found, whole = results(tmp_path / "killed"), results(tmp_path / "whole")
    assert [one["sha256"] for one in found] == [one["sha256"] for one in whole]

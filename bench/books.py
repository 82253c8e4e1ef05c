"""What does a long book cost, and what do kills cost? With an engine that beeps, over a folder.

    python bench/books.py long [--hours 20] [--most-mb 300]
    python bench/books.py kills [--kills 200]

`long` speaks a book of chapters of half an hour and writes it as m4b; `speak` and `write` are
seconds of that, `cpu` those of processors, `over_mb` how far the peak of resident memory rose above
what it was when the first sentences were spoken, `per_hour` requests to the store for an hour of
speech, by kind. It also speaks a tenth of the book, so that it is seen whether time and requests
grow with the length alone.
Exits with 1 beyond `--most-mb`. `kills` ends a process that speaks a book after a random number of
sentences, again and again, and counts what was made: `lost` sentences, and those made `twice`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.long_job import S_PER_BYTE, forget_peak, resident_mb

from f5serve.books.plan import plan_book
from f5serve.books.reader import read_book
from f5serve.fallback.tone import Tone
from f5serve.service import SpeechService
from f5serve.service.book_files import BookFileWriter, spoken_chapters
from f5serve.service.book_jobs import BookSpeakers, chapter_requests, with_jobs
from f5serve.service.book_speaking import speak_chapters
from f5serve.service.book_store import NewBook
from f5serve.settings import Settings
from f5serve.store.local import LocalStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import VoiceLibrary

SENTENCE = "This is sentence number {:06} of a book that goes on for a long time."
CHAPTER_S = 1_800.0
PARAGRAPH = 5
PAUSE_S = 0.43
"""Mean silence behind a sentence."""

CALLS = ("get", "get_part", "put", "put_file", "download", "delete", "list", "page", "exists")


class CountedStore(LocalStore):
    """Counts its calls."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.counts: Counter[str] = Counter()

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in CALLS:
            return found
        counts: Counter[str] = super().__getattribute__("counts")

        def counted(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return found(*args, **kwargs)

        return counted


def text_of(hours: float) -> str:
    """A book that lasts about so long."""
    sentence_s = len(SENTENCE.format(0)) * S_PER_BYTE + PAUSE_S
    count = max(2, round(hours * 3_600 / sentence_s))
    per_chapter = round(CHAPTER_S / sentence_s)
    lines: list[str] = []
    for number in range(count):
        if number % per_chapter == 0:
            lines.append(f"\n\n# Chapter {number // per_chapter + 1}\n\n")
        elif number % PARAGRAPH == 0:
            lines.append("\n\n")
        lines.append(SENTENCE.format(number) + " ")
    return "".join(lines)


async def speak(store: LocalStore, folder: Path, text: str) -> dict[str, Any]:
    """Speak a book and write it; returns what that has cost."""
    voices = VoiceLibrary(store, folder / "cache")
    tone = Tone(s_per_byte=S_PER_BYTE)
    service = SpeechService(store, voices, lambda: Synthesizer(tone), Settings(data_dir=folder))
    await service.answer({"text": "Hello there. How are you?"}, "warm")
    book = read_book(text.encode(), "book.md")
    chosen = [planned.chapter.number for planned in plan_book(book).chapters]
    record = service.book_store.add(NewBook("book", book, text.encode(), chosen, {}, ["default"]))
    requests = chapter_requests(
        service.book_store, record, BookSpeakers(voices, service.lexicons, "tone", {})
    )
    record = service.book_store.put(with_jobs(record, requests))
    before_mb, began, cpu = resident_mb("VmRSS"), time.perf_counter(), time.process_time()
    forget_peak()
    await speak_chapters(service, requests, lambda request, progress: None)
    spoken_s, spoken_cpu_s = time.perf_counter() - began, time.process_time() - cpu
    spoken_mb = resident_mb("VmHWM") - before_mb
    counts = Counter(store.counts) if isinstance(store, CountedStore) else Counter[str]()
    chapters = spoken_chapters(service.job_store, record)
    hours = sum(one.duration_s for one in chapters) / 3_600
    forget_peak()
    began, cpu = time.perf_counter(), time.process_time()
    path = BookFileWriter(store, record, chapters).write_whole(folder / "book.m4b").paths[0]
    written_s, written_cpu_s = time.perf_counter() - began, time.process_time() - cpu
    written_mb = resident_mb("VmHWM") - before_mb
    await service.close(5)
    kept = sum(entry.size for entry in store.list("books/book/utterances/"))
    return {
        "hours": round(hours, 2),
        "chapters": len(chapters),
        "speak_s": round(spoken_s, 1),
        "speak_s_per_hour": round(spoken_s / hours, 2),
        "speak_cpu_s_per_hour": round(spoken_cpu_s / hours, 2),
        "write_s": round(written_s, 1),
        "write_s_per_hour": round(written_s / hours, 2),
        "write_cpu_s_per_hour": round(written_cpu_s / hours, 2),
        "speak_over_mb": round(spoken_mb, 1),
        "write_over_mb": round(written_mb, 1),
        "m4b_mb": round(path.stat().st_size / 1e6, 1),
        "kept_mb_per_hour": round(kept / 1e6 / hours, 1),
        "per_hour": {name: round(count / hours, 1) for name, count in sorted(counts.items())},
    }


def measure_long(hours: float, most_mb: float) -> int:
    """The book and a tenth of it, each in a process of its own."""
    worst = 0.0
    for length in (hours / 10, hours):
        command = [sys.executable, "-m", "bench.books", "one", "--hours", str(length)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(answer, end="", flush=True)
        told = json.loads(answer)
        worst = max(worst, told["speak_over_mb"], told["write_over_mb"])
    return int(worst > most_mb)


def measure_one(hours: float) -> int:
    """A book in this process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = CountedStore(folder / "store")
        print(json.dumps(asyncio.run(speak(store, folder, text_of(hours)))))
    return 0


def measure_kills(kills: int) -> int:
    """Kill a process that speaks a book, after a random number of sentences."""
    from tests.service.test_book_kills import COST_S, results, start, write_book

    rng = random.Random(11)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        book, log = write_book(folder / "book.md", sentences=50 + kills // 2), folder / "killed.log"
        ended = _kill(rng, kills, lambda: start(book, folder / "killed", log, COST_S))
        for one in ("killed", "whole"):
            with start(book, folder / one, folder / f"{one}.log", 0.0) as process:
                process.communicate()
        made = Counter(log.read_text().splitlines())
        wanted = Counter((folder / "whole.log").read_text().splitlines())
        sound = [[line["sha256"] for line in results(folder / one)] for one in ("killed", "whole")]
    told = {
        "kills": ended,
        "sentences": sum(wanted.values()),
        "lost": sum((wanted - made).values()),
        "twice": sum((made - wanted).values()),
        "same_sound": sound[0] == sound[1],
    }
    print(json.dumps(told))
    return int(bool(told["lost"]) or not told["same_sound"] or told["twice"] > 2 * ended)


def _kill(rng: random.Random, kills: int, begin: Callable[[], subprocess.Popen[bytes]]) -> int:
    """How often a process was killed before it was done."""
    ended = 0
    for _ in range(kills):
        with begin() as process:
            assert process.stdout is not None
            if all(process.stdout.readline() for _ in range(rng.randint(1, 4))):
                ended += 1
            process.kill()
    return ended


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["long", "one", "kills"])
    parser.add_argument("--hours", type=float, default=20.0)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--most-mb", type=float, default=300.0)
    args = parser.parse_args()
    if args.what == "kills":
        return measure_kills(args.kills)
    return measure_one(args.hours) if args.what == "one" else measure_long(args.hours, args.most_mb)


if __name__ == "__main__":
    sys.exit(main())

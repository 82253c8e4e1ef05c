"""Speaks a book as a process of its own, to be killed: python -m tests.service.book_speaker

    BOOK STORE LOG COST   a file, the folder of the store, and seconds that an utterance takes

Appends each utterance that it makes to LOG, a line each, and writes "speaking" with the first one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from f5serve.books.plan import plan_book
from f5serve.books.reader import read_book
from f5serve.fallback.tone import Tone
from f5serve.service import ServiceOptions, SpeechService
from f5serve.service.book_jobs import BookFields, BookSpeakers, chapter_requests, with_jobs
from f5serve.service.book_speaking import speak_chapters
from f5serve.service.book_store import NewBook
from f5serve.service.chapters import ChapterRequest
from f5serve.settings import Settings
from f5serve.store.local import LocalStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import OnDone, Utterance, Wave
from f5serve.voices.library import VoiceLibrary

QUICK = ServiceOptions(lease_s=0.5, heartbeat_s=0.1)


class NotingTone(Tone):
    """Appends what it has made to a file, as soon as it is made."""

    def __init__(self, log: Path, cost_s: float) -> None:
        super().__init__(cost_s=cost_s)
        self._log = log

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        def done(index: int, wave: Wave) -> None:
            with self._log.open("a") as file:
                file.write(f"{utterances[index].text}\n")
            sys.stdout.write("speaking\n")
            sys.stdout.flush()
            if on_done is not None:
                on_done(index, wave)

        return super().generate(utterances, done, check, deadline=deadline)


async def speak(book: Path, folder: Path, log: Path, cost_s: float) -> None:
    """Speak it to its end."""
    store = LocalStore(folder)
    voices = VoiceLibrary(store, folder.parent / "cache")
    tone = NotingTone(log, cost_s)
    service = SpeechService(store, voices, lambda: Synthesizer(tone), Settings(), QUICK)
    requests = chapters_of(service, book)
    await speak_chapters(service, requests, lambda request, progress: None)
    await service.close(5)


def chapters_of(service: SpeechService, book: Path) -> list[ChapterRequest]:
    """The jobs of a book that is kept in the store of the service."""
    read = read_book(book)
    chosen = [planned.chapter.number for planned in plan_book(read).chapters]
    fields = BookFields()
    new = NewBook("book", read, book, chosen, fields.options, fields.voice_names)
    record = service.book_store.add(new)
    speakers = BookSpeakers(service.voices, service.lexicons, "tone", {})
    requests = chapter_requests(service.book_store, record, speakers)
    service.book_store.put(with_jobs(record, requests))
    return requests


if __name__ == "__main__":
    _, *paths, cost = sys.argv
    asyncio.run(speak(*map(Path, paths), float(cost)))

"""A book that is paused in the middle of a chapter goes on where it was."""

from __future__ import annotations

import asyncio
from pathlib import Path

from f5serve.service import SpeechService
from f5serve.service.book_speaking import speak_chapters
from f5serve.service.chapters import ChapterRequest
from f5serve.service.events import Progress
from f5serve.settings import Settings
from f5serve.store.local import LocalStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import VoiceLibrary
from tests.service.book_speaker import QUICK, NotingTone, chapters_of
from tests.service.test_book_kills import CHAPTERS, SENTENCES, write_book

TURNS = 50


def test_a_pause_in_a_chapter_makes_nothing_twice(tmp_path: Path) -> None:
    book, log = write_book(tmp_path / "book.md", SENTENCES // 4), tmp_path / "log"
    made_before: list[int] = []

    async def work() -> None:
        store = LocalStore(tmp_path / "store")
        voices = VoiceLibrary(store, tmp_path / "cache")
        tone = NotingTone(log, 0.01)
        settings = Settings(data_dir=tmp_path)
        service = SpeechService(store, voices, lambda: Synthesizer(tone), settings, QUICK)
        requests = await service.work("book", chapters_of, service, book)
        running, done = asyncio.Event(), set[int]()
        running.set()

        def on_progress(request: ChapterRequest, progress: Progress) -> None:
            assert running.is_set(), "something is spoken while it is paused"
            if progress.phase == "done":
                done.add(request.chapter)
            elif progress.phase == "speaking" and len(done) == len(made_before) < 2:
                made_before.append(len(log.read_text().splitlines()) if log.exists() else 0)
                running.clear()

        speaking = asyncio.create_task(speak_chapters(service, requests, on_progress, running))
        for pause in (1, 2):
            while len(made_before) < pause:
                await asyncio.sleep(0.001)
            while service.running:  # until what is under way has ended
                await asyncio.sleep(0.001)
            made = log.read_text()
            for _ in range(TURNS):
                await asyncio.sleep(0)
            assert log.read_text() == made
            assert not speaking.done()
            running.set()
        await speaking
        assert len(done) == CHAPTERS
        records = [service.job_store.result(one.job_id) for one in requests]
        resumed = [record["resumed"] for record in records]
        assert min(resumed[:2]) > 0 == max(resumed[2:]), resumed
        await service.close(5)

    asyncio.run(work())
    made = log.read_text().splitlines()
    assert len(set(made)) >= CHAPTERS * (SENTENCES // 4)
    assert len(made) - len(set(made)) <= 2  # the one that was under way at each pause

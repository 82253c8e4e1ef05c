"""A worker in small: the real operations, main path, library and store, with a tone that speaks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import F5Error
from f5serve.fallback.tone import Tone
from f5serve.service import ServiceOptions, SpeechService
from f5serve.service.events import AudioChunk, AudioFile, Completed, DeliveryOptions, Progress
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import OnDone, Utterance, Wave
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.prepare import NO_TRANSCRIBER, Transcriber

HELLO = {"text": "Hello there."}
PATIENCE_S = 60.0
"""Longest wait for what comes within hundredths of a second on a quiet machine."""


class CountingTone(Tone):
    """Counts what it was asked to speak and how many steps it took; can be held and released."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.spoken: list[str] = []
        self.steps = 0
        self.at_work = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        self.spoken += [utterance.text for utterance in utterances]

        def step() -> None:
            self.at_work.set()
            self.may_go_on.wait(PATIENCE_S)
            self.steps += 1
            if check is not None:
                check()

        return super().generate(utterances, on_done, step, deadline=deadline)

    def hold(self) -> None:
        """Stop at the next step, until `release`."""
        self.at_work.clear()
        self.may_go_on.clear()

    def release(self) -> None:
        self.may_go_on.set()


@dataclass
class House:
    """One worker and what it works with."""

    operations: SpeechService
    store: ObjectStore
    tone: CountingTone
    told: list[dict[str, Any]] = field(default_factory=list)

    async def ask(self, job_id: str, /, **payload: Any) -> dict[str, Any]:
        """An answer; it never has a key that RunPod would take for a failure."""
        answer: dict[str, Any] = {}
        async with aclosing(self.operations.events(payload, job_id)) as events:
            async for event in events:
                if isinstance(event, Progress):
                    self.told.append(event.as_dict())
                elif isinstance(event, Completed):
                    answer = event.response
        assert "error" not in answer
        assert "refresh_worker" not in answer
        return answer

    async def listen(
        self, job_id: str, delivery: DeliveryOptions, /, **payload: Any
    ) -> tuple[list[AudioChunk | AudioFile], dict[str, Any]]:
        """The audio of a request as it comes, and the answer, which is the last event."""
        events = [event async for event in self.operations.events(payload, job_id, delivery)]
        last = events.pop()
        assert isinstance(last, Completed)
        audio = [event for event in events if isinstance(event, AudioChunk | AudioFile)]
        assert all(isinstance(event, Progress) for event in events if event not in audio)
        return audio, last.response

    async def call(self, endpoint: str, /, **payload: Any) -> dict[str, Any]:
        """The answer of an operation about jobs or voices."""
        return await self.ask("other", endpoint=endpoint, **payload)

    async def refuse(self, job_id: str, /, **payload: Any) -> F5Error:
        """The error of a request that is refused."""
        with pytest.raises(F5Error) as caught:
            await self.operations.answer(payload, job_id)
        return caught.value

    async def status(self, job_id: str) -> str:
        return str((await self.call("status", job_id=job_id))["status"])

    async def until(self, job_id: str, *statuses: str) -> dict[str, Any]:
        """The first answer with one of `statuses`."""
        async with asyncio.timeout(PATIENCE_S):
            while (answer := await self.call("status", job_id=job_id))["status"] not in statuses:
                await asyncio.sleep(0.01)
        return answer

    async def at_work(self) -> None:
        """Wait until the engine is in a step."""
        assert await asyncio.to_thread(self.tone.at_work.wait, PATIENCE_S)


@contextlib.asynccontextmanager
async def house(
    folder: Path,
    store: ObjectStore | None = None,
    options: ServiceOptions | None = None,
    load_speech: Callable[[], Synthesizer] | None = None,
    hearing: Transcriber = NO_TRANSCRIBER,
    tone: CountingTone | None = None,
    **settings: Any,
) -> AsyncIterator[House]:
    """A worker over `store`, closed at the end; `folder` is its disk."""
    store = store or MemoryStore()
    tone = tone or CountingTone()
    voices = VoiceLibrary(store, folder / "cache", transcriber=hearing)
    load = load_speech or (lambda: Synthesizer(tone, max_text_chars=100_000))
    made = replace(Settings(), **settings)
    operations = SpeechService(store, voices, load, made, options)
    operations.begin()
    try:
        yield House(operations, store, tone)
    finally:
        tone.release()
        await operations.close(5)


def run(story: Callable[[], Any]) -> None:
    """Run a test that waits; no task may be left over but those of the loop itself."""

    async def whole() -> None:
        async with asyncio.timeout(2 * PATIENCE_S):
            await story()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:  # steps that nobody waited for are just ending
            _, left = await asyncio.wait(left, timeout=PATIENCE_S)
        assert not left

    asyncio.run(whole())

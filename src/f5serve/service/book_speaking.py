"""Speaks the chapters of a book here, one after the other; others may speak the same book.

A chapter that another machine is at is left to it, and waited for at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from f5serve.jobs.records import Status
from f5serve.service.book_jobs import may_begin
from f5serve.service.chapters import ChapterRequest
from f5serve.service.events import DeliveryOptions, Progress

if TYPE_CHECKING:
    from f5serve.service.service import SpeechService

OnProgress = Callable[[ChapterRequest, Progress], None]
"""Called with each progress of a chapter; its phase is `done` at the end."""

_DELIVERY = DeliveryOptions(full_response=False)


async def speak_chapters(
    service: SpeechService,
    requests: Sequence[ChapterRequest],
    on_progress: OnProgress,
    running: asyncio.Event | None = None,
) -> None:
    """Have all of these spoken; those that are done are passed over.

    Args:
        running: while it is not set, nothing is spoken; a chapter ends at its next progress, and
            goes on with what is kept of it.

    Raises:
        F5Error: why a chapter cannot be spoken; those before it are done.
    """
    waiting, running = list(requests), running or _always()
    while waiting:
        elsewhere: list[ChapterRequest] = []
        for request in waiting:
            status = await service.work("status", may_begin, service.job_store, request.job_id)
            if status is Status.RUNNING:
                elsewhere.append(request)
            elif status is not Status.COMPLETED:
                await _speak(service, request, on_progress, running)
            if status is not Status.RUNNING:
                on_progress(request, Progress("done", 100))
        if len(elsewhere) == len(waiting):  # wait for one, or for the end of its lease
            request = elsewhere.pop(0)
            await _speak(service, request, on_progress, running)
            on_progress(request, Progress("done", 100))
        waiting = elsewhere


async def _speak(
    service: SpeechService,
    request: ChapterRequest,
    on_progress: OnProgress,
    running: asyncio.Event,
) -> None:
    is_done = False
    while not is_done:
        await running.wait()
        handle = await service.submit(request, request.job_id, _DELIVERY)
        async with aclosing(handle.events()) as events:
            async for event in events:
                if isinstance(event, Progress):
                    on_progress(request, event)
                    if not running.is_set():
                        break
            else:
                is_done = True


def _always() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event

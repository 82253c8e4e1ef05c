"""How the work at a job ends: what is recorded of it, while nobody waits for a store that hangs.

An error flows in, records flow out to the store. A step that takes too long is left to itself: it
is still done, in its order, while the caller has his answer. What the work was is not known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any

from f5serve.errors import F5Error, ModelUnavailable, StorageFailed
from f5serve.jobs.board import Board, Lease
from f5serve.jobs.records import CANCELLED_CODE
from f5serve.service.flights import SHUT_DOWN_CODE, Flight, read_outcome

_log = logging.getLogger(__name__)

NOTE_S = 0.5
"""Longest that an answer waits for the record of how its job ended."""

CLOSE_S = 1.0
"""Longest that the end of the process waits for such records."""

INTERNAL = {
    "message": "Something unexpected failed.",
    "code": "INTERNAL",
    "hint": "The worker's log tells more.",
    "retryable": True,
}


class Leftovers:
    """Steps that somebody has begun and nobody waits for; used in the event loop only."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def finish(self, work: Coroutine[Any, Any, None], within_s: float = NOTE_S) -> None:
        """Wait for the work for a while; what is left of it is done by itself."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_tell)
        await asyncio.wait({task}, timeout=within_s)

    async def close(self, within_s: float = CLOSE_S) -> None:
        """Wait for all of them for a while, and give up what is left."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)


def failure_of(error: F5Error) -> dict[str, Any]:
    """What records tell of an error."""
    # Another worker may well have the model that this one lacks.
    retryable = error.retryable or isinstance(error, ModelUnavailable)
    return {
        "message": error.message,
        "code": error.code,
        "hint": error.hint,
        "retryable": retryable,
    }


def note(board: Board, flight: Flight, lease: Lease, failure: Mapping[str, Any]) -> None:
    """Record how the work ended; if even that fails, the lease runs out. Blocks."""
    try:
        if failure["code"] == CANCELLED_CODE and not failure["retryable"]:
            board.end_cancelled(lease)
        elif failure["code"] == SHUT_DOWN_CODE or _is_to_go_on(flight, lease, failure):
            board.release(lease)
        else:
            board.fail(lease, failure)
    except StorageFailed as error:
        _log.warning("the end of a job could not be recorded: %s", error.message)


def _is_to_go_on(flight: Flight, lease: Lease, failure: Mapping[str, Any]) -> bool:
    """Whether the job is begun again by itself; one whose caller went away is not."""
    passes = failure["retryable"] and failure["code"] != CANCELLED_CODE
    return passes and lease.attempt < flight.attempts


async def settled(work: Awaitable[Any]) -> None:
    """Wait for its end, whatever that is."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task})
    read_outcome(task)


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the end of a job could not be recorded", exc_info=error)

"""Jobs for later: into the queue of the platform where it has one, else into the store.

An `Ask` flows in and is told to wait. RunPod's queue hands a job back under an id of its own, with
the id that its caller was told in `queued_as`; whether that is true is asked of the store.
docs/decisions/0027-who-names-a-job.md tells why this is enough.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from f5serve.jobs.records import Status
from f5serve.service.parse import MAX_JOB_ID_CHARS, Ask, Fields
from f5serve.service.queue import Queue
from f5serve.service.tools import Tools

Enqueue = Callable[[dict[str, Any]], Awaitable[str]]
"""Hands a payload to a queue that outlives this process; returns the queue's id of it."""

QUEUED_AS = "queued_as"
"""Under which id a job was put off, in what a platform's queue hands back; no field of callers."""


def without_queued_as(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a caller may send."""
    return {name: said for name, said in payload.items() if name != QUEUED_AS}


class Later:
    """Puts jobs off, and knows them again.

    Args:
        queue: in the store.
        enqueue: the platform's queue, None where it has none.
    """

    def __init__(self, tools: Tools, queue: Queue, enqueue: Enqueue | None) -> None:
        self._tools = tools
        self._queue = queue
        self._enqueue = enqueue

    async def put_off(
        self, job_id: str, ask: Ask, payload: Mapping[str, Any], owner: str
    ) -> dict[str, Any]:
        """Note the job as queued, then hand it to a queue: it is known before anyone can ask."""
        if self._enqueue is None:
            standing = await self._queue.put_off(job_id, ask, owner)
        else:
            queue = self._tools.board.queue
            standing = await self._tools.pools.jobs.run(queue, job_id, ask.sha256, ask.about, owner)
            if standing.status in (Status.QUEUED, Status.LOST):
                later = {"mode": "sync", "return_audio": "url", QUEUED_AS: job_id}
                await self._enqueue({**payload, **later})
        return {"job_id": job_id, "status": standing.status.told}

    def named(self, payload: Mapping[str, Any]) -> str:
        """The id under which the platform's queue hands a job back; "" for all other jobs.

        Raises:
            InvalidRequest: BAD_OPTION.
        """
        if self._enqueue is None:
            return ""
        return Fields(payload).text(QUEUED_AS, max_chars=MAX_JOB_ID_CHARS)

    async def is_ours(self, job_id: str, ask: Ask) -> bool:
        """Whether this very request was put off under that id, so that it must be done now."""
        return await self._tools.pools.jobs.run(self._tools.board.waits, job_id, ask.sha256)

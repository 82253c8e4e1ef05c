"""Operations about jobs that somebody else asked for: status, result, download, cancel.

Fields of a request flow in, answers from records flow out; nothing is computed, and nothing here
waits for a model.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from functools import partial
from typing import Any

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.jobs.board import Board
from f5serve.jobs.history import History
from f5serve.jobs.index import REBUILD_S, Index
from f5serve.jobs.records import Record, Standing, Status
from f5serve.jobs.refusals import cancelled, unknown
from f5serve.service import answers
from f5serve.service.flights import Flight, Flights, Listeners
from f5serve.service.parse import TIMING_FORMATS, Fields
from f5serve.service.pieces import MAX_HEARD_S, File, Piece, decode_result
from f5serve.service.tools import Tools
from f5serve.types import Wave

_log = logging.getLogger(__name__)

INDEX_AFTER_S = 5.0
"""From the start to the first look for jobs that are not in the index; each gives or takes half."""


class Lookups:
    """What is known of jobs here and in the store.

    Args:
        expires_s: lifetime of signed URLs.
    """

    def __init__(self, tools: Tools, flights: Flights, expires_s: float) -> None:
        self._tools = tools
        self._board: Board = tools.board
        self._store = tools.board.store
        self._flights = flights
        self._expires_s = expires_s
        self._history = History(self._board, answers.history_line)

    async def status(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Where a job stands."""
        job_id = Fields(payload).text("job_id")
        if not job_id:
            raise unknown("")
        standing = await self._tools.pools.lookups.run(self._board.look, job_id)
        flight = self._flights.find(job_id)
        if flight is not None and standing.status in (Status.UNKNOWN, Status.RUNNING):
            # What is under way here is newer than what the store says of it.
            standing = Standing(Status.RUNNING, {"progress": flight.progress})
        if standing.status is Status.UNKNOWN:
            raise unknown(job_id)
        return answers.status_answer(job_id, standing)

    async def result(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of a tts that is done, with new URLs."""
        job_id = _job_id(payload)

        def read() -> dict[str, Any]:
            return self._tell(job_id, self._board.result(job_id))

        return await self._tools.pools.lookups.run(read)

    async def download(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Where one file of a job is."""
        job_id = _job_id(payload)
        fields = Fields(payload)
        kind = fields.choice("type", ["audio", "timing"], "audio")
        format = fields.choice("format", TIMING_FORMATS, "srt") if kind == "timing" else ""
        record = await self._tools.pools.lookups.run(self._board.result, job_id)
        if kind == "timing":
            return await self._tools.pools.lookups.run(
                answers.timing_answer, self._store, job_id, record, format, self._expires_s
            )
        return await self._tools.pools.lookups.run(
            answers.download_answer, self._store, job_id, record, self._expires_s
        )

    async def cancel(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Have a job end, wherever it is."""
        job_id = _job_id(payload)
        flight = self._flights.find(job_id)
        try:
            standing = await self._tools.pools.lookups.run(self._board.cancel, job_id, "request")
        except InvalidRequest:
            if flight is None:
                raise
            standing = Standing(Status.CANCELLED, {})  # under way here, not in the store yet
        if flight is not None and standing.status is Status.CANCELLED:
            flight.stop(lambda: cancelled(job_id))
        return {"job_id": job_id, "status": standing.status.told}

    async def recent(self, limit: int, after: str = "") -> dict[str, Any]:
        """A page of the newest jobs, whoever has made them; what is under way here as it is now.

        Raises:
            InvalidRequest: BAD_CURSOR.
        """
        found = await self._tools.pools.listings.run(self._history.page, limit, after)
        jobs = [self._as_it_is(line) for line in found.jobs]
        return {"jobs": jobs, "truncated": bool(found.next), "next": found.next or None}

    async def keep_index(self) -> None:
        """Once a day see to it that the list knows every job, for as long as the process lives."""
        index = Index(self._store)
        await asyncio.sleep(INDEX_AFTER_S * random.uniform(0.5, 1.5))
        while True:
            try:
                if await self._tools.pools.listings.finish(index.is_due):
                    missing = await self._tools.pools.listings.finish(index.rebuild)
                    _log.info("%d jobs were added to the index", missing)
            except StorageFailed as error:
                _log.warning("the index of jobs was not looked through: %s", error.message)
            await asyncio.sleep(REBUILD_S / 24 * random.uniform(0.8, 1.2))

    def _as_it_is(self, line: Mapping[str, Any]) -> dict[str, Any]:
        flight = self._flights.find(line["job_id"])
        if flight is None or line["status"] not in (Status.QUEUED.told, Status.RUNNING.told):
            return dict(line)
        return {**line, "status": Status.RUNNING.told, "progress": dict(flight.progress)}

    async def told(self, to: Listeners, flight: Flight, record: Record) -> dict[str, Any]:
        """The answer of a tts by its record; of what was made here nothing is read back."""
        if not to.wishes.whole_answer:
            return answers.short_answer(flight.job_id, record)
        return await self._tools.blocking(self._tell, flight.job_id, record, flight.details)

    def _tell(
        self, job_id: str, record: Record, details: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return answers.tts_answer(self._store, job_id, record, self._expires_s, details)

    async def audio(self, job_id: str, record: Record, made: File | None) -> bytes:
        """The audio, as it was made here or as it is stored, if it fits into an answer.

        Raises:
            InvalidRequest: RESULT_TOO_LARGE.
        """
        line = answers.find_output(record, "audio")
        if line["size"] > answers.MAX_INLINE_BYTES:
            raise answers.too_large(job_id, line["size"])
        read = self.file(record).read if made is None else made.read
        return await self._tools.blocking(read, 0, line["size"])

    async def give_earlier(self, to: Listeners, flight: Flight, record: Record) -> None:
        """Give out the stored speech to who has been given nothing yet: it was made earlier."""
        if to.on_file is not None:
            if flight.audio is None:
                to.on_file(self.file(record))
        elif to.on_piece is not None and not flight.pieces:
            heard = await self.heard(record)
            if heard is not None:
                to.on_piece(Piece(0, 0.0, lambda: heard))

    def file(self, record: Record) -> File:
        """The stored audio, however long it is."""
        line = answers.find_output(record, "audio")
        return File(line["size"], partial(self._store.get_part, line["key"]))

    async def heard(self, record: Record) -> Wave | None:
        """The wave of the stored audio; None for one that is too long to be heard again."""
        if "format" not in record or record.get("seconds", 0.0) > MAX_HEARD_S:
            return None

        def read() -> Wave:
            line = answers.find_output(record, "audio")
            return decode_result(self._store.get(line["key"]), record["format"])

        return await self._tools.blocking(read)


def _job_id(payload: Mapping[str, Any]) -> str:
    job_id = Fields(payload).text("job_id")
    if not job_id:
        raise InvalidRequest(
            "No job_id provided",
            code="MISSING_FIELD",
            hint="Send the job_id that tts has answered.",
        )
    return job_id

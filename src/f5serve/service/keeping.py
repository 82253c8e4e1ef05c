"""What was made goes into the store: the audio, what is told of it, and then that it is done.

A file and a `SpeechResult` flow in, the done record flows out. Output before record, record before
answer: whatever dies in between, the next worker goes on. How speech is made is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from f5serve.errors import StorageFailed
from f5serve.jobs.board import Board, Lease
from f5serve.jobs.records import Record
from f5serve.service import story
from f5serve.service.flights import Flight
from f5serve.service.parse import Ask
from f5serve.service.sharing import Story
from f5serve.service.story import Output
from f5serve.service.tools import Times, Tools
from f5serve.store.scratch import ScratchFile
from f5serve.types import SpeechResult, Voice

_log = logging.getLogger(__name__)

UNKEPT = "This speech could not be stored, so no record of it is kept."
"""What a caller is told first; then why."""


@dataclass(frozen=True, slots=True)
class Made:
    """Speech that was made for a request, and all that is to be told of it."""

    ask: Ask
    voice: Voice
    result: SpeechResult
    file: ScratchFile
    identity: Mapping[str, Any]
    times: Times


class NotKept(Exception):
    """Speech was made and could not be stored, and its caller is content with hearing it.

    Attributes:
        record: what a done record would tell; it is nowhere.
        error: why it is not.
    """

    def __init__(self, record: Record, error: StorageFailed) -> None:
        super().__init__(error.message)
        self.record = record
        self.error = error


async def keep_made(
    tools: Tools, flight: Flight, lease: Lease, made: Made
) -> tuple[Record, Story | None]:
    """Store what was made, then say so. Who stops meanwhile does not wait for the store.

    Returns:
        The done record; its story, unless another worker had made it already.

    Raises:
        F5Error: what the store says, or why the flight was stopped.
        NotKept: in place of the former, where the flight may go without a record.
    """
    flight.tell("storing", 100)
    try:
        return await _store(tools, flight, lease, made)
    except StorageFailed as error:
        if not flight.may_go_unkept:
            raise
        _log.warning("speech was sent and could not be stored: %s", error.message)
        record = await tools.blocking(_unkept, lease, made, error)
        raise NotKept(record, error) from error


async def _store(
    tools: Tools, flight: Flight, lease: Lease, made: Made
) -> tuple[Record, Story | None]:
    outputs = await flight.unless_stopped(tools.blocking(_outputs, tools.board, lease, made))
    if not isinstance(outputs, list):
        return outputs, None
    flight.details = story.said(made.ask, made.result)
    details = outputs[1]
    began = time.perf_counter()
    kept = [output for output in outputs if output is not details or not story.is_small(details)]
    puts = asyncio.gather(*(tools.blocking(_put, tools.board, output) for output in kept))
    await flight.unless_stopped(puts)
    made.times.upload_s = time.perf_counter() - began
    told = story.tell(made.ask, made.voice, made.result, outputs, made.times.metrics())
    flight.check()
    tools.measures.spoke(told["metrics"], made.times.audio_s, made.times.so_far_s)
    finish = tools.blocking(tools.board.finish, lease, told)
    if tools.cache is None:
        return await flight.unless_stopped(finish), told
    keep = tools.blocking(tools.cache.keep, made.identity, lease.job_id, told)
    record, _ = await flight.unless_stopped(asyncio.gather(finish, keep))
    return record, told


def _unkept(lease: Lease, made: Made, error: StorageFailed) -> Record:
    """All that an answer tells of speech that is not stored; nothing of it is read from there."""
    audio = story.audio_output(lease.job_id, made.result, made.file)
    details = story.details_output(lease.job_id, made.ask, made.result)
    told = story.tell(made.ask, made.voice, made.result, [audio, details], made.times.metrics())
    warnings = [*told["warnings"], f"{UNKEPT} {error.code}: {error.message}"]
    whole = story.said(made.ask, made.result)
    return {**told, "outputs": [audio.line], "details": whole, "warnings": warnings}


def _outputs(board: Board, lease: Lease, made: Made) -> Record | list[Output]:
    """Audio, details and timings; or what another worker has finished meanwhile."""
    earlier = board.earlier_result(lease)
    if earlier is not None:
        return earlier
    audio = story.audio_output(lease.job_id, made.result, made.file)
    details = story.details_output(lease.job_id, made.ask, made.result)
    return [audio, details, *story.timing_outputs(lease.job_id, made.ask, made.result)]


def _put(board: Board, output: Output) -> None:
    if isinstance(output.data, ScratchFile):
        output.data.put(board.store, output.key, output.mime)
    else:
        board.store.put(output.key, output.data, output.mime)

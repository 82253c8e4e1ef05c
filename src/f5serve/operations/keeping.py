"""What was made goes into the store: the audio, what is told of it, and then that it is done.

A file and a `SpeechResult` flow in, the done record flows out. Output before record, record before
answer: whatever dies in between, the next worker goes on. How speech is made is not known here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from f5serve.jobs.board import Board, Lease
from f5serve.jobs.records import Record
from f5serve.operations import story
from f5serve.operations.flights import Flight
from f5serve.operations.parse import Ask
from f5serve.operations.story import Output
from f5serve.operations.tools import Times, Tools
from f5serve.store.scratch import Scratch
from f5serve.types import SpeechResult, Voice


@dataclass(frozen=True, slots=True)
class Made:
    """Speech that was made for a request, and all that is to be told of it."""

    ask: Ask
    voice: Voice
    result: SpeechResult
    file: Scratch
    identity: Mapping[str, Any]
    times: Times


async def keep_made(tools: Tools, flight: Flight, lease: Lease, made: Made) -> Record:
    """Store what was made, then say so. Who stops meanwhile does not wait for the store."""
    flight.tell("storing", 100)
    outputs = await flight.unless_stopped(tools.blocking(_outputs, tools.board, lease, made))
    if not isinstance(outputs, list):
        return outputs
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
        return await flight.unless_stopped(finish)
    keep = tools.blocking(tools.cache.keep, made.identity, lease.job_id, told)
    record, _ = await flight.unless_stopped(asyncio.gather(finish, keep))
    return record


def _outputs(board: Board, lease: Lease, made: Made) -> Record | list[Output]:
    """Audio, details and timings; or what another worker has finished meanwhile."""
    earlier = board.earlier_result(lease)
    if earlier is not None:
        return earlier
    audio = story.audio_output(lease.job_id, made.result, made.file)
    details = story.details_output(lease.job_id, made.ask, made.result)
    return [audio, details, *story.timing_outputs(lease.job_id, made.ask, made.result)]


def _put(board: Board, output: Output) -> None:
    if isinstance(output.data, Scratch):
        output.data.put(board.store, output.key, output.mime)
    else:
        board.store.put(output.key, output.data, output.mime)

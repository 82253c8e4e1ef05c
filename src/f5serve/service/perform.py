"""One request for speech, from the claim on its job to the record that it is done.

    claim -> model -> voice -> earlier result? -> device -> output in the store -> done.json

A `Flight` and its `Ask` flow in, the done record flows out. Output before record, record before
answer: whatever dies in between, the next worker goes on. Doors are not known here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from f5serve.errors import F5Error, InvalidRequest, StorageFailed
from f5serve.jobs.board import Elsewhere, Finished, Lease
from f5serve.jobs.chunks import Chunks
from f5serve.jobs.records import Record, sha256_of
from f5serve.service import story
from f5serve.service.endings import INTERNAL, failure_of, note, settled
from f5serve.service.flights import Flight
from f5serve.service.keeping import Made, NotKept, keep_made
from f5serve.service.parse import Ask
from f5serve.service.pieces import File
from f5serve.service.resume import Resume
from f5serve.service.sharing import Story
from f5serve.service.tools import Times, Tools
from f5serve.store.scratch import ScratchFile
from f5serve.synthesis.speech import Speech
from f5serve.synthesis.watch import Watch
from f5serve.types import SpeechRequest, SpeechResult, Voice, Wave
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import is_default, is_url

_log = logging.getLogger(__name__)

LOOK_S = (0.2, 3.0)
"""Shortest and longest pause between looks at a job that another worker has."""


async def perform(tools: Tools, flight: Flight, ask: Ask) -> Record:
    """Do the job, or find that it was done.

    Raises:
        F5Error: why it could not be done, after that was recorded.
    """
    times = Times()
    claim = await _claim(tools, flight, ask)
    if isinstance(claim, Finished):
        return claim.record
    ended = asyncio.Event()
    pulse = asyncio.create_task(_pulse(tools, flight, claim, ended))
    failure: Mapping[str, Any] | None = INTERNAL
    try:
        record = await _speak(tools, flight, claim, ask, times)
        failure = None
        return record
    except F5Error as error:
        failure = failure_of(error)
        raise
    except NotKept as lost:  # the caller has his speech, the job has failed
        failure = failure_of(lost.error)
        return lost.record
    except asyncio.CancelledError:  # the event loop itself is going down
        failure = None
        raise
    finally:
        ended.set()
        await tools.leftovers.finish(_end(tools, flight, claim, pulse, failure))


async def _end(
    tools: Tools,
    flight: Flight,
    lease: Lease,
    pulse: asyncio.Task[None],
    failure: Mapping[str, Any] | None,
) -> None:
    await settled(pulse)  # a beat that came later would hide how the job ended
    if not pulse.cancelled() and (fault := pulse.exception()) is not None:
        _log.error("the signs of life of a job ended early", exc_info=fault)
    if failure is not None:
        await tools.blocking(note, tools.board, flight, lease, failure)


async def _claim(tools: Tools, flight: Flight, ask: Ask) -> Lease | Finished:
    """Take the job; while another worker has it, wait for its result or for its silence."""
    pause_s, longest_s = LOOK_S
    while True:
        call = tools.board.claim, flight.job_id, flight.sha256, ask.about, flight.owner
        claiming = asyncio.ensure_future(tools.pools.jobs.run(*call))
        try:
            claim = await flight.unless_stopped(asyncio.shield(claiming))
        except F5Error as error:
            await tools.leftovers.finish(_unclaim(tools, flight, claiming, failure_of(error)))
            raise
        if not isinstance(claim, Elsewhere):
            return claim
        flight.tell("elsewhere", 0)
        await flight.pause(min(pause_s, claim.wait_s + LOOK_S[0]))
        pause_s = min(2 * pause_s, longest_s)


async def _unclaim(
    tools: Tools,
    flight: Flight,
    claiming: asyncio.Future[Lease | Finished | Elsewhere],
    failure: Mapping[str, Any],
) -> None:
    """Let go of a job that is taken by now, though nobody waits for it any more."""
    await settled(claiming)
    if claiming.exception() is None and isinstance(lease := claiming.result(), Lease):
        await tools.blocking(note, tools.board, flight, lease, failure)


async def _pulse(tools: Tools, flight: Flight, lease: Lease, ended: asyncio.Event) -> None:
    """Tell the store that the job is alive, and notice when somebody cancels it there."""
    while not lease.lost:
        try:
            await asyncio.wait_for(ended.wait(), tools.beat_s)
            return
        except TimeoutError:
            pass
        now = flight.progress
        try:
            await tools.blocking(tools.board.beat, lease, now["phase"], now)
        except InvalidRequest as error:
            flight.stop(_repeat(error))
            return
        except StorageFailed as error:  # the lease may end; finish() looks for that
            _log.warning("no sign of life could be written: %s", error.message)
        except Exception:  # noqa: BLE001 - one fault must not end the signs of life
            _log.exception("no sign of life could be written")


async def _speak(tools: Tools, flight: Flight, lease: Lease, ask: Ask, times: Times) -> Record:
    flight.tell("loading", 0)
    speech = await flight.unless_stopped(tools.device.speech())
    _refuse_other_model(ask, speech)
    speech.engine.check_options(ask.options)
    # A voice whose record hangs must hold up nobody who speaks in another way.
    pool = tools.pools.jobs if is_default(ask.voice) else tools.pools.voices
    found = await flight.unless_stopped(pool.run(_find, tools, speech, ask))
    times.voice_s = found.s
    if tools.cache is None:
        return (await _make(tools, _Work(flight, lease, ask, times), found))[0]
    key = sha256_of(found.identity)
    earlier: Story | None = found.earlier
    if earlier is None:
        earlier = await tools.making.begin(key, flight)
        tools.measures.cache.labels("miss" if earlier is None else "joined").inc()
    if earlier is not None:
        told = story.retell(earlier, times.metrics())
        return await flight.unless_stopped(tools.blocking(tools.board.finish, lease, told))
    made = None
    try:
        record, made = await _make(tools, _Work(flight, lease, ask, times), found)
        return record
    finally:
        tools.making.end(key, made)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be made, and for whom."""

    flight: Flight
    lease: Lease
    ask: Ask
    times: Times


async def _make(tools: Tools, work: _Work, found: _Found) -> tuple[Record, Story | None]:
    """Have the speech made and kept; the done record, and its story for equal requests."""
    flight, lease, ask, times = work.flight, work.lease, work.ask, work.times
    voice, identity = found.voice, found.identity
    if flight.place is not None:  # have the line know what the engine thinks this will cost
        flight.place.estimate(found.estimate_s)
    request = ask.request(voice)
    resume = Resume(
        Chunks(tools.board.store, lease.job_id),
        {"engine": identity["engine"], "program": identity["program"]},
        lease.attempt > 1,
        tools.pools.utterances,
        tools.keep,
    )
    is_final = True
    try:
        scratch = await flight.unless_stopped(tools.scratch(ask))
        job = _Job(flight, request, scratch, resume, times)
        result = await _use_device(tools, job)
        flight.give_file(File(scratch.size, scratch.read))
        made = Made(ask, voice, result, scratch, identity, times)
        return await keep_made(tools, flight, lease, made)
    except F5Error as error:
        is_final = not failure_of(error)["retryable"]
        raise
    except asyncio.CancelledError:
        is_final = False
        raise
    finally:
        resume.end(is_final)
        tools.measures.resumed.inc(resume.found)


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known before the device is asked; `s` are the seconds that the voice took."""

    voice: Voice
    identity: Mapping[str, Any]
    earlier: Record | None
    estimate_s: float | None
    s: float


def _find(tools: Tools, speech: Speech, ask: Ask) -> _Found:
    """All that blocks before the device is asked, in one go: each change of threads is a wait."""
    began = time.perf_counter()
    voice = _find_voice(tools.voices, ask)
    voice_s = time.perf_counter() - began
    identity = _identity(ask, voice, speech, tools.board.program)
    earlier = None
    if tools.cache is not None:
        earlier = tools.cache.find(identity)
        if earlier is not None:
            tools.measures.cache.labels("hit").inc()
    estimate_s = None if earlier else speech.estimate_s(ask.request(voice))
    return _Found(voice, identity, earlier, estimate_s, voice_s)


@dataclass(frozen=True, slots=True)
class _Job:
    """What the device works at."""

    flight: Flight
    request: SpeechRequest
    scratch: ScratchFile
    resume: Resume
    times: Times


async def _use_device(tools: Tools, job: _Job) -> SpeechResult:
    flight, resume, times = job.flight, job.resume, job.times
    flight.tell("waiting", 0)

    def on_piece(piece: Wave) -> None:
        job.scratch.check_room()
        flight.give_piece(piece)

    watch = Watch(
        on_progress=flight.tell_spoken,
        on_piece=on_piece,
        check=flight.check,
        deadline=flight.deadline,
        kept=resume,
    )
    spoken = await flight.until_ended(
        tools.device.say(job.request, job.scratch, flight.job_id, watch)
    )
    metrics = spoken.result.metrics
    times.spoken_s = spoken.seconds
    times.inference_s, times.audio_s = metrics.inference_s, metrics.audio_s
    times.timing_s = metrics.timing_s
    times.first_audio_s = spoken.began - times.arrived + metrics.first_audio_s
    if flight.place is not None and not tools.device.is_shared and not resume.found:
        flight.place.cost(spoken.seconds)
    return spoken.result


def _find_voice(voices: VoiceLibrary, ask: Ask) -> Voice:
    if is_url(ask.voice):
        return voices.from_url(ask.voice, ask.ref_text, consent=ask.consent)
    return voices.get(ask.voice)


def _identity(ask: Ask, voice: Voice, speech: Speech, program: Mapping[str, str]) -> dict[str, Any]:
    """All that decides a result: the request, the voice's content, the model and this program."""
    engine = {"kind": speech.engine.kind, "model": speech.engine.model}
    more: dict[str, Any] = {"engine": engine, "program": dict(program)}
    if ask.verify:  # where nobody hears, no earlier result may pass for one that was heard
        more["gate"] = speech.gate.identity if speech.gate else None
    if ask.word_timings or ask.timing_formats:
        more["aligner"] = speech.aligners.identity
    if voice.warnings:  # they are part of the answer, and end without another revision
        more["voice_warnings"] = list(voice.warnings)
    return {**ask.identity(voice), **more}


def _refuse_other_model(ask: Ask, speech: Speech) -> None:
    if ask.model and ask.model != speech.engine.model:
        raise InvalidRequest(
            f"This worker speaks with {speech.engine.model}, not with {ask.model[:60]!r}.",
            code="MODEL_NOT_LOADED",
            hint="Leave model out, or set F5_MODEL of the worker.",
        )


def _repeat(error: InvalidRequest) -> Callable[[], F5Error]:
    return lambda: InvalidRequest(error.message, code=error.code, hint=error.hint)

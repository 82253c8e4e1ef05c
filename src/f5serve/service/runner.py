"""Runs one job: claim, voice, cached result, synthesis, output in the store, done record.

Output before record, record before answer: after a crash at any point the next worker goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from f5serve.errors import F5Error, InvalidRequest, ModelUnavailable, StorageFailed
from f5serve.fallback.kokoro import own_voice
from f5serve.jobs.records import (
    CANCELLED_CODE,
    AlreadyCompleted,
    HeldByOther,
    Lease,
    Record,
    sha256_of,
)
from f5serve.jobs.store import JobStore
from f5serve.service.active_jobs import SHUT_DOWN_CODE, ActiveJob
from f5serve.service.dependencies import Dependencies
from f5serve.service.events import AudioFile, Progress
from f5serve.service.job_checkpoints import open_checkpoints
from f5serve.service.library_cast import LibraryCast
from f5serve.service.requests import TTSRequest
from f5serve.service.results import (
    MadeSpeech,
    NotStored,
    StageTimes,
    spoken_details,
    store_result,
)
from f5serve.store.scratch import ScratchFile
from f5serve.synthesis.checkpoints import Checkpoints
from f5serve.synthesis.hooks import SynthesisHooks
from f5serve.synthesis.kept_utterances import KeptUtterances
from f5serve.synthesis.result import SpeechResult
from f5serve.synthesis.speech_plan import SpeechPlan
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import Engine, Voice, Wave
from f5serve.voices.names import StyleNotFound, casefold, check_style, is_default, is_url
from f5serve.voices.prepare import default_voice

_log = logging.getLogger(__name__)

MEMORY_TEXT_BYTES = 4_000
"""The speech of such a text lasts five minutes, which is 14 MB of wav."""

POLL_S = (0.2, 3.0)
"""Shortest and longest pause between looks at a job that another worker has, seconds."""

INTERNAL = {
    "message": "Something unexpected failed.",
    "code": "INTERNAL",
    "hint": "The worker's log tells more.",
    "retryable": True,
}
"""Recorded failure of a job that ended with an unexpected exception."""


async def run_job(deps: Dependencies, job: ActiveJob, request: TTSRequest) -> Record:
    """Do the job, or find that it was done; returns its done record.

    Raises:
        F5Error: why it could not be done, after that was recorded.
    """
    if request.kept_under:  # the id says all that the key of the cache would
        deps = replace(deps, cache=None)
    times = StageTimes()
    timer = job.set_deadline(request.timeout_s) if request.timeout_s else None
    try:
        claim = await _claim(deps, job, request)
        if isinstance(claim, AlreadyCompleted):
            return claim.record
        return await _Attempt(deps, job, request, claim, times).run()
    finally:
        if job.ticket is not None:
            job.ticket.release()
        if timer is not None:
            timer.cancel()


async def _claim(
    deps: Dependencies, job: ActiveJob, request: TTSRequest
) -> Lease | AlreadyCompleted:
    """Take the job; while another worker has it, wait for its result or for the lease to end."""
    pause_s, longest_s = POLL_S
    while True:
        call = deps.job_store.claim, job.job_id, job.sha256, request.summary, job.owner
        claiming = asyncio.ensure_future(deps.pools.jobs.run(*call, request.max_attempts))
        try:
            claim = await job.run_cancellable(asyncio.shield(claiming))
        except F5Error as error:
            await deps.detached.run(_give_back(deps, job, claiming, failure_of(error)))
            raise
        if not isinstance(claim, HeldByOther):
            return claim
        job.publish(Progress("elsewhere", 0))
        await job.sleep(min(pause_s, claim.wait_s + POLL_S[0]))
        pause_s = min(2 * pause_s, longest_s)


async def _give_back(
    deps: Dependencies,
    job: ActiveJob,
    claiming: asyncio.Future[Lease | AlreadyCompleted | HeldByOther],
    failure: Mapping[str, Any],
) -> None:
    """Give back a job whose claim succeeded after the job was cancelled here."""
    await asyncio.wait({claiming})
    if claiming.exception() is None and isinstance(lease := claiming.result(), Lease):
        await deps.pools.jobs.finish(_record_end, deps.job_store, job, lease, failure)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt at a job, under its lease."""

    deps: Dependencies
    job: ActiveJob
    request: TTSRequest
    lease: Lease
    times: StageTimes

    async def run(self) -> Record:
        """As `run_job`."""
        ended = asyncio.Event()
        heartbeat = asyncio.create_task(self._heartbeat_loop(ended))
        failure: Mapping[str, Any] | None = INTERNAL
        try:
            record = await self._synthesize()
            failure = None
            return record
        except F5Error as error:
            failure = failure_of(error)
            raise
        except NotStored as lost:  # the caller has the speech, the job has failed
            failure = failure_of(lost.error)
            return lost.record
        except asyncio.CancelledError:  # the event loop itself is going down
            failure = None
            raise
        finally:
            ended.set()
            await self.deps.detached.run(self._end(heartbeat, failure))

    async def _end(self, heartbeat: asyncio.Task[None], failure: Mapping[str, Any] | None) -> None:
        await asyncio.wait({heartbeat})  # a later heartbeat would hide how the job ended
        if failure is not None:
            store = self.deps.job_store
            await self.deps.pools.jobs.finish(_record_end, store, self.job, self.lease, failure)

    async def _heartbeat_loop(self, ended: asyncio.Event) -> None:
        """Renew the lease, and cancel the job when a client has cancelled it in the store."""
        while not self.lease.lost:
            try:
                await asyncio.wait_for(ended.wait(), self.deps.heartbeat_s)
                return
            except TimeoutError:
                pass
            now = self.job.progress
            heartbeat = self.deps.job_store.heartbeat
            try:
                await self.deps.pools.jobs.finish(heartbeat, self.lease, now.phase, now.as_dict())
            except InvalidRequest as error:
                # A new error each time: every caller raises its own.
                again = partial(InvalidRequest, error.message, code=error.code, hint=error.hint)
                self.job.cancel(again)
                return
            except StorageFailed as error:  # the lease may end; complete() looks for that
                _log.warning("no heartbeat could be written: %s", error.message)
            except Exception:  # noqa: BLE001 - one fault must not end the heartbeats
                _log.exception("no heartbeat could be written")

    async def _synthesize(self) -> Record:
        job, request = self.job, self.request
        job.publish(Progress("loading", 0))
        language = request.language or ""
        with self.deps.executor.models.lease(request.model or "", language) as model:
            waits = request.wait_for_model is not False
            return await self._speak(await job.run_cancellable(model.ready(waits)))

    async def _speak(self, synthesizer: Synthesizer) -> Record:
        deps, job, request = self.deps, self.job, self.request
        # A voice whose record hangs must hold up no request for the default voice.
        pool = deps.pools.jobs if is_default(request.speaker) else deps.pools.voices
        inputs = await job.run_cancellable(
            pool.run(_load_inputs, deps, synthesizer, request, job.job_id)
        )
        self.times.voice_s = inputs.voice_s
        if deps.cache is None:
            return (await self._make(inputs))[0]
        earlier: Record | None = inputs.earlier
        if earlier is None:
            earlier = await deps.coalescer.begin(inputs.key, job)
            deps.metrics.cache.labels("miss" if earlier is None else "joined").inc()
        if earlier is not None:
            record = {**earlier, "metrics": self.times.metrics(), "cached": True}
            complete = deps.pools.jobs.finish(deps.job_store.complete, self.lease, record)
            return await job.run_cancellable(complete)
        made = None
        try:
            record, made = await self._make(inputs)
            return record
        finally:
            deps.coalescer.end(inputs.key, made)

    async def _make(self, inputs: _Inputs) -> tuple[Record, Record | None]:
        """Synthesize and store the speech; returns as `store_result`."""
        deps, job, request = self.deps, self.job, self.request
        if job.ticket is not None:  # the engine's estimate replaces the one by text length
            job.ticket.estimate(inputs.estimate_s)
        decided_by = {"engine": inputs.engine, "gate": inputs.gate}
        checkpoints = open_checkpoints(deps, request, self.lease, inputs.plan, decided_by)
        is_final = True
        try:
            is_long = len(request.text.encode()) / request.options.speed > MEMORY_TEXT_BYTES
            scratch = (
                await job.run_cancellable(deps.pools.jobs.finish(ScratchFile, deps.folder))
                if is_long
                else ScratchFile()
            )
            result = await self._use_executor(inputs, scratch, checkpoints)
            job.publish(AudioFile(scratch.size, scratch.read))
            details = spoken_details(request, result)
            if isinstance(checkpoints, KeptUtterances):
                details["kept"] = checkpoints.names
            voice, key = inputs.plan.request.voice, inputs.key
            made = MadeSpeech(request, voice, result, scratch, key, self.times, details)
            return await store_result(deps, job, self.lease, made)
        except F5Error as error:
            is_final = not failure_of(error)["retryable"]
            raise
        except asyncio.CancelledError:
            is_final = False
            raise
        finally:
            if checkpoints is not None:
                checkpoints.end(is_final)
                deps.metrics.resumed.inc(checkpoints.found)

    async def _use_executor(
        self, inputs: _Inputs, scratch: ScratchFile, checkpoints: Checkpoints | None
    ) -> SpeechResult:
        job, times, executor = self.job, self.times, self.deps.executor
        job.publish(Progress("waiting", 0))

        def on_chunk(chunk: Wave) -> None:
            scratch.check_room()
            job.publish_chunk(chunk)

        on_words = None
        if job.chunks and self.request.word_timings:
            on_words = partial(job.publish_words, inputs.plan.spoken_text)
        hooks = SynthesisHooks(
            on_progress=job.publish_utterances,
            on_chunk=on_chunk,
            on_words=on_words,
            check=job.check,
            deadline=job.deadline,
            checkpoints=checkpoints,
        )
        work = executor.submit(inputs.synthesizer, inputs.plan, scratch, hooks)
        done = await job.await_thread(work)
        metrics = done.result.metrics
        times.spoken_s = done.seconds
        times.inference_s, times.audio_s = metrics.inference_s, metrics.audio_s
        times.timing_s = metrics.timing_s
        times.first_audio_s = done.began - times.arrived + metrics.first_audio_s
        times.resumed = checkpoints.found if checkpoints else 0
        is_alone = not inputs.synthesizer.engine.concurrent
        if job.ticket is not None and is_alone and not times.resumed:
            job.ticket.settle(done.seconds)
        return done.result


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What is known before synthesis.

    Attributes:
        engine: kind and model.
        gate: of the verification of speech, None without one.
        key: hash of all that decides the result.
        earlier: record of an equal request in the result cache.
        plan: what is to be synthesized.
        voice_s: seconds that loading the voice took.
    """

    synthesizer: Synthesizer
    engine: Mapping[str, str]
    gate: Any
    key: str
    earlier: Record | None
    plan: SpeechPlan
    estimate_s: float | None
    voice_s: float


def _load_inputs(
    deps: Dependencies, synthesizer: Synthesizer, request: TTSRequest, job_id: str
) -> _Inputs:
    """All blocking calls before synthesis, in one thread: each change of threads is a wait."""
    began = time.perf_counter()
    voice = _reference(deps, request, synthesizer.engine)
    voice_s = time.perf_counter() - began
    found = deps.lexicons.for_voice(request.speaker)
    lexicon = request.rules.over(found.lexicon)
    speaker, rules = request.speaker, request.rules
    cast = LibraryCast(
        *(deps.voices, deps.lexicons, speaker, voice, lexicon, rules, request.reading)
    )
    script = request.cast(cast)
    speech = request.speech_request(voice)
    plan = synthesizer.prepare(
        replace(speech, language=speech.language or script.language),
        *(job_id, lexicon, (*found.warnings, *script.warnings), script.parts),
    )
    identity = _identity(request, plan, synthesizer, deps.job_store.program)
    if lexicon.rules or found.warnings:
        identity["lexicon"] = [lexicon.revision, *found.warnings]
    key, earlier = sha256_of(identity), None
    if deps.cache is not None:
        earlier = deps.cache.find(key)
        if earlier is not None:
            deps.metrics.cache.labels("hit").inc()
    estimate_s = None if earlier else synthesizer.engine.estimate_s(plan.utterances)
    of_wave = identity["engine"], identity.get("gate")
    return _Inputs(synthesizer, *of_wave, key, earlier, plan, estimate_s, voice_s)


def _reference(deps: Dependencies, request: TTSRequest, engine: Engine) -> Voice:
    """The voice of a request, of the library before one of the engine's own; blocks."""
    speaker = request.speaker
    if not is_url(speaker):
        name = casefold(speaker)
        if name in engine.voices and not request.style and not deps.voices.exists(name):
            return own_voice(name, default_voice())
        return deps.voices.get(speaker, request.style)
    if request.style and check_style(request.style):
        raise StyleNotFound(speaker[:80], request.style, ())
    words = request.ref_text or ""
    consent = request.consent.consent() if request.consent else None
    if request.holds_recording:
        return deps.voices.from_bytes(request.recording(), words, consent=consent)
    return deps.voices.from_url(speaker, words, consent=consent)


def _identity(
    request: TTSRequest, plan: SpeechPlan, synthesizer: Synthesizer, program: Mapping[str, str]
) -> dict[str, Any]:
    """All that decides a result: the request, the voice's content, the model and this program."""
    speech = plan.request
    engine = {"kind": synthesizer.engine.kind, "model": synthesizer.engine.model}
    more: dict[str, Any] = {"engine": engine, "program": dict(program)}
    if speech.verify:  # an unverified result must not pass for a verified one
        policy = synthesizer.verification
        more["gate"] = policy.identity if policy else None
    if speech.time_words:
        more["aligner"] = synthesizer.aligners.identity
    if speech.voice.warnings:  # they are part of the answer, and end without another revision
        more["voice_warnings"] = list(speech.voice.warnings)
    return {**request.identity(plan), **more}


def failure_of(error: F5Error) -> dict[str, Any]:
    """The error as it is kept in records: message, code, hint, retryable."""
    # Another worker may well have the model that this one lacks.
    retryable = error.retryable or isinstance(error, ModelUnavailable)
    return {
        "message": error.message,
        "code": error.code,
        "hint": error.hint,
        "retryable": retryable,
    }


def _record_end(store: JobStore, job: ActiveJob, lease: Lease, failure: Mapping[str, Any]) -> None:
    """Record how the job ended; if even that fails, the lease runs out. Blocks."""
    # The queue begins it again, unless its caller went away.
    passes = failure["retryable"] and failure["code"] != CANCELLED_CODE
    is_retried = passes and lease.attempt < job.attempts
    try:
        if failure["code"] == CANCELLED_CODE and not failure["retryable"]:
            store.end_cancelled(lease)
        elif failure["code"] == SHUT_DOWN_CODE or is_retried:
            store.release(lease)
        else:
            store.fail(lease, failure)
    except StorageFailed as error:
        _log.warning("the end of a job could not be recorded: %s", error.message)

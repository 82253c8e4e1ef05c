"""The service: every operation by its name, over one store, one voice library and one model.

Operations other than tts need no model and never wait for one, nor for another job.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from f5serve.alignment.subtitles import SubtitleFormat
from f5serve.doctor.checks_services import unreadable_records
from f5serve.errors import InvalidRequest
from f5serve.jobs.cache import ResultCache
from f5serve.jobs.pending import PendingJob
from f5serve.jobs.record_reader import UnreadableRecords
from f5serve.jobs.records import Record, Status
from f5serve.jobs.store import JobStore
from f5serve.metrics import Registry
from f5serve.process import log_failure
from f5serve.service import responses
from f5serve.service.active_jobs import (
    ActiveJob,
    JobRegistry,
    shut_down_error,
    swallow_exception,
    within_deadline,
)
from f5serve.service.admission import AdmissionController
from f5serve.service.dependencies import Dependencies
from f5serve.service.executor import InferenceExecutor, Pools
from f5serve.service.health import HealthChecks, overall_status
from f5serve.service.job_events import (
    AudioChunk,
    AudioChunks,
    AudioFile,
    DeliveryOptions,
    OnChunk,
    OnProgress,
    Subscriber,
)
from f5serve.service.job_queries import JobQueries
from f5serve.service.metrics import Metrics, watch_process
from f5serve.service.options import ServiceOptions
from f5serve.service.queue import QUEUE_ATTEMPTS, QUEUED_AS, AsyncJobs, JobQueue, without_queued_as
from f5serve.service.requests import TTSRequest, check_job_id, parse_tts
from f5serve.service.responses import JobFile, audio_file, timing_file
from f5serve.service.runner import run_job
from f5serve.service.supervisor import Supervisor
from f5serve.service.voices import VoiceMaintenance, VoiceOperations, VoiceUploads
from f5serve.settings import Settings
from f5serve.startup import default_options
from f5serve.store.atomic import remove_stale
from f5serve.store.base import ObjectStore
from f5serve.store.bounded import BoundedStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import VoiceLibrary

_log = logging.getLogger(__name__)

T = TypeVar("T")

LISTINGS = ("list_voices", "list_models")
"""Operations of doors that go through all there is of a kind."""


class SpeechService:
    """Answers requests; one per process, used within one event loop.

    Args:
        store: results and job records.
        voices: over the same store.
        load_speech: makes the Synthesizer; called once, in the thread that will speak.
    """

    def __init__(
        self,
        store: ObjectStore,
        voices: VoiceLibrary,
        load_speech: Callable[[], Synthesizer],
        settings: Settings,
        options: ServiceOptions | None = None,
    ) -> None:
        options = options or ServiceOptions()
        self._voices = voices
        self._settings = settings
        self._enqueue = options.enqueue
        bounded = store if isinstance(store, BoundedStore) else BoundedStore(store)
        self._start, self._health_checks = options.start, HealthChecks(bounded, options.examine)
        uploads = VoiceUploads(voices, settings.allow_http_urls, options.network)
        self._metrics = Metrics(options.registry or Registry())
        self.background = Supervisor(self._metrics.registry)
        self._damage = UnreadableRecords(lambda code: self._metrics.unreadable.labels(code).inc())
        self._job_store = JobStore(bounded, options.boot_id, options.lease_s, self._damage)
        self._executor = InferenceExecutor(load_speech)
        self.pools = Pools()
        cache = None
        if settings.result_cache:
            cache = ResultCache(bounded, settings.retention_days, self._damage)
        self._admission = AdmissionController(settings.max_queue_s)
        self._metrics.watch_device(self._executor, lambda: self._admission.backlog_s)
        self._metrics.watch_store(lambda: bounded.hung)
        self._metrics.watch_voices(lambda: voices.unreadable)
        watch_process(self._metrics.registry, settings.data_dir)
        self._deps = Dependencies(
            self._job_store,
            voices,
            self._executor,
            cache,
            self.pools,
            self._metrics,
            options.heartbeat_s,
            options.checkpoints,
            self.background,
            folder=settings.data_dir / "scratch",
        )
        self._registry = JobRegistry()
        self._job_queries = JobQueries(self._deps, self._registry, settings.url_expires_s)
        self._queue = JobQueue(self._deps, self._do_queued, settings.concurrency, options.poll_s)
        self._async_jobs = AsyncJobs(self._deps, self._queue, self._enqueue)
        self._closing = False
        about_voices = VoiceOperations(voices, uploads, self.pools, bounded)
        self._upkeep = VoiceMaintenance(voices, bounded, self.pools.upkeep)
        self._operations: dict[str, Callable[[_Call], Awaitable[dict[str, Any]]]] = {
            "tts": self._tts,
            "upload": lambda call: about_voices.upload(call.payload, call.owner),
            "list_voices": lambda call: about_voices.list(),
            "status": lambda call: self._job_queries.status(call.payload),
            "result": lambda call: self._job_queries.result(call.payload),
            "download": lambda call: self._job_queries.download(call.payload),
            "cancel": self._cancel,
            "delete_voice": lambda call: about_voices.delete(call.payload),
            "health": self._health,
        }

    def begin(self) -> None:
        """Start loading the model, and take up jobs that others have left; in the event loop.

        Without it the first tts loads the model, and what is left in the queue stays there.
        """
        self._executor.load()
        self.background.begin("voices", self._upkeep.run)
        log_failure(
            self.pools.checks.submit(remove_stale, self._deps.folder), "sweeping the scratch folder"
        )
        if self._enqueue is None:
            self._queue.begin()
            self.background.begin("index", self._job_queries.maintain_index)

    async def ready(self) -> None:
        """Wait for the model; raises what it could not be loaded for."""
        await self._executor.synthesizer()

    @property
    def broken(self) -> bool:
        """Whether the device has failed for good, so that only a new process can speak."""
        return self._executor.broken

    @property
    def model(self) -> Mapping[str, Any]:
        """Name ("" before it is loaded) and state of the model, as health tells them."""
        return self._executor.health()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What every answer of the loaded model has to say; empty before it is loaded."""
        speech = self._executor.loaded
        return speech.engine.warnings + speech.notes if speech else ()

    @property
    def metrics(self) -> Registry:
        """What this process counts; its doors export it."""
        return self._metrics.registry

    async def stream(
        self,
        payload: Mapping[str, Any],
        job_id: str,
        delivery: DeliveryOptions | None = None,
        *,
        owner: str = "",
    ) -> AsyncGenerator[AudioChunk | AudioFile | dict[str, Any], None]:
        """The speech of a tts as it is made, then the answer, as `answer` gives it.

        Other operations have an answer only. Closing the generator stops the job, as cancelling
        `answer` does.

        Args:
            delivery: how the caller wants it.
            owner: as for `answer`.
        """
        delivery = delivery or DeliveryOptions()
        told: asyncio.Queue[AudioChunk | AudioFile | None] = asyncio.Queue()
        on_file = told.put_nowait if delivery.whole_files else None
        subscriber = Subscriber(None, told.put_nowait, on_file, delivery)
        task = asyncio.create_task(self._answer(_Call(payload, job_id, subscriber, owner)))
        task.add_done_callback(swallow_exception)  # nobody may be waiting for it any more
        task.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (said := await told.get()) is not None:
                if isinstance(said, AudioFile) or not (delivery.whole_files and said.total == 1):
                    yield said
            yield await task
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def answer(
        self,
        payload: Mapping[str, Any],
        job_id: str,
        on_progress: OnProgress | None = None,
        on_chunk: OnChunk | None = None,
        *,
        owner: str = "",
    ) -> dict[str, Any]:
        """The answer to one request.

        Args:
            payload: the input of a job; `endpoint` names the operation, tts without it.
            job_id: under which a tts is kept; the same id may come again with the same input.
            on_progress: told about the phases of a tts, in the event loop.
            on_chunk: given the speech of a tts as it is made; unless the request says otherwise,
                it then starts quickly.
            owner: the stable id of the key that asks; "" where nobody is asked for one. It is kept
                in what is written.

        Raises:
            InvalidRequest: UNKNOWN_ENDPOINT, or what the operation says.
            F5Error: what went wrong; BUSY at once, where a tts would have to wait too long.
            asyncio.CancelledError: after the job's work has stopped and that was recorded.
        """
        subscriber = Subscriber(on_progress, on_chunk)
        return await self._answer(_Call(payload, job_id, subscriber, owner))

    async def _answer(self, call: _Call) -> dict[str, Any]:
        endpoint = call.payload.get("endpoint")
        name = "tts" if endpoint is None else endpoint
        if not isinstance(name, str) or name not in self._operations:
            raise InvalidRequest(
                f"The endpoint {str(name)[:60]!r} is not known.",
                code="UNKNOWN_ENDPOINT",
                hint=f"It is one of {', '.join(self._operations)}; without it, tts is meant.",
            )
        with self._metrics.track(name):
            return await self._operations[name](call)

    async def recent_jobs(self, limit: int, after: str = "") -> dict[str, Any]:
        """The newest jobs of the store, or those behind a cursor: {"jobs": [...], "truncated",
        "next"}; jobs as `responses.job_summary`, `next` the cursor of the page behind, or None.
        """
        with self._metrics.track("list_jobs"):
            return await self._job_queries.recent(limit, after)

    async def job_file(self, job_id: str, format: SubtitleFormat | None = None) -> JobFile:
        """The audio of a job that is done, or its word times in a format."""
        with self._metrics.track("download"):
            if format is None:
                return await self.pools.lookups.run(audio_file, self._job_store, job_id)
            return await self.pools.lookups.run(timing_file, self._job_store, job_id, format)

    async def work(self, operation: str, call: Callable[..., T], *args: Any) -> T:
        """Run a call that blocks on store or library in a thread; counted as that operation."""
        with self._metrics.track(operation):
            pool = self.pools.listings if operation in LISTINGS else self.pools.lookups
            return await pool.run(call, *args)

    def track(self, operation: str) -> contextlib.AbstractContextManager[None]:
        """Count what a door does inside as one request of this operation."""
        return self._metrics.track(operation)

    async def drain(self, within_s: float) -> None:
        """Let running jobs end within that time, release the others, and take no more.

        What needs no model is still answered.
        """
        self._closing = True
        self._queue.stop()
        await self._registry.drain(within_s)
        await self._queue.close()
        await self._deps.detached.close()
        await self.background.close()

    async def close(self, within_s: float) -> None:
        """`drain`, then let go of the device and of the threads for the store."""
        await self.drain(within_s)
        self._executor.close()
        self.pools.close()

    async def _do_queued(self, entry: PendingJob) -> None:
        """A job of our own queue."""
        payload: Mapping[str, Any] = entry.payload
        if payload.get(QUEUED_AS) == entry.job_id:  # an earlier version has put it there
            payload = without_queued_as(payload)
        call = _Call(payload, entry.job_id, Subscriber(), entry.owner, is_queued=True)
        with self._metrics.track("tts"):
            await self._tts(call)

    async def _tts(self, call: _Call) -> dict[str, Any]:
        if self._closing:
            raise shut_down_error()
        began, settings = time.monotonic(), self._settings
        listens = call.subscriber.on_chunk is not None
        defaults = default_options(settings)
        queued_as = self._async_jobs.queued_id(call.payload)
        payload = without_queued_as(call.payload) if queued_as else call.payload
        request = parse_tts(payload, defaults, settings.max_text_chars, listens, settings.verify)
        job_id = check_job_id(queued_as or call.job_id)
        if request.is_async:
            return await self._async_jobs.enqueue(job_id, request, payload, call.owner)
        force = call.is_queued
        if queued_as:  # a caller may say so as well, so the store is asked whether it is true
            force = await self._async_jobs.is_accepted(queued_as, request)
        job = ActiveJob(job_id, request.sha256)
        job.owner = call.owner
        job.accept_unstored = call.subscriber.delivery.accept_unstored
        job.attempts = QUEUE_ATTEMPTS if call.is_queued else 1
        job.chunks = AudioChunks(self._deps.folder) if listens else None
        # One whose last caller has gone away.
        await within_deadline(
            request.timeout_s, began, job_id, self._registry.wait_until_ended(job_id)
        )
        if self._registry.find(job_id) is None:
            job.ticket = self._admission.admit(len(request.text.encode()), force=force)
        record, job = await self._registry.run(
            job,
            lambda own: self._within_time(own, request),
            call.subscriber,
            request.timeout_s,
            began,
        )
        told = self._respond(call.subscriber, request, job, record)
        return await within_deadline(request.timeout_s, began, job_id, told)

    async def _respond(
        self, to: Subscriber, request: TTSRequest, job: ActiveJob, record: Record
    ) -> dict[str, Any]:
        answer = await self._job_queries.response(to, job, record)
        await self._job_queries.deliver_cached(to, job, record)
        if not request.returns_audio:
            return answer
        audio = await self._job_queries.audio(job.job_id, record, job.audio)
        return responses.with_audio(answer, audio)

    async def _within_time(self, job: ActiveJob, request: TTSRequest) -> Record:
        timer = job.set_deadline(request.timeout_s) if request.timeout_s else None
        try:
            return await run_job(self._deps, job, request)
        finally:
            if job.ticket is not None:
                job.ticket.release()
            if timer is not None:
                timer.cancel()

    async def _cancel(self, call: _Call) -> dict[str, Any]:
        answer = await self._job_queries.cancel(call.payload)
        if self._enqueue is None and answer["status"] == Status.CANCELLED.public:
            await self._queue.remove(answer["job_id"])
        return answer

    async def _health(self, call: _Call) -> dict[str, Any]:
        model = self._executor.health()
        seen = await self._health_checks.get()
        if seen["doctor"] is not None:
            found = unreadable_records(self._damage.counts(), self._damage.first())
            seen["doctor"] = [*seen["doctor"], *(finding.public() for finding in found)]
        wait_s = self._admission.backlog_s
        return {
            "status": overall_status(model["state"], seen["store"], self.background.down),
            **self._job_store.program,
            "model": model,
            "store": seen.pop("store"),
            "device": self._executor.description,
            "queue": {
                "jobs": len(self._registry),
                "waiting": self._executor.waiting,
                "estimated_s": None if wait_s is None else round(wait_s, 1),
            },
            "background": self.background.health(),
            "metrics": self._metrics.summary(self._executor.counters()),
            **seen,
            "start": self._start() if self._start else None,
        }


@dataclass(frozen=True, slots=True)
class _Call:
    payload: Mapping[str, Any]
    job_id: str
    subscriber: Subscriber
    owner: str = ""
    is_queued: bool = False

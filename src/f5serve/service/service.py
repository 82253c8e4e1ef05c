"""The service of a tenant: every operation by its name, over its store and its voices.

Operations other than tts need no model and never wait for one, nor for another job.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

from f5serve.alignment.subtitles import SubtitleFormat
from f5serve.errors import InvalidRequest
from f5serve.fallback.kokoro import voice_names
from f5serve.jobs.cache import ResultCache
from f5serve.jobs.pending import PendingJob
from f5serve.jobs.records import Status
from f5serve.jobs.store import JobStore
from f5serve.metrics import Registry
from f5serve.service.active_jobs import ActiveJob, JobRegistry, deadline_passed, shut_down_error
from f5serve.service.book_operations import BookOperations
from f5serve.service.book_reading import BookReading
from f5serve.service.book_store import BookStore
from f5serve.service.books import Books
from f5serve.service.chapters import ChapterRequest
from f5serve.service.dependencies import Dependencies, Enqueue, ServiceOptions
from f5serve.service.dubs import DubRequest
from f5serve.service.events import ChunkStore, Completed, DeliveryOptions, JobEvent, response_of
from f5serve.service.health import answer_health
from f5serve.service.job_handle import JobHandle, JobQueries
from f5serve.service.queue import QUEUE_ATTEMPTS, QUEUED_AS, AsyncJobs, JobQueue, without_queued_as
from f5serve.service.request_errors import check_job_id
from f5serve.service.requests import TTSRequest
from f5serve.service.responses import JobFile, job_file
from f5serve.service.runner import run_job
from f5serve.service.runtime import Runtime
from f5serve.service.speech_operations import PUBLIC, SPEECH, parse_speech
from f5serve.service.text_preview import TextRequest, preview_text
from f5serve.service.voices import VoiceOperations
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.store.namespace import NamespaceStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import Engine
from f5serve.voices.lexicons import LexiconLibrary
from f5serve.voices.library import VoiceLibrary

_log = logging.getLogger(__name__)

T = TypeVar("T")

LISTINGS = ("list_voices", "list_voice_consents", "list_models")
"""Operations that go through everything of a kind."""


class SpeechService:
    """Answers requests of one tenant; used within one event loop.

    Args:
        store: of the tenant, for results and job records.
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
        self.runtime = Runtime(store, load_speech, settings, options or ServiceOptions())
        own = store if isinstance(store, NamespaceStore) else self.runtime.store
        self._open(own, voices, self.runtime.options.enqueue)

    def for_tenant(
        self, store: ObjectStore, voices: VoiceLibrary, enqueue: Enqueue | None = None
    ) -> SpeechService:
        """The service of another tenant in this process; it begins and ends with this one.

        Args:
            store: of that tenant.
            voices: over the same store.
            enqueue: as in `ServiceOptions`.
        """
        other = copy.copy(self)
        other._open(store, voices, enqueue)
        return other

    def _open(self, store: ObjectStore, voices: VoiceLibrary, enqueue: Enqueue | None) -> None:
        runtime, settings, options = self.runtime, self.runtime.settings, self.runtime.options
        self.store, self.voices, self._enqueue = store, voices, enqueue
        self.background, self.pools = runtime.background, runtime.pools
        self._settings, self._metrics = settings, runtime.metrics
        self._executor = runtime.executor
        self.job_store = JobStore(store, options.boot_id, options.lease_s, runtime.damage)
        cache = None
        if settings.result_cache:
            cache = ResultCache(store, settings.retention_days, runtime.damage)
        self.lexicons = LexiconLibrary(store, voices, voice_names())
        self.book_store = BookStore(store, runtime.damage)
        self._deps = Dependencies(
            self.job_store,
            voices,
            self.lexicons,
            self._executor,
            cache,
            self.pools,
            self._metrics,
            self.background,
            options.heartbeat_s,
            options.checkpoints,
            folder=runtime.folder,
            url_expires_s=settings.url_expires_s,
            detached=runtime.detached,
        )
        self._registry = JobRegistry()
        self._job_queries = JobQueries(self._deps, self._registry)
        self.queue = JobQueue(self._deps, self._do_queued, runtime.slots)
        self._async_jobs = AsyncJobs(self._deps, self.queue, enqueue)
        if enqueue is None:
            runtime.scans.add(self.queue)
        runtime.add(self, store)
        network = settings.allow_http_urls, options.network
        about_voices = VoiceOperations(voices, self.pools, store, *network)
        self.books = Books(self)
        self.book_reading = BookReading(self)
        self.book_operations = BookOperations(self.books, self.book_reading, self.pools, *network)
        self._operations: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
            "upload": about_voices.upload,
            "list_voices": about_voices.list,
            "status": self._job_queries.status,
            "result": self._job_queries.result,
            "download": self._job_queries.download,
            "cancel": self._cancel,
            "delete_voice": about_voices.delete,
            "health": partial(answer_health, self),
            **self.book_operations.by_name(),
        }

    def begin(self) -> None:
        """Start loading the model, and take up jobs that others have left; in the event loop.

        Without it the first tts loads the model, and what is left in the queue stays there.
        """
        self.runtime.begin()

    async def ready(self) -> Engine:
        """The engine, once its model is loaded; raises what it could not be loaded for."""
        with self._executor.models.lease() as model:
            return (await model.ready()).engine

    @property
    def broken(self) -> bool:
        """Whether the device has failed for good, so that only a new process can speak."""
        return self._executor.broken

    @property
    def running(self) -> int:
        """Jobs of this tenant that are running here."""
        return len(self._registry)

    @property
    def model(self) -> Mapping[str, Any]:
        """Name ("" before it is loaded) and state of the model, as health tells them."""
        return self._executor.health()

    @property
    def models(self) -> list[dict[str, Any]]:
        """Name and state of every model that requests may name, as health tells them."""
        return self._executor.models.health()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What every answer of the loaded model has to say; empty before it is loaded."""
        speech = self._executor.loaded
        return speech.engine.warnings + speech.notes if speech else ()

    @property
    def metrics(self) -> Registry:
        """What this process counts; its entrypoints export it."""
        return self._metrics.registry

    async def events(
        self,
        payload: Mapping[str, Any],
        job_id: str,
        delivery: DeliveryOptions | None = None,
        *,
        owner: str = "",
    ) -> AsyncGenerator[JobEvent, None]:
        """The events of one request: of speech as `JobHandle.events`, else `Completed` alone.

        Args:
            payload: the input of a job; `endpoint` names the operation, tts without it.
            job_id: under which a tts is kept; the same id may come again with the same input.
            owner: the stable id of the caller's API key; "" without keys. Records keep it.

        Raises:
            InvalidRequest: UNKNOWN_ENDPOINT, or what the operation says.
            F5Error: what went wrong; BUSY at once, where a tts would have to wait too long.
        """
        endpoint = payload.get("endpoint")
        name = "tts" if endpoint is None else endpoint
        if isinstance(name, str) and name in SPEECH:
            delivery = delivery or DeliveryOptions()
            started = await self._start_speech(payload, job_id, delivery, owner)
            if isinstance(started, JobHandle):
                async with aclosing(started.events()) as events:
                    async for event in events:
                        yield event
                return
            yield Completed(started)
            return
        if not isinstance(name, str) or name not in self._operations:
            raise InvalidRequest(
                f"The endpoint {str(name)[:60]!r} is not known.",
                code="UNKNOWN_ENDPOINT",
                hint=f"It is one of {', '.join((*PUBLIC, *self._operations))}; without it, tts.",
            )
        with self._metrics.track(name):
            response = await self._operations[name](payload, owner)
        yield Completed(response)

    async def answer(
        self, payload: Mapping[str, Any], job_id: str, *, owner: str = ""
    ) -> dict[str, Any]:
        """The response to one request; arguments and errors as `events`.

        Raises:
            asyncio.CancelledError: after the job's work has stopped and that was recorded.
        """
        return await response_of(self.events(payload, job_id, owner=owner))

    async def submit(
        self,
        request: TTSRequest,
        job_id: str,
        delivery: DeliveryOptions | None = None,
        *,
        owner: str = "",
    ) -> JobHandle:
        """Begin a job, or attach to the running one with its id; arguments as `events`.

        Raises:
            InvalidRequest: what is wrong with the text; JOB_ID_CONFLICT.
            F5Error: BUSY, SHUT_DOWN, DEADLINE_PASSED.
        """
        with self._metrics.track("tts", ends=False):
            await self._prepare(request, job_id, streams=bool(delivery and delivery.chunks))
            job = ActiveJob(job_id, request.sha256, owner)
            return await self._submit(request, job, delivery or DeliveryOptions())

    async def enqueue(self, request: TTSRequest, job_id: str, *, owner: str = "") -> dict[str, Any]:
        """Accept a job for later: {"job_id", "status"}; arguments as `events`.

        Raises:
            InvalidRequest: what is wrong with the text; JOB_ID_CONFLICT.
            F5Error: BUSY, SHUT_DOWN, or what the queue says.
        """
        with self._metrics.track("tts"):
            await self._prepare(request, job_id)
            return await self._async_jobs.enqueue(job_id, request, owner)

    async def recent_jobs(self, limit: int, after: str = "") -> dict[str, Any]:
        """The newest jobs of the store, or those behind a cursor: {"jobs": [...], "truncated",
        "next"}; jobs as `responses.job_summary`, `next` the cursor of the page behind, or None.
        """
        with self._metrics.track("list_jobs"):
            return await self._job_queries.recent(limit, after)

    async def job_file(
        self,
        job_id: str,
        format: SubtitleFormat | None = None,
        take: tuple[int, int] | None = None,
    ) -> JobFile:
        """The audio of a job that is done, its word times in a format, or a take of a part."""
        with self._metrics.track("download"):
            return await self.pools.lookups.run(job_file, self.job_store, job_id, format, take)

    async def work(self, operation: str, call: Callable[..., T], *args: Any) -> T:
        """Run a call that blocks on store or library in a thread; counted as that operation."""
        with self._metrics.track(operation):
            pool = self.pools.listings if operation in LISTINGS else self.pools.lookups
            return await pool.run(call, *args)

    async def preview_text(self, request: TextRequest) -> dict[str, Any]:
        """What a text would be spoken as; see `text_preview`."""
        return await self.work("preview_text", preview_text, self._deps, self._settings, request)

    def track(self, operation: str) -> contextlib.AbstractContextManager[None]:
        """Count the calls inside as one request of this operation."""
        return self._metrics.track(operation)

    async def drain(self, within_s: float) -> None:
        """Let the running jobs of all tenants end within that time, release the others, and take
        no more.

        What needs no model is still answered.
        """
        self.runtime.is_closing = True
        services = self.runtime.services
        for each in services:
            each.queue.stop()
        await asyncio.gather(*(each._registry.drain(within_s) for each in services))
        await asyncio.gather(*(each.queue.close() for each in services))
        await self.runtime.detached.close()
        await self.background.close()

    async def close(self, within_s: float) -> None:
        """`drain`, then let go of the device and of the threads for the store."""
        await self.drain(within_s)
        self.runtime.close()

    async def _do_queued(self, entry: PendingJob) -> None:
        """A job of our own queue."""
        payload: Mapping[str, Any] = entry.payload
        if payload.get(QUEUED_AS) == entry.job_id:  # an earlier version has put it there
            payload = without_queued_as(payload)
        with self._metrics.track("tts", ends=False):
            request = parse_speech(payload)
            await self._prepare(request, entry.job_id)
            job = ActiveJob(entry.job_id, request.sha256, entry.owner, QUEUE_ATTEMPTS)
            handle = await self._submit(request, job, DeliveryOptions(), force=True)
        await handle.result()

    async def _start_speech(
        self, payload: Mapping[str, Any], job_id: str, delivery: DeliveryOptions, owner: str
    ) -> JobHandle | dict[str, Any]:
        """The job of a tts payload, or the response of one for later."""
        with self._metrics.track("tts", ends=False):
            queued_as = self._async_jobs.queued_id(payload)
            request = parse_speech(without_queued_as(payload) if queued_as else payload)
            if not request.is_async:
                job_id = queued_as or job_id
                await self._prepare(request, job_id, delivery.chunks)
                # A caller may say so as well, so the store is asked whether it is true.
                force = bool(queued_as) and await self._async_jobs.is_accepted(queued_as, request)
                job = ActiveJob(job_id, request.sha256, owner)
                return await self._submit(request, job, delivery, force)
        return await self.enqueue(request, queued_as or job_id, owner=owner)

    async def _prepare(self, request: TTSRequest, job_id: str, streams: bool = False) -> None:
        if isinstance(request, DubRequest):
            await self.pools.voices.run(request.load, self.runtime.fetch_subtitles)
        elif isinstance(request, ChapterRequest):
            await self.pools.voices.run(request.load, self.book_store)
        if self.runtime.is_closing:
            raise shut_down_error()
        settings, defaults = self._settings, self.runtime.defaults
        limits = settings.max_text_chars, streams, settings.verify, settings.normalize
        request.prepare(defaults, *limits)
        check_job_id(job_id)

    async def _submit(
        self, request: TTSRequest, own: ActiveJob, delivery: DeliveryOptions, force: bool = False
    ) -> JobHandle:
        """As `submit`, for a request that was prepared.

        Args:
            own: the job, unless one with its id is running.
            force: admit regardless of the backlog, as the job was accepted before.
        """
        timeout_s = request.timeout_s
        until = None if timeout_s is None else time.monotonic() + timeout_s
        try:  # a job whose last caller has gone away
            async with asyncio.timeout_at(until):
                await self._registry.wait_until_ended(own.job_id)
        except TimeoutError:
            raise deadline_passed(own.job_id, timeout_s or 0.0) from None
        own.accept_unstored = delivery.accept_unstored
        own.chunks = ChunkStore(self._deps.folder) if delivery.chunks else None
        if self._registry.find(own.job_id) is None:
            own.ticket = self.runtime.admission.admit(len(request.text.encode()), force=force)
        job = self._registry.run(own, partial(run_job, self._deps, own, request))
        return JobHandle(job, request, delivery, until, job is not own, self._registry, self._deps)

    async def _cancel(self, payload: Mapping[str, Any], owner: str) -> dict[str, Any]:
        answer = await self._job_queries.cancel(payload)
        if self._enqueue is None and answer["status"] == Status.CANCELLED.public:
            await self.queue.remove(answer["job_id"])
        return answer

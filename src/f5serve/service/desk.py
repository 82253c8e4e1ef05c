"""Every operation by its name, over one store, one library and one device.

The input of a job flows in, the answer flows out; doors only format it. Operations other than tts
need no model and never wait for one, nor for another job.
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
from f5serve.doctor.checks_rooms import unreadable_records
from f5serve.errors import InvalidRequest
from f5serve.jobs.board import Board
from f5serve.jobs.cache import ResultCache
from f5serve.jobs.reading import Damage
from f5serve.jobs.records import Record, Status
from f5serve.jobs.waiting import Entry
from f5serve.metrics import Registry
from f5serve.service import answers
from f5serve.service.admission import Line
from f5serve.service.device import Device
from f5serve.service.files import JobFile, audio_file, timing_file
from f5serve.service.flights import (
    Flight,
    Flights,
    Listeners,
    OnProgress,
    Wishes,
    read_outcome,
    shut_down,
    within,
)
from f5serve.service.health import Health
from f5serve.service.later import QUEUED_AS, Later, without_queued_as
from f5serve.service.lookups import Lookups
from f5serve.service.measures import Measures
from f5serve.service.options import Options
from f5serve.service.parse import Ask, check_job_id, parse_tts
from f5serve.service.perform import perform
from f5serve.service.pieces import File, OnPiece, Piece, Pieces
from f5serve.service.pools import Pools
from f5serve.service.process_measures import watch_process
from f5serve.service.queue import QUEUE_ATTEMPTS, Queue
from f5serve.service.supervise import Supervisor
from f5serve.service.tools import Tools
from f5serve.service.uploads import Uploads
from f5serve.service.voice_calls import VoiceCalls
from f5serve.service.voice_upkeep import VoiceUpkeep
from f5serve.settings import Settings
from f5serve.startup import default_options
from f5serve.store.atomic import remove_stale
from f5serve.store.base import ObjectStore
from f5serve.store.bounded import BoundedStore
from f5serve.synthesis.speech import Speech
from f5serve.voices.library import VoiceLibrary
from f5serve.waits import log_faults

_log = logging.getLogger(__name__)

T = TypeVar("T")

LISTINGS = ("list_voices", "list_models")
"""Operations of doors that go through all there is of a kind."""


class Operations:
    """Answers requests; one per process, used within one event loop.

    Args:
        store: results and job records.
        voices: over the same store.
        load_speech: makes the Speech; called once, in the thread that will speak.
    """

    def __init__(
        self,
        store: ObjectStore,
        voices: VoiceLibrary,
        load_speech: Callable[[], Speech],
        settings: Settings,
        options: Options | None = None,
    ) -> None:
        options = options or Options()
        self._voices = voices
        self._settings = settings
        self._enqueue = options.enqueue
        bounded = store if isinstance(store, BoundedStore) else BoundedStore(store)
        self._start, self._looks = options.start, Health(bounded, options.checkup)
        uploads = Uploads(voices, settings.allow_http_urls, options.network)
        self._measures = Measures(options.registry or Registry())
        self.background = Supervisor(self._measures.registry)
        self._damage = Damage(lambda code: self._measures.unreadable.labels(code).inc())
        self._board = Board(bounded, options.boot_id, options.lease_s, self._damage)
        self._device = Device(load_speech)
        self.pools = Pools()
        cache = None
        if settings.result_cache:
            cache = ResultCache(bounded, settings.retention_days, self._damage)
        self._line = Line(settings.max_queue_s)
        self._measures.watch_device(self._device, lambda: self._line.wait_s)
        self._measures.watch_store(lambda: bounded.hung)
        self._measures.watch_voices(lambda: voices.unreadable)
        watch_process(self._measures.registry, settings.data_dir)
        self._tools = Tools(
            self._board,
            voices,
            self._device,
            cache,
            self.pools,
            self._measures,
            options.beat_s,
            options.keep,
            self.background,
            folder=settings.data_dir / "scratch",
        )
        self._flights = Flights()
        self._lookups = Lookups(self._tools, self._flights, settings.url_expires_s)
        self._queue = Queue(self._tools, self._do_queued, settings.concurrency, options.look_s)
        self._later = Later(self._tools, self._queue, self._enqueue)
        self._closing = False
        about_voices = VoiceCalls(voices, uploads, self.pools, bounded)
        self._upkeep = VoiceUpkeep(voices, bounded, self.pools.upkeep)
        self._operations: dict[str, Callable[[_Call], Awaitable[dict[str, Any]]]] = {
            "tts": self._tts,
            "upload": lambda call: about_voices.upload(call.payload, call.owner),
            "list_voices": lambda call: about_voices.list(),
            "status": lambda call: self._lookups.status(call.payload),
            "result": lambda call: self._lookups.result(call.payload),
            "download": lambda call: self._lookups.download(call.payload),
            "cancel": self._cancel,
            "delete_voice": lambda call: about_voices.delete(call.payload),
            "health": self._health,
        }

    def begin(self) -> None:
        """Start loading the model, and take up jobs that others have left; in the event loop.

        Without it the first tts loads the model, and what is left in the queue stays there.
        """
        self._device.begin()
        self.background.begin("voices", self._upkeep.run)
        log_faults(
            self.pools.checks.submit(remove_stale, self._tools.folder),
            "sweeping the scratch folder",
        )
        if self._enqueue is None:
            self._queue.begin()
            self.background.begin("index", self._lookups.keep_index)

    async def ready(self) -> None:
        """Wait for the model; raises what it could not be loaded for."""
        await self._device.speech()

    @property
    def broken(self) -> bool:
        """Whether the device has failed for good, so that only a new process can speak."""
        return self._device.broken

    @property
    def model(self) -> Mapping[str, Any]:
        """Name ("" before it is loaded) and state of the model, as health tells them."""
        return self._device.health()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What every answer of the loaded model has to say; empty before it is loaded."""
        speech = self._device.loaded
        return speech.engine.warnings + speech.notes if speech else ()

    @property
    def metrics(self) -> Registry:
        """What this process counts; its doors export it."""
        return self._measures.registry

    async def stream(
        self,
        payload: Mapping[str, Any],
        job_id: str,
        wishes: Wishes | None = None,
        *,
        owner: str = "",
    ) -> AsyncGenerator[Piece | File | dict[str, Any], None]:
        """The speech of a tts as it is made, then the answer, as `answer` gives it.

        Other operations have an answer only. Closing the generator stops the job, as cancelling
        `answer` does.

        Args:
            wishes: how the caller wants it.
            owner: as for `answer`.
        """
        wishes = wishes or Wishes()
        told: asyncio.Queue[Piece | File | None] = asyncio.Queue()
        on_file = told.put_nowait if wishes.whole_files else None
        listeners = Listeners(None, told.put_nowait, on_file, wishes)
        task = asyncio.create_task(self._answer(_Call(payload, job_id, listeners, owner)))
        task.add_done_callback(read_outcome)  # nobody may be waiting for it any more
        task.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (said := await told.get()) is not None:
                if isinstance(said, File) or not (wishes.whole_files and said.of == 1):
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
        on_piece: OnPiece | None = None,
        *,
        owner: str = "",
    ) -> dict[str, Any]:
        """The answer to one request.

        Args:
            payload: the input of a job; `endpoint` names the operation, tts without it.
            job_id: under which a tts is kept; the same id may come again with the same input.
            on_progress: told about the phases of a tts, in the event loop.
            on_piece: given the speech of a tts as it is made; unless the request says otherwise,
                it then starts quickly.
            owner: the stable id of the key that asks; "" where nobody is asked for one. It is kept
                in what is written.

        Raises:
            InvalidRequest: UNKNOWN_ENDPOINT, or what the operation says.
            F5Error: what went wrong; BUSY at once, where a tts would have to wait too long.
            asyncio.CancelledError: after the job's work has stopped and that was recorded.
        """
        listeners = Listeners(on_progress, on_piece)
        return await self._answer(_Call(payload, job_id, listeners, owner))

    async def _answer(self, call: _Call) -> dict[str, Any]:
        endpoint = call.payload.get("endpoint")
        name = "tts" if endpoint is None else endpoint
        if not isinstance(name, str) or name not in self._operations:
            raise InvalidRequest(
                f"The endpoint {str(name)[:60]!r} is not known.",
                code="UNKNOWN_ENDPOINT",
                hint=f"It is one of {', '.join(self._operations)}; without it, tts is meant.",
            )
        with self._measures.counted(name):
            return await self._operations[name](call)

    async def recent_jobs(self, limit: int, after: str = "") -> dict[str, Any]:
        """The newest jobs of the store, or those behind a cursor: {"jobs": [...], "truncated",
        "next"}; jobs as `answers.history_line`, `next` the cursor of the page behind, or None.
        """
        with self._measures.counted("list_jobs"):
            return await self._lookups.recent(limit, after)

    async def job_file(self, job_id: str, format: SubtitleFormat | None = None) -> JobFile:
        """The audio of a job that is done, or its word times in a format."""
        with self._measures.counted("download"):
            if format is None:
                return await self.pools.lookups.run(audio_file, self._board, job_id)
            return await self.pools.lookups.run(timing_file, self._board, job_id, format)

    async def work(self, operation: str, call: Callable[..., T], *args: Any) -> T:
        """Run a call that blocks on store or library in a thread; counted as that operation."""
        with self._measures.counted(operation):
            pool = self.pools.listings if operation in LISTINGS else self.pools.lookups
            return await pool.run(call, *args)

    def counted(self, operation: str) -> contextlib.AbstractContextManager[None]:
        """Count what a door does inside as one request of this operation."""
        return self._measures.counted(operation)

    async def drain(self, within_s: float) -> None:
        """Let running jobs end within that time, release the others, and take no more.

        What needs no model is still answered.
        """
        self._closing = True
        self._queue.stop()
        await self._flights.land(within_s)
        await self._queue.close()
        await self._tools.leftovers.close()
        await self.background.close()

    async def close(self, within_s: float) -> None:
        """`drain`, then let go of the device and of the threads for the store."""
        await self.drain(within_s)
        self._device.close()
        self.pools.close()

    async def _do_queued(self, entry: Entry) -> None:
        """A job of our own queue."""
        payload: Mapping[str, Any] = entry.payload
        if payload.get(QUEUED_AS) == entry.job_id:  # an earlier version has put it there
            payload = without_queued_as(payload)
        call = _Call(payload, entry.job_id, Listeners(), entry.owner, is_queued=True)
        with self._measures.counted("tts"):
            await self._tts(call)

    async def _tts(self, call: _Call) -> dict[str, Any]:
        if self._closing:
            raise shut_down()
        began, settings = time.monotonic(), self._settings
        listens = call.listeners.on_piece is not None
        defaults = default_options(settings)
        queued_as = self._later.named(call.payload)
        payload = without_queued_as(call.payload) if queued_as else call.payload
        ask = parse_tts(payload, defaults, settings.max_text_chars, listens, settings.verify)
        job_id = check_job_id(queued_as or call.job_id)
        if ask.queued:
            return await self._later.put_off(job_id, ask, payload, call.owner)
        must = call.is_queued
        if queued_as:  # a caller may say so as well, so the store is asked whether it is true
            must = await self._later.is_ours(queued_as, ask)
        flight = Flight(job_id, ask.sha256)
        flight.owner = call.owner
        flight.may_go_unkept = call.listeners.wishes.may_go_unkept
        flight.attempts = QUEUE_ATTEMPTS if call.is_queued else 1
        flight.pieces = Pieces(self._tools.folder) if listens else None
        # One whose last caller has gone away.
        await within(ask.timeout_s, began, job_id, self._flights.until_ended(job_id))
        if self._flights.find(job_id) is None:
            flight.place = self._line.enter(len(ask.text.encode()), must=must)
        record, flight = await self._flights.fly(
            flight, lambda own: self._within_time(own, ask), call.listeners, ask.timeout_s, began
        )
        told = self._told(call.listeners, ask, flight, record)
        return await within(ask.timeout_s, began, job_id, told)

    async def _told(
        self, to: Listeners, ask: Ask, flight: Flight, record: Record
    ) -> dict[str, Any]:
        answer = await self._lookups.told(to, flight, record)
        await self._lookups.give_earlier(to, flight, record)
        if not ask.inline:
            return answer
        audio = await self._lookups.audio(flight.job_id, record, flight.audio)
        return answers.inline(answer, audio)

    async def _within_time(self, flight: Flight, ask: Ask) -> Record:
        timer = flight.end_at(ask.timeout_s) if ask.timeout_s else None
        try:
            return await perform(self._tools, flight, ask)
        finally:
            if flight.place is not None:
                flight.place.leave()
            if timer is not None:
                timer.cancel()

    async def _cancel(self, call: _Call) -> dict[str, Any]:
        answer = await self._lookups.cancel(call.payload)
        if self._enqueue is None and answer["status"] == Status.CANCELLED.told:
            await self._queue.drop(answer["job_id"])
        return answer

    async def _health(self, call: _Call) -> dict[str, Any]:
        model = self._device.health()
        seen = await self._looks.ask()
        if seen["doctor"] is not None:
            found = unreadable_records(self._damage.counts(), self._damage.first())
            seen["doctor"] = [*seen["doctor"], *(finding.public() for finding in found)]
        wait_s = self._line.wait_s
        return {
            "status": _overall(model["state"], seen["store"], self.background.down),
            **self._board.program,
            "model": model,
            "store": seen.pop("store"),
            "device": self._device.description,
            "queue": {
                "jobs": len(self._flights),
                "waiting": self._device.waiting,
                "estimated_s": None if wait_s is None else round(wait_s, 1),
            },
            "background": self.background.health(),
            "metrics": self._measures.summary(self._device.counters()),
            **seen,
            "start": self._start() if self._start else None,
        }


@dataclass(frozen=True, slots=True)
class _Call:
    payload: Mapping[str, Any]
    job_id: str
    listeners: Listeners
    owner: str = ""
    is_queued: bool = False


def _overall(model: str, store: str, down: list[str]) -> str:
    if model != "ready":
        return "failed" if model == "failed" else "loading"
    return "ok" if store == "ok" and not down else "degraded"

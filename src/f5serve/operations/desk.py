"""Every operation by its name, over one store, one library and one device.

The input of a job flows in, the answer flows out; doors only format it. Operations other than tts
need no model and never wait for one, nor for another job.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from f5serve.boot import default_options
from f5serve.errors import InvalidRequest
from f5serve.jobs.board import Board
from f5serve.jobs.cache import ResultCache
from f5serve.jobs.records import Record, Status
from f5serve.metrics import Registry
from f5serve.operations import answers
from f5serve.operations.admission import Line
from f5serve.operations.device import Device
from f5serve.operations.files import JobFile, audio_file, timing_file
from f5serve.operations.flights import (
    Flight,
    Flights,
    Listeners,
    OnProgress,
    read_outcome,
    shut_down,
)
from f5serve.operations.health import Health
from f5serve.operations.lookups import Lookups
from f5serve.operations.measures import Measures
from f5serve.operations.options import Options
from f5serve.operations.parse import Ask, Fields, parse_tts
from f5serve.operations.perform import Tools, perform
from f5serve.operations.pieces import File, OnPiece, Piece, Pieces
from f5serve.operations.pools import Pools
from f5serve.operations.process_measures import watch_process
from f5serve.operations.queue import QUEUE_ATTEMPTS, Queue
from f5serve.operations.uploads import Uploads
from f5serve.settings import Settings
from f5serve.speech import Speech
from f5serve.store.base import ObjectStore
from f5serve.store.bounded import BoundedStore
from f5serve.timings.subtitles import SubtitleFormat
from f5serve.voices.library import VoiceLibrary

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
        self._uploads = Uploads(voices, settings.allow_http_urls, options.internet)
        self._board = Board(bounded, options.boot_id, options.lease_s)
        self._device = Device(load_speech)
        self.pools = Pools()
        cache = ResultCache(bounded, settings.retention_days) if settings.result_cache else None
        self._line = Line(settings.max_queue_s)
        self._measures = Measures(options.registry or Registry())
        self._measures.watch_device(self._device, lambda: self._line.wait_s)
        self._measures.watch_store(lambda: bounded.hung)
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
        )
        self._flights = Flights()
        self._lookups = Lookups(self._tools, self._flights, settings.url_expires_s)
        self._queue = Queue(self._tools, self.answer, settings.concurrency, options.look_s)
        self._closing = False
        self._operations: dict[str, Callable[[_Call], Awaitable[dict[str, Any]]]] = {
            "tts": self._tts,
            "upload": self._upload,
            "list_voices": self._list_voices,
            "status": lambda call: self._lookups.status(call.payload),
            "result": lambda call: self._lookups.result(call.payload),
            "download": lambda call: self._lookups.download(call.payload),
            "cancel": self._cancel,
            "delete_voice": self._delete_voice,
            "health": self._health,
        }

    def begin(self) -> None:
        """Start loading the model, and take up jobs that others have left; in the event loop.

        Without it the first tts loads the model, and what is left in the queue stays there.
        """
        self._device.begin()
        if self._enqueue is None:
            self._queue.begin()

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
        *,
        whole_files: bool = False,
        may_leave: bool = False,
    ) -> AsyncGenerator[Piece | File | dict[str, Any], None]:
        """The speech of a tts as it is made, then the answer, as `answer` gives it.

        Other operations have an answer only. Closing the generator stops the job, as cancelling
        `answer` does.

        Args:
            whole_files: give out the `File` once all is made: behind the pieces, and in their place
                wherever none could be heard before the whole is there: of a result made earlier,
                and of a single utterance.
            may_leave: closing leaves the job to others who wait for it.
        """
        told: asyncio.Queue[Piece | File | None] = asyncio.Queue()
        on_file = told.put_nowait if whole_files else None
        listeners = Listeners(None, told.put_nowait, on_file, may_leave)
        task = asyncio.create_task(self._answer(payload, job_id, listeners))
        task.add_done_callback(read_outcome)  # nobody may be waiting for it any more
        task.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (said := await told.get()) is not None:
                if isinstance(said, File) or not (whole_files and said.of == 1):
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
    ) -> dict[str, Any]:
        """The answer to one request.

        Args:
            payload: the input of a job; `endpoint` names the operation, tts without it.
            job_id: under which a tts is kept; the same id may come again with the same input.
            on_progress: told about the phases of a tts, in the event loop.
            on_piece: given the speech of a tts as it is made; unless the request says otherwise,
                it then starts quickly.

        Raises:
            InvalidRequest: UNKNOWN_ENDPOINT, or what the operation says.
            F5Error: what went wrong; BUSY at once, where a tts would have to wait too long.
            asyncio.CancelledError: after the job's work has stopped and that was recorded.
        """
        return await self._answer(payload, job_id, Listeners(on_progress, on_piece))

    async def _answer(
        self, payload: Mapping[str, Any], job_id: str, listeners: Listeners
    ) -> dict[str, Any]:
        endpoint = payload.get("endpoint")
        name = "tts" if endpoint is None else endpoint
        if not isinstance(name, str) or name not in self._operations:
            raise InvalidRequest(
                f"The endpoint {str(name)[:60]!r} is not known.",
                code="UNKNOWN_ENDPOINT",
                hint=f"It is one of {', '.join(self._operations)}; without it, tts is meant.",
            )
        with self._measures.counted(name):
            return await self._operations[name](_Call(payload, job_id, listeners))

    async def recent_jobs(self, limit: int) -> dict[str, Any]:
        """The newest jobs of the store: {"jobs": [...], "truncated"}, as `answers.history_line`."""
        with self._measures.counted("list_jobs"):
            return await self._lookups.recent(limit)

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

    async def close(self, within_s: float) -> None:
        """`drain`, then let go of the device and of the threads for the store."""
        await self.drain(within_s)
        self._device.close()
        self.pools.close()

    async def _tts(self, call: _Call) -> dict[str, Any]:
        if self._closing:
            raise shut_down()
        settings = self._settings
        listens = call.listeners.on_piece is not None
        defaults = default_options(settings)
        ask = parse_tts(call.payload, defaults, settings.max_text_chars, listens, settings.verify)
        if ask.queued:
            return await self._put_off(call, ask)
        job_id = ask.queued_as or call.job_id
        flight = Flight(job_id, ask.sha256)
        flight.attempts = QUEUE_ATTEMPTS if ask.queued_as and self._enqueue is None else 1
        flight.pieces = Pieces() if listens else None
        await self._flights.until_ended(job_id)  # one whose last caller has gone away
        if self._flights.find(job_id) is None:
            flight.place = self._line.enter(len(ask.text.encode()), must=bool(ask.queued_as))
        record, flight = await self._flights.fly(
            flight, lambda own: self._within_time(own, ask), call.listeners
        )
        answer = await self._lookups.told(job_id, record)
        await self._give_earlier(call.listeners, flight, record)
        if not ask.inline:
            return answer
        audio = flight.audio
        if audio is None:
            audio = await self._lookups.audio(job_id, record)
        return answers.inline(answer, audio)

    async def _give_earlier(self, to: Listeners, flight: Flight, record: Record) -> None:
        """Give out the stored speech to who has been given nothing yet: it was made earlier."""
        if to.on_file is not None:
            if flight.audio is None:
                to.on_file(await self._lookups.file(record))
        elif to.on_piece is not None and not flight.pieces:
            heard = await self._lookups.heard(record)
            if heard is not None:
                to.on_piece(Piece(0, 0.0, heard))

    async def _within_time(self, flight: Flight, ask: Ask) -> Record:
        timer = flight.end_at(ask.timeout_s) if ask.timeout_s else None
        try:
            return await perform(self._tools, flight, ask)
        finally:
            if flight.place is not None:
                flight.place.leave()
            if timer is not None:
                timer.cancel()

    async def _put_off(self, call: _Call, ask: Ask) -> dict[str, Any]:
        """Note the job as queued, then hand it to a queue: it is known before anyone can ask."""
        job_id = call.job_id
        if self._enqueue is None:
            standing = await self._queue.put_off(job_id, ask)
        else:
            queue = self._board.queue
            standing = await self.pools.jobs.run(queue, job_id, ask.sha256, ask.about)
            if standing.status in (Status.QUEUED, Status.LOST):
                later = {"mode": "sync", "return_audio": "url", "queued_as": job_id}
                await self._enqueue({**call.payload, **later})
        return {"job_id": job_id, "status": standing.status.told}

    async def _cancel(self, call: _Call) -> dict[str, Any]:
        answer = await self._lookups.cancel(call.payload)
        if self._enqueue is None and answer["status"] == Status.CANCELLED.told:
            await self._queue.drop(answer["job_id"])
        return answer

    async def _upload(self, call: _Call) -> dict[str, Any]:
        record = await self.pools.recordings.run(self._uploads.take, call.payload)
        return answers.upload_answer(record)

    async def _list_voices(self, call: _Call) -> dict[str, Any]:
        return answers.voices_answer(await self.pools.listings.run(self._voices.list))

    async def _delete_voice(self, call: _Call) -> dict[str, Any]:
        name = Fields(call.payload).text("voice_name")
        if not name:
            raise InvalidRequest(
                "voice_name is required.",
                code="MISSING_FIELD",
                hint="Send a name of list_voices.",
            )
        await self.pools.lookups.run(self._voices.delete, name)
        return {"status": f"Voice '{name}' deleted."}

    async def _health(self, call: _Call) -> dict[str, Any]:
        model = self._device.health()
        seen = await self._looks.ask()
        wait_s = self._line.wait_s
        return {
            "status": _overall(model["state"], seen["store"]),
            **self._board.program,
            "model": model,
            "store": seen.pop("store"),
            "device": self._device.description,
            "queue": {
                "jobs": len(self._flights),
                "waiting": self._device.waiting,
                "estimated_s": None if wait_s is None else round(wait_s, 1),
            },
            "metrics": self._measures.summary(self._device.counters()),
            **seen,
            "start": self._start() if self._start else None,
        }


@dataclass(frozen=True, slots=True)
class _Call:
    payload: Mapping[str, Any]
    job_id: str
    listeners: Listeners


def _overall(model: str, store: str) -> str:
    if model != "ready":
        return "failed" if model == "failed" else "loading"
    return "ok" if store == "ok" else "degraded"

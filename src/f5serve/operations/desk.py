"""Every operation by its name, over one store, one library and one device.

The input of a job flows in, the answer flows out; doors only format it. Operations other than tts
need no model and never wait for one, nor for another job.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from f5serve.boot import default_options
from f5serve.errors import F5Error, InvalidRequest
from f5serve.fetch.wire import Internet
from f5serve.jobs.board import Board
from f5serve.jobs.cache import ResultCache
from f5serve.jobs.records import LEASE_S, Record, Standing, Status
from f5serve.jobs.refusals import cancelled, unknown
from f5serve.operations import answers
from f5serve.operations.device import Device
from f5serve.operations.flights import Flight, Flights, OnProgress, shut_down
from f5serve.operations.parse import TIMING_FORMATS, Ask, Fields, parse_tts
from f5serve.operations.perform import BEAT_S, Tools, perform
from f5serve.operations.uploads import Uploads
from f5serve.settings import Settings
from f5serve.speech import Speech
from f5serve.store.base import ObjectStore
from f5serve.voices.library import VoiceLibrary

_log = logging.getLogger(__name__)

THREADS = 32
HEALTH_S = 3.0
"""Longest wait for the store before health says that it is slow."""

Enqueue = Callable[[dict[str, Any]], Awaitable[str]]
"""Hands a payload to a queue that outlives this process; returns the queue's id of it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is seldom anything but the default.

    Attributes:
        enqueue: the queue behind `mode: async`; None keeps such jobs in this process.
        boot_id: who this process is in the records; "" makes one up.
        lease_s, beat_s: see `jobs.board` and `perform`.
        internet: the way out for uploads; None is the real one.
    """

    enqueue: Enqueue | None = None
    boot_id: str = ""
    lease_s: float = LEASE_S
    beat_s: float = BEAT_S
    internet: Internet | None = None


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
        self._store = store
        self._voices = voices
        self._settings = settings
        self._enqueue = options.enqueue
        self._uploads = Uploads(voices, settings.allow_http_urls, options.internet)
        self._board = Board(store, options.boot_id, options.lease_s)
        self._device = Device(load_speech)
        self._pool = ThreadPoolExecutor(THREADS, "store")
        cache = ResultCache(store, settings.retention_days) if settings.result_cache else None
        self._tools = Tools(self._board, voices, self._device, cache, self._pool, options.beat_s)
        self._flights = Flights()
        self._queue: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._operations = {
            "tts": self._tts,
            "upload": self._upload,
            "list_voices": self._list_voices,
            "status": self._status,
            "result": self._result,
            "download": self._download,
            "cancel": self._cancel,
            "delete_voice": self._delete_voice,
            "health": self._health,
        }

    def begin(self) -> None:
        """Start loading the model; without it, the first tts does."""
        self._device.begin()

    async def answer(
        self, payload: Mapping[str, Any], job_id: str, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """The answer to one request.

        Args:
            payload: the input of a job; `endpoint` names the operation, tts without it.
            job_id: under which a tts is kept; the same id may come again with the same input.
            on_progress: told about the phases of a tts, in the event loop.

        Raises:
            InvalidRequest: UNKNOWN_ENDPOINT, or what the operation says.
            F5Error: what went wrong.
            asyncio.CancelledError: after the job's work has stopped and that was recorded.
        """
        endpoint = payload.get("endpoint")
        name = "tts" if endpoint is None else endpoint
        if not isinstance(name, str) or name not in self._operations:
            raise InvalidRequest(
                f"The endpoint {str(name)[:60]!r} is not known.",
                code="UNKNOWN_ENDPOINT",
                hint=f"It is one of {', '.join(self._operations)}; without it, tts is meant.",
            )
        return await self._operations[name](_Call(payload, job_id, on_progress))

    async def close(self, within_s: float) -> None:
        """Let running jobs end within that time, release the others, and take no more."""
        await asyncio.sleep(0)  # queued jobs that were just begun become flights
        self._closing = True
        await self._flights.land(within_s)
        if self._queue:
            await asyncio.wait(self._queue, timeout=1.0)
        self._device.close()
        self._pool.shutdown(wait=False)

    async def _tts(self, call: _Call) -> dict[str, Any]:
        if self._closing:
            raise shut_down()
        settings = self._settings
        ask = parse_tts(call.payload, default_options(settings), settings.max_text_chars)
        if ask.queued:
            return await self._put_off(call, ask)
        job_id = ask.queued_as or call.job_id
        flight = Flight(job_id, ask.sha256)
        flight.is_ours = bool(ask.queued_as) and self._enqueue is None
        record, flight = await self._flights.fly(
            flight, lambda own: perform(self._tools, own, ask), call.on_progress
        )
        answer = await self._tools.blocking(self._told, job_id, record)
        if not ask.inline:
            return answer
        audio = flight.audio
        if audio is None:
            audio = await self._tools.blocking(self._audio, job_id, record)
        return answers.inline(answer, audio)

    async def _put_off(self, call: _Call, ask: Ask) -> dict[str, Any]:
        """Note the job as queued, then hand it to a queue: it is known before anyone can ask."""
        standing = await self._tools.blocking(self._board.queue, call.job_id, ask.sha256)
        if standing.status in (Status.QUEUED, Status.LOST):
            later = {
                **call.payload,
                "mode": "sync",
                "return_audio": "url",
                "queued_as": call.job_id,
            }
            if self._enqueue is not None:
                await self._enqueue(later)
            elif self._closing:
                raise shut_down()
            elif self._flights.find(call.job_id) is None:
                task = asyncio.create_task(self._work_off(later, call.job_id))
                self._queue.add(task)
                task.add_done_callback(self._queue.discard)
        return {"job_id": call.job_id, "status": standing.status.told}

    async def _work_off(self, payload: Mapping[str, Any], job_id: str) -> None:
        try:
            await self.answer(payload, job_id)
        except F5Error as error:  # it is in the job's record
            _log.info("queued job %s: %s", job_id, error.code)

    async def _upload(self, call: _Call) -> dict[str, Any]:
        record = await self._tools.blocking(self._uploads.take, call.payload)
        return answers.upload_answer(record)

    async def _list_voices(self, call: _Call) -> dict[str, Any]:
        return answers.voices_answer(await self._tools.blocking(self._voices.list))

    async def _delete_voice(self, call: _Call) -> dict[str, Any]:
        name = Fields(call.payload).text("voice_name")
        if not name:
            raise InvalidRequest(
                "voice_name is required.",
                code="MISSING_FIELD",
                hint="Send a name of list_voices.",
            )
        await self._tools.blocking(self._voices.delete, name)
        return {"status": f"Voice '{name}' deleted."}

    async def _status(self, call: _Call) -> dict[str, Any]:
        job_id = Fields(call.payload).text("job_id")
        if not job_id:
            raise unknown("")
        standing = await self._tools.blocking(self._board.look, job_id)
        flight = self._flights.find(job_id)
        if flight is not None and standing.status in (Status.UNKNOWN, Status.RUNNING):
            # What is under way here is newer than what the store says of it.
            standing = Standing(Status.RUNNING, {"progress": flight.progress})
        if standing.status is Status.UNKNOWN:
            raise unknown(job_id)
        return answers.status_answer(job_id, standing)

    async def _result(self, call: _Call) -> dict[str, Any]:
        job_id = _job_id(call.payload)
        record = await self._tools.blocking(self._board.result, job_id)
        return await self._tools.blocking(self._told, job_id, record)

    async def _download(self, call: _Call) -> dict[str, Any]:
        job_id = _job_id(call.payload)
        fields = Fields(call.payload)
        kind = fields.choice("type", ["audio", "timing"], "audio")
        if kind == "timing":
            fields.choice("format", TIMING_FORMATS, "srt")
        record = await self._tools.blocking(self._board.result, job_id)
        if kind == "timing":
            raise answers.no_timings(job_id)
        expires_s = self._settings.url_expires_s
        return await self._tools.blocking(
            answers.download_answer, self._store, job_id, record, expires_s
        )

    async def _cancel(self, call: _Call) -> dict[str, Any]:
        job_id = _job_id(call.payload)
        flight = self._flights.find(job_id)
        try:
            standing = await self._tools.blocking(self._board.cancel, job_id, "request")
        except InvalidRequest:
            if flight is None:
                raise
            standing = Standing(Status.CANCELLED, {})  # under way here, not in the store yet
        if flight is not None and standing.status is Status.CANCELLED:
            flight.stop(lambda: cancelled(job_id))
        return {"job_id": job_id, "status": standing.status.told}

    async def _health(self, call: _Call) -> dict[str, Any]:
        model = self._device.health()
        store = await self._store_state()
        return {
            "status": _overall(model["state"], store),
            **self._board.program,
            "model": model,
            "store": store,
            "device": self._device.description,
            "queue": {"jobs": len(self._flights), "waiting": self._device.waiting},
        }

    async def _store_state(self) -> str:
        """ok, slow, or the code of what the store says."""
        look = self._tools.blocking(self._store.exists, "_meta/health")
        try:
            await asyncio.wait_for(look, HEALTH_S)
        except TimeoutError:
            return "slow"
        except F5Error as error:
            return error.code
        return "ok"

    def _told(self, job_id: str, record: Record) -> dict[str, Any]:
        return answers.tts_answer(self._store, job_id, record, self._settings.url_expires_s)

    def _audio(self, job_id: str, record: Record) -> bytes:
        line = answers.find_output(record, "audio")
        if line["size"] > answers.MAX_INLINE_BYTES:
            raise answers.too_large(job_id, line["size"])
        return self._store.get(line["key"])


@dataclass(frozen=True, slots=True)
class _Call:
    payload: Mapping[str, Any]
    job_id: str
    on_progress: OnProgress | None


def _overall(model: str, store: str) -> str:
    if model != "ready":
        return "failed" if model == "failed" else "loading"
    return "ok" if store == "ok" else "degraded"


def _job_id(payload: Mapping[str, Any]) -> str:
    job_id = Fields(payload).text("job_id")
    if not job_id:
        raise InvalidRequest(
            "No job_id provided",
            code="MISSING_FIELD",
            hint="Send the job_id that tts has answered.",
        )
    return job_id

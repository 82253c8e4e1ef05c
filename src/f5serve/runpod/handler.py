"""RunPod's handler: a job in, its answer or one error sentence out.

    {"id", "input"} -> SpeechService.events -> progress, then output, or {"error", "code", "hint"}
                                            -> items of speech, then the output (F5_STREAM)

An answer with `error` makes RunPod mark the request as failed, so only failures carry that key. No
traceback, path or host leaves through here, and no text of a request enters the log.

Progress is posted in order, at most once a second, never after the answer. The SDK's own
progress_update starts a thread for each report, and what it sends may arrive after the result.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import secrets
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from f5serve.audio.encode import to_pcm16
from f5serve.errors import F5Error, InvalidRequest
from f5serve.logging import JOB_ID, quotes
from f5serve.runpod.job_tenant import take_tenant
from f5serve.runpod.sdk import Sdk
from f5serve.service.active_jobs import SHUT_DOWN_CODE
from f5serve.service.events import (
    AudioChunk,
    Completed,
    DeliveryOptions,
    JobEvent,
    Progress,
)
from f5serve.service.tenants import Tenants
from f5serve.settings import Settings
from f5serve.types import Wave, s_to_samples, samples_to_s

_log = logging.getLogger(__name__)

Job = dict[str, Any]

REFRESH_WORKER = "refresh_worker"
"""The SDK's setting that ends the worker with the next answer."""

MAX_ITEM_S = 10.0
"""Longest stretch of speech in one item: 640 kB as base64."""

LOCAL_ID = "local_test"
"""Id that the SDK gives to every --test_input."""

FIRST_S = 1.0
"""Jobs that end sooner post no progress, only their answer."""

LONGEST_S = 5.0
LAST_S = 2.0


class Handler:
    """Answers jobs with a service.

    Args:
        make: makes the services, in the event loop and once the SDK has forked its heartbeat: a
            thread that loads a model must not be copied half-way.
        config: the SDK's, in which the handler asks for a new worker when this one is broken.
        settings: how jobs name their tenant.
    """

    def __init__(
        self,
        sdk: Sdk,
        make: Callable[[], Tenants],
        config: dict[str, Any],
        settings: Settings,
    ) -> None:
        self._sdk = sdk
        self._config = config
        self._make = make
        self._settings = settings
        self._tenants: Tenants | None = None
        self._session: Any = None
        self._shutting_down = False

    def started(self, session: Any) -> None:
        """The job loop runs; `session` is open until it ends. No process is forked from here on."""
        self._session = session
        self.tenants()

    async def drain(self, within_s: float) -> None:
        """No job will be added; returns when all have ended, or were let go of `within_s`."""
        try:
            await self.tenants().first.close(within_s)
        finally:  # what fails from here on fails because the worker ends
            self._shutting_down = True

    async def handle(self, job: Job) -> dict[str, Any]:
        """RunPod's handler: what it returns is posted, and nothing is if it is cancelled."""
        job_id = _id_of(job)
        reports = None
        if self._session is not None:
            reports = ProgressReports(partial(self._send_progress, job))
        try:
            async with aclosing(self._events(job, job_id)) as events:
                async for event in events:
                    if isinstance(event, Completed):
                        return _sendable(event.response)
                    if reports is not None and isinstance(event, Progress):
                        reports.report(event.as_dict())
            raise AssertionError("the last event is missing")
        except Exception as error:  # noqa: BLE001 - the last place that can name it
            return self._failed(error, job)
        finally:
            if reports is not None:
                await reports.close()
            self._refresh_if_broken()

    async def stream(self, job: Job) -> AsyncGenerator[dict[str, Any], None]:
        """RunPod's handler where speech is sent as it is made; `handle`'s answer is the last item.

        Progress is not sent: the items show it.
        """
        job_id = _id_of(job)
        delivery = DeliveryOptions(chunks=True)
        try:
            async with aclosing(self._events(job, job_id, delivery)) as events:
                async for event in events:
                    if isinstance(event, Completed):
                        yield _sendable(event.response)
                    if not isinstance(event, AudioChunk):
                        continue
                    for item in chunk_items(event):
                        yield item
                        if self._session is not None:
                            # The SDK has posted it by now and keeps it for /run, whose output
                            # must stay small; the answer says where the whole audio is.
                            item.pop("audio")
        except Exception as error:  # noqa: BLE001 - as in `handle`
            failed = self._failed(error, job)
            yield {name: value for name, value in failed.items() if name != "error"}
            # Of an item with `error`, the SDK keeps the sentence alone.
            yield {"error": " ".join(filter(None, (failed["error"], failed["hint"])))}
        finally:
            self._refresh_if_broken()

    async def _send_progress(self, job: Job, body: dict[str, Any]) -> None:
        report = {"status": "IN_PROGRESS", "output": body}
        await self._sdk.send_result(self._session, report, job)

    def _failed(self, error: Exception, job: Job) -> dict[str, Any]:
        """The answer to an error; a job that another worker will get has none."""
        if self._shutting_down or (isinstance(error, F5Error) and error.code == SHUT_DOWN_CODE):
            raise asyncio.CancelledError from None
        if not isinstance(error, F5Error):
            return _unexpected(error, job.get("input"))
        _log.info("refused: %s", error.code)
        # Half of a surrogate pair, quoted from a request, cannot be sent.
        return {
            name: text.encode("utf-8", "backslashreplace").decode()
            for name, text in error.as_dict().items()
        }

    def _refresh_if_broken(self) -> None:
        """Have the SDK say with this answer that the worker is of no more use."""
        tenants = self._tenants
        if tenants and tenants.first.broken and not self._config.get(REFRESH_WORKER):
            _log.error("the device is broken: this worker asks to be replaced")
            self._config[REFRESH_WORKER] = True

    def tenants(self) -> Tenants:
        """The services, made at the first call."""
        if self._tenants is None:  # the SDK's local modes have no loop of ours
            self._tenants = self._make()
        return self._tenants

    def _events(
        self, job: Job, job_id: str, delivery: DeliveryOptions | None = None
    ) -> AsyncGenerator[JobEvent, None]:
        """The events of a job, from the service of its tenant."""
        tenant, payload = take_tenant(_input_of(job), self._settings, time.time())
        return self.tenants().get(tenant).events(payload, job_id, delivery)


class ProgressReports:
    """The reports of one job; used in the event loop.

    Args:
        send: posts one report; what it raises is logged.
        first_s: seconds before the first post; later ones are as far apart, growing to 5 s.
    """

    def __init__(
        self, send: Callable[[dict[str, Any]], Awaitable[None]], first_s: float = FIRST_S
    ) -> None:
        self._send = send
        self._pause_s = first_s
        self._news = asyncio.Event()
        self._latest: dict[str, Any] = {}
        self._sending = False
        self._closed = False
        self._task = asyncio.create_task(self._run())

    def report(self, body: dict[str, Any]) -> None:
        """Send this next; replaces a report that was not sent yet."""
        self._latest = body
        self._news.set()

    async def close(self) -> None:
        """Send nothing more; a post that is on its way arrives or is given up within 2 s."""
        self._closed = True
        if self._sending:
            await asyncio.wait({self._task}, timeout=LAST_S)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        while not self._closed:
            await asyncio.sleep(self._pause_s)
            await self._news.wait()
            self._news.clear()
            self._sending = True
            try:
                await self._send(self._latest)
            except Exception:  # noqa: BLE001 - one post that fails must not end the others
                _log.exception("a report of progress could not be sent")
            self._sending = False
            self._pause_s = min(self._pause_s * 1.5, LONGEST_S)


def chunk_items(chunk: AudioChunk) -> Iterator[dict[str, Any]]:
    """A chunk as items of a stream, each well below RunPod's limit of 1 MB."""
    whole = chunk.read()
    rate = whole.sample_rate
    size = s_to_samples(MAX_ITEM_S, rate)
    for start in range(0, len(whole.samples), size):
        wave = Wave(whole.samples[start : start + size], rate)
        yield {
            "index": chunk.index,
            "start_s": round(chunk.start_s + samples_to_s(start, rate), 4),
            "seconds": round(wave.duration_s, 4),
            "format": "pcm",
            "sample_rate": rate,
            "audio": base64.b64encode(to_pcm16(wave.samples).tobytes()).decode(),
        }


def _id_of(job: Job) -> str:
    job_id = str(job["id"])
    if job_id == LOCAL_ID:  # another input must not look like another request of one job
        job_id = f"local-{secrets.token_hex(4)}"
    JOB_ID.set(job_id)
    return job_id


def _input_of(job: Job) -> Mapping[str, Any]:
    payload = job.get("input")
    if not isinstance(payload, Mapping):
        raise InvalidRequest(
            f"The input of a job is an object, not {type(payload).__name__}.",
            code="BAD_INPUT",
            hint='Send {"input": {"text": "Hello."}}.',
        )
    return payload


def _sendable(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, once it is known that JSON can hold it; else it would be lost."""
    json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()
    return answer


def _unexpected(error: Exception, payload: object) -> dict[str, Any]:
    """Log a fault in f5serve under a trace id, and tell the caller that id alone."""
    trace = secrets.token_hex(6)
    message = str(error)
    if quotes(message, payload):
        message = "(hidden: it repeats the request; F5_LOG_LEVEL=debug shows it)"
    _log.error("trace %s: %s: %s%s", trace, type(error).__name__, message, _frames(error))
    _log.debug("trace %s", trace, exc_info=error)
    return {
        "error": "Something unexpected failed.",
        "code": "INTERNAL",
        "hint": f"Report it with the trace id {trace}, under which the worker's log tells more.",
        "trace": trace,
    }


def _frames(error: Exception) -> str:
    """Where it happened, without source lines or values."""
    frames = traceback.extract_tb(error.__traceback__)
    return "".join(f"; {frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:])

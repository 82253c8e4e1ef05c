"""RunPod's door: a job in, the answer or one error sentence out.

    {"id", "input"} -> Operations.answer -> output, or {"error", "code", "hint"}

An answer with `error` makes RunPod mark the request as failed, so only failures carry that key. No
traceback, path or host leaves through here, and no text of a request enters the log.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from f5serve.errors import F5Error, InvalidRequest
from f5serve.operations.flights import SHUT_DOWN_CODE
from f5serve.transports import json_logs
from f5serve.transports.runpod_progress import Progress
from f5serve.transports.runpod_sdk import Sdk

_log = logging.getLogger(__name__)

Job = dict[str, Any]
OnProgress = Callable[[dict[str, Any]], None]

LOCAL_ID = "local_test"
"""Id that the SDK gives to every --test_input."""


class Answering(Protocol):
    """What the door needs of `operations.Operations`."""

    async def answer(
        self, payload: Mapping[str, Any], job_id: str, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """The answer to one request; raises F5Error, or CancelledError when it is cancelled."""
        ...

    async def close(self, within_s: float) -> None:
        """Let running work end within that time, then let go of it."""
        ...


class Door:
    """Answers jobs with operations.

    Args:
        make: makes the operations, in the event loop and once the SDK has forked its heartbeat: a
            thread that loads a model must not be copied half-way.
    """

    def __init__(self, sdk: Sdk, make: Callable[[], Answering]) -> None:
        self._sdk = sdk
        self._make = make
        self._made: Answering | None = None
        self._session: Any = None
        self._let_go = False

    def started(self, session: Any) -> None:
        """See `runpod_loop.Hooks`."""
        self._session = session
        self._operations()

    async def drain(self, within_s: float) -> None:
        """See `runpod_loop.Hooks`."""
        try:
            await self._operations().close(within_s)
        finally:  # what fails from here on fails because the worker ends
            self._let_go = True

    async def handle(self, job: Job) -> dict[str, Any]:
        """RunPod's handler: what it returns is posted, and nothing is if it is cancelled."""
        job_id = str(job["id"])
        if job_id == LOCAL_ID:  # another input must not look like another request of one job
            job_id = f"local-{secrets.token_hex(4)}"
        json_logs.JOB_ID.set(job_id)
        payload = job.get("input")
        try:
            answer = await self._answer(job, job_id)
            json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()  # else nobody hears it
            return answer
        except F5Error as error:
            if self._let_go or error.code == SHUT_DOWN_CODE:
                raise asyncio.CancelledError from None  # unanswered, RunPod hands it out again
            _log.info("refused: %s", error.code)
            return _printable(error.as_dict())
        except Exception as error:  # noqa: BLE001 - the last place that can name it
            if self._let_go:
                raise asyncio.CancelledError from None
            return _unexpected(error, payload)

    async def _answer(self, job: Job, job_id: str) -> dict[str, Any]:
        payload = job.get("input")
        if not isinstance(payload, Mapping):
            raise InvalidRequest(
                f"The input of a job is an object, not {type(payload).__name__}.",
                code="BAD_INPUT",
                hint='Send {"input": {"text": "Hello."}}.',
            )
        if self._session is None:
            return await self._operations().answer(payload, job_id)
        progress = Progress(lambda body: self._send_progress(job, body))
        try:
            return await self._operations().answer(payload, job_id, progress.report)
        finally:
            await progress.close()

    async def _send_progress(self, job: Job, body: dict[str, Any]) -> None:
        said = {"status": "IN_PROGRESS", "output": body}
        await self._sdk.send_result(self._session, said, job)

    def _operations(self) -> Answering:
        if self._made is None:  # the SDK's local modes have no loop of ours
            self._made = self._make()
        return self._made


def _printable(said: dict[str, str]) -> dict[str, Any]:
    """Half of a surrogate pair, quoted from a request, cannot be sent."""
    return {key: text.encode("utf-8", "backslashreplace").decode() for key, text in said.items()}


def _unexpected(error: Exception, payload: object) -> dict[str, Any]:
    """Log a fault in f5serve under a trace id, and tell the caller that id alone."""
    trace = secrets.token_hex(6)
    message = str(error)
    if json_logs.quotes(message, payload):
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

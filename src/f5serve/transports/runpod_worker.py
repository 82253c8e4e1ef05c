"""RunPod's door: a job in, the answer or one error sentence out.

    {"id", "input"} -> Operations.answer -> output, or {"error", "code", "hint"}

`serve` hands the door to RunPod's SDK, which takes jobs and posts answers; `runpod_loop` decides
when. An answer with `error` makes RunPod mark the request as failed, so only failures carry
that key. No traceback, path or host leaves through here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from f5serve import build
from f5serve.errors import F5Error, InvalidRequest
from f5serve.settings import Settings, on_runpod, secret_values, unknown_names, worker_settings
from f5serve.transports import json_logs, runpod_sdk
from f5serve.transports.runpod_loop import JobLoop, LoopOptions
from f5serve.transports.runpod_progress import Progress
from f5serve.transports.with_parent import tie_forks_to_this_process

_log = logging.getLogger(__name__)

Job = dict[str, Any]
RELEASED_CODE = "SHUT_DOWN"
"""Code of a job that was let go of because the worker ends."""

OnProgress = Callable[[dict[str, Any]], None]


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

    def __init__(self, sdk: runpod_sdk.Sdk, make: Callable[[], Answering]) -> None:
        self._sdk = sdk
        self._make = make
        self._made: Answering | None = None
        self._session: Any = None

    def started(self, session: Any) -> None:
        """See `runpod_loop.Hooks`."""
        self._session = session
        self._operations()

    async def drain(self, within_s: float) -> None:
        """See `runpod_loop.Hooks`."""
        await self._operations().close(within_s)

    async def handle(self, job: Job) -> dict[str, Any]:
        """RunPod's handler: what it returns is posted, and nothing is if it is cancelled."""
        job_id = str(job["id"])
        json_logs.JOB_ID.set(job_id)
        payload = job.get("input")
        try:
            answer = await self._answer(job, job_id)
            json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()  # else nobody hears it
            return answer
        except F5Error as error:
            if error.code == RELEASED_CODE:
                raise asyncio.CancelledError from None  # unanswered, RunPod hands it out again
            _log.info("refused: %s", error.code)
            return _printable(error.as_dict())
        except Exception as error:  # noqa: BLE001 - the last place that can name it
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


def serve(
    make: Callable[[], Answering],
    settings: Settings,
    arguments: Sequence[str] = (),
    checks: Sequence[Callable[[], None]] = (),
) -> None:
    """Be a worker until told to stop; RunPod's local modes by `arguments` work too.

    Args:
        make: see `Door`.
        arguments: of the SDK, e.g. --test_input; it ends the process after a test job.
        checks: run before the first job, on RunPod only; one that raises ends the worker.

    Raises:
        ModelUnavailable: SDK_MISSING.
    """
    sdk = runpod_sdk.load()
    if not sdk.version.startswith(runpod_sdk.VERSIONS):
        _log.warning("runpod %s is not the version this worker was tested with", sdk.version)
    door = Door(sdk, make)
    if on_runpod():
        runpod_sdk.take_over_logs()
        tie_forks_to_this_process()
    for check in checks:
        runpod_sdk.add_check(check)
    options = LoopOptions(settings.concurrency, settings.shutdown_s)
    runpod_sdk.put_loop(lambda config: JobLoop(sdk, config, options, door))
    config = {
        "handler": door.handle,
        "concurrency_modifier": lambda _: settings.concurrency,
    }
    runpod_sdk.start(config, arguments)


def prepare() -> Settings:
    """What a worker does first: settings, logs, and the line that tells what is running here."""
    # The first process of a container ignores a signal that it has no handler for.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    settings = worker_settings()
    json_logs.set_up(settings.log_level, secret_values())
    stamp = build.stamp()
    _log.info(
        "f5serve worker: version %s, commit %s, python %s",
        stamp.version,
        stamp.commit,
        sys.version.split()[0],
    )
    for sentence in unknown_names():
        _log.warning("%s", sentence)
    return settings


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

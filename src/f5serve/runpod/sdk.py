"""RunPod's SDK as far as the worker uses it: imported once, quickly, and in one place.

What is used beyond its documented surface is listed in `USED_API`; tests/worker/test_sdk_pin.py
compares that list with the installed SDK, so that a new version is read before it is trusted.
"""

from __future__ import annotations

import importlib
import logging
import platform
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from f5serve.errors import ModelUnavailable
from f5serve.logging import JOB_ID
from f5serve.settings import silence_runpod_sdk

VERSIONS = "1.12."
"""Versions that the worker was written against begin so."""

USED_API = {
    "serverless": ("start", "_set_config_args"),
    "serverless.worker": ("main", "run_worker", "_is_local"),
    "serverless.modules.rp_scale": ("JobScaler",),
    "serverless.modules.rp_job": (
        "get_job",
        "get_stop_signals",
        "handle_job",
        "run_job",
        "run_job_generator",
        "_job_get_url",
        "_job_stop_url",
    ),
    "serverless.modules.rp_http": ("send_result", "stream_result", "_handle_result", "_transmit"),
    "serverless.modules.rp_handler": ("is_generator",),
    "serverless.modules.rp_logger": ("RunPodLogger",),
    "serverless.modules.rp_local": ("run_local",),
    "serverless.modules.rp_fitness": ("register_fitness_check", "run_fitness_checks"),
    "serverless.modules.rp_ping": ("Heartbeat",),
    "serverless.modules.worker_state": ("JobsProgress",),
    "http_client": ("AsyncClientSession", "TooManyRequests"),
}
"""What the wrapper calls, replaces or relies on, by module of the SDK."""

_PYTHON_LEVELS = {"WARN": logging.WARNING, "TIP": logging.INFO, "TRACE": logging.DEBUG}


@dataclass(frozen=True, slots=True)
class Sdk:
    """The SDK's functions under their own names; sessions are aiohttp's.

    Attributes:
        get_job: (session, count) -> jobs, or None when there are none; long poll.
        get_stop_signals: (session) -> ids of jobs to stop; long poll.
        handle_job: (session, config, job): runs the handler and posts what it returns.
        send_result: (session, body, job): posts a body, three attempts, logs a failure.
        jobs: ids in progress, which the heartbeat reports.
        make_session: a session with the worker's credentials.
        too_many: what `get_job` and `get_stop_signals` raise for status 429.
    """

    version: str
    get_job: Callable[[Any, int], Awaitable[list[Any] | None]]
    get_stop_signals: Callable[[Any], Awaitable[Sequence[str]]]
    handle_job: Callable[[Any, dict[str, Any], dict[str, Any]], Awaitable[None]]
    send_result: Callable[[Any, dict[str, Any], dict[str, Any]], Awaitable[None]]
    jobs: Any
    make_session: Callable[[], Any]
    too_many: type[Exception]


def load() -> Sdk:
    """Import the SDK.

    Raises:
        ModelUnavailable: SDK_MISSING when it is not installed.
    """
    _import()
    rp_job = _module("serverless.modules.rp_job")
    client = _module("http_client")
    return Sdk(
        version=str(_module("version").__version__),
        get_job=rp_job.get_job,
        get_stop_signals=rp_job.get_stop_signals,
        handle_job=rp_job.handle_job,
        send_result=_module("serverless.modules.rp_http").send_result,
        jobs=_module("serverless.modules.worker_state").JobsProgress(),
        make_session=client.AsyncClientSession,
        too_many=client.TooManyRequests,
    )


def start(config: dict[str, Any], arguments: Sequence[str]) -> None:
    """Hand over to the SDK, which reads `arguments` as its own (--test_input and so on)."""
    sys.argv = ["f5serve worker", *arguments]  # the SDK parses nothing else
    _module("serverless").start(config)


def replace_job_scaler(make_loop: Callable[[dict[str, Any]], Any]) -> None:
    """Have the SDK run `make_loop(config).start()` where it would run its own JobScaler."""
    _module("serverless.modules.rp_scale").JobScaler = make_loop  # type: ignore[attr-defined]


def add_fitness_check(check: Callable[[], None]) -> None:
    """Run `check` before the first job on the platform; what it raises ends the worker."""
    _module("serverless.modules.rp_fitness").register_fitness_check(check)


def redirect_logs() -> None:
    """Send what the SDK would print to Python's logging, without its debug output.

    At DEBUG the SDK writes down every answer and the URLs it polls.
    """
    log = logging.getLogger("runpod")

    def write(message: object, message_level: str = "INFO", job_id: str | None = None) -> None:
        level = _PYTHON_LEVELS.get(message_level) or logging.getLevelNamesMapping()[message_level]
        if level > logging.DEBUG:
            log.log(level, "%s", message, extra={"job_id": job_id or JOB_ID.get()})

    _module("serverless.modules.rp_logger").RunPodLogger().log = write  # one object, used by all


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"runpod.{name}")


def _import() -> None:
    silence_runpod_sdk()
    # The SDK asks py-cpuinfo for the processor's name at import, which takes a second and starts
    # processes; only its debugger shows it.
    stand_in = ModuleType("cpuinfo")
    stand_in.get_cpu_info = lambda: {"brand_raw": platform.machine()}  # type: ignore[attr-defined]
    hidden = sys.modules.setdefault("cpuinfo", stand_in)
    try:
        _module("serverless")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "runpod":
            raise
        raise ModelUnavailable(
            "RunPod's SDK is not installed.",
            code="SDK_MISSING",
            hint="Run: pip install 'f5serve[runpod]'",
        ) from None
    finally:
        if hidden is stand_in:  # the next import gets the real one
            sys.modules.pop("cpuinfo", None)

"""Puts a service behind RunPod's SDK, with our handler, our job loop and the endpoint's queue.

Settings -> store, voices -> checks -> the SDK, which takes jobs and posts answers
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from f5serve.errors import F5Error
from f5serve.process import kill_forks_with_parent
from f5serve.runpod import sdk as runpod_sdk
from f5serve.runpod.handler import Handler
from f5serve.runpod.job_loop import JobLoop, LoopOptions
from f5serve.runpod.job_tenant import TenantQueue
from f5serve.service import ServiceOptions
from f5serve.service.tenants import Tenants
from f5serve.settings import Settings, takes_jobs
from f5serve.startup.process import make_checks
from f5serve.store.config import open_store
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.synthesis.synthesizer import Synthesizer

_log = logging.getLogger(__name__)

TIMEOUT_S = 20.0
"""Longest wait for the endpoint's own queue."""


def run(
    settings: Settings,
    arguments: Sequence[str],
    load_speech: Callable[[], Synthesizer],
    options: ServiceOptions | None = None,
    recognition: SpeechRecognition | None = None,
) -> None:
    """Be a worker over the store and voices that the settings name.

    Args:
        load_speech: makes the engine; called once, in the thread that will use it.
        options: of the operations, but for the queue, which on RunPod is the endpoint's own.
        recognition: for uploads; None makes it from the settings.

    Raises:
        InvalidRequest: BAD_SETTING.
        ModelUnavailable: SDK_MISSING, or as `SpeechRecognition.open`.
    """
    store = open_store(settings)
    libraries = (recognition or SpeechRecognition(settings)).libraries(store)
    at_runpod = takes_jobs()

    def make() -> Tenants:
        queue = RunPodQueue(settings.runpod_api, settings.runpod_endpoint, settings.runpod_key)
        chosen = replace(options or ServiceOptions(), enqueue=queue if at_runpod else None)
        queue_of = partial(TenantQueue, queue, settings.tenant_secret) if at_runpod else None
        tenants = Tenants(store, libraries, load_speech, settings, chosen, queue_of)
        if at_runpod:  # a local test job may well need no model
            tenants.first.begin()
        return tenants

    serve(make, settings, arguments, make_checks(settings, store))


def serve(
    make: Callable[[], Tenants],
    settings: Settings,
    arguments: Sequence[str] = (),
    checks: Sequence[Callable[[], None]] = (),
) -> None:
    """Be a worker until a stop signal; RunPod's local modes by `arguments` work too.

    Args:
        make: see `Handler`.
        arguments: of the SDK, e.g. --test_input; it ends the process after a test job.
        checks: run before the first job, on RunPod only; one that raises ends the worker.

    Raises:
        ModelUnavailable: SDK_MISSING.
    """
    sdk = runpod_sdk.load()
    if not sdk.version.startswith(runpod_sdk.VERSIONS):
        _log.warning("runpod %s is not the version this worker was tested with", sdk.version)
    config: dict[str, Any] = {
        "concurrency_modifier": lambda _: settings.concurrency,
        "return_aggregate_stream": True,
    }
    handler = Handler(sdk, make, config, settings)
    # The SDK's --test_input knows no generators.
    streams = settings.stream and (takes_jobs() or "--rp_serve_api" in arguments)
    config["handler"] = handler.stream if streams else handler.handle
    if takes_jobs():
        runpod_sdk.redirect_logs()
        kill_forks_with_parent()
    for check in checks:
        runpod_sdk.add_fitness_check(check)
    options = LoopOptions(settings.concurrency, settings.shutdown_s)
    runpod_sdk.replace_job_scaler(lambda config: JobLoop(sdk, config, options, handler))
    runpod_sdk.start(config, arguments)


class RunPodQueue:
    """The queue of one endpoint: posts a job for later, which any worker may take.

    Args:
        api: RunPod's job API, e.g. https://api.runpod.ai/v2.
        endpoint: id of the endpoint.
        key: what authorises the post.
    """

    def __init__(self, api: str, endpoint: str, key: str) -> None:
        self._url = f"{api.rstrip('/')}/{endpoint}/run"
        self._key = key
        self._complete = bool(endpoint and key)

    async def __call__(self, payload: Mapping[str, Any]) -> str:
        """Queue `payload` as the input of a new job; returns its id.

        Raises:
            F5Error: NO_QUEUE off RunPod, QUEUE_FAILED when RunPod does not take it.
        """
        if not self._complete:
            raise F5Error(
                "This worker does not know the queue of its endpoint.",
                code="NO_QUEUE",
                hint="Leave mode async out, or set RUNPOD_ENDPOINT_ID and RUNPOD_AI_API_KEY.",
            )
        import aiohttp

        headers = {"Authorization": f"Bearer {self._key}"}
        timeout = aiohttp.ClientTimeout(TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
                session.post(
                    self._url, json={"input": dict(payload)}, allow_redirects=False
                ) as response,
            ):
                answer = await response.json() if response.status == 200 else None
                status = response.status
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise _failed(type(error).__name__, retryable=True) from None
        job_id = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(job_id, str) or not job_id:
            raise _failed(f"status {status}", retryable=status == 429 or status >= 500)
        return job_id


def _failed(why: str, *, retryable: bool) -> F5Error:
    again = "Try again, or leave" if retryable else "Leave"
    return F5Error(
        f"RunPod's queue did not take the job ({why}).",
        code="QUEUE_FAILED",
        hint=f"{again} mode async out and use /run, which queues by itself.",
        retryable=retryable,
    )

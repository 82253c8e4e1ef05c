"""Puts a service behind RunPod's SDK, with our handler and our job loop.

Settings -> store, voices -> checks -> the SDK, which takes jobs and posts answers
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from f5serve.runpod import sdk as runpod_sdk
from f5serve.runpod.handler import Handler
from f5serve.runpod.job_loop import JobLoop, LoopOptions
from f5serve.runpod.queue_client import RunPodQueue
from f5serve.service import ServiceOptions, SpeechService
from f5serve.settings import Settings, takes_jobs
from f5serve.startup.die_with_parent import kill_forks_with_parent
from f5serve.startup.process import make_checks
from f5serve.store.config import open_store
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.synthesis.synthesizer import Synthesizer

_log = logging.getLogger(__name__)


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
    voices = (recognition or SpeechRecognition(settings)).library(store)
    at_runpod = takes_jobs()

    def make() -> SpeechService:
        queue = RunPodQueue(settings.runpod_api, settings.runpod_endpoint, settings.runpod_key)
        chosen = replace(options or ServiceOptions(), enqueue=queue if at_runpod else None)
        operations = SpeechService(store, voices, load_speech, settings, chosen)
        if at_runpod:  # a local test job may well need no model
            operations.begin()
        return operations

    serve(make, settings, arguments, make_checks(settings, store))


def serve(
    make: Callable[[], SpeechService],
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
    handler = Handler(sdk, make, config)
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

"""RunPod's worker as a program: what is running here, its settings, its model; then it serves.

    init_process -> the model, in threads of its own -> runpod.service

Nothing heavy is imported with this module, so that the first line comes at once and the model is
on its way before RunPod's SDK is imported.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from itertools import zip_longest

from f5serve.errors import F5Error, InvalidRequest
from f5serve.settings import Settings, takes_jobs
from f5serve.startup.process import init_process, model_loader

_log = logging.getLogger("f5serve.runpod.worker")  # also when it is the main module


def main(arguments: Sequence[str] | None = None) -> int:
    """Be a worker with the engine that the settings name; returns the exit code.

    Args:
        arguments: of the SDK's local modes, e.g. --test_input; else those of the process.
    """
    began = time.monotonic()
    try:
        settings = init_process("worker")
        arguments = sys.argv[1:] if arguments is None else arguments
        check_test_input(arguments)
        _serve(settings, arguments, began)
    except F5Error as error:
        _log.error("%s: %s %s", error.code, error.message, error.hint)
        return error.exit_code
    return 0


def check_test_input(arguments: Sequence[str]) -> None:
    """Refuse a test job that the SDK cannot read, which would end in an exception of its own.

    Raises:
        InvalidRequest: BAD_JSON.
    """
    for given, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        option, equals, text = given.partition("=")
        if option != "--test_input":
            continue
        text = text if equals else following
        try:
            job = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _no_job(_where(text, error)) from None
        if not isinstance(job, dict):
            raise _no_job("it is no object")


def _where(text: str, error: Exception) -> str:
    if not text.strip():
        return "it is empty"
    if not isinstance(error, json.JSONDecodeError):
        return "it is nested too deeply"
    shown = text[error.pos : error.pos + 20]
    near = f"near {shown!r}" if shown else "at its end"
    return f"line {error.lineno}, column {error.colno}, {near}: {error.msg}"


def _no_job(why: str) -> InvalidRequest:
    return InvalidRequest(
        f"--test_input is not the JSON of a job: {why}.",
        code="BAD_JSON",
        hint="""Put it in single quotes, e.g. --test_input '{"input": {"text": "Hello."}}'.""",
    )


def _serve(settings: Settings, arguments: Sequence[str], began: float) -> None:
    from f5serve.startup import LoadOptions, Timeline
    from f5serve.synthesis.recognition import SpeechRecognition

    timeline = Timeline.of_process()
    timeline.mark("interpreter", began)
    timeline.mark("settings, doctor")
    recognition = SpeechRecognition(settings)  # one for uploads and for speech that is verified
    load_options = LoadOptions(timeline=timeline, warm_up=True, recognition=recognition)
    load_speech = model_loader(
        settings, load_options, at_once=takes_jobs()
    )  # a local test may well need none
    try:
        with timeline.step("service", concurrent=True):
            from f5serve.runpod import sdk as runpod_sdk
            from f5serve.runpod import service as runpod_service
            from f5serve.service import ServiceOptions
            from f5serve.startup.model_set import ModelSet

            runpod_sdk.load()
        options = ServiceOptions(models=ModelSet(settings, load_options), start=timeline.as_dict)
        runpod_service.run(settings, arguments, load_speech, options, recognition)
    finally:
        load_options.stop.set()


if __name__ == "__main__":
    sys.exit(main())

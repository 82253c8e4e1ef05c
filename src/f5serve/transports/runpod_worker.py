"""RunPod's worker as a program: what is running here, its settings, its model; then it serves.

    environ -> logs -> first line -> Settings -> the model, in threads of its own -> runpod_service

Nothing heavy is imported with this module, so that the first line comes at once and the model is
on its way before RunPod's SDK is imported.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from f5serve import build
from f5serve.errors import F5Error
from f5serve.settings import Settings, on_runpod, secret_values, worker_settings
from f5serve.transports import json_logs

if TYPE_CHECKING:
    from f5serve.boot import Start
    from f5serve.diagnosis import Report
    from f5serve.speech import Speech

_log = logging.getLogger("f5serve.transports.runpod_worker")  # also when it is the main module


def main(arguments: Sequence[str] | None = None) -> int:
    """Be a worker with the engine that the settings name; returns the exit code.

    Args:
        arguments: of the SDK's local modes, e.g. --test_input; else those of the process.
    """
    began = time.monotonic()
    try:
        settings = prepare()
        _serve(settings, sys.argv[1:] if arguments is None else arguments, began)
    except F5Error as error:
        _log.error("%s: %s %s", error.code, error.message, error.hint)
        return error.exit_code
    return 0


def prepare() -> Settings:
    """What a worker does first: logs, the line that tells what is running here, settings.

    Raises:
        F5Error: BAD_SETTING, or what the doctor finds fatal.
    """
    # The first process of a container ignores a signal that it has no handler for.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    json_logs.set_up("info", secret_values())
    stamp = build.stamp()
    _log.info(
        "f5serve worker: version %s, commit %s, dirty %s, build %s of %s, python %s",
        *stamp.program.values(),
        stamp.date or "no date",
        sys.version.split()[0],
    )
    settings = worker_settings()
    json_logs.set_up(settings.log_level, secret_values())
    _examine()
    return settings


def _examine() -> None:
    """Look at this machine while nothing heavy is imported; what is fatal ends the worker here.

    Raises:
        F5Error: the first fatal finding.
    """
    from f5serve import diagnosis

    report = diagnosis.quick()
    report.check()
    for finding in report.above_ok:
        level = logging.INFO if finding.level == "info" else logging.WARNING
        _log.log(level, "doctor: %s: %s %s", finding.code, finding.what, finding.fix)
    if report.facts.flash_installs:
        threading.Thread(target=_guard_flash_attn, args=(report,), daemon=True).start()


def _guard_flash_attn(report: Report) -> None:
    from f5serve import diagnosis

    hidden = diagnosis.guard_flash_attn(report)
    if hidden is not None:
        _log.warning("doctor: %s: %s %s", hidden.code, hidden.what, hidden.value)


def _serve(settings: Settings, arguments: Sequence[str], began: float) -> None:
    from f5serve.boot import Start, Timeline
    from f5serve.listening import Ears

    timeline = Timeline.of_process()
    timeline.name_until("interpreter", began)
    timeline.name_until("settings, doctor")
    ears = Ears(settings)  # one for uploads and for speech that is verified
    how = Start(timeline=timeline, warm=True, ears=ears)
    load_speech = _loading(settings, how)
    try:
        with timeline.step("service", beside=True):
            from f5serve.operations import Options
            from f5serve.transports import runpod_sdk, runpod_service

            runpod_sdk.load()
        options = Options(start=timeline.as_dict)
        runpod_service.run(settings, arguments, load_speech, options, ears)
    finally:
        how.stop.set()


def _loading(settings: Settings, how: Start) -> Callable[[], Speech]:
    """The model, on its way from now on; on RunPod only, as a local test may well need none."""
    # The SDK forks a heartbeat while this goes on, and a fork must not meet this module, which
    # every connection needs, half imported in another thread.
    import encodings.idna  # noqa: F401

    from f5serve.boot import begin, publishing

    begun = begin(settings, how) if on_runpod() else None

    def load() -> Speech:
        booted = (begun or begin(settings, how)).result()
        engine = booted.speech.engine
        _log.info("model: %s, %s; %s", engine.model, engine.description, booted.timeline)
        if booted.obtained is not None and publishing.is_wanted(settings, booted.obtained):
            publishing.publish_beside(booted.obtained)
        return booted.speech

    return load


if __name__ == "__main__":
    sys.exit(main())

"""What every program that serves others does at its start, and how it ends.

    environ -> logs -> first line -> Settings -> the doctor's quick look -> the model, in threads

Nothing heavy is imported with this module, so that the first line comes at once. Which requests
are served, and how, is not known here.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from f5serve import build
from f5serve.logging import set_up_logging
from f5serve.process import raise_file_limit
from f5serve.settings import (
    Settings,
    on_runpod,
    process_environ,
    secret_values,
    worker_settings,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

    from f5serve.diagnosis import Report
    from f5serve.startup import Booted, Start
    from f5serve.synthesis.synthesizer import Synthesizer

_log = logging.getLogger(__name__)


def prepare(name: str, given: Collection[str] = ()) -> Settings:
    """Logs, the line that tells what is running here, settings.

    Args:
        name: what this process is, e.g. "worker".
        given: variables that options of the command line stand for; they are not even judged.

    Raises:
        F5Error: BAD_SETTING, or what the doctor finds fatal.
    """
    # The first process of a container ignores a signal that it has no handler for.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    # People read at a terminal; everything else that takes logs is a program.
    as_text = sys.stderr.isatty() and not on_runpod()
    set_up_logging("info", secret_values(), as_text=as_text)
    stamp = build.stamp()
    _log.info(
        "f5serve %s: version %s, commit %s, dirty %s, build %s of %s, python %s",
        name,
        *stamp.program.values(),
        stamp.date or "no date",
        sys.version.split()[0],
    )
    raise_file_limit()
    variables = {name: value for name, value in process_environ().items() if name not in given}
    settings = worker_settings(variables)
    set_up_logging(settings.log_level, secret_values(), as_text=as_text)
    _examine(variables)
    return settings


def _examine(variables: Mapping[str, str]) -> None:
    """Look at this machine while nothing heavy is imported; what is fatal ends the process here.

    Raises:
        F5Error: the first fatal finding.
    """
    from f5serve import diagnosis

    report = diagnosis.quick(replace(diagnosis.this_machine(), variables=variables))
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


def loading(settings: Settings, how: Start, *, at_once: bool) -> Callable[[], Synthesizer]:
    """The model, to be waited for; publishes one that had to come from the hub, if it is to.

    Args:
        at_once: it is on its way from now on; else from the first call.
    """
    # The SDK forks a heartbeat while this goes on, and a fork must not meet this module, which
    # every connection needs, half imported in another thread.
    import encodings.idna  # noqa: F401

    from f5serve.models.cache_dirs import mounted_volume
    from f5serve.startup import begin, keeping, publishing

    begun: Future[Booted] | None = begin(settings, how) if at_once else None

    def load() -> Synthesizer:
        booted = (begun or begin(settings, how)).result()
        engine = booted.speech.engine
        _log.info("model: %s, %s; %s", engine.model, engine.description, booted.timeline)
        obtained, volume = booted.obtained, mounted_volume()
        if obtained is not None and publishing.is_wanted(settings, obtained):
            publishing.publish_beside(obtained)  # the next worker takes a third of the bytes
        elif obtained is not None and volume and keeping.is_wanted(obtained, volume):
            keeping.keep_beside(obtained, volume, lambda: not how.stop.is_set())
        return booted.speech

    return load


def end_within(seconds: float, exit_code: int, why: str = "") -> threading.Timer:
    """End the process by then whatever its threads do, unless the timer is cancelled.

    Args:
        why: what is logged when that happens.
    """
    timer = threading.Timer(seconds, end_now, [exit_code, why])
    timer.daemon = True
    timer.start()
    return timer


def end_now(exit_code: int, why: str = "") -> None:
    """End the process whatever its threads do: a platform's patience ends with the setting."""
    if why:
        _log.error("%s", why)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(exit_code)

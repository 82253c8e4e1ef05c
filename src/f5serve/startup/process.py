"""Process setup of a server or worker: logs, settings, diagnostics, model, checks, exit.

    environ -> logs -> first line -> Settings -> the doctor's quick look -> the model, in threads

Nothing heavy is imported with this module, so that the first line comes at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from f5serve import build
from f5serve.errors import StorageFailed
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
    from f5serve.doctor.report import Report
    from f5serve.startup import LoadOptions
    from f5serve.store.base import ObjectStore
    from f5serve.synthesis.synthesizer import Synthesizer

_log = logging.getLogger(__name__)

FREE_BYTES = 256 * 1024 * 1024
"""Room for the voices and results that are under way; models have been placed before."""


def init_process(name: str, given: Collection[str] = ()) -> Settings:
    """Set up logs, log the first line, read the settings and run the doctor's quick checks.

    Args:
        name: what this process is, e.g. "worker".
        given: variables that the command line replaces; they are not checked.

    Raises:
        F5Error: BAD_SETTING, or what the doctor finds fatal.
    """
    # The first process of a container ignores a signal that it has no handler for. SystemExit does
    # not always end the process: Python ignores exceptions in `__del__` and in weakref callbacks.
    signal.signal(signal.SIGTERM, lambda number, frame: exit_now(0))
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
    _run_diagnostics(variables)
    return settings


def _run_diagnostics(variables: Mapping[str, str]) -> None:
    """Log what the doctor finds on this machine, before anything heavy is imported.

    Raises:
        F5Error: the first fatal finding.
    """
    from f5serve.doctor.report import quick, this_machine

    report = quick(replace(this_machine(), variables=variables))
    report.raise_if_fatal()
    for finding in report.problems:
        level = logging.INFO if finding.level == "info" else logging.WARNING
        _log.log(level, "doctor: %s: %s %s", finding.code, finding.what, finding.fix)
    if report.facts.flash_installs:
        threading.Thread(target=_guard_flash_attn, args=(report,), daemon=True).start()


def _guard_flash_attn(report: Report) -> None:
    from f5serve.doctor.report import guard_flash_attn

    hidden = guard_flash_attn(report)
    if hidden is not None:
        _log.warning("doctor: %s: %s %s", hidden.code, hidden.what, hidden.value)


def model_loader(
    settings: Settings, options: LoadOptions, *, at_once: bool
) -> Callable[[], Synthesizer]:
    """A function that waits for the model; afterwards its weights are kept for the next worker.

    Args:
        at_once: loading begins now; else with the first call.
    """
    # The SDK forks a heartbeat while this goes on, and a fork must not meet this module, which
    # every connection needs, half imported in another thread.
    import encodings.idna  # noqa: F401

    from f5serve.models.cache_dirs import mounted_volume
    from f5serve.models.own_models import known_models
    from f5serve.startup import load_in_background, weights

    started = [load_in_background(settings, options)] if at_once else []

    def load() -> Synthesizer:
        # Nothing here keeps the model, which may be let go.
        loading = started.pop() if started else load_in_background(settings, options)
        loaded = loading.result()
        engine = loaded.synthesizer.engine
        _log.info("model: %s, %s; %s", engine.model, engine.description, loaded.timeline)
        resolved, volume = loaded.resolved, mounted_volume()
        if resolved is not None and weights.should_publish(settings, resolved):
            weights.publish_in_background(resolved)  # the next worker takes a third of the bytes
        elif resolved is not None and volume and weights.should_copy(resolved, volume):
            registry = options.registry or known_models(settings)
            weights.copy_in_background(
                resolved, volume, lambda: not options.stop.is_set(), registry
            )
        return loaded.synthesizer

    return load


def make_checks(settings: Settings, store: ObjectStore) -> list[Callable[[], None]]:
    """What must be right before a request is served: engine, store, disk; named as reported.

    RunPod's SDK runs these once, reports the first that raises as its name and sentence, and ends
    the worker, so that another machine is tried; a server runs them while its model is loaded.
    They are quick, and check nothing that the error of a later job explains better.
    """
    from f5serve.startup.weights import check_engine

    def engine_can_be_chosen() -> None:
        check_engine(settings)

    def store_keeps_and_returns() -> None:
        check_store(store)

    def disk_has_room() -> None:
        for folder in (Path(tempfile.gettempdir()), settings.data_dir):
            check_room(folder)

    return [engine_can_be_chosen, store_keeps_and_returns, disk_has_room]


def check_store(store: ObjectStore) -> None:
    """Put, read and remove one small object.

    Raises:
        StorageFailed: what the store says, or STORE_FORGETS.
    """
    key, content = f"_meta/probe/{uuid.uuid4().hex}", uuid.uuid4().bytes
    store.put(key, content)
    try:
        if store.get(key) != content:
            raise StorageFailed(
                f"The store returned other data than was written under {key!r}.",
                code="STORE_FORGETS",
                hint="Check that nothing else writes there.",
            )
    finally:
        store.delete(key)


def check_room(folder: Path, needed: int = FREE_BYTES) -> None:
    """Refuse a disk with less than `needed` bytes free.

    Raises:
        StorageFailed: NO_SPACE.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StorageFailed(
            f"{folder} has {free >> 20} MiB free, and {needed >> 20} MiB are needed.",
            code="NO_SPACE",
            hint="Give the worker a larger container disk, or set TMPDIR and F5_DATA_DIR.",
        )


def exit_after(seconds: float, exit_code: int, why: str = "") -> threading.Timer:
    """End the process by then whatever its threads do, unless the timer is cancelled.

    Args:
        why: what is logged when that happens.
    """
    timer = threading.Timer(seconds, exit_now, [exit_code, why])
    timer.daemon = True
    timer.start()
    return timer


def exit_now(exit_code: int, why: str = "") -> None:
    """End the process whatever its threads do: a platform's patience ends with the setting."""
    if why:
        _log.error("%s", why)
    with contextlib.suppress(RuntimeError, OSError, ValueError):  # a signal came in mid-write
        logging.shutdown()
        sys.stdout.flush()
    os._exit(exit_code)

"""Keeps downloaded weights for the next worker: in the store, or on the network volume.

Into the store they are put by `f5serve models push`, in a process that ends with this one and
whose lines are in this log. A thread copies them onto the volume. Both run while this worker
serves; a failure costs the next worker time and nothing else.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from f5serve.errors import F5Error
from f5serve.models.cache_dirs import CacheDir, CopyCancelled, copy_to_volume
from f5serve.models.disk import format_bytes
from f5serve.models.registry import PUBLISHED, Registry
from f5serve.models.resolve import ResolvedModel
from f5serve.process import lower_priority
from f5serve.settings import Settings, process_environ
from f5serve.startup.die_with_parent import NICENESS

_log = logging.getLogger(__name__)


def should_publish(settings: Settings, resolved: ResolvedModel | None) -> bool:
    """Whether to put it into the store: the settings ask for it, and only the hub had the model."""
    return settings.publish_models and resolved is not None and resolved.source == "hub"


def publish_in_background(resolved: ResolvedModel) -> threading.Thread:
    """Start publishing; the thread ends with the process that does it."""
    command = ("-m", "f5serve", "models", "push", resolved.files.model)
    thread = threading.Thread(
        target=_run, args=(command, resolved.folder), name="f5-publish", daemon=True
    )
    thread.start()
    return thread


def _run(command: Sequence[str], models_dir: Path) -> None:
    """Run to the end in the thread that started it: the process ends with its thread."""
    with subprocess.Popen(
        [sys.executable, "-m", "f5serve.startup.die_with_parent", str(os.getpid()), *command],
        env=process_environ() | {"F5_MODELS_DIR": str(models_dir), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        _log.info("models push: process %d puts %s into the store", process.pid, command[-1])
        for line in process.stdout or ():
            if line.strip():
                _log.info("models push: %s", line.strip())
    exit_code = process.returncode
    level = logging.WARNING if exit_code else logging.INFO
    _log.log(level, "models push: ended with exit code %d", exit_code)


def should_copy(resolved: ResolvedModel | None, volume: CacheDir | None) -> bool:
    """Whether there is a volume, and the model is on a disk that ends with this machine."""
    if resolved is None or volume is None or resolved.source not in ("tier", "store", "hub"):
        return False
    return resolved.folder != volume.path


def copy_in_background(
    resolved: ResolvedModel,
    volume: CacheDir,
    is_wanted: Callable[[], bool] = lambda: True,
    registry: Registry = PUBLISHED,
) -> threading.Thread:
    """Start copying the model onto the volume; `is_wanted` as in `copy_to_volume`."""

    def work() -> None:
        lower_priority(NICENESS)
        began = time.monotonic()
        files = resolved.files
        try:
            if copy_to_volume(files, resolved.folder, volume, is_wanted, registry):
                size = sum(p.stat().st_size for p in (files.weights, files.vocab, files.vocoder))
                _log.info(
                    "%s, %s, is kept in %s for the next worker; copied in %.1f s",
                    *(files.model, format_bytes(size), volume.path, time.monotonic() - began),
                )
        except F5Error as error:
            _log.warning("the model is not kept on the volume: %s %s", error.code, error.message)
        except OSError as error:  # a volume may fail in any way
            _log.warning("the model is not kept on the volume: %s", error)
        except CopyCancelled:
            _log.info("the copy of the model is given up")

    thread = threading.Thread(target=work, name="f5-keep", daemon=True)
    thread.start()
    return thread

"""The model that had to come from the hub, put into the store by a process of its own.

What was obtained flows in; a process that ends with this one, and whose every line is in this
process's log, flows out. It converts, sends and checks, and what a killed one has sent stays sent
(`models.publish`). This module must not know how any of that is done: it runs
`f5serve models push`, as a person would.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from f5serve.models.resolve import ResolvedModel
from f5serve.settings import Settings, process_environ

_log = logging.getLogger(__name__)


def is_wanted(settings: Settings, obtained: ResolvedModel | None) -> bool:
    """Whether this start has to publish: asked to, and nobody nearer than the hub had the model."""
    return settings.publish_models and obtained is not None and obtained.source == "hub"


def publish_beside(obtained: ResolvedModel) -> threading.Thread:
    """Start publishing; the thread ends with the process that does it."""
    command = ("-m", "f5serve", "models", "push", obtained.files.model)
    thread = threading.Thread(
        target=_run, args=(command, obtained.folder), name="f5-publish", daemon=True
    )
    thread.start()
    return thread


def _run(command: Sequence[str], models_dir: Path) -> None:
    """Run to the end in the thread that started it: its death would be the process's."""
    with subprocess.Popen(
        [sys.executable, "-m", "f5serve.startup.tied", str(os.getpid()), *command],
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

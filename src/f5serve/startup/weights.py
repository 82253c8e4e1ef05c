"""Puts the weights of the selected engine on this machine, and keeps them for the next worker.

They are downloaded if need be. Afterwards `f5serve models push` puts them into the store, in a
process that ends with this one and whose lines are in this log, or a thread copies them onto the
network volume. Both run while this worker serves; a failure costs the next worker time and nothing
else.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from f5serve.errors import F5Error
from f5serve.models.disk import format_bytes, no_progress
from f5serve.models.local import find_published
from f5serve.models.own_models import known_models
from f5serve.models.registry import PUBLISHED, Registry, check_usable
from f5serve.process import NICENESS, lower_priority
from f5serve.settings import Settings, on_runpod, process_environ
from f5serve.startup.select import EngineSpec, select_engine

if TYPE_CHECKING:
    from f5serve.models.cache_dirs import CacheDir
    from f5serve.models.disk import OnProgress, Progress
    from f5serve.models.resolve import ModelSources, ResolvedModel

_log = logging.getLogger(__name__)
_LOG_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class ResolvedWeights:
    """An engine whose files are on this machine.

    Attributes:
        resolved: which source had them; None when nothing but the disk was asked.
    """

    spec: EngineSpec
    resolved: ResolvedModel | None = None

    @property
    def note(self) -> str:
        """A few words on it, for the timeline."""
        if self.resolved is None:
            return self.spec.kind
        return f"{self.resolved.source}, {self.resolved.attempts[-1].outcome}"


class Aborted(Exception):
    """The process ends, so the weights are not needed any more."""


def should_download(settings: Settings, weights: str = "") -> bool:
    """Whether a start with these settings downloads weights that are not on this machine."""
    own = settings.ckpt or settings.vocab or settings.arch
    if weights or own or settings.engine == "standin" or settings.fetch_models == "never":
        return False
    if find_spec("torch") is None:  # nothing could be done with them
        return False
    return settings.fetch_models == "always" or settings.engine == "f5" or on_runpod()


def check_engine(settings: Settings) -> None:
    """Refuse what can be refused before anything is downloaded or loaded.

    Raises:
        ModelUnavailable, InvalidRequest: as `select_engine`, but for weights that will be
            downloaded.
    """
    if should_download(settings):
        spec = known_models(settings).get(settings.model)
        check_usable(spec, settings.require_commercial_license)
    else:
        select_engine(settings)


def resolve_weights(
    settings: Settings,
    weights: str,
    stop: Event,
    registry: Registry | None = None,
    on_progress: OnProgress | None = None,
) -> ResolvedWeights:
    """The selected engine with its files; downloads them when `should_download` says so.

    Args:
        stop: ends a download when it is set.
        registry: of the models; None is `known_models`.
        on_progress: follows a download, besides the log.

    Raises:
        ModelUnavailable, InvalidRequest: as `select_engine`.
        ModelUnavailable, StorageFailed: as `models.resolve.resolve_model`.
        Aborted: `stop` was set during a download.
    """
    if not should_download(settings, weights):
        return ResolvedWeights(select_engine(settings, weights))
    registry = registry or known_models(settings)
    known = registry.get(settings.model)
    check_usable(known, settings.require_commercial_license)
    from f5serve.models.resolve import resolve_model

    log_progress = _ProgressLogger(stop, on_progress)
    resolved = resolve_model(settings.model, weight_sources(settings), log_progress, registry)
    files = resolved.files
    published = find_published(files.model, resolved.folder, registry=registry)
    spec = EngineSpec(
        "f5",
        model=files.model,
        arch=files.arch,
        files=files,
        original=published.weights if published else None,
        text=known.text,
    )
    return ResolvedWeights(spec, resolved)


def weight_sources(settings: Settings) -> ModelSources:
    """Where weights are looked for with these settings."""
    from f5serve.models.cache_dirs import cache_dirs
    from f5serve.models.hub_client import HubSource
    from f5serve.models.resolve import ModelSources
    from f5serve.store.config import open_store

    return ModelSources(
        models_dir=settings.models_dir,
        cache_dirs=cache_dirs(settings, on_runpod()),
        open_store=lambda: open_store(settings),
        hub=HubSource(settings.hub_endpoint, settings.hub_token, settings.hub_timeout_s),
    )


class _ProgressLogger:
    """Logs now and then how far a download is, so that a slow one does not look like a dead one."""

    def __init__(self, stop: Event, on_progress: OnProgress | None) -> None:
        self._stop, self._on_progress = stop, on_progress or no_progress
        self._logged = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """See `models.disk.OnProgress`."""
        if self._stop.is_set():
            raise Aborted
        self._on_progress(progress)
        if time.monotonic() - self._logged < _LOG_EVERY_S or progress.phase != "download":
            return
        self._logged = time.monotonic()
        total = f" of {format_bytes(progress.total)}" if progress.total else ""
        _log.info("weights: %s%s of %s are here", format_bytes(progress.done), total, progress.path)


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
        [sys.executable, "-m", "f5serve.process", str(os.getpid()), *command],
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
    from f5serve.models.cache_dirs import CopyCancelled, copy_to_volume

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

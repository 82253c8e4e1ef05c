"""Puts the weights of the selected engine on this machine, downloading them if need be."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Event
from typing import TYPE_CHECKING

from f5serve.models.disk import format_bytes
from f5serve.models.local import find_published
from f5serve.models.registry import PUBLISHED, Registry, check_license
from f5serve.settings import Settings, on_runpod
from f5serve.startup.select import EngineSpec, select_engine

if TYPE_CHECKING:
    from f5serve.models.disk import Progress
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


def check_engine(settings: Settings, weights: str = "") -> None:
    """Refuse what can be refused before anything is downloaded or loaded.

    Raises:
        ModelUnavailable, InvalidRequest: as `select_engine`, but for weights that will be
            downloaded.
    """
    if should_download(settings, weights):
        spec = PUBLISHED.get(settings.model)
        check_license(spec, settings.require_commercial_license)
    else:
        select_engine(settings, weights)


def resolve_weights(
    settings: Settings, weights: str, stop: Event, registry: Registry = PUBLISHED
) -> ResolvedWeights:
    """The selected engine with its files; downloads them when `should_download` says so.

    Args:
        stop: ends a download when it is set.

    Raises:
        ModelUnavailable, InvalidRequest: as `select_engine`.
        ModelUnavailable, StorageFailed: as `models.resolve.resolve_model`.
        Aborted: `stop` was set during a download.
    """
    if not should_download(settings, weights):
        return ResolvedWeights(select_engine(settings, weights))
    check_license(registry.get(settings.model), settings.require_commercial_license)
    from f5serve.models.resolve import resolve_model

    log_progress = _ProgressLogger(stop)
    resolved = resolve_model(settings.model, weight_sources(settings), log_progress, registry)
    files = resolved.files
    published = find_published(files.model, resolved.folder, registry=registry)
    spec = EngineSpec(
        "f5",
        model=files.model,
        arch=files.arch,
        files=files,
        original=published.weights if published else None,
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

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._logged = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """See `models.disk.OnProgress`."""
        if self._stop.is_set():
            raise Aborted
        if time.monotonic() - self._logged < _LOG_EVERY_S or progress.phase != "download":
            return
        self._logged = time.monotonic()
        total = f" of {format_bytes(progress.total)}" if progress.total else ""
        _log.info("weights: %s%s of %s are here", format_bytes(progress.done), total, progress.path)

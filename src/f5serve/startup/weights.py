"""Whether weights are fetched at this start, from where, and the choice they lead to.

Settings flow in, a `Choice` on files that exist flows out. This module must not know how an engine
is loaded.
"""

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
from f5serve.startup.choice import Choice, choose

if TYPE_CHECKING:
    from f5serve.models.hashes import Progress
    from f5serve.models.resolve import ModelSources, ResolvedModel

_log = logging.getLogger(__name__)
_TELL_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to be loaded, and where its weights came from when they were looked for."""

    choice: Choice
    obtained: ResolvedModel | None = None

    @property
    def note(self) -> str:
        """A few words on it, for the timeline."""
        if self.obtained is None:
            return self.choice.kind
        return f"{self.obtained.source}, {self.obtained.attempts[-1].outcome}"


class Stopped(Exception):
    """The process ends, so nobody waits for weights any more."""


def fetches(settings: Settings, weights: str = "") -> bool:
    """Whether a start with these settings gets weights that are not on this machine."""
    own = settings.ckpt or settings.vocab or settings.arch
    if weights or own or settings.engine == "standin" or settings.fetch_models == "never":
        return False
    if find_spec("torch") is None:  # nothing could be done with them
        return False
    return settings.fetch_models == "always" or settings.engine == "f5" or on_runpod()


def check(settings: Settings, weights: str = "") -> None:
    """Refuse what can be refused before anything is fetched or loaded.

    Raises:
        ModelUnavailable, InvalidRequest: as `choose`, but for weights that will be fetched.
    """
    if fetches(settings, weights):
        spec = PUBLISHED.get(settings.model)
        check_license(spec, settings.require_commercial_license)
    else:
        choose(settings, weights)


def settle(settings: Settings, weights: str, stop: Event, registry: Registry = PUBLISHED) -> Chosen:
    """The choice, with its weights on this machine; fetches them when `fetches` says so.

    Raises:
        ModelUnavailable, InvalidRequest: as `choose`.
        ModelUnavailable, StorageFailed: as `models.resolve.resolve_model`.
        Stopped: `stop` was set during a download.
    """
    if not fetches(settings, weights):
        return Chosen(choose(settings, weights))
    check_license(registry.get(settings.model), settings.require_commercial_license)
    from f5serve.models.resolve import resolve_model

    obtained = resolve_model(settings.model, places_of(settings), _Telling(stop), registry)
    return Chosen(_choice(obtained, registry), obtained)


def places_of(settings: Settings) -> ModelSources:
    """Where the settings say that weights may be."""
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


def _choice(obtained: ResolvedModel, registry: Registry) -> Choice:
    files = obtained.files
    published = find_published(files.model, obtained.folder, registry=registry)
    original = published.weights if published else None
    return Choice("f5", model=files.model, arch=files.arch, files=files, original=original)


class _Telling:
    """Says now and then how far a download is, so that a slow one does not look like a dead one."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._told = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """See `models.hashes.OnProgress`."""
        if self._stop.is_set():
            raise Stopped
        if time.monotonic() - self._told < _TELL_EVERY_S or progress.phase != "download":
            return
        self._told = time.monotonic()
        total = f" of {format_bytes(progress.total)}" if progress.total else ""
        _log.info("weights: %s%s of %s are here", format_bytes(progress.done), total, progress.path)

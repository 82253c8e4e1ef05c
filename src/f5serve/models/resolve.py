"""Finds a model in the first source that has it: image, caches, disk, store, hub.

    baked -> RunPod's cached model -> a cache directory -> the store -> the hub, by pinned revision

On this machine converted weights go before published ones. What is found anywhere but in the image
is hashed before it is used; damaged files count as absent. A source that fails is logged as a
warning and the next one is asked.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from f5serve.errors import F5Error, ModelUnavailable
from f5serve.models.bucket import current_manifest, download
from f5serve.models.cache_dirs import CacheDir, fetch_into_first
from f5serve.models.disk import OnProgress, Progress, format_bytes, no_progress
from f5serve.models.hub_client import HubSource
from f5serve.models.installed import ModelFiles
from f5serve.models.local import candidates, find_damage, is_converted
from f5serve.models.registry import PUBLISHED, Registry
from f5serve.store.base import ObjectStore

_log = logging.getLogger(__name__)

ABSENT = "not there"


@dataclass(frozen=True, slots=True)
class ModelSources:
    """Where models may be.

    Attributes:
        models_dir: F5_MODELS_DIR; part of the image, unless it is a cache directory as well.
        cache_dirs: folders that models are fetched into, best first.
        open_store: called when nothing is on this machine; None when no store is asked.
        hub: None when no hub is asked.
    """

    models_dir: Path
    cache_dirs: tuple[CacheDir, ...] = ()
    open_store: Callable[[], ObjectStore] | None = None
    hub: HubSource | None = None


@dataclass(frozen=True, slots=True)
class SourceAttempt:
    """How one source answered.

    Attributes:
        source: baked, cache, tier, store or hub.
        where: its folder or address.
        outcome: e.g. "not there", or "420 MB at 131 MB/s".
    """

    source: str
    where: str
    seconds: float
    outcome: str = ABSENT

    def __str__(self) -> str:
        return f"{self.source} ({self.where}): {self.seconds:.1f} s, {self.outcome}"


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model on this machine.

    Attributes:
        source: where it came from, as in `SourceAttempt`.
        folder: the models folder that it was fetched into or found in.
        attempts: every source that was asked, in order.
    """

    files: ModelFiles
    source: str
    folder: Path
    attempts: tuple[SourceAttempt, ...]


@dataclass(frozen=True, slots=True)
class _LocalModel:
    """A model that is complete by names and sizes.

    Attributes:
        kind: baked into the image, in the cache of another program, or fetched earlier (tier).
        folder: the models folder that holds records about it.
    """

    kind: str
    folder: Path
    files: ModelFiles


def resolve_model(
    model_id: str,
    sources: ModelSources,
    on_progress: OnProgress = no_progress,
    registry: Registry = PUBLISHED,
) -> ResolvedModel:
    """The model from the first source that has it, fetched if need be.

    Raises:
        ModelUnavailable: UNKNOWN_MODEL; MODEL_MISSING, naming each source and why it has none.
        StorageFailed: NO_SPACE, naming every folder, when a source has it and no disk takes it.
    """
    registry.get(model_id)
    return _Resolver(model_id, sources, on_progress, registry).run()


@dataclass(slots=True)
class _Resolver:
    """One call of `resolve_model`."""

    model_id: str
    sources: ModelSources
    on_progress: OnProgress
    registry: Registry
    attempts: list[SourceAttempt] = field(default_factory=list)
    failures: list[F5Error] = field(default_factory=list)

    def run(self) -> ResolvedModel:
        found = self._from_disk() or self._from_store() or self._from_hub()
        if found is not None:
            return found
        full = next((error for error in self.failures if error.code == "NO_SPACE"), None)
        if full is not None:
            raise full
        reasons = "; ".join(f"{a.source} ({a.where}): {a.outcome}" for a in self.attempts)
        raise ModelUnavailable(
            f"{self.model_id} was not found anywhere: {reasons}.",
            code="MODEL_MISSING",
            hint="Put it into the store (f5serve models push), or make the hub reachable.",
            retryable=any(error.retryable for error in self.failures),
        )

    def _from_disk(self) -> ResolvedModel | None:
        began, refused = time.monotonic(), set[Path]()
        found = self._find_local()
        self._log_absent({one.folder for one in found}, time.monotonic() - began)
        while found:
            one = found[0]
            began, is_baked = time.monotonic(), one.kind == "baked"
            damage = []
            if not is_baked:  # checked when the image was made, and never changed since
                damage = find_damage(one.files, one.folder, self.on_progress, self.registry)
            where = str(one.files.weights.parent if one.kind == "cache" else one.folder)
            if not damage:
                size = format_bytes(one.files.weights.stat().st_size)
                outcome = size if is_baked else f"{size}, hashed"
                self._log(_since(began, one.kind, where, outcome))
                return ResolvedModel(one.files, one.kind, one.folder, tuple(self.attempts))
            self._log(_since(began, one.kind, where, ", ".join(damage)), logging.WARNING)
            refused.add(one.files.weights)
            found = [one for one in self._find_local() if one.files.weights not in refused]
        return None

    def _folders(self) -> dict[Path, str]:
        """All models folders with their kind, that of the image first."""
        cached = {one.path: "tier" for one in self.sources.cache_dirs}
        return {self.sources.models_dir: "baked"} | cached

    def _find_local(self) -> list[_LocalModel]:
        """The model in all its forms in each folder, converted weights first."""
        found = []
        for folder, kind in self._folders().items():
            with contextlib.suppress(OSError):  # a folder that may not be read counts as empty
                for files in candidates(self.model_id, folder, self.registry):
                    is_inside = files.weights.is_relative_to(folder)
                    found.append(_LocalModel(kind if is_inside else "cache", folder, files))
        return sorted(found, key=lambda one: not is_converted(one.files, one.folder))

    def _log_absent(self, holding: set[Path], seconds: float) -> None:
        began = time.monotonic() - seconds
        for folder, kind in self._folders().items():
            if folder not in holding:
                self._log(_since(began, kind, str(folder)))
                began = time.monotonic()  # all folders were looked into at once

    def _from_store(self) -> ResolvedModel | None:
        if self.sources.open_store is None:
            return None
        began, where = time.monotonic(), "not opened"
        try:
            store = self.sources.open_store()
            where = store.describe()
            manifest = current_manifest(store, self.model_id)
            if manifest is None:
                self._log(_since(began, "store", where))
                return None
            files, folder = fetch_into_first(
                self.sources.cache_dirs,
                manifest.size,
                lambda folder: download(store, manifest, folder, self.on_progress),
            )
        except F5Error as error:
            self._failed(_since(began, "store", where), error)
            return None
        return self._fetched(_since(began, "store", where), files, folder.path, manifest.size)

    def _from_hub(self) -> ResolvedModel | None:
        hub = self.sources.hub
        if hub is None:
            return None
        from f5serve.models.hub import pull  # its library takes a while to import

        began = time.monotonic()
        counter = _ByteCounter(self.on_progress)
        specs = (self.registry.get(self.model_id), self.registry.vocoder)
        try:
            files, folder = fetch_into_first(
                self.sources.cache_dirs,
                sum(file.size or 0 for spec in specs for file in spec.files),
                lambda folder: pull(self.model_id, hub, folder, counter, self.registry),
            )
        except F5Error as error:
            self._failed(_since(began, "hub", hub.shown), error)
            return None
        return self._fetched(_since(began, "hub", hub.shown), files, folder.path, counter.bytes)

    def _fetched(
        self, attempt: SourceAttempt, files: ModelFiles, folder: Path, size: int
    ) -> ResolvedModel:
        rate = format_bytes(round(size / max(attempt.seconds, 1e-3)))
        outcome = f"{format_bytes(size)} at {rate}/s into {folder}"
        self._log(replace(attempt, outcome=outcome))
        return ResolvedModel(files, attempt.source, folder, tuple(self.attempts))

    def _failed(self, attempt: SourceAttempt, error: F5Error) -> None:
        self.failures.append(error)
        outcome = f"{error.code}: {error.message.rstrip('.')}"
        self._log(replace(attempt, outcome=outcome), logging.WARNING)

    def _log(self, attempt: SourceAttempt, level: int = logging.INFO) -> None:
        self.attempts.append(attempt)
        _log.log(level, "weights from %s", attempt)


def _since(began: float, source: str, where: str, outcome: str = ABSENT) -> SourceAttempt:
    return SourceAttempt(source, where, time.monotonic() - began, outcome)


class _ByteCounter:
    """Counts the bytes that are downloaded, and passes progress on."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._spans: dict[str, tuple[int, int]] = {}

    def __call__(self, progress: Progress) -> None:
        """See `OnProgress`."""
        if progress.phase == "download":
            first, _ = self._spans.setdefault(progress.path, (progress.done, 0))
            self._spans[progress.path] = (min(first, progress.done), progress.done)
        self._on_progress(progress)

    @property
    def bytes(self) -> int:
        """Of all files, without what an earlier attempt had left."""
        return sum(last - first for first, last in self._spans.values())

"""Weights from the nearest place that has them.

    baked -> RunPod's cached model -> a disk tier -> the store -> the hub, by pinned revision

A model id and the places to look at flow in, `Obtained` flows out: files that exist, and what each
place had to say, timed. Converted weights go before published ones on this machine. What lies
anywhere but in the image is hashed before it is used; what is wrong counts as absent. A source
that fails is a warning and the next one is asked. This module must not know engines or torch.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from f5serve.errors import F5Error, ModelUnavailable, StorageFailed
from f5serve.models import synced
from f5serve.models.disk import human
from f5serve.models.find import ModelFiles
from f5serve.models.hashes import OnProgress, Progress, quiet
from f5serve.models.manifest import Manifest
from f5serve.models.nearby import damage, look
from f5serve.models.registry import PUBLISHED, Registry
from f5serve.models.remote import HubSource
from f5serve.models.sync import download, read_current
from f5serve.models.tiers import Tier, place
from f5serve.store.base import ObjectStore

_log = logging.getLogger(__name__)

ABSENT = "not there"


@dataclass(frozen=True, slots=True)
class Places:
    """Where weights may be.

    Attributes:
        models_dir: F5_MODELS_DIR; part of the image, unless it is a tier as well.
        tiers: folders that weights are fetched into, best first.
        open_store: called when nothing is on this machine; None when no store is asked.
        hub: None when no hub is asked.
    """

    models_dir: Path
    tiers: tuple[Tier, ...] = ()
    open_store: Callable[[], ObjectStore] | None = None
    hub: HubSource | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders laid out as F5_MODELS_DIR, the image's own first."""
        return tuple(dict.fromkeys((self.models_dir, *(tier.models for tier in self.tiers))))


@dataclass(frozen=True, slots=True)
class Asked:
    """What one place had to say.

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
class Obtained:
    """A model on this machine.

    Attributes:
        source: which place it came from, as in `Asked`.
        folder: laid out as F5_MODELS_DIR; it holds what was fetched or found.
        asked: every place that was asked, in order.
    """

    files: ModelFiles
    source: str
    folder: Path
    asked: tuple[Asked, ...]


def obtain(
    model_id: str,
    places: Places,
    on_progress: OnProgress = quiet,
    registry: Registry = PUBLISHED,
) -> Obtained:
    """The model, from wherever it is to be had first.

    Raises:
        ModelUnavailable: UNKNOWN_MODEL; MODEL_MISSING, naming each place and why it has none.
        StorageFailed: NO_SPACE, naming every tier, when somebody has it and no disk takes it.
    """
    registry.get(model_id)
    return _Search(model_id, places, on_progress, registry).run()


@dataclass(slots=True)
class _Search:
    """One call of `obtain`."""

    model_id: str
    places: Places
    on_progress: OnProgress
    registry: Registry
    asked: list[Asked] = field(default_factory=list)
    failures: list[F5Error] = field(default_factory=list)

    def run(self) -> Obtained:
        found = self._here() or self._from_store() or self._from_hub()
        if found is not None:
            return found
        full = next((error for error in self.failures if error.code == "NO_SPACE"), None)
        if full is not None:
            raise full
        told = "; ".join(f"{one.source} ({one.where}): {one.outcome}" for one in self.asked)
        raise ModelUnavailable(
            f"{self.model_id} is nowhere to be had: {told}.",
            code="MODEL_MISSING",
            hint="Put it into the store (f5serve models push), or let the hub be reached.",
            retryable=any(error.retryable for error in self.failures),
        )

    def _here(self) -> Obtained | None:
        """On this machine, converted weights first."""
        tiers = tuple(tier.models for tier in self.places.tiers)
        began, refused = time.monotonic(), set[Path]()
        found = look(self.model_id, self.places.models_dir, tiers, self.registry)
        self._tell_absent({one.folder for one in found}, time.monotonic() - began)
        while found:
            one = found[0]
            began = time.monotonic()
            wrong = damage(one, self.on_progress, self.registry)
            asked = Asked(one.kind, str(one.where), time.monotonic() - began)
            if not wrong:
                size = human(one.files.weights.stat().st_size)
                hashed = "" if one.kind == "baked" else ", hashed"
                self._tell(replace(asked, outcome=size + hashed))
                return Obtained(one.files, one.kind, one.folder, tuple(self.asked))
            self._tell(replace(asked, outcome=", ".join(wrong)), wrong=True)
            refused.add(one.files.weights)
            again = look(self.model_id, self.places.models_dir, tiers, self.registry)
            found = [one for one in again if one.files.weights not in refused]
        return None

    def _tell_absent(self, holding: set[Path], seconds: float) -> None:
        tiers = [tier.models for tier in self.places.tiers]
        for folder in self.places.folders:
            if folder not in holding:
                self._tell(Asked("tier" if folder in tiers else "baked", str(folder), seconds))
                seconds = 0.0  # all folders were looked into at once

    def _from_store(self) -> Obtained | None:
        if self.places.open_store is None:
            return None
        began = time.monotonic()
        where = "not opened"

        def asked() -> Asked:
            return Asked("store", where, time.monotonic() - began)

        try:
            store = self.places.open_store()
            where = store.describe()
            manifest = read_current(store, self.model_id)
            if manifest is None:
                self._tell(asked())
                return None
            files, tier = place(
                self.places.tiers,
                manifest.size,
                lambda folder: _download(store, manifest, folder, self.on_progress),
            )
        except F5Error as error:
            self._failed(asked(), error)
            return None
        return self._came(asked(), files, tier, manifest.size)

    def _from_hub(self) -> Obtained | None:
        hub = self.places.hub
        if hub is None:
            return None
        from f5serve.models.hub import pull  # its library takes a while to import

        began = time.monotonic()
        arrived = _Arrived(self.on_progress)

        def asked() -> Asked:
            return Asked("hub", hub.shown, time.monotonic() - began)

        try:
            files, tier = place(
                self.places.tiers,
                self._published_size(),
                lambda folder: pull(self.model_id, hub, folder, arrived, self.registry),
            )
        except F5Error as error:
            self._failed(asked(), error)
            return None
        return self._came(asked(), files, tier, arrived.bytes)

    def _published_size(self) -> int:
        """Bytes of the published files whose sizes are known."""
        specs = (self.registry.get(self.model_id), self.registry.vocoder)
        return sum(file.size or 0 for spec in specs for file in spec.files)

    def _came(self, asked: Asked, files: ModelFiles, tier: Tier, size: int) -> Obtained:
        rate = human(round(size / max(asked.seconds, 1e-3)))
        self._tell(replace(asked, outcome=f"{human(size)} at {rate}/s into {tier.models}"))
        return Obtained(files, asked.source, tier.models, tuple(self.asked))

    def _failed(self, asked: Asked, error: F5Error) -> None:
        self.failures.append(error)
        outcome = f"{error.code}: {error.message.rstrip('.')}"
        self._tell(replace(asked, outcome=outcome), wrong=True)

    def _tell(self, asked: Asked, wrong: bool = False) -> None:
        self.asked.append(asked)
        _log.log(logging.WARNING if wrong else logging.INFO, "weights from %s", asked)


class _Arrived:
    """Counts what is downloaded, file by file, and passes it on."""

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


def _download(
    store: ObjectStore, manifest: Manifest, folder: Path, on_progress: OnProgress
) -> ModelFiles:
    """As `sync.download`; a disk that becomes full is left as it was found."""
    try:
        return download(store, manifest, folder, on_progress)
    except StorageFailed as error:
        here = synced.complete(folder, manifest.about.model)
        version = synced.place(folder, manifest)
        if error.code == "NO_SPACE" and (here is None or here.folder != version.folder):
            shutil.rmtree(version.folder, ignore_errors=True)
        raise

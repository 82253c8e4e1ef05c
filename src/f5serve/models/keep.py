"""A model that was fetched to the disk of a machine, copied to a volume that outlives it.

A model in one models folder flows in; the same, hashed on the way, in another flows out, and shows
there when it is whole. Any number of machines may copy at once: one does, as far as locks hold, and
two do no harm. This module must not know stores, the hub or which volume that is.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from f5serve.errors import ModelUnavailable, StorageFailed
from f5serve.models import leftovers, records, synced
from f5serve.models.disk import SignsOfLife, cannot_write, hold_lock, human, unreadable
from f5serve.models.find import ModelFiles, find
from f5serve.models.quarantine import put_aside
from f5serve.models.registry import PUBLISHED, Registry
from f5serve.models.tiers import Tier
from f5serve.models.verify import known_hashes
from f5serve.store.files import PrivateFile, sweep

_log = logging.getLogger(__name__)

_BLOCK = 4 << 20
_PATIENCE_S = 60.0  # of waiting for a machine that copies the same and makes no headway


class Unwanted(Exception):
    """The process ends, so the copy is given up."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """One file: where it is, where it belongs, and what it must hash to, or None."""

    source: Path
    to: Path
    sha256: str | None


def keep(
    files: ModelFiles,
    folder: Path,
    volume: Tier,
    wanted: Callable[[], bool] = lambda: True,
    registry: Registry = PUBLISHED,
) -> bool:
    """Copy a model, as it was found or fetched, into the models folder of a volume.

    Args:
        folder: models folder that holds the files; what is not in there is not copied.
        wanted: asked after every block; False gives up.

    Returns:
        Whether anything was copied: False when the volume has the model already, in any form.

    Raises:
        StorageFailed: NO_SPACE, NOT_WRITABLE, TIER_NOT_OURS, NOT_READABLE; nothing is left behind.
        ModelUnavailable: HASH_MISMATCH, for a file that changed under way.
        Unwanted: as `wanted` said.
    """
    if _has(volume.models, files.model, registry):
        return False
    copies = _copies(files, folder, volume.models, registry)
    if not copies:
        return False
    try:
        volume.check(sum(copy.source.stat().st_size for copy in copies))
        lock = volume.models / f".keep-{files.model}.lock"
        lock.touch()
        leftovers.sweep(volume.models)
    except OSError as error:
        raise cannot_write(volume.models, 0, error) from None
    with hold_lock(lock, _PATIENCE_S):
        if _has(volume.models, files.model, registry):
            return False
        _copy_all(copies, volume.models, SignsOfLife(lock), wanted)
        _show(files, folder, volume.models, registry)
    return True


def _has(volume: Path, model_id: str, registry: Registry) -> bool:
    """Whether the model lies there itself: caches of other programs are found from there, too."""
    found = find(model_id, volume, registry=registry)
    return found is not None and found.weights.is_relative_to(volume)


def _copies(
    files: ModelFiles, folder: Path, volume: Path, registry: Registry
) -> list[_Copy] | None:
    """What has to be copied; None where a file lies elsewhere, as one of another program does."""
    version = synced.complete(folder, files.model)
    if version is not None and files.weights.is_relative_to(version.folder):
        hashes: dict[Path, str | None] = {
            version.path(file): file.sha256 for file in version.manifest.files
        }
    else:
        hashes = known_hashes(files, folder, registry)
    if not all(path.is_relative_to(folder) for path in hashes):
        return None
    return [_Copy(path, volume / path.relative_to(folder), sha) for path, sha in hashes.items()]


def _copy_all(
    copies: list[_Copy], volume: Path, signs: SignsOfLife, wanted: Callable[[], bool]
) -> None:
    done: list[Path] = []
    try:
        for copy in copies:
            sweep(copy.to.parent)
            if copy.to.exists():  # of a copy that was killed; the next start hashes it
                if copy.to.stat().st_size == copy.source.stat().st_size:
                    continue
                put_aside(copy.to, volume)
            _copy(copy, signs, wanted)
            done.append(copy.to)
    except (StorageFailed, ModelUnavailable, Unwanted):
        for path in done:  # a full volume is worse than a second copy
            path.unlink(missing_ok=True)
        raise


def _copy(copy: _Copy, signs: SignsOfLife, wanted: Callable[[], bool]) -> None:
    hashed, at = hashlib.sha256(), 0
    try:
        with (
            copy.source.open("rb") as source,
            PrivateFile(copy.to.parent, copy.to.name, copy.source.stat().st_size) as file,
        ):
            while block := source.read(_BLOCK):
                if not wanted():
                    raise Unwanted
                hashed.update(block)
                file.write_at(at, block)
                at += len(block)
                signs.give()
            file.truncate(at)
            if copy.sha256 not in (None, hashed.hexdigest()):
                raise ModelUnavailable(
                    f"{copy.source} is not what it was when it was loaded.",
                    code="HASH_MISMATCH",
                    hint="It is not copied. The next start hashes it and puts it aside.",
                )
            file.publish(copy.to)
    except OSError as error:
        raise unreadable(copy.source, error) from None


def _show(files: ModelFiles, folder: Path, volume: Path, registry: Registry) -> None:
    """Write what `find` and `verify` go by, now that all files are there."""
    version = synced.complete(folder, files.model)
    if version is not None and files.weights.is_relative_to(version.folder):
        synced.mark_complete(synced.place(volume, version.manifest))
        return
    for name in (files.model, registry.vocoder.id):
        records.write(volume, name, records.read(folder, name))


def describe(files: ModelFiles, volume: Tier) -> str:
    """What was copied, for the log."""
    size = sum(path.stat().st_size for path in (files.weights, files.vocab, files.vocoder))
    return f"{files.model}, {human(size)}, is kept in {volume.models} for the next worker"

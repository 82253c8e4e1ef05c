"""Copies a model from the disk of a machine to a network volume that outlives it.

Files are hashed on the way, and `local` finds the copy when all of it is complete. Any number of
machines may copy at once: one does, as far as locks hold, and two do no harm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from f5serve.errors import ModelUnavailable, StorageFailed
from f5serve.models.cache_dirs import CacheDir
from f5serve.models.cleanup import quarantine, remove_leftovers
from f5serve.models.disk import FileLock, hold_lock, unreadable
from f5serve.models.hashes import read_record, write_record
from f5serve.models.local import (
    InstalledModel,
    ModelFiles,
    find,
    find_installed,
    mark_installed,
)
from f5serve.models.registry import PUBLISHED, Registry
from f5serve.models.verify import known_hashes
from f5serve.store.atomic import AtomicFile, remove_stale

_BLOCK = 4 << 20
_LOCK_STALE_S = 60.0  # without a heartbeat of the machine that copies the same model


class CopyCancelled(Exception):
    """The process ends, so the copy is given up."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """One file to copy; `sha256` is what it must hash to, or None."""

    source: Path
    to: Path
    sha256: str | None


def copy_to_volume(
    files: ModelFiles,
    folder: Path,
    volume: CacheDir,
    is_wanted: Callable[[], bool] = lambda: True,
    registry: Registry = PUBLISHED,
) -> bool:
    """Copy a model, as it was found or fetched, into the models folder of a volume.

    Args:
        folder: models folder that holds the files; what is not in there is not copied.
        is_wanted: asked after every block; False cancels.

    Returns:
        Whether anything was copied: False when the volume has the model already, in any form.

    Raises:
        StorageFailed: NO_SPACE, NOT_WRITABLE, TIER_NOT_OURS, NOT_READABLE; nothing is left behind.
        ModelUnavailable: HASH_MISMATCH, for a file that changed under way.
        CopyCancelled: `is_wanted` said no.
    """
    hashes = known_hashes(files, folder, registry)
    is_inside = all(path.is_relative_to(folder) for path in hashes)
    if not is_inside or _has(volume.path, files.model, registry):
        return False
    copies = [
        _Copy(path, volume.path / path.relative_to(folder), sha256)
        for path, sha256 in hashes.items()
    ]
    volume.check(sum(path.stat().st_size for path in hashes))
    remove_leftovers(volume.path)
    with hold_lock(volume.path / f".keep-{files.model}.lock", _LOCK_STALE_S) as held:
        if _has(volume.path, files.model, registry):
            return False
        _copy_all(copies, volume.path, held, is_wanted)
        _publish(files, folder, volume.path, registry)
    return True


def _has(volume: Path, model_id: str, registry: Registry) -> bool:
    """Whether the model is there itself: `find` looks into caches of other programs, too."""
    found = find(model_id, volume, registry=registry)
    return found is not None and found.weights.is_relative_to(volume)


def _copy_all(
    copies: list[_Copy], volume: Path, held: FileLock, is_wanted: Callable[[], bool]
) -> None:
    done: list[Path] = []
    try:
        for copy in copies:
            remove_stale(copy.to.parent)
            if copy.to.exists():  # copied before; the next start hashes it
                if copy.to.stat().st_size == copy.source.stat().st_size:
                    continue
                quarantine(copy.to, volume)
            _copy(copy, held, is_wanted)
            done.append(copy.to)
    except (StorageFailed, ModelUnavailable, CopyCancelled):
        for path in done:  # a full volume is worse than a second copy
            path.unlink(missing_ok=True)
        raise


def _copy(copy: _Copy, held: FileLock, is_wanted: Callable[[], bool]) -> None:
    hashed, at = hashlib.sha256(), 0
    try:
        with (
            copy.source.open("rb") as source,
            AtomicFile(copy.to.parent, copy.to.name, copy.source.stat().st_size) as file,
        ):
            while block := source.read(_BLOCK):
                if not is_wanted():
                    raise CopyCancelled
                hashed.update(block)
                file.write_at(at, block)
                at += len(block)
                held.beat()
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


def _publish(files: ModelFiles, folder: Path, volume: Path, registry: Registry) -> None:
    """Write the pointer or the records that `local` and `verify` read."""
    installed = find_installed(files.model, folder)
    if installed is not None and files.weights.is_relative_to(installed.folder):
        mark_installed(InstalledModel.of(installed.manifest, volume))
        return
    for name in (files.model, registry.vocoder.id):
        write_record(volume, name, read_record(folder, name))

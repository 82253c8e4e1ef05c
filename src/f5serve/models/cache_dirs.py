"""Folders that models are downloaded into, best first, and the copy on a network volume.

A folder counts when a file can be written, flushed, renamed and removed there, and when the blocks
that are needed can be allocated, not when statvfs says so. A model is downloaded into exactly one;
`copy_to_volume` copies it to a network volume, which outlives the machine.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from f5serve.errors import ModelUnavailable, StorageFailed
from f5serve.models.cleanup import quarantine, remove_leftovers
from f5serve.models.disk import (
    FileLock,
    cannot_write,
    format_bytes,
    free_bytes,
    hold_lock,
    unreadable,
)
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
from f5serve.settings import Settings
from f5serve.store.atomic import AtomicFile, make_folder, remove_stale

_log = logging.getLogger(__name__)
T = TypeVar("T")

VOLUME = Path("/runpod-volume")
"""Where RunPod mounts the network volume of an endpoint, if it has one."""

_ON_A_VOLUME = Path("f5serve", "models")

RESERVED_SHARE = 0.12
"""Of a disk that must not be filled: RunPod's SDK ends a worker that has less than a tenth of /."""

RESERVED_BYTES = 1 << 30
_BLOCK = 4 << 20
_LOCK_STALE_S = 60.0  # without a heartbeat of the machine that copies the same model
_SKIPPED = ("NO_SPACE", "NOT_WRITABLE", "TIER_NOT_OURS")


@dataclass(frozen=True, slots=True)
class CacheDir:
    """One folder that models may be fetched into.

    Attributes:
        path: a models folder, laid out as F5_MODELS_DIR (`local`).
        reserve_on: a path whose file system must not be filled; None when none is watched.
    """

    path: Path
    reserve_on: Path | None = None

    @property
    def reserved(self) -> int:
        """Bytes that have to stay free here; 0 where no file system is watched."""
        if self.reserve_on is None or self.reserve_on.stat().st_dev != self.path.stat().st_dev:
            return 0
        sizes = os.statvfs(self.reserve_on)
        return max(int(RESERVED_SHARE * sizes.f_blocks * sizes.f_frsize), RESERVED_BYTES)

    def check(self, needed: int) -> None:
        """Find out whether anything can be written here, and `needed` bytes may.

        The blocks themselves are allocated by the download, before its first byte and under a
        lock: of several processes that bring the same model, one needs the room.

        Raises:
            StorageFailed: NO_SPACE, NOT_WRITABLE, or TIER_NOT_OURS.
        """
        try:
            _make_own(self.path)
            probe(self.path)
            reserved = self.reserved
            sizes = os.statvfs(self.path)
        except OSError as error:
            raise cannot_write(self.path, needed, error) from None
        left = sizes.f_bavail * sizes.f_frsize - needed
        if reserved and left < reserved:
            raise StorageFailed(
                f"{self.path} would leave {format_bytes(max(left, 0))} free on {self.reserve_on}, "
                f"and {format_bytes(reserved)} have to stay free there.",
                code="NO_SPACE",
                hint="Give the container a larger disk.",
            )


def cache_dirs(settings: Settings, at_runpod: bool) -> tuple[CacheDir, ...]:
    """The cache directories of this machine in their order.

    Args:
        at_runpod: whether this is a worker there, whose / is watched and whose /tmp is its own;
            elsewhere the models folder goes before /tmp, which others share and a reboot empties.
    """
    home = [Path("~/.cache/f5serve/models").expanduser()]
    tmp = [Path("/tmp/f5serve/models")]
    folders = [settings.cache_dir / "models"] if settings.cache_dir else []
    folders += tmp + home if at_runpod else [settings.models_dir, *tmp]
    if VOLUME.is_dir():
        folders.append(VOLUME / _ON_A_VOLUME)
    reserve_on = Path("/") if at_runpod else None
    return tuple(CacheDir(folder, reserve_on) for folder in dict.fromkeys(folders))


def mounted_volume(volume: Path = VOLUME, root: Path = Path("/")) -> CacheDir | None:
    """The models folder of the network volume; None where none is mounted.

    A folder of that name on the disk of the machine is none.
    """
    try:
        is_mounted = volume.stat().st_dev != root.stat().st_dev
    except OSError:
        return None
    return CacheDir(volume / _ON_A_VOLUME) if is_mounted and volume.is_dir() else None


def fetch_into_first(
    folders: Sequence[CacheDir], needed: int, fetch: Callable[[Path], T]
) -> tuple[T, CacheDir]:
    """What `fetch` returns for the first folder that takes it all, and that folder.

    Args:
        needed: bytes; 0 when that is not known before.
        fetch: writes into the folder it is given; a disk that becomes full in the middle of that
            leads to the next folder as well.

    Raises:
        StorageFailed: NO_SPACE, naming every folder; or what `fetch` raises otherwise.
    """
    refusals: list[str] = []
    for one in folders:
        try:
            one.check(needed)
            return fetch(one.path), one
        except StorageFailed as error:
            if error.code not in _SKIPPED:
                raise
            _log.warning("%s is passed over: %s %s", one.path, error.code, error.message)
            refusals.append(f"{one.path} ({_reason(one, error)})")
    wanted = f"{format_bytes(needed)} are" if needed else "More room is"
    raise StorageFailed(
        f"{wanted} needed for a model, and no folder has that: {', '.join(refusals) or 'none'}.",
        code="NO_SPACE",
        hint="Give the machine a larger disk or a volume, or name a folder in F5_CACHE_DIR.",
    )


def probe(folder: Path) -> None:
    """Write, flush, rename and remove a file there.

    Raises:
        StorageFailed: NO_SPACE or NOT_WRITABLE.
    """
    to = folder / f".f5-{uuid.uuid4().hex}.tmp"  # a name that `store.atomic.remove_stale` removes
    with AtomicFile(folder, "a file to try the disk with") as file:
        file.write_at(0, b"f5serve")
        file.publish(to)
        to.unlink(missing_ok=True)


def _reason(folder: CacheDir, error: StorageFailed) -> str:
    if error.code != "NO_SPACE":
        return error.message.removeprefix(f"{folder.path} ").rstrip(".")
    free = free_bytes(folder.path)
    if free is None:
        return "full"
    reserved = f", {format_bytes(folder.reserved)} of it have to stay so" if folder.reserved else ""
    return f"{format_bytes(free)} free{reserved}"


def _make_own(folder: Path) -> None:
    """Make the folder; refuse one that another user put into a folder that all may write to."""
    if not folder.parent.exists():
        make_folder(folder.parent.parent)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
    make_folder(folder)
    for path in (folder, *folder.parents):
        if path.parent.stat().st_mode & stat.S_ISVTX and path.stat().st_uid != os.geteuid():
            raise StorageFailed(
                f"{folder} is in {path}, which belongs to another user.",
                code="TIER_NOT_OURS",
                hint="Name a folder of your own in F5_CACHE_DIR.",
            )


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

    Files are hashed on the way. Any number of machines may copy at once: one does, as far as locks
    hold, and two do no harm.

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

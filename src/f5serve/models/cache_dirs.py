"""Folders that models are downloaded into, best first, and the copy on a network volume.

A folder counts when a file can be written, flushed, renamed and removed there, and when the blocks
that are needed can be allocated, not when statvfs says so. A model is downloaded into exactly one;
`copy_to_volume` copies it to a network volume, which outlives the machine.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from f5serve.errors import ModelUnavailable, StorageFailed
from f5serve.models.disk import cannot_write, copy_file, format_bytes, free_bytes, hold_lock
from f5serve.models.installed import InstalledModel, ModelFiles, mark_installed, read_version
from f5serve.models.local import find, quarantine, remove_leftovers
from f5serve.models.registry import PUBLISHED, Registry
from f5serve.settings import Settings
from f5serve.store.atomic import AtomicFile, make_folder, remove_stale, temporary_path

_log = logging.getLogger(__name__)
T = TypeVar("T")

VOLUME = Path("/runpod-volume")
"""Where RunPod mounts the network volume of an endpoint, if it has one."""

_ON_A_VOLUME = Path("f5serve", "models")

RESERVED_SHARE = 0.12
"""Of a disk that must not be filled: RunPod's SDK ends a worker that has less than a tenth of /."""

RESERVED_BYTES = 1 << 30
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
    to = temporary_path(folder)
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
        Whether anything was copied: False for what is not installed in `folder`, and when the
        volume has the model already, in any form.

    Raises:
        StorageFailed: NO_SPACE, NOT_WRITABLE, TIER_NOT_OURS, NOT_READABLE; nothing is left behind.
        ModelUnavailable: HASH_MISMATCH, for a file that changed under way.
        CopyCancelled: `is_wanted` returned False.
    """
    version = read_version(files.weights.parent)
    is_inside = version is not None and version == InstalledModel.of(version.manifest, folder)
    if version is None or not is_inside or _has(volume.path, files.model, registry):
        return False
    volume.check(version.manifest.size)
    remove_leftovers(volume.path)
    copy = InstalledModel.of(version.manifest, volume.path)
    with hold_lock(copy.folder.parent / "copy.lock", _LOCK_STALE_S) as held:
        if _has(volume.path, files.model, registry):
            return False

        def on_block() -> None:
            if not is_wanted():
                raise CopyCancelled
            held.beat()

        _copy_files(version, copy, volume.path, on_block)
        mark_installed(copy)
    return True


def _has(volume: Path, model_id: str, registry: Registry) -> bool:
    """Whether the model is there itself: `find` looks into caches of other programs, too."""
    found = find(model_id, volume, registry=registry)
    return found is not None and found.weights.is_relative_to(volume)


def _copy_files(
    version: InstalledModel, copy: InstalledModel, volume: Path, on_block: Callable[[], None]
) -> None:
    remove_stale(copy.folder)
    done: list[Path] = []
    try:
        for file in version.manifest.files:
            if copy.has(file):  # copied before; the next start hashes it
                continue
            if copy.path(file).exists():
                quarantine(copy.path(file), volume)
            copy_file(version.path(file), copy.path(file), file.sha256, on_block)
            done.append(copy.path(file))
    except (StorageFailed, ModelUnavailable, CopyCancelled):
        for path in done:  # a full volume is worse than a second copy
            path.unlink(missing_ok=True)
        raise

"""The folders that weights may be fetched into, best first, and which of them has room.

Settings flow in, `Tier`s flow out; `place` runs a download in the first that takes it. A tier
counts when a file can be written, flushed, renamed and removed there, and when the blocks that
are needed can be allocated, not when statvfs says so. One model lies on one tier; nothing is
copied between them. This module must not know models or where they come from.
"""

from __future__ import annotations

import logging
import os
import stat
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from f5serve.errors import StorageFailed
from f5serve.models.disk import cannot_write, free_bytes, human
from f5serve.settings import Settings
from f5serve.store.files import PrivateFile, make_folder

_log = logging.getLogger(__name__)
T = TypeVar("T")

VOLUME = Path("/runpod-volume")
"""Where RunPod mounts the network volume of an endpoint, if it has one."""

_ON_A_VOLUME = Path("f5serve", "models")

SPARE_SHARE = 0.12
"""Of a guarded disk, kept free: RunPod's SDK ends a worker that has less than a tenth of /."""

SPARE_BYTES = 1 << 30
_PASSED_OVER = ("NO_SPACE", "NOT_WRITABLE", "TIER_NOT_OURS")


@dataclass(frozen=True, slots=True)
class Tier:
    """One folder that models may be fetched into.

    Attributes:
        models: laid out as F5_MODELS_DIR.
        guarded: a path whose file system must not be filled; None when none is watched.
    """

    models: Path
    guarded: Path | None = None

    @property
    def spare(self) -> int:
        """Bytes that have to stay free here; 0 where nothing is watched."""
        guarded = self.guarded
        if guarded is None or guarded.stat().st_dev != self.models.stat().st_dev:
            return 0
        sizes = os.statvfs(guarded)
        return max(int(SPARE_SHARE * sizes.f_blocks * sizes.f_frsize), SPARE_BYTES)

    def check(self, needed: int) -> None:
        """Find out whether anything can be written here, and `needed` bytes may.

        The blocks themselves are taken by whoever writes, before the first byte and under a lock:
        of several processes that bring the same model, one needs the room.

        Raises:
            StorageFailed: NO_SPACE, NOT_WRITABLE, or TIER_NOT_OURS.
        """
        try:
            _make_own(self.models)
            probe(self.models)
            self._check_spare(needed)
        except OSError as error:
            raise cannot_write(self.models, needed, error) from None

    def _check_spare(self, needed: int) -> None:
        guarded = self.guarded
        spare = self.spare
        if guarded is None or not spare:
            return
        sizes = os.statvfs(guarded)
        left = sizes.f_bavail * sizes.f_frsize - needed
        if left < spare:
            raise StorageFailed(
                f"{self.models} would leave {human(max(left, 0))} free on {guarded}, and "
                f"{human(spare)} have to stay free there.",
                code="NO_SPACE",
                hint="Give the container a larger disk.",
            )


def tiers_of(settings: Settings, at_runpod: bool) -> tuple[Tier, ...]:
    """The tiers of this machine in their order.

    Args:
        at_runpod: whether this is a worker there, whose / is watched and whose /tmp is its own;
            elsewhere the models folder goes before /tmp, which others share and a reboot empties.
    """
    container = [Path("~/.cache/f5serve/models").expanduser()]
    tmp = [Path("/tmp/f5serve/models")]
    folders = [settings.cache_dir / "models"] if settings.cache_dir else []
    folders += tmp + container if at_runpod else [settings.models_dir, *tmp]
    if VOLUME.is_dir():
        folders.append(VOLUME / _ON_A_VOLUME)
    guarded = Path("/") if at_runpod else None
    return tuple(Tier(folder, guarded) for folder in dict.fromkeys(folders))


def lasting(volume: Path = VOLUME, root: Path = Path("/")) -> Tier | None:
    """The models folder of the volume, where one is mounted: what lies there outlives the machine.

    A folder of that name on the disk of the machine is none.
    """
    try:
        is_mounted = volume.stat().st_dev != root.stat().st_dev
    except OSError:
        return None
    return Tier(volume / _ON_A_VOLUME) if is_mounted and volume.is_dir() else None


def place(tiers: Sequence[Tier], needed: int, bring: Callable[[Path], T]) -> tuple[T, Tier]:
    """What `bring` returns for the models folder of the first tier that takes it all.

    Args:
        needed: bytes; 0 when that is not known before.
        bring: writes into the folder it is given; a full disk in the middle of that leads to the
            next tier as well.

    Raises:
        StorageFailed: NO_SPACE, naming every tier; or what `bring` raises otherwise.
    """
    refusals: list[str] = []
    for tier in tiers:
        try:
            tier.check(needed)
            return bring(tier.models), tier
        except StorageFailed as error:
            if error.code not in _PASSED_OVER:
                raise
            _log.warning("%s is passed over: %s %s", tier.models, error.code, error.message)
            refusals.append(f"{tier.models} ({_why(tier, error)})")
    wanted = f"{human(needed)} are" if needed else "More room is"
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
    to = folder / f".f5-{uuid.uuid4().hex}.tmp"  # a name that sweeps know, should this die here
    with PrivateFile(folder, "a file to try the disk with") as file:
        file.write_at(0, b"f5serve")
        file.publish(to)
        to.unlink(missing_ok=True)


def _why(tier: Tier, error: StorageFailed) -> str:
    if error.code != "NO_SPACE":
        return error.message.removeprefix(f"{tier.models} ").rstrip(".")
    free = free_bytes(tier.models)
    if free is None:
        return "full"
    spare = f", {human(tier.spare)} of it have to stay so" if tier.spare else ""
    return f"{human(free)} free{spare}"


def _make_own(folder: Path) -> None:
    """Make the folder; refuse one that somebody else put into a folder that all may write to."""
    if not folder.parent.exists():
        _make_private(folder.parent)
    make_folder(folder)
    for path in (folder, *folder.parents):
        if path.parent.stat().st_mode & stat.S_ISVTX and path.stat().st_uid != os.geteuid():
            raise StorageFailed(
                f"{folder} is in {path}, which belongs to another user.",
                code="TIER_NOT_OURS",
                hint="Name a folder of your own in F5_CACHE_DIR.",
            )


def _make_private(folder: Path) -> None:
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)

"""Quarantine of damaged files, and removal of what killed processes left in a models folder.

Only files inside a models folder are renamed or removed. Removed is only what bears a name that
this program gives to unfinished files, and that nothing has written to for long.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from f5serve.models.local import ARTIFACTS_FOLDER, HUB_FOLDER, SYNCED_FOLDER
from f5serve.models.manifest import MANIFEST_NAME
from f5serve.store.atomic import remove_stale

_log = logging.getLogger(__name__)

SUFFIX = ".damaged"
HOUR_S = 3600.0
PART_S = 7 * 24 * HOUR_S
"""How long a part of a download is kept for the next attempt."""

_UNLOCKED_PART = re.compile(r".+\.[0-9a-f]{8}\.incomplete")  # no later pull can resume it
_FRESH_LINK = re.compile(r"\..+\.[0-9a-f]{8}")
_CONVERTED = re.compile(r"\..+\.[0-9a-f]{32}\.partial")
_VERSION = re.compile(r"[0-9a-f]{16}")


def quarantine(path: Path, inside: Path, to: Path | None = None) -> Path | None:
    """Rename a damaged file, so that nobody uses it and its owner can look at it.

    A link is followed to the file that is meant. One outside `inside`, by its real place, belongs
    to somebody else and stays as it is; then the link is renamed.

    Args:
        inside: a folder whose files are ours to rename.
        to: the new name, on the same disk; by default the old one and `SUFFIX`. A number is added
            where that is taken.

    Returns:
        The new name; None where everything stays, as all of it is outside or cannot be renamed.
    """
    try:
        ours = inside.resolve(strict=True)
        real = path.resolve(strict=True)
        if not real.is_relative_to(ours):
            real = path.parent.resolve(strict=True) / path.name
        if not real.is_relative_to(ours):
            _log.warning("%s is not what it was; it is outside %s and stays there", real, inside)
            return None
        to = _free_name(to or real.with_name(real.name + SUFFIX))
        try:
            real.rename(to)
        except OSError:
            to.unlink(missing_ok=True)
            raise
    except OSError as error:  # gone meanwhile, or a disk that only fails
        _log.warning("%s is not what it was and cannot be put aside: %s", path, error)
        return None
    _log.warning("%s is not what it was and is put aside as %s", path, to)
    return to


def quarantined(models_dir: Path) -> list[Path]:
    """All quarantined files of a models folder."""
    patterns = (f"artifacts/*{SUFFIX}*", f"hub/models--*/**/*{SUFFIX}*", "synced/*/quarantine/*")
    found: list[Path] = []
    with contextlib.suppress(OSError):  # a folder that may not be read
        for pattern in patterns:
            found += models_dir.glob(pattern)
    return found


def _free_name(wanted: Path) -> Path:
    """That name, or the first free one with a number behind it; it is created at once."""
    wanted.parent.mkdir(exist_ok=True)
    for number in itertools.count(1):
        name = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        with contextlib.suppress(FileExistsError):
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            return name
    raise AssertionError("unreachable")


def remove_leftovers(models_dir: Path) -> int:
    """Remove what killed pulls, syncs and conversions left; returns how many files and folders."""
    if models_dir.is_symlink() or not models_dir.is_dir():
        return 0
    removed = 0
    with contextlib.suppress(OSError):  # a folder that may not be read, or vanishes meanwhile
        for path, max_age_s in _leftover_files(models_dir):
            removed += _remove_file(path, max_age_s)
        removed += sum(_remove_version(version) for version in _incomplete_versions(models_dir))
        removed += remove_stale(models_dir / "seen")
    if removed:
        _log.info("%d things that were left half done are removed from %s", removed, models_dir)
    return removed


def _leftover_files(models_dir: Path) -> Iterator[tuple[Path, float]]:
    """Unfinished files, and after how many seconds without a write each is removed."""
    for part in models_dir.glob(f"{HUB_FOLDER}/models--*/blobs/*.incomplete"):
        yield part, HOUR_S if _UNLOCKED_PART.fullmatch(part.name) else PART_S
    for link in models_dir.glob(f"{HUB_FOLDER}/models--*/snapshots/*/**/.*"):
        if _FRESH_LINK.fullmatch(link.name):
            yield link, HOUR_S
    for partial in models_dir.glob(f"{ARTIFACTS_FOLDER}/.*.partial"):
        if _CONVERTED.fullmatch(partial.name):
            yield partial, 24 * HOUR_S


def _incomplete_versions(models_dir: Path) -> Iterator[Path]:
    for home in models_dir.glob(f"{SYNCED_FOLDER}/*"):
        for version in home.iterdir() if home.is_dir() else ():
            if _VERSION.fullmatch(version.name) and not (version / MANIFEST_NAME).exists():
                yield version


def _remove_version(version: Path) -> bool:
    remove_stale(version)
    if version.is_symlink() or not version.is_dir():
        return False
    if any(not _is_older(path, PART_S) for path in (version, *version.iterdir())):
        return False
    shutil.rmtree(version, ignore_errors=True)
    return not version.exists()


def _remove_file(path: Path, max_age_s: float) -> bool:
    with contextlib.suppress(OSError):  # gone meanwhile, or not ours to remove
        if _is_older(path, max_age_s) and (path.is_symlink() or path.is_file()):
            path.unlink()
            return True
    return False


def _is_older(path: Path, seconds: float) -> bool:
    return time.time() - path.lstat().st_mtime > seconds

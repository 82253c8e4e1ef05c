"""Quarantine of damaged files, and removal of what killed processes left among installed models.

Nothing outside the layout of `installed` is renamed or removed, and no link out of it is followed.
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

from f5serve.models.installed import INCOMING_FOLDER, INSTALLED_FOLDER, is_version
from f5serve.models.manifest import MANIFEST_NAME
from f5serve.store.atomic import remove_stale

_log = logging.getLogger(__name__)

HOUR_S = 3600.0
PART_S = 7 * 24 * HOUR_S
"""How long a part of a download is kept for the next attempt."""

_QUARANTINE_FOLDER = "quarantine"
_CONVERTED_PART = re.compile(r"\..+\.[0-9a-f]{32}\.partial")
_LEFTOVERS = (  # below the folder of a model, and after how many seconds without a write each goes
    (f"{INCOMING_FOLDER}/*", PART_S),
    (f"{INCOMING_FOLDER}-????????/*", HOUR_S),  # no later pull resumes it
    (".*.partial", 24 * HOUR_S),
)


def quarantine(path: Path, models_dir: Path) -> Path | None:
    """Move a damaged file of a version aside, so that its owner can look at it.

    A link is followed to the file that is meant. One outside the layout, by its real place,
    is not ours and stays as it is; then the link is moved.

    Returns:
        The new place; None where everything stays, as all of it is outside or cannot be moved.
    """
    try:
        ours = (models_dir / INSTALLED_FOLDER).resolve(strict=True)
        real = path.resolve(strict=True)
        if not real.is_relative_to(ours):
            real = path.parent.resolve(strict=True) / path.name
        if not real.is_relative_to(ours):
            _log.warning("%s is not what it was; it is outside %s and stays there", real, ours)
            return None
        home = real.parent.parent
        to = _free_name(home / _QUARANTINE_FOLDER / f"{real.parent.name}-{real.name}")
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


def _free_name(wanted: Path) -> Path:
    """That name, or the first free one with a number behind it; it is created at once."""
    wanted.parent.mkdir(exist_ok=True)
    for number in itertools.count(1):
        name = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        with contextlib.suppress(FileExistsError):
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            return name
    raise AssertionError("unreachable")


def quarantined(models_dir: Path) -> list[Path]:
    """All quarantined files of a models folder."""
    with contextlib.suppress(OSError):  # a folder that may not be read
        return sorted(models_dir.glob(f"{INSTALLED_FOLDER}/*/{_QUARANTINE_FOLDER}/*"))
    return []


def remove_leftovers(models_dir: Path) -> int:
    """Remove what killed processes left in the layout; returns how many files and folders.

    Removed is only what bears a name that f5serve gives to unfinished files, and that nothing has
    written to for long. No link is followed.
    """
    removed = 0
    with contextlib.suppress(OSError):  # a folder that may not be read, or vanishes meanwhile
        for home in _homes(models_dir):
            for pattern, max_age_s in _LEFTOVERS:
                removed += sum(_remove_file(path, home, max_age_s) for path in home.glob(pattern))
            for folder in home.iterdir():
                if is_version(folder) and not (folder / MANIFEST_NAME).exists():
                    removed += _remove_version(folder)
    if removed:
        _log.info("%d things that were left half done are removed from %s", removed, models_dir)
    return removed


def _homes(models_dir: Path) -> Iterator[Path]:
    """The folders of all models, without those that are links or are behind one."""
    parent = models_dir / INSTALLED_FOLDER
    if not models_dir.is_symlink() and not parent.is_symlink() and parent.is_dir():
        yield from (home for home in parent.iterdir() if home.is_dir() and not home.is_symlink())


def _remove_version(version: Path) -> bool:
    if version.is_symlink() or not version.is_dir():
        return False
    remove_stale(version)
    if any(not _is_older(path, PART_S) for path in (version, *version.iterdir())):
        return False
    shutil.rmtree(version, ignore_errors=True)
    return not version.exists()


def _remove_file(path: Path, home: Path, max_age_s: float) -> bool:
    if path.suffix == ".partial" and not _CONVERTED_PART.fullmatch(path.name):
        return False
    if path.parent != home and path.parent.is_symlink():
        return False
    with contextlib.suppress(OSError):  # gone meanwhile, or not ours to remove
        if _is_older(path, max_age_s) and (path.is_symlink() or path.is_file()):
            path.unlink()
            return True
    return False


def _is_older(path: Path, seconds: float) -> bool:
    return time.time() - path.lstat().st_mtime > seconds

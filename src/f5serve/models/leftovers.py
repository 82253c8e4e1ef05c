"""What pulls, syncs and conversions that were killed have left in a models folder.

A folder flows in, what nobody will go on with is removed. Only names that this program gives are
looked at, and only what nobody has written to for long: a part of a download is worth keeping for
a while, as the next one goes on with it. This module must not know what is being fetched.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from f5serve.models.find import ARTIFACTS_FOLDER, HUB_FOLDER
from f5serve.models.manifest import MANIFEST_NAME
from f5serve.models.synced import SYNCED_FOLDER
from f5serve.store.files import sweep as sweep_private

_log = logging.getLogger(__name__)

HOUR_S = 3600.0
PART_S = 7 * 24 * HOUR_S
"""How long a part of a download is kept for the next attempt."""

_OWN_PART = re.compile(r".+\.[0-9a-f]{8}\.incomplete")  # of a pull that had no lock
_FRESH_LINK = re.compile(r"\..+\.[0-9a-f]{8}")
_CONVERTED = re.compile(r"\..+\.[0-9a-f]{32}\.partial")
_VERSION = re.compile(r"[0-9a-f]{16}")


def sweep(models_dir: Path) -> int:
    """Remove what is left over in a models folder; returns how many files and folders."""
    if models_dir.is_symlink() or not models_dir.is_dir():
        return 0
    removed = 0
    with contextlib.suppress(OSError):  # a folder that may not be read, or vanishes meanwhile
        for path, patience_s in _candidates(models_dir):
            removed += _remove_file(path, patience_s)
        removed += sum(_remove_version(version) for version in _versions(models_dir))
        removed += sweep_private(models_dir / "seen")
    if removed:
        _log.info("%d things that were left half done are removed from %s", removed, models_dir)
    return removed


def _candidates(models_dir: Path) -> Iterator[tuple[Path, float]]:
    """Files that are left over once nobody has written to them for so many seconds."""
    for part in models_dir.glob(f"{HUB_FOLDER}/models--*/blobs/*.incomplete"):
        yield part, HOUR_S if _OWN_PART.fullmatch(part.name) else PART_S
    for link in models_dir.glob(f"{HUB_FOLDER}/models--*/snapshots/*/**/.*"):
        if _FRESH_LINK.fullmatch(link.name):
            yield link, HOUR_S
    for partial in models_dir.glob(f"{ARTIFACTS_FOLDER}/.*.partial"):
        if _CONVERTED.fullmatch(partial.name):
            yield partial, 24 * HOUR_S


def _versions(models_dir: Path) -> Iterator[Path]:
    """Versions out of the store that never became whole."""
    for home in models_dir.glob(f"{SYNCED_FOLDER}/*"):
        for version in home.iterdir() if home.is_dir() else ():
            if _VERSION.fullmatch(version.name) and not (version / MANIFEST_NAME).exists():
                yield version


def _remove_version(version: Path) -> bool:
    sweep_private(version)
    if version.is_symlink() or not version.is_dir():
        return False
    if any(not _is_old(path, PART_S) for path in (version, *version.iterdir())):
        return False
    shutil.rmtree(version, ignore_errors=True)
    return not version.exists()


def _remove_file(path: Path, patience_s: float) -> bool:
    with contextlib.suppress(OSError):  # gone meanwhile, or not ours to remove
        if _is_old(path, patience_s) and (path.is_symlink() or path.is_file()):
            path.unlink()
            return True
    return False


def _is_old(path: Path, patience_s: float) -> bool:
    return time.time() - path.lstat().st_mtime > patience_s

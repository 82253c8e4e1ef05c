"""Small disks that can really be filled, where this user may mount them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(at: Path, size: str, options: str = "") -> Iterator[Path]:
    """A tmpfs of that size mounted at a new folder; skips the test where that is not permitted."""
    at.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "f5serve-test", str(at)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        refused = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        refused = str(error)
    if refused:
        pytest.skip(f"no small disk can be mounted here: {refused}")
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True, timeout=10)


def free(disk: Path) -> int:
    """Bytes that can still be written."""
    stat = os.statvfs(disk)
    return stat.f_bavail * stat.f_frsize


def leave(disk: Path, size: int) -> Path:
    """Fill a disk until `size` bytes are left; returns what fills it."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free(disk) - size, 1))
    return filler


def used(folder: Path) -> int:
    """Bytes that files of a folder take."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())

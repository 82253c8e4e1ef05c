"""Whether a file is what it should be: its hashes, and the ones expected of it.

A path flows in, hashes flow out, with progress on the way. This module must not know models or
the hub.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_BLOCK = 4 << 20


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one file has come.

    Attributes:
        path: in its repository.
        phase: "download", "upload" or "verify".
        done: bytes so far, those of an earlier attempt included.
        total: bytes in all, or None when not known.
    """

    path: str
    phase: Literal["download", "upload", "verify"]
    done: int
    total: int | None


OnProgress = Callable[[Progress], None]


def quiet(_: Progress) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Names of one content, lower-case hex: its sha256, and its git blob id or ""."""

    sha256: str
    git: str = ""

    def matches(self, name: str) -> bool:
        """Whether `name` may be one of them; of what is neither in length nothing is known."""
        own = {64: self.sha256, 40: self.git}.get(len(name), "")
        return not own or name.lower() == own


def digest(
    file: Path, path: str = "", on_progress: OnProgress = quiet, *, git: bool = False
) -> Digest:
    """Hash a file as it lies on disk.

    Args:
        path: what progress calls it.
        git: whether the git blob id is wanted, too.

    Raises:
        OSError: it cannot be read.
    """
    hashed = hashlib.sha256()
    size = file.stat().st_size
    blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    done = 0
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hashed.update(block)
            if git:
                blob.update(block)
            done += len(block)
            on_progress(Progress(path, "verify", done, size))
    return Digest(hashed.hexdigest(), blob.hexdigest() if git else "")

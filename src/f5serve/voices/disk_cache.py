"""Recordings and words of voices on this machine's disk, so that each is downloaded once.

    folder/blobs/SHA256         the bytes, under their hash
    folder/names/NAME/SHA256    an empty file: this voice has used them; its time says when

A name, a hash and a way to download flow in, bytes flow out. Several processes may share the
folder. It is bounded: the voices that were not used for longest go first. Whoever finds that a
voice is gone has it dropped here. Stores and records are not known here.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from f5serve.download.once import Once
from f5serve.errors import StorageFailed
from f5serve.voices.names import casefold
from f5serve.voices.records import Blob

_log = logging.getLogger(__name__)

MAX_BYTES: Final = 512 << 20
"""A voice takes 0.24 MB to 0.58 MB: a thousand or two."""

_KEPT: Final = 0.9  # of the most bytes, after some had to go
_YOUNG_S: Final = 3_600.0  # a file without a voice may be somebody's who is about to name it
_WAIT_S: Final = 30.0  # for another process that is downloading; then we do it ourselves
_TRIES: Final = 3
_NO_CACHE: Final = ("NO_SPACE", "NOT_WRITABLE")


class DiskCache:
    """Blobs of voices in one folder; for any number of threads and processes.

    Args:
        folder: is made when it is needed; where that fails, nothing is kept.
        max_bytes: of all blobs together.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._blobs, self._names = folder / "blobs", folder / "names"
        self._locks = folder / "locks"
        self._once = Once(folder)
        self._max_bytes = max_bytes

    def get(self, name: str, blob: Blob, download: Callable[[], bytes]) -> bytes:
        """The bytes of a blob, downloaded where they are not here.

        Args:
            name: of the voice that needs them.
            download: whatever it raises comes out here.

        Raises:
            StorageFailed: DOWNLOAD_DAMAGED or VOICE_UNREADABLE.
        """

        is_new = False

        def make(path: Path) -> None:
            nonlocal is_new
            is_new = True
            path.write_bytes(download())
            self._mark(name, blob.sha256)  # before the bytes are there, so that none are nobody's

        def check(path: Path) -> bool:
            return _is(path.read_bytes(), blob)

        for _ in range(_TRIES):
            try:
                path = self._once.get(blob.sha256, make, check, _WAIT_S)
                data = path.read_bytes()
            except FileNotFoundError:  # the voice was removed, or the folder cleaned
                continue
            except StorageFailed as error:
                if error.code not in _NO_CACHE:
                    raise
                _log.warning("voices are not cached on this machine: %s", error.message)
                data = download()  # it fits in memory
            if _is(data, blob):
                self._mark(name, blob.sha256)
                if is_new:
                    self._make_room(casefold(name))
                return data
            self._remove(blob.sha256)
        raise StorageFailed(
            "A recording arrives damaged again and again.",
            code="VOICE_UNREADABLE",
            hint="Look for a failing disk, or move F5_DATA_DIR.",
            retryable=True,
        )

    def names(self) -> list[str]:
        """Folded names of the voices that have something here."""
        with contextlib.suppress(OSError):
            return sorted(path.name for path in self._names.iterdir())
        return []

    def drop(self, name: str, but: Iterable[str] = ()) -> int:
        """Remove what only this voice has used, but for these hashes; returns how many blobs."""
        kept, folder = {*but}, self._names / casefold(name)
        gone = [sha256 for sha256 in _listed(folder) if sha256 not in kept]
        for sha256 in gone:
            (folder / sha256).unlink(missing_ok=True)
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
        return sum(self._remove(sha256) for sha256 in gone if not self._is_used(sha256))

    def drop_unnamed(self) -> int:
        """Remove blobs that no voice has used, as older programs left them; returns how many."""
        used = {sha256 for name in self.names() for sha256 in _listed(self._names / name)}
        before = time.time() - _YOUNG_S
        old = [sha256 for sha256, (_, at) in self._sizes().items() if at < before]
        return sum(self._remove(sha256) for sha256 in old if sha256 not in used)

    def _make_room(self, spared: str) -> None:
        sizes = self._sizes()
        total = sum(size for size, _ in sizes.values())
        if total <= self._max_bytes:
            return
        used = {name: self._used_at(name) for name in self.names() if name != spared}
        for name in sorted(used, key=lambda name: used[name]):
            self.drop(name)
            left = sum(size for size, _ in self._sizes().values())
            if left <= _KEPT * self._max_bytes:
                return
        self.drop_unnamed()

    def _mark(self, name: str, sha256: str) -> None:
        path = self._names / casefold(name) / sha256
        with contextlib.suppress(OSError):  # a disk that takes nothing was warned about
            try:
                os.utime(path)
            except FileNotFoundError:
                for folder in (self._names, path.parent):  # who was heard is the owner's business
                    folder.mkdir(0o700, parents=True, exist_ok=True)
                path.touch(0o600)

    def _used_at(self, name: str) -> float:
        times = [0.0]
        with contextlib.suppress(OSError):
            times += [path.stat().st_mtime for path in (self._names / name).iterdir()]
        return max(times)

    def _is_used(self, sha256: str) -> bool:
        return any((self._names / name / sha256).exists() for name in self.names())

    def _sizes(self) -> dict[str, tuple[int, float]]:
        """Size in bytes and time of each blob."""
        found: dict[str, tuple[int, float]] = {}
        with contextlib.suppress(OSError), os.scandir(self._blobs) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # gone meanwhile
                    facts = entry.stat(follow_symlinks=False)
                    found[entry.name] = (facts.st_size, facts.st_mtime)
        return found

    def _remove(self, sha256: str) -> bool:
        """Whether there was such a blob. Its lock goes too: two who make it do no harm."""
        with contextlib.suppress(OSError):
            (self._locks / f"{sha256}.lock").unlink(missing_ok=True)
        try:
            (self._blobs / sha256).unlink()
        except OSError:
            return False
        return True


def _listed(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(path.name for path in folder.iterdir())
    return []


def _is(data: bytes, blob: Blob) -> bool:
    return len(data) == blob.size and hashlib.sha256(data).hexdigest() == blob.sha256

"""Caches of voices: recordings and texts on the disk, voices and what is known of names in memory.

Each machine downloads a recording once.

    folder/blobs/SHA256         the bytes, under their hash
    folder/names/NAME/SHA256    an empty file: this voice has used them; its mtime says when
    folder/tmp/                 files that are being written

Several processes may share the folder. Its size is bounded: the least recently used voices are
removed first. Callers that find a voice deleted call `drop`.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Generic, TypeVar
from weakref import WeakValueDictionary

from f5serve.errors import StorageFailed
from f5serve.store.atomic import OWNER_ONLY, AtomicFile, remove_stale
from f5serve.types import Voice
from f5serve.voices.names import casefold
from f5serve.voices.records import Blob

_log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BYTES: Final = 512 << 20
"""A voice takes 0.24 MB to 0.58 MB: a thousand or two."""

MAX_NAMES: Final = 256
"""Names in a `TtlCache`."""

_KEPT: Final = 0.9  # of the most bytes, after some had to go
_YOUNG_S: Final = 3_600.0  # a younger blob without a voice may get one in a moment
_WAIT_S: Final = 30.0  # for another thread that is downloading; then both do


class DiskCache:
    """Blobs of voices in one folder; for any number of threads and processes.

    Threads that ask for the same blob at once share one download. Processes do not: each writes a
    temporary file and renames it, which costs a second download at worst.

    Args:
        folder: made when it is needed; if that fails, nothing is cached.
        max_bytes: of all blobs together.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._blobs, self._names, self._tmp = folder / "blobs", folder / "names", folder / "tmp"
        self._max_bytes = max_bytes
        self._mutex = threading.Lock()
        self._downloading = WeakValueDictionary[str, threading.Lock]()
        remove_stale(self._tmp)

    def get(self, name: str, blob: Blob, download: Callable[[], bytes]) -> bytes:
        """The bytes of a blob, downloaded if they are not cached.

        Args:
            name: of the voice that needs them.
            download: called at most once; its errors are raised.

        Raises:
            StorageFailed: DOWNLOAD_DAMAGED, the downloaded bytes are not those of the blob.
        """
        with self._mutex:
            lock = self._downloading.setdefault(blob.sha256, threading.Lock())
        has_lock = lock.acquire(timeout=_WAIT_S)
        try:
            data = self._read(blob)
            if data is not None:
                self._mark(name, blob.sha256)
                return data
            data = download()
            if not _is(data, blob):
                raise StorageFailed(
                    "What was downloaded is damaged.",
                    code="DOWNLOAD_DAMAGED",
                    hint="Try again; if it stays so, put the file there anew.",
                    retryable=True,
                )
            self._mark(name, blob.sha256)  # before the bytes, so that no blob is without a voice
            self._write(blob.sha256, data)
        finally:
            if has_lock:
                lock.release()
        self._make_room(casefold(name))
        return data

    def _read(self, blob: Blob) -> bytes | None:
        path = self._blobs / blob.sha256
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if _is(data, blob):
            return data
        _log.warning("file %s is damaged and is downloaded anew", path.name)
        return None

    def _write(self, sha256: str, data: bytes) -> None:
        try:
            with AtomicFile(self._tmp, sha256, len(data), OWNER_ONLY) as file:
                file.write_at(0, data)
                file.publish(self._blobs / sha256)
        except StorageFailed as error:  # it fits in memory
            _log.warning("voices are not cached on this machine: %s", error.message)

    def names(self) -> list[str]:
        """Casefolded names of the voices that have used a blob."""
        with contextlib.suppress(OSError):
            return sorted(path.name for path in self._names.iterdir())
        return []

    def drop(self, name: str, but: Iterable[str] = ()) -> int:
        """Remove blobs that only this voice has used, except `but`; returns how many."""
        kept, folder = {*but}, self._names / casefold(name)
        gone = [sha256 for sha256 in _listed(folder) if sha256 not in kept]
        for sha256 in gone:
            (folder / sha256).unlink(missing_ok=True)
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
        return sum(self._remove(sha256) for sha256 in gone if not self._is_used(sha256))

    def drop_unnamed(self) -> int:
        """Remove blobs that no voice has used; returns how many."""
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
        with contextlib.suppress(OSError):  # a read-only disk was logged already
            try:
                os.utime(path)
            except FileNotFoundError:
                for folder in (self._names, path.parent):  # names of voices are private
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
        """Whether there was such a blob."""
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


class VoiceCache:
    """LRU cache of voices by name and revision; thread-safe.

    Args:
        max_voices: one takes up to 1.2 MB.
    """

    def __init__(self, max_voices: int) -> None:
        self._max_voices = max_voices
        self._lock = threading.Lock()
        self._voices: OrderedDict[tuple[str, str], Voice] = OrderedDict()

    def get(self, name: str, revision: str) -> Voice | None:
        """The voice, or None."""
        with self._lock:
            voice = self._voices.get((name, revision))
            if voice is not None:
                self._voices.move_to_end((name, revision))
            return voice

    def put(self, name: str, revision: str, voice: Voice) -> None:
        """Add a voice; the least recently used one is evicted if there are too many."""
        with self._lock:
            self._voices[name, revision] = voice
            self._voices.move_to_end((name, revision))
            while len(self._voices) > self._max_voices:
                self._voices.popitem(last=False)

    def evict(self, name: str, keep: str = "") -> None:
        """Remove every revision of a voice except `keep`."""
        with self._lock:
            for key in [key for key in self._voices if key[0] == name and key[1] != keep]:
                del self._voices[key]

    def names(self) -> set[str]:
        """Names of the cached voices."""
        with self._lock:
            return {name for name, _ in self._voices}


class TtlCache(Generic[T]):
    """Values by name that are valid for some seconds; thread-safe.

    Args:
        ttl_s: seconds for which an entry is valid.
    """

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[float, T]] = {}

    def get(self, name: str) -> T | None:
        """The value; None if it is not cached."""
        with self._lock:
            entry = self._entries.get(name)
        return entry[1] if entry and time.monotonic() - entry[0] < self._ttl_s else None

    def put(self, name: str, value: T) -> None:
        """Add an entry; all are dropped first if there are too many."""
        with self._lock:
            if len(self._entries) >= MAX_NAMES:
                self._entries.clear()
            self._entries[name] = (time.monotonic(), value)

    def evict(self, name: str) -> None:
        """Remove an entry."""
        with self._lock:
            self._entries.pop(name, None)

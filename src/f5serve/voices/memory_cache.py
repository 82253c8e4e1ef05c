"""In-memory caches of the voice library: voices (LRU), and existence of names (TTL)."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from f5serve.types import Voice

MAX_NAMES = 256
"""Names in an `ExistsCache`."""


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


class ExistsCache:
    """TTL cache: which names exist; thread-safe.

    Args:
        ttl_s: seconds for which an entry is valid.
    """

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[float, bool]] = {}

    def get(self, name: str) -> bool | None:
        """Whether the name exists; None if it is not cached."""
        with self._lock:
            at, exists = self._entries.get(name, (float("-inf"), False))
        return exists if time.monotonic() - at < self._ttl_s else None

    def put(self, name: str, exists: bool) -> None:
        """Add an entry; all are dropped first if there are too many."""
        with self._lock:
            if len(self._entries) >= MAX_NAMES:
                self._entries.clear()
            self._entries[name] = (time.monotonic(), exists)

    def evict(self, name: str) -> None:
        """Remove an entry."""
        with self._lock:
            self._entries.pop(name, None)

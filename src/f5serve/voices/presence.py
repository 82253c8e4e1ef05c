"""Which names were found to be voices, or none, a moment ago.

Names and findings flow in, findings flow out while they are fresh. Stores are not known here.
"""

from __future__ import annotations

import threading
import time

MOST = 256
"""Names that are remembered."""


class Presence:
    """Findings of the last seconds; safe for threads.

    Args:
        fresh_s: how long one counts.
    """

    def __init__(self, fresh_s: float) -> None:
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, bool]] = {}

    def get(self, name: str) -> bool | None:
        """What was found lately, or None."""
        with self._lock:
            at, is_there = self._found.get(name, (0.0, False))
        return is_there if at and time.monotonic() - at < self._fresh_s else None

    def put(self, name: str, is_there: bool) -> None:
        """Remember what was found now."""
        with self._lock:
            if len(self._found) >= MOST:
                self._found.clear()
            self._found[name] = (time.monotonic(), is_there)

    def forget(self, name: str) -> None:
        """The voice was kept or removed here."""
        with self._lock:
            self._found.pop(name, None)

"""The voices that were used last, ready to be spoken in.

Voices flow in under a key and out again until others push them out. Stores are not known here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from f5serve.types import Voice


class VoiceMemory:
    """The last few voices; safe for threads.

    Args:
        most: how many are kept; one is 1.2 MB at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._voices: OrderedDict[tuple[str, str], Voice] = OrderedDict()

    def get(self, name: str, revision: str) -> Voice | None:
        """The voice, if it is still here."""
        with self._lock:
            voice = self._voices.get((name, revision))
            if voice is not None:
                self._voices.move_to_end((name, revision))
            return voice

    def put(self, name: str, revision: str, voice: Voice) -> None:
        """Keep a voice, and forget the one that was not used for longest."""
        with self._lock:
            self._voices[name, revision] = voice
            self._voices.move_to_end((name, revision))
            while len(self._voices) > self._most:
                self._voices.popitem(last=False)

    def forget(self, name: str, but: str = "") -> None:
        """Forget every revision of a voice, but for this one."""
        with self._lock:
            for key in [key for key in self._voices if key[0] == name and key[1] != but]:
                del self._voices[key]

    def names(self) -> set[str]:
        """Names of the voices that are here."""
        with self._lock:
            return {name for name, _ in self._voices}

"""The styles of the voices of a store: which there are, and their limits.

A style is a record of its own, so two uploads at a time never overwrite one another, and older
versions of f5serve neither list nor sweep it. docs/decisions/0041.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from f5serve.errors import InvalidRequest
from f5serve.store.base import ObjectStore
from f5serve.voices import names
from f5serve.voices.caches import TtlCache
from f5serve.voices.catalog import SingleFlight
from f5serve.voices.storage import VoiceStorage

MAX_STYLES: Final = 32
"""Of one voice."""


class VoiceStyles:
    """Which styles the voices of one store have; thread-safe.

    Args:
        ttl_s: seconds for which an answer is cached; changes by this process are visible at once.
    """

    def __init__(self, store: ObjectStore, storage: VoiceStorage, ttl_s: float) -> None:
        self._store = store
        self._storage = storage
        self._lock = threading.Lock()
        self._changes = 0
        self._styles = TtlCache[tuple[str, ...]](ttl_s)
        self._all = SingleFlight(self._list_all, ttl_s)

    def of(self, name: str) -> tuple[str, ...]:
        """The styles of a voice in alphabetical order; one listing if it is not cached."""
        folded = names.casefold(name)
        styles = self._styles.get(folded)
        if styles is None:
            changes = self._changes
            styles = self._storage.styles(folded)
            with self._lock:
                if changes == self._changes:  # else a listing from before the change
                    self._styles.put(folded, styles)
        return styles

    def all(self) -> Mapping[str, tuple[str, ...]]:
        """The styles of every voice that has some, by its case-folded name.

        Costs a listing if it is not cached, which is one request for each 300 styles.
        """
        return self._all.get()

    def forget(self, name: str) -> None:
        """Note that this process has changed the styles of a voice."""
        with self._lock:
            self._changes += 1
            self._styles.evict(names.casefold(name))
        self._all.expire()

    def check_room(self, name: str, style: str) -> None:
        """Refuse a style that is one too many.

        Raises:
            InvalidRequest: code TOO_MANY_STYLES.
        """
        others = {*self._storage.styles(name)} - {style}
        if len(others) >= MAX_STYLES:
            raise InvalidRequest(
                f"The voice {name!r} has {len(others)} styles; {MAX_STYLES} is the limit.",
                code="TOO_MANY_STYLES",
                hint="Remove one of them, or add this one to another voice.",
            )

    def _list_all(self) -> dict[str, tuple[str, ...]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for entry in self._store.list(names.STYLES):
            record = names.parse_record_key(entry.key)
            if record is not None:
                voice, style = names.split_record_name(record)
                found[voice].append(style)
        return {voice: tuple(sorted(styles)) for voice, styles in found.items()}

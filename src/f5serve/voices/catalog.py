"""Lists all voices of a store in the order of their names, at once or in pages.

Records come from the index, external files from a listing of their folder. The number of requests
of a page does not depend on the number of voices; its content may be some seconds old.
"""

from __future__ import annotations

import bisect
import difflib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, TypeVar

from f5serve.errors import StorageFailed
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.voices import names
from f5serve.voices.external_files import unimported_records
from f5serve.voices.index import Index
from f5serve.voices.index_format import Entries
from f5serve.voices.records import VoiceRecord

_log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_PAGE: Final = 1_000
"""Largest number of voices of a page."""

MAX_FILES: Final = 2_000
"""External files that are listed for a page; more are known after the next check."""

_NEIGHBOURS: Final = 100  # names on either side in sorted order; comparing costs 30 us each


@dataclass(frozen=True, slots=True)
class Page:
    """Some voices in the order of their names; `has_more` if others follow."""

    records: list[VoiceRecord]
    has_more: bool


class SingleFlight(Generic[T]):
    """A cached value that one thread computes for all threads that wait for it.

    Args:
        compute: what it raises is raised by `get`, in all waiting threads.
        ttl_s: seconds for which the value is cached.
    """

    def __init__(self, compute: Callable[[], T], ttl_s: float) -> None:
        self._compute = compute
        self._ttl_s = ttl_s
        self._lock = threading.Lock()
        self._flight: Future[T] | None = None
        self._cached: tuple[float, T] | None = None

    @property
    def last(self) -> T | None:
        """The last value, however old; None before the first."""
        cached = self._cached
        return cached[1] if cached else None

    def get(self) -> T:
        """The value; waits if another thread is computing it."""
        with self._lock:
            cached = self._cached
            if cached is not None and time.monotonic() - cached[0] < self._ttl_s:
                return cached[1]
            flight = self._flight
            is_mine = flight is None
            if flight is None:
                flight = self._flight = Future()
        if is_mine:
            self._run(flight)
        return flight.result()

    def expire(self) -> None:
        """Compute the value again for every later call of `get`."""
        with self._lock:
            self._flight = None
            if self._cached is not None:
                self._cached = (float("-inf"), self._cached[1])

    def _run(self, flight: Future[T]) -> None:
        try:
            flight.set_result(self._compute())
        except BaseException as error:  # noqa: BLE001 - raised in all waiting threads
            flight.set_exception(error)
        with self._lock:
            if self._flight is flight:  # else the value expired while it was computed
                self._flight = None
                if flight.exception() is None:
                    self._cached = (time.monotonic(), flight.result())


class Catalog:
    """The list of the voices of one store; thread-safe.

    Args:
        list_ttl_s: how long a list is cached.
        check_interval_s: least time between two checks of the index against the records, which
            run in a thread of their own.
    """

    def __init__(self, store: ObjectStore, list_ttl_s: float, check_interval_s: float) -> None:
        self._store = store
        self._index = Index(store)
        self._check_interval_s = check_interval_s
        self._checked_at = float("-inf")
        self._checking = threading.Lock()
        self._all_files: list[StoredObject] = []
        self._entries = SingleFlight(self._load, list_ttl_s)
        self._files = SingleFlight(self._list_files, list_ttl_s)
        self._complete = SingleFlight(self._check_all, 0.0)

    @property
    def unreadable(self) -> int:
        """Number of records that the last check could not read."""
        return self._index.unreadable

    def note(self, name: str, record: VoiceRecord | None) -> None:
        """Note that this process wrote a record, or deleted it (None)."""
        self._index.note(name, record)
        for cached in (self._entries, self._files, self._complete):
            cached.expire()

    def list_all(self, may_write: bool) -> list[VoiceRecord]:
        """Every voice, as records and external files are now.

        Args:
            may_write: False does not update the index.

        Raises:
            StorageFailed: the store's own code.
        """
        if may_write:
            return _merge(*self._complete.get())
        files = self._store.list(names.ROOT, recursive=False)
        return _merge(self._index.check(may_write=False), list(files))

    def page(self, after: str = "", limit: int = MAX_PAGE) -> Page:
        """At most `limit` voices whose names sort after `after`; "" starts with the first.

        Raises:
            StorageFailed: the store's own code.
        """
        entries, files = self._entries.get(), self.files()
        is_due = time.monotonic() - self._checked_at > self._check_interval_s
        if is_due and self._checking.acquire(blocking=False):
            threading.Thread(target=self._check_in_background, name="voices", daemon=True).start()
        found = _merge(entries, files)
        if after:
            found = found[bisect.bisect_right(found, names.casefold(after), key=_sort_key) :]
        return Page(found[:limit], len(found) > limit)

    def has(self, name: str) -> bool:
        """Whether the list has a voice of this name, in whatever capitals."""
        folded = names.casefold(name)
        if folded in self._entries.get():
            return True
        found = (names.parse_external_key(file.key) for file in self.files())
        return any(file is not None and names.casefold(file.name) == folded for file in found)

    def files(self) -> list[StoredObject]:
        """External files; of more than MAX_FILES, those that the last check has listed as well."""
        files = self._files.get()
        if len(files) < MAX_FILES:
            return files
        return list({file.key: file for file in (*self._all_files, *files)}.values())

    def check(self, rewrite: bool = False, may_write: bool = True) -> Entries:
        """Compare the index with the records; see `Index.check`."""
        entries = self._index.check(rewrite, may_write)
        self._checked_at = time.monotonic()
        return entries

    def similar_names(self, name: str) -> tuple[str, ...]:
        """Names of other voices that are spelled much like it, of the last lists; no request."""
        known = {folded: entry.record.name for folded, entry in (self._entries.last or {}).items()}
        for file in self._files.last or ():
            item = names.parse_external_key(file.key)
            if item is not None:
                known.setdefault(names.casefold(item.name), item.name)
        known.pop(names.casefold(name), None)  # another machine has deleted it since
        ordered = sorted(known)
        at = bisect.bisect(ordered, names.casefold(name))
        neighbours = ordered[max(0, at - _NEIGHBOURS) : at + _NEIGHBOURS]
        near = difflib.get_close_matches(names.casefold(name), neighbours, n=3, cutoff=0.6)
        return tuple(known[folded] for folded in near)

    def _load(self) -> Entries:
        entries = self._index.load()
        return self.check() if entries is None else entries

    def _list_files(self) -> list[StoredObject]:
        return list(islice(self._store.list(names.ROOT, recursive=False), MAX_FILES))

    def _check_all(self) -> tuple[Entries, list[StoredObject]]:
        entries = self.check()
        self._all_files = list(self._store.list(names.ROOT, recursive=False))
        return entries, self._all_files

    def _check_in_background(self) -> None:
        try:
            self._complete.get()
            self._entries.expire()
        except StorageFailed as error:
            _log.warning("the index of voices is not checked: %s", error.message)
            self._checked_at = time.monotonic()  # the next attempt is after the same interval
        finally:
            self._checking.release()


def _merge(entries: Entries, files: list[StoredObject]) -> list[VoiceRecord]:
    records = [entry.record for entry in entries.values()]
    return sorted([*records, *unimported_records(files, entries)], key=_sort_key)


def _sort_key(record: VoiceRecord) -> str:
    return names.casefold(record.name)

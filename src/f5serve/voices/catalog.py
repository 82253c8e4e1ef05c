"""All voices of a store in the order of their names, a page at a time or all at once.

Records come from the index, recordings that were dropped by hand from a listing of their folder
alone. Pages cost a number of requests that does not depend on how many voices there are; what they
show may be some seconds old. Names that are spelled much like another are found in what was read
before. Who asks, and what voices sound like, is not known here.
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
from f5serve.voices.dropped import unrecorded
from f5serve.voices.index import Index
from f5serve.voices.index_format import Entries
from f5serve.voices.records import VoiceRecord

_log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_PAGE: Final = 1_000
"""Voices of one page."""

MAX_FILES: Final = 2_000
"""Files dropped by hand that are listed for a page; more are known after the next check."""

_NEIGHBOURS: Final = 100  # names on either side in the order of names: comparing costs 30 us each


@dataclass(frozen=True, slots=True)
class Page:
    """Some voices in the order of their names; `has_more` where others come behind them."""

    records: list[VoiceRecord]
    has_more: bool


class Shared(Generic[T]):
    """A value that takes long to find, found by one thread for all who ask meanwhile.

    Args:
        find: finds it; what it raises comes out of `get`.
        fresh_s: how long a value is told again.
    """

    def __init__(self, find: Callable[[], T], fresh_s: float) -> None:
        self._find = find
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._flight: Future[T] | None = None
        self._found: tuple[float, T] | None = None

    @property
    def last(self) -> T | None:
        """What was found last, however old; None before the first time."""
        found = self._found
        return found[1] if found else None

    def get(self) -> T:
        """The value; waits for the thread that is at it, if there is one."""
        with self._lock:
            found = self._found
            if found is not None and time.monotonic() - found[0] < self._fresh_s:
                return found[1]
            flight = self._flight
            is_mine = flight is None
            if flight is None:
                flight = self._flight = Future()
        if is_mine:
            self._lead(flight)
        return flight.result()

    def forget(self) -> None:
        """Find it anew for whoever asks from now on."""
        with self._lock:
            self._flight = None
            if self._found is not None:
                self._found = (float("-inf"), self._found[1])

    def _lead(self, flight: Future[T]) -> None:
        try:
            value = self._find()
        except BaseException as error:  # noqa: BLE001 - it is raised for all who wait
            self._land(flight)
            flight.set_exception(error)
            return
        self._land(flight, value)
        flight.set_result(value)

    def _land(self, flight: Future[T], value: T | None = None) -> None:
        with self._lock:
            if self._flight is flight:  # else it began before something was changed here
                self._flight = None
                if value is not None:
                    self._found = (time.monotonic(), value)


class Catalog:
    """The voices of one store; safe for threads.

    Args:
        fresh_s: how long what was read is told again, without a look at the store.
        check_s: how long the index is believed before the records are listed, beside the call.
    """

    def __init__(self, store: ObjectStore, fresh_s: float, check_s: float) -> None:
        self._store = store
        self._index = Index(store)
        self._check_s = check_s
        self._checked_at = float("-inf")
        self._checking = threading.Lock()
        self._all_files: list[StoredObject] = []
        self._entries = Shared(self._load, fresh_s)
        self._files = Shared(self._list_files, fresh_s)
        self._complete = Shared(self._check, 0.0)

    @property
    def unreadable(self) -> int:
        """Records that could not be read at the last check."""
        return self._index.unreadable

    def note(self, name: str, record: VoiceRecord | None) -> None:
        """A voice was put, or removed (None), by this process."""
        self._index.note(name, record)
        for shared in (self._entries, self._files, self._complete):
            shared.forget()

    def all(self, may_write: bool) -> list[VoiceRecord]:
        """Every voice, as the records and the dropped files are now.

        Args:
            may_write: False leaves the index as it is.

        Raises:
            StorageFailed: the store's own code.
        """
        if may_write:
            return _in_order(*self._complete.get())
        files = self._store.list(names.ROOT, deep=False)
        return _in_order(self._index.check(may_write=False), list(files))

    def page(self, after: str = "", limit: int = MAX_PAGE) -> Page:
        """At most `limit` voices whose names come behind `after`; "" begins with the first.

        Raises:
            StorageFailed: the store's own code.
        """
        entries, files = self._entries.get(), self.files()
        self._check_beside()
        found = _in_order(entries, files)
        if after:
            found = found[bisect.bisect_right(found, names.fold(after), key=_place) :]
        return Page(found[:limit], len(found) > limit)

    def files(self) -> list[StoredObject]:
        """Files that were dropped by hand: all but for very many, which a check has to list."""
        files = self._files.get()
        if len(files) < MAX_FILES:
            return files
        return list({file.key: file for file in (*self._all_files, *files)}.values())

    def check(self, rewrite: bool = False, may_write: bool = True) -> Entries:
        """Compare the index with the records; see `Index.check`."""
        entries = self._index.check(rewrite, may_write)
        self._checked_at = time.monotonic()
        return entries

    def like(self, name: str) -> tuple[str, ...]:
        """Names of other voices that are spelled much like it, of those that are known by now."""
        known = {folded: entry.record.name for folded, entry in (self._entries.last or {}).items()}
        for file in self._files.last or ():
            item = names.read_dropped(file.key)
            if item is not None:
                known.setdefault(names.fold(item.name), item.name)
        known.pop(names.fold(name), None)  # another machine has removed it since
        ordered = sorted(known)
        at = bisect.bisect(ordered, names.fold(name))
        beside = ordered[max(0, at - _NEIGHBOURS) : at + _NEIGHBOURS]
        near = difflib.get_close_matches(names.fold(name), beside, n=3, cutoff=0.6)
        return tuple(known[folded] for folded in near)

    def _load(self) -> Entries:
        entries = self._index.load()
        return self.check() if entries is None else entries

    def _list_files(self) -> list[StoredObject]:
        return list(islice(self._store.list(names.ROOT, deep=False), MAX_FILES))

    def _check(self) -> tuple[Entries, list[StoredObject]]:
        entries = self.check()
        self._all_files = list(self._store.list(names.ROOT, deep=False))
        return entries, self._all_files

    def _check_beside(self) -> None:
        """Have another thread check what was not checked lately; the next page shows it."""
        is_due = time.monotonic() - self._checked_at > self._check_s
        if is_due and self._checking.acquire(blocking=False):
            threading.Thread(target=self._check_quietly, name="voices", daemon=True).start()

    def _check_quietly(self) -> None:
        try:
            self._complete.get()
            self._entries.forget()
        except StorageFailed as error:
            _log.warning("the index of voices is not checked: %s", error.message)
            self._checked_at = time.monotonic()  # no sooner again than after a good one
        finally:
            self._checking.release()


def _in_order(entries: Entries, files: list[StoredObject]) -> list[VoiceRecord]:
    records = [entry.record for entry in entries.values()]
    return sorted([*records, *unrecorded(files, entries)], key=_place)


def _place(record: VoiceRecord) -> str:
    return names.fold(record.name)

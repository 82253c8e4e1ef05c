"""Lists the newest jobs page by page, with a short-lived cache.

    a page of the index -> the records of these jobs, some at a time -> a summary of each

A page costs one listing request and the records that are not cached, however many jobs the store
holds. A job whose records do not come in time, or cannot be read, is left out. No lock is held
during a call of the store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from f5serve.errors import StorageFailed
from f5serve.jobs.index import JobIndex
from f5serve.jobs.records import JobSnapshot, Status
from f5serve.jobs.store import JobStore

_log = logging.getLogger(__name__)

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

CACHE_TTL_S = 2.0
"""A page is told again for so long."""

SUMMARY_TTL_S = {Status.COMPLETED: 600.0, Status.FAILED: 10.0, Status.CANCELLED: 10.0}
"""How long what was told of a job is told again. Only a success can never change."""

READ_S = 5.0
"""Longest wait for the records of a page."""

MAX_SUMMARIES = 2_000
MAX_PAGES = 16
READERS = 8


@dataclass(frozen=True, slots=True)
class JobPage(Generic[T]):
    """What was found, newest first.

    Attributes:
        next: the cursor of the page behind this one, "" for the last.
    """

    jobs: list[T]
    next: str


@dataclass(frozen=True, slots=True)
class _Cached(Generic[T]):
    until: float
    value: T


class RecentJobs(Generic[T]):
    """The newest jobs of one store.

    Args:
        summarize: a job's folder and snapshot to what is kept of them here; small.
        fresh_s: see CACHE_TTL_S; 0 remembers nothing.
        read_s: see READ_S.
    """

    def __init__(
        self,
        job_store: JobStore,
        summarize: Callable[[str, JobSnapshot], T],
        *,
        fresh_s: float = CACHE_TTL_S,
        read_s: float = READ_S,
    ) -> None:
        self._job_store = job_store
        self._index = JobIndex(job_store.store)
        self._summarize = summarize
        self._fresh_s = fresh_s
        self._read_s = read_s
        self._lock = threading.Lock()  # held over no call of the store
        self._lines: OrderedDict[str, _Cached[T]] = OrderedDict()
        self._pages: OrderedDict[tuple[int, str], _Cached[JobPage[T]]] = OrderedDict()

    def page(self, limit: int, after: str = "") -> JobPage[T]:
        """At most `limit` jobs, those first that were asked for last; blocks.

        Args:
            after: `next` of the page before, "" for the first.

        Raises:
            InvalidRequest: BAD_CURSOR.
            StorageFailed: as the store does.
        """
        known = self._find(self._pages, (limit, after))
        if known is not None:
            return known
        found = self._index.page(limit + 1, after)
        shown = found[:limit]
        jobs = self._read_all(list(dict.fromkeys(entry.name for entry in shown)))
        recent = JobPage(jobs, shown[-1].cursor if len(found) > limit else "")
        self._put(self._pages, (limit, after), recent, self._fresh_s, MAX_PAGES)
        return recent

    def _read_all(self, names: Sequence[str]) -> list[T]:
        """What is told of these jobs, as far as it is known in time.

        Raises:
            StorageFailed: none of them could be read.
        """
        readers = ThreadPoolExecutor(READERS, "history")
        begun = [readers.submit(self._read, name) for name in names]
        done, late = wait(begun, self._read_s)
        readers.shutdown(wait=False, cancel_futures=True)
        errors = [error for future in done if (error := future.exception()) is not None]
        for error in errors:
            if not isinstance(error, StorageFailed):
                raise error
        if errors and len(errors) == len(begun):
            raise errors[0]
        if errors or late:
            _log.warning("%d jobs could not be read for the list", len(errors) + len(late))
        told = [future.result() for future in begun if future in done and not future.exception()]
        return [line for line in told if line is not None]

    def _read(self, name: str) -> T | None:
        """What is told of a job; None if it is gone."""
        known = self._find(self._lines, name)
        if known is not None:
            return known
        snapshot = self._job_store.snapshot(name)  # a folder's name stands for its id
        if snapshot.status is Status.UNKNOWN:
            return None
        line = self._summarize(name, snapshot)
        if self._fresh_s and not snapshot.damage:
            self._put(
                self._lines, name, line, SUMMARY_TTL_S.get(snapshot.status, 0.0), MAX_SUMMARIES
            )
        return line

    def _find(self, kept: OrderedDict[K, _Cached[V]], key: K) -> V | None:
        with self._lock:
            found = kept.get(key)
        return found.value if found is not None and time.monotonic() < found.until else None

    def _put(
        self, kept: OrderedDict[K, _Cached[V]], key: K, value: V, seconds: float, most: int
    ) -> None:
        if not seconds:
            return
        with self._lock:
            kept[key] = _Cached(time.monotonic() + seconds, value)
            kept.move_to_end(key)
            while len(kept) > most:
                kept.popitem(last=False)

"""Index of jobs by time; lists the newest page by page, with a short-lived cache.

    index/jobs/<day>/<minute>/<millisecond>-<job>    empty; numbers count backwards
    a page of the index -> the records of these jobs, some at a time -> a summary of each

There is one small key for each job, so the first page of a listing holds the newest jobs, on
buckets and in folders. The key is written beside the job's first record. `rebuild` adds keys that
are missing; a key without a job is passed over (docs/decisions/0029).

A page costs one listing request and the records that are not cached, however many jobs the store
holds. A job whose records do not come in time, or cannot be read, is left out. No lock is held
during a call of the store.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.jobs.records import JobSnapshot, Status, encode
from f5serve.store.base import ObjectStore, StoredObject

if TYPE_CHECKING:
    from f5serve.jobs.store import JobStore

_log = logging.getLogger(__name__)

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

CACHE_TTL_S = 2.0
"""Seconds for which a page is cached."""

SUMMARY_TTL_S = {Status.COMPLETED: 600.0, Status.FAILED: 10.0, Status.CANCELLED: 10.0}
"""How long a job's summary is cached. Only a success can never change."""

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
        """Summaries of these jobs, as far as they are known in time.

        Raises:
            StorageFailed: none of them could be read.
        """
        readers = ThreadPoolExecutor(READERS, "history")
        started = [readers.submit(self._read, name) for name in names]
        done, late = wait(started, self._read_s)
        readers.shutdown(wait=False, cancel_futures=True)
        errors = [error for future in done if (error := future.exception()) is not None]
        for error in errors:
            if not isinstance(error, StorageFailed):
                raise error
        if errors and len(errors) == len(started):
            raise errors[0]
        if errors or late:
            _log.warning("%d jobs could not be read for the list", len(errors) + len(late))
        summaries = [
            future.result() for future in started if future in done and not future.exception()
        ]
        return [line for line in summaries if line is not None]

    def _read(self, name: str) -> T | None:
        """The summary of a job; None if it is gone."""
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


PREFIX = "index/jobs/"
BUILT_KEY = "index/jobs-built.json"
"""Written by `rebuild`; its age says how long ago."""

REBUILD_S = 86_400.0
"""So often keys that are missing are looked for; earlier versions of f5serve write none."""

ORPHAN_S = 86_400.0
"""A key that leads to no job for so long is removed."""

WRITERS = 16
_DAYS = 99_999
_DAY_S = 86_400
_KEY = re.compile(r"index/jobs/(\d{5})/(\d{4})/(\d{5})-([A-Za-z0-9][A-Za-z0-9_.-]{0,127})")
_CURSOR = re.compile(r"(\d{5})(\d{4})(\d{5})-([A-Za-z0-9][A-Za-z0-9_.-]{0,127})")
_OF_A_JOB = re.compile(r"jobs/([^/]+)/[^/]+\.json")


@dataclass(frozen=True, slots=True)
class IndexedJob:
    """A job in the index.

    Attributes:
        name: of its folder, which serves as its id wherever records are read.
        cursor: its place, for the page behind it.
    """

    name: str
    cursor: str


class JobIndex:
    """The index of one store. Every call blocks."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def add(self, name: str, since: float) -> None:
        """Note a job. A failure is logged: the job is found again by the next `rebuild`."""
        try:
            self._store.put(key_of(name, since), b"", "application/octet-stream")
        except StorageFailed as error:
            _log.warning("job %s is not in the index yet: %s", name, error.message)

    def page(self, limit: int, after: str = "") -> list[IndexedJob]:
        """The newest jobs, or those behind a cursor; one request of the store.

        Raises:
            InvalidRequest: BAD_CURSOR.
            StorageFailed: as the store does.
        """
        found = self._store.page(PREFIX, _key_behind(after), limit)
        return [entry for stored in found if (entry := _entry(stored.key))]

    def all(self) -> Iterator[tuple[str, StoredObject]]:
        """Every job with its key, in any order; a job may come twice."""
        for stored in self._store.list(PREFIX):
            match = _KEY.fullmatch(stored.key)
            if match:
                yield match[4], stored

    def is_due(self) -> bool:
        """Whether `rebuild` was not done lately, by any process."""
        built = next(iter(self._store.page(BUILT_KEY, limit=1)), None)
        return built is None or self._store.now() - built.modified.timestamp() > REBUILD_S

    def rebuild(self) -> int:
        """Add the keys that are missing, and remove those that lead nowhere; returns how many were
        missing. Goes through all records' keys, and reads none.

        Raises:
            StorageFailed: as the store does.
        """
        since = oldest(self._store.list("jobs/"))
        return self.mend(since, self.all())

    def mend(self, since: Mapping[str, float], found: Iterable[tuple[str, StoredObject]]) -> int:
        """As `rebuild`, for a caller that has listed both already.

        Args:
            since: of every job, when the oldest of its records was written.
            found: as `all`.
        """
        before = self._store.now() - ORPHAN_S
        known: set[str] = set()
        orphans = []
        for name, stored in sorted(found, key=lambda one: one[1].key):
            is_again = name in known  # its state was damaged once, and written anew later
            known.add(name)
            if (is_again or name not in since) and stored.modified.timestamp() < before:
                orphans.append(stored.key)
        missing = [(name, at) for name, at in since.items() if name not in known and _fits(name)]
        with ThreadPoolExecutor(WRITERS, "index") as writers:
            for done in (
                *[writers.submit(self.add, name, at) for name, at in missing],
                *[writers.submit(self._store.delete, key) for key in orphans],
            ):
                done.result()
        self._store.put(BUILT_KEY, encode({"at": self._store.now()}), "application/json")
        return len(missing)


def oldest(listed: Iterable[StoredObject]) -> dict[str, float]:
    """When the oldest record of each job was written, by the name of its folder."""
    since: dict[str, float] = {}
    for stored in listed:
        match = _OF_A_JOB.fullmatch(stored.key)
        if match:
            at = stored.modified.timestamp()
            since[match[1]] = min(at, since.get(match[1], at))
    return since


def key_of(name: str, since: float) -> str:
    """Where a job stands that began at `since`, seconds since 1970."""
    ms = int(min(max(since, 0.0), _DAYS * _DAY_S) * 1000)
    days, ms = divmod(ms, _DAY_S * 1000)
    minutes, ms = divmod(ms, 60_000)
    return f"{PREFIX}{_DAYS - days:05}/{1439 - minutes:04}/{59_999 - ms:05}-{name}"


def _fits(name: str) -> bool:
    """Whether a folder under jobs/ has the name of one of ours."""
    return _KEY.fullmatch(key_of(name, 0.0)) is not None


def _entry(key: str) -> IndexedJob | None:
    match = _KEY.fullmatch(key)
    return IndexedJob(match[4], f"{match[1]}{match[2]}{match[3]}-{match[4]}") if match else None


def _key_behind(cursor: str) -> str:
    if not cursor:
        return ""
    match = _CURSOR.fullmatch(cursor)
    if match is None or ".." in cursor or cursor.endswith("."):
        raise InvalidRequest(
            f"after is {cursor[:60]!r}.",
            code="BAD_CURSOR",
            hint="Send `next` of the previous page, unchanged.",
        )
    return f"{PREFIX}{match[1]}/{match[2]}/{match[3]}-{match[4]}"

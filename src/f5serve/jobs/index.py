"""Index of jobs by time, newest first.

    index/jobs/<day>/<minute>/<millisecond>-<job>    empty; numbers count backwards

There is one small key for each job, so the first page of a listing holds the newest jobs, on
buckets and in folders. The key is written beside the job's first record. `rebuild` adds keys that
are missing; a key without a job is passed over.
docs/decisions/0029-an-index-of-jobs.md gives the reasons.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.jobs.records import encode
from f5serve.store.base import ObjectStore, StoredObject

_log = logging.getLogger(__name__)

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
        """Whether `rebuild` was not done lately, by anybody."""
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
        """As `rebuild`, for whoever has listed both already.

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

"""Removes jobs, results and cache entries that are older than the retention time.

Only keys that this program has written are removed; voices and files of other origin stay.
"""

from __future__ import annotations

import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from f5serve.errors import F5Error
from f5serve.jobs.history import JobIndex, oldest
from f5serve.jobs.records import folder_of
from f5serve.store.base import ObjectStore, StoredObject

_log = logging.getLogger(__name__)

DAY_S = 86_400.0
FOLDERS = ("jobs", "output")
UPLOADS = ("jobs/", "output/", "timings/", "voices/", "models/", "books/")
"""Where this program writes what may be large."""

RELIST_S = 30.0
"""What was listed is believed for so long. A job of that age which is requested again just
then may be made once more; results are never taken from it (`cache`), so none is lost."""

DELETERS = 16
"""Jobs that are removed side by side; the files of one go in order."""

_GROUP = 200
"""Jobs removed between two looks at how old the listing is."""

_OF_A_JOB = re.compile(r"(?:jobs|output)/([^/]+)/[^/]+")
_TIMING = re.compile(r"timings/([^/]+)\.[a-z0-9]+")
_OF_THE_QUEUE = re.compile(r"queue/[^/]+\.json")
CACHE_ENTRY = re.compile(r"cache/[0-9a-f]{64}\.json")


@dataclass(slots=True)
class GcReport:
    """What went, or would go: jobs with all of their files, cache entries, and bytes of both.

    Attributes:
        uploads: that were never completed and whose parts went; never counted before they go.
    """

    jobs: int = 0
    files: int = 0
    cache_entries: int = 0
    bytes: int = 0
    uploads: int = 0

    def add(self, other: GcReport) -> None:
        """Count what went elsewhere as well."""
        self.jobs += other.jobs
        self.files += other.files
        self.cache_entries += other.cache_entries
        self.bytes += other.bytes
        self.uploads += other.uploads


@dataclass(slots=True)
class _Listing:
    """All files of all jobs, by the job's folder."""

    files: dict[str, list[StoredObject]] = field(default_factory=lambda: defaultdict(list))
    at: float = field(default_factory=time.monotonic)

    def old(self, before: float) -> list[str]:
        """Folder names of jobs whose newest file is older than `before`."""
        return [
            name
            for name, files in self.files.items()
            if all(entry.modified.timestamp() < before for entry in files)
        ]


def collect_garbage(
    store: ObjectStore,
    retention_days: int,
    dry_run: bool = False,
    on_job: Callable[[str], None] | None = None,
    relist_s: float = RELIST_S,
) -> GcReport:
    """Remove jobs of which nothing was written for `retention_days`, and cache entries as old.

    A job goes as a whole. Everything is listed again when the listing is older than `relist_s`, so
    one that was touched meanwhile stays. A sweep that is cut short leaves nothing wrong; the next
    one goes on. The index of jobs is mended on the way.

    Args:
        retention_days: 0 keeps everything.
        dry_run: count only.
        on_job: called with the folder name of each job that is removed.

    Raises:
        StorageFailed: the store's own code.
    """
    swept = GcReport()
    if not retention_days:
        return swept
    before = store.now() - retention_days * DAY_S
    index = JobIndex(store)
    indexed = defaultdict(list)
    for name, entry in index.all():
        indexed[name].append(entry)
    gone = set()
    size = _GROUP if relist_s else 1
    listing = _list(store)
    old = listing.old(before)
    with ThreadPoolExecutor(DELETERS, "sweep") as deleters:
        while old:
            if not dry_run and time.monotonic() - listing.at >= relist_s:
                listing = _list(store)
                old = [name for name in listing.old(before) if name not in gone]
            group, old = old[:size], old[size:]
            whole = [
                sorted(listing.files[name], key=deletion_order) + indexed[name] for name in group
            ]
            if not dry_run:
                list(deleters.map(lambda files: _delete(store, files), whole))
            for name, files in zip(group, whole, strict=True):
                swept.jobs += 1
                _count(swept, files)
                gone.add(name)
                if on_job is not None:
                    on_job(name)
        _sweep_entries(store, before, swept, deleters, dry_run)
    if not dry_run:
        left = ((name, entry) for name, all in indexed.items() for entry in all)
        kept = (
            entry for name, files in listing.files.items() if name not in gone for entry in files
        )
        index.mend(oldest(kept), (one for one in left if one[0] not in gone))
        swept.uploads = _abort_uploads(store)
    return swept


def _abort_uploads(store: ObjectStore) -> int:
    """Remove what killed processes left of large results and recordings, from a day on."""
    try:
        return sum(store.abort_old_uploads(prefix) for prefix in UPLOADS)
    except F5Error as error:  # not every key may list them
        _log.info("uploads that were not completed are not looked for: %s", error.message)
        return 0


def _sweep_entries(
    store: ObjectStore, before: float, swept: GcReport, deleters: ThreadPoolExecutor, dry_run: bool
) -> None:
    """Remove old entries of the cache and of the queue: what no worker took for so long is not
    wanted any more, and its records have gone with the job."""
    entries = [
        *_older(store.list("cache/"), CACHE_ENTRY, before),
        *_older(store.list("queue/"), _OF_THE_QUEUE, before),
    ]
    swept.cache_entries = sum(entry.key.startswith("cache/") for entry in entries)
    _count(swept, entries)
    if not dry_run:
        list(deleters.map(lambda entry: store.delete(entry.key), entries))


def _list(store: ObjectStore) -> _Listing:
    listing = _Listing()
    for folder in FOLDERS:
        for entry in store.list(f"{folder}/"):
            found = _OF_A_JOB.fullmatch(entry.key)
            if found:
                listing.files[found[1]].append(entry)
    for entry in store.list("timings/"):
        found = _TIMING.fullmatch(entry.key)
        if found and found[1] in listing.files:  # of a job, not what people have put there
            listing.files[found[1]].append(entry)
    return listing


def _older(
    entries: Iterable[StoredObject], pattern: re.Pattern[str], before: float
) -> Iterator[StoredObject]:
    for entry in entries:
        if pattern.fullmatch(entry.key) and entry.modified.timestamp() < before:
            yield entry


def deletion_order(entry: StoredObject) -> tuple[int, str]:
    """done.json goes first, so that nothing names what is gone, and state.json last: a job
    without it counts as never begun."""
    name = entry.key.rpartition("/")[2] if entry.key.startswith("jobs/") else ""
    return {"done.json": 0, "state.json": 2}.get(name, 1), entry.key


def forget_job(store: ObjectStore, job_id: str) -> None:
    """Remove the records of a job that failed or was cancelled, so that it may be sent again."""
    for entry in sorted(store.list(f"jobs/{folder_of(job_id)}/"), key=deletion_order):
        store.delete(entry.key)


def _count(swept: GcReport, entries: list[StoredObject]) -> None:
    swept.files += len(entries)
    swept.bytes += sum(entry.size for entry in entries)


def _delete(store: ObjectStore, files: list[StoredObject]) -> None:
    for entry in files:
        store.delete(entry.key)

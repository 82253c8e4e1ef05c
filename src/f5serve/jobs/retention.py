"""Which records and results are old enough to go, and their removal.

A store and an age flow in, the count of what went flows out. Only what this program has written is
touched: voices never, nor files that people put beside its own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from f5serve.errors import F5Error
from f5serve.store.base import ObjectStore, StoredObject

_log = logging.getLogger(__name__)

DAY_S = 86_400.0
FOLDERS = ("jobs", "output")
UPLOADS = ("jobs/", "output/", "timings/", "voices/", "models/")
"""Where this program writes what may be large."""

_OF_A_JOB = re.compile(r"(?:jobs|output)/([^/]+)/[^/]+")
_OF_THE_QUEUE = re.compile(r"queue/[^/]+\.json")
_OF_THE_CACHE = re.compile(r"cache/[0-9a-f]{64}\.json")


@dataclass(slots=True)
class Swept:
    """What went, or would go: jobs with all of their files, cache entries, and bytes of both.

    Attributes:
        uploads: that were never completed and whose parts went; never counted before they go.
    """

    jobs: int = 0
    files: int = 0
    cache_entries: int = 0
    bytes: int = 0
    uploads: int = 0


def sweep(
    store: ObjectStore,
    retention_days: int,
    dry_run: bool = False,
    on_job: Callable[[str], None] | None = None,
) -> Swept:
    """Remove jobs of which nothing was written for `retention_days`, and cache entries as old.

    A job goes as a whole. It is listed once more just before, so one that was touched meanwhile
    stays. A sweep that is cut short leaves nothing wrong; the next one goes on.

    Args:
        retention_days: 0 keeps everything.
        dry_run: count only.
        on_job: told the folder name of each job that goes.

    Raises:
        StorageFailed: the store's own code.
    """
    swept = Swept()
    if not retention_days:
        return swept
    before = store.now() - retention_days * DAY_S
    for folder in _old_jobs(store, before):
        files = [entry for name in FOLDERS for entry in store.list(f"{name}/{folder}/")]
        files += [e for e in store.list(f"timings/{folder}") if _is_timing(e.key, folder)]
        if not files or any(entry.modified.timestamp() >= before for entry in files):
            continue
        swept.jobs += 1
        _remove(store, sorted(files, key=_order), swept, dry_run)
        if on_job is not None:
            on_job(folder)
    entries = [
        entry
        for entry in store.list("cache/")
        if _OF_THE_CACHE.fullmatch(entry.key) and entry.modified.timestamp() < before
    ]
    swept.cache_entries = len(entries)
    # What nobody took up for so long is not wanted any more; its records have gone with the job.
    entries += [
        entry
        for entry in store.list("queue/")
        if _OF_THE_QUEUE.fullmatch(entry.key) and entry.modified.timestamp() < before
    ]
    _remove(store, entries, swept, dry_run)
    if not dry_run:
        swept.uploads = _abort_uploads(store)
    return swept


def _abort_uploads(store: ObjectStore) -> int:
    """Remove what killed processes left of large results and recordings, from a day on."""
    try:
        return sum(store.abort_old_uploads(prefix) for prefix in UPLOADS)
    except F5Error as error:  # not every key may list them
        _log.info("uploads that were not completed are not looked for: %s", error.message)
        return 0


def _old_jobs(store: ObjectStore, before: float) -> Iterator[str]:
    """Folder names of jobs whose newest file is older than `before`."""
    newest: dict[str, float] = {}
    for name in FOLDERS:
        for entry in store.list(f"{name}/"):
            found = _OF_A_JOB.fullmatch(entry.key)
            if found:
                at = entry.modified.timestamp()
                newest[found[1]] = max(at, newest.get(found[1], at))
    return (folder for folder, at in newest.items() if at < before)


def _is_timing(key: str, folder: str) -> bool:
    """Whether it is that job's file, not one of a job whose id goes on after a dot."""
    return re.fullmatch(rf"timings/{re.escape(folder)}\.[a-z0-9]+", key) is not None


def _order(entry: StoredObject) -> tuple[int, str]:
    """done.json goes first, so that nothing names what is gone, and state.json last: a job
    without it counts as never begun."""
    name = entry.key.rpartition("/")[2] if entry.key.startswith("jobs/") else ""
    return {"done.json": 0, "state.json": 2}.get(name, 1), entry.key


def _remove(store: ObjectStore, entries: list[StoredObject], swept: Swept, dry_run: bool) -> None:
    for entry in entries:
        swept.files += 1
        swept.bytes += entry.size
        if not dry_run:
            store.delete(entry.key)

"""What operations on jobs cost while the store fills up; `bench/growth.py` runs it.

    python bench/growth.py --what jobs                      10, 1,000, 20,000 jobs

Every job is done: state, record, result and its key in the index. `list again` is asked by the same
process once its page is not fresh any more; `rebuild` is what a server does once a day, or after an
update from a version without an index. Dry sweeps count what would go; the last row removes all,
where there are not too many.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from f5serve.jobs.history import JobIndex, RecentJobs, key_of
from f5serve.jobs.pending import PendingJob, PendingJobs
from f5serve.jobs.records import JobSnapshot, Lease, encode, output_key, record_key
from f5serve.jobs.retention import DAY_S, collect_garbage
from f5serve.jobs.store import JobStore
from f5serve.service.responses import job_summary
from f5serve.store.base import ObjectStore
from growth import Counting

FULL = ("rebuild", "gc dry, none old", "gc dry, all old", "gc, all old")
"""Rows that go through all jobs."""

PAGES = ("list first", "list again", "list next page")
"""Rows that read the records of at most LIMIT jobs; bounded by `too_many`."""

AGE_S = 40 * DAY_S
APART_S = 30.0
LIMIT = 50
FRESH_S = 0.1
MOST_REMOVED = 2_000
_SHA256 = "1" * 64
_SOUND = b"\0" * 100


def fill(folder: Path, count: int) -> None:
    """Jobs in the folder of a store, past the store: 20,000 are there in seconds."""
    newest = time.time() - AGE_S
    for number in range(count):
        job_id, at = f"{number:032x}", newest - number * APART_S
        state = {"job_id": job_id, "request_sha256": _SHA256, "attempt": 1, "phase": "storing"}
        state |= {"heartbeat": at, "created_at": at, "since": at}
        files = {
            record_key(job_id, "state"): encode(state),
            record_key(job_id, "done"): encode({**state, **_story(job_id), "finished_at": at}),
            output_key(job_id, _SHA256, "wav"): _SOUND,
            key_of(job_id, at): b"",
        }
        for key, data in files.items():
            place = folder / key
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
            os.utime(place, (at, at))


def _story(job_id: str) -> dict[str, Any]:
    key = output_key(job_id, _SHA256, "wav")
    line = {"role": "audio", "key": key, "size": 100, "sha256": _SHA256, "mime": "audio/wav"}
    details = {"text": "He was not an ill-disposed young man. " * 10, "word_timings": []}
    return {"outputs": [line], "details": details, "seconds": 3.0, "format": "wav"}


def jobs(store: ObjectStore, size: int) -> dict[str, dict[str, Any]]:
    """Every operation over one store that `fill` has filled, in the order of the table."""
    counting = Counting(store)
    rows: dict[str, dict[str, Any]] = {}

    def row(name: str, call: Callable[[], Any]) -> Any:
        counting.sent.clear()
        began = time.perf_counter()
        value = call()
        rows[name] = {**counting.sent, "s": round(time.perf_counter() - began, 3)}
        return value

    board = JobStore(counting)
    history = RecentJobs(board, _line, fresh_s=FRESH_S)
    first = row("list first", lambda: history.page(LIMIT))
    assert len(first.jobs) == min(LIMIT, size)
    time.sleep(2 * FRESH_S)
    row("list again", lambda: history.page(LIMIT))
    behind = RecentJobs(board, _line).page(5).next
    row("list next page", lambda: RecentJobs(board, _line).page(LIMIT, behind))
    row("status", lambda: board.snapshot(f"{size // 2:032x}"))
    row("status, unknown", lambda: board.snapshot("nobody"))
    lease = row("new job, claim", lambda: board.claim("new", _SHA256))
    assert isinstance(lease, Lease)
    row("new job, finish", lambda: board.complete(lease, _story("new")))
    row("new job for later", lambda: _put_off(board))
    newest = RecentJobs(board, _line).page(LIMIT).jobs[:2]  # a bucket's clock tells whole seconds
    assert {job["job_id"] for job in newest} == {"new", "later"}
    row("rebuild", JobIndex(counting).rebuild)
    row("gc dry, none old", lambda: collect_garbage(counting, 10_000, dry_run=True))
    swept = row("gc dry, all old", lambda: collect_garbage(counting, 30, dry_run=True))
    assert swept.jobs == size
    if size <= MOST_REMOVED:
        swept = row("gc, all old", lambda: collect_garbage(counting, 30))
        assert swept.jobs == size
    return rows


def too_many(found: dict[int, dict[str, dict[str, Any]]]) -> list[str]:
    """Pages that ask for more than one listing and a record for each of their jobs."""
    return [
        f"{name} of {size:,}"
        for size, rows in found.items()
        for name in PAGES
        if name in rows and (rows[name].get("LIST", 0) > 1 or rows[name].get("GET", 0) > LIMIT)
    ]


def _line(name: str, snapshot: JobSnapshot) -> dict[str, Any]:
    return job_summary(name, snapshot)


def _put_off(board: JobStore) -> None:
    board.enqueue("later", _SHA256)
    PendingJobs(board.store).put(PendingJob("later", _SHA256, {"text": "Hello."}))

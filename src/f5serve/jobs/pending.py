"""Pending jobs in the store, so that they outlive the process that accepted them.

Which worker has a job, and whether any has, is known to `JobStore`.

    queue/<id>.json    id, payload and hash of a job that is not over yet

It is written after the job is known to `JobStore` and before the caller gets QUEUED; it is
removed after the job has ended. What is left over when a process dies says what is to be done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from f5serve.jobs.record_reader import RecordReader, UnreadableRecords
from f5serve.jobs.records import SCHEMA, folder_of
from f5serve.jobs.schema import WAITING
from f5serve.store.base import ObjectStore
from f5serve.store.json_documents import canonical_json

MAX_ENTRY_BYTES = 64_000_000
"""More than the longest text that the settings allow takes as JSON."""

MAX_LISTED = 20_000
"""Entries that one look goes through; the rest is found when these are done."""

_ENTRY = re.compile(r"queue/([^/]+)\.json")


@dataclass(frozen=True, slots=True)
class PendingJob:
    """A job that waits.

    Attributes:
        request_sha256: as `JobStore` knows it.
        payload: the input that makes the job, as JSON.
        owner: whose key has asked for it, "" without a key.
    """

    job_id: str
    request_sha256: str
    payload: Mapping[str, Any]
    owner: str = ""


@dataclass(frozen=True, slots=True)
class PendingRef:
    """An entry as a listing tells it.

    Attributes:
        name: of the job's folder; serves as its id wherever records are read.
        since: when it was written, seconds since 1970 by the store's clock.
    """

    name: str
    since: float


class PendingJobs:
    """All entries of one store. Every call blocks and raises StorageFailed as the store does.

    Args:
        damage: where entries that cannot be read are noted; None makes one.
    """

    def __init__(self, store: ObjectStore, damage: UnreadableRecords | None = None) -> None:
        self._store = store
        self._reader = RecordReader(store, damage)

    def put(self, entry: PendingJob) -> None:
        """Have the job wait; when this returns it can no longer be lost."""
        record = {
            "schema": SCHEMA,
            "job_id": entry.job_id,
            "request_sha256": entry.request_sha256,
            "payload": dict(entry.payload),
            "owner": entry.owner,
        }
        self._store.put(entry_key(entry.job_id), canonical_json(record), "application/json")

    def read(self, name: str) -> PendingJob | None:
        """What waits under this name or id; None where nothing does.

        Raises:
            RecordUnreadable: it is nothing that this version knows.
        """
        record = self._reader.get(entry_key(name), WAITING, folder_of(name), MAX_ENTRY_BYTES)
        if record is None:
            return None
        owner = record.get("owner") or ""
        return PendingJob(record["job_id"], record["request_sha256"], record["payload"], owner)

    def remove(self, name: str) -> None:
        """The job waits no more; harmless twice."""
        self._store.delete(entry_key(name))

    def list(self) -> list[PendingRef]:
        """What waits, oldest first, as far as the store's listing is fresh."""
        found = []
        for stored in islice(self._store.list("queue/"), MAX_LISTED):
            match = _ENTRY.fullmatch(stored.key)
            if match:
                found.append(PendingRef(match[1], stored.modified.timestamp()))
        return sorted(found, key=lambda listed: listed.since)


def entry_key(job_id: str) -> str:
    """Key of a job's entry; of its folder's name, too, which stands for itself."""
    return f"queue/{folder_of(job_id)}.json"

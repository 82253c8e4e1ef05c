"""Job records: keys in the store, encoding, status rules, and outcomes of a claim.

    jobs/<id>/state.json      who works on it, how far, when last heard of; overwritten, advisory
    jobs/<id>/done.json       success, written after the output it names
    jobs/<id>/failed-N.json   how attempt N ended without one
    jobs/<id>/cancel.json     a request to cancel it
    output/<id>/<sha16>.<ext> what was made; written once
    timings/<id>.<format>     when each word is heard, as subtitles or a table

Success and failure lie under different keys, so no race between two workers hides a result.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.store.json_documents import canonical_json

SCHEMA = 1
"""Raised when a reader of the number before could no longer use what is written."""


Record = dict[str, Any]
"""One JSON object of the store. Fields that this version does not know are kept."""

LEASE_S = 60.0
"""A worker that was not heard of for so long has lost its job."""

MAX_RECORD_BYTES = 65_536
CANCELLED_CODE = "JOB_CANCELLED"

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class Status(Enum):
    """What a job's records prove; the values are those of answers.

    LOST is shown as PROCESSING: no worker has it any more, but the worker that gets the job next
    will go on, so it has not failed.
    """

    UNKNOWN = "UNKNOWN"
    QUEUED = "QUEUED"
    RUNNING = "PROCESSING"
    LOST = "LOST"
    FAILED = "ERROR"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"

    @property
    def public(self) -> str:
        """The word for callers: QUEUED, PROCESSING, COMPLETED, ERROR or CANCELLED."""
        return "PROCESSING" if self is Status.LOST else self.value


ENDED = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class JobRecords:
    """The records of one job that were found; `failed` is that of the newest attempt."""

    done: Record | None = None
    cancel: Record | None = None
    failed: Record | None = None
    state: Record | None = None


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """A status and the record that proves it; empty for UNKNOWN.

    Attributes:
        damage: RECORD_DAMAGED or RECORD_TOO_NEW where a record could not be read; the status is
            FAILED then.
    """

    status: Status
    record: Record
    damage: str = ""

    @property
    def failure(self) -> Record:
        """Code, message, hint and retryable of a job that failed; else empty."""
        return dict(self.record.get("failure") or {}) if self.status is Status.FAILED else {}


def resolve_status(evidence: JobRecords, now: float, lease_s: float = LEASE_S) -> JobSnapshot:
    """What the evidence proves, strongest first; `now` by the clock of the store."""
    if evidence.done is not None:
        return JobSnapshot(Status.COMPLETED, evidence.done)
    if evidence.cancel is not None:
        return JobSnapshot(Status.CANCELLED, evidence.cancel)
    state = evidence.state
    if evidence.failed is not None and attempt_of(evidence.failed) >= attempt_of(state):
        return _ended(evidence.failed)
    if state is None:
        return JobSnapshot(Status.UNKNOWN, {})
    phase = state.get("phase")
    if phase == "cancelled":
        return JobSnapshot(Status.CANCELLED, state)
    if phase == "failed":
        return _ended(state)
    if phase == "queued":
        return JobSnapshot(Status.QUEUED, state)
    # A heartbeat from the future comes from a wrong clock; it must not hold the job for ever.
    fresh = abs(now - float(state.get("heartbeat", 0.0))) < lease_s
    return JobSnapshot(Status.RUNNING if fresh and phase != "released" else Status.LOST, state)


def _ended(record: Record) -> JobSnapshot:
    """Failed, or stopped by the platform, which is shown as cancelled."""
    code = (record.get("failure") or {}).get("code")
    return JobSnapshot(Status.CANCELLED if code == CANCELLED_CODE else Status.FAILED, record)


def attempt_of(record: Record | None) -> int:
    """Number of the attempt that a record speaks of; 0 before the first."""
    return int((record or {}).get("attempt") or 0)


def folder_of(job_id: str) -> str:
    """The name under which a job is kept: its id, or the id's SHA-256 where it is no good name."""
    plain = _JOB_ID.fullmatch(job_id) and ".." not in job_id and not job_id.endswith(".")
    return job_id if plain else hashlib.sha256(job_id.encode(errors="surrogatepass")).hexdigest()


def record_key(job_id: str, name: str) -> str:
    """Key of a record: `name` is state, done, cancel or failed-N."""
    return f"jobs/{folder_of(job_id)}/{name}.json"


def output_key(job_id: str, sha256: str, extension: str) -> str:
    """Key of something made: its content is in its name, so it never changes."""
    return f"output/{folder_of(job_id)}/{sha256[:16]}.{extension}"


def timing_key(job_id: str, format: str) -> str:
    """Key of a file of word times; older clients build it themselves."""
    return f"timings/{folder_of(job_id)}.{format}"


def sha256_of(value: Any) -> str:
    """SHA-256 of the canonical form."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def encode(record: Mapping[str, Any]) -> bytes:
    """A record as bytes.

    Raises:
        StorageFailed: RECORD_TOO_LARGE, beyond 64 kB; large parts belong into an output.
    """
    data = canonical_json({"schema": SCHEMA, **record})
    if len(data) > MAX_RECORD_BYTES:
        raise StorageFailed(
            f"A record of {len(data):,} bytes is larger than {MAX_RECORD_BYTES:,}.",
            code="RECORD_TOO_LARGE",
            hint="Report this; the job's text or warnings are longer than expected.",
        )
    return data


@dataclass(slots=True)
class Lease:
    """The right, and the duty, to work on a job.

    Attributes:
        created_at, heartbeat_at: when it began and was last confirmed, by the clock of the store.
        lost: another worker has taken over; going on is allowed and costs only time.
    """

    job_id: str
    request_sha256: str
    attempt: int
    created_at: float
    heartbeat_at: float
    lost: bool = False
    state: Record = field(default_factory=dict)

    @property
    def fields(self) -> Record:
        """What every record of this attempt says."""
        return {
            "job_id": self.job_id,
            "request_sha256": self.request_sha256,
            "attempt": self.attempt,
        }


@dataclass(frozen=True, slots=True)
class AlreadyCompleted:
    """The job was done before; `record` is its done.json."""

    record: Record


@dataclass(frozen=True, slots=True)
class HeldByOther:
    """Another worker is at it; its lease ends in `wait_s` seconds unless it is heard of."""

    wait_s: float


def cancelled(job_id: str) -> InvalidRequest:
    """The error that ends the work on a cancelled job."""
    return InvalidRequest(
        f"Job {job_id} was cancelled.",
        code=CANCELLED_CODE,
        hint="Send the request again under a new id.",
    )


def unknown(job_id: str, named: bool = False) -> InvalidRequest:
    """The error for a job without records."""
    return InvalidRequest(
        f"Invalid job_id: {job_id}" if named else "Invalid job_id.",
        code="INVALID_JOB_ID",
        hint="Check the id; a job that still waits in the platform's own queue is not known yet.",
    )


def conflict(job_id: str) -> InvalidRequest:
    """The error for an id that comes with another input than before."""
    return InvalidRequest(
        f"The job id {job_id} belongs to another request.",
        code="JOB_ID_CONFLICT",
        hint="Send the same input again, or take a new id.",
    )

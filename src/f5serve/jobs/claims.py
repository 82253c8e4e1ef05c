"""Outcomes of a claim on a job: a lease, an earlier result, another worker, or an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from f5serve.errors import InvalidRequest
from f5serve.jobs.records import CANCELLED_CODE, Record


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
    """The error that ends the work on a job somebody cancelled."""
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

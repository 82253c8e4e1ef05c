"""What a claim on a job comes to: the right to work on it, its result, or to wait."""

from __future__ import annotations

from dataclasses import dataclass, field

from f5serve.jobs.reading import Record


@dataclass(slots=True)
class Lease:
    """The right, and the duty, to work on a job.

    Attributes:
        created_at, beat_at: when it began and was last confirmed, by the clock of the store.
        lost: another worker has taken over; going on is allowed and costs only time.
    """

    job_id: str
    request_sha256: str
    attempt: int
    created_at: float
    beat_at: float
    lost: bool = False
    state: Record = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finished:
    """The job was done before; `record` is its done.json."""

    record: Record


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another worker is at it; its lease ends in `wait_s` seconds unless it is heard of."""

    wait_s: float

"""The sentences about jobs that cannot be done, or are not what was thought.

Job ids flow in, errors flow out for the caller to raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from f5serve.errors import F5Error, InvalidRequest
from f5serve.jobs.records import CANCELLED_CODE, Standing, Status


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


def recorded(failure: Mapping[str, Any]) -> F5Error:
    """The error that an earlier attempt wrote down."""
    return F5Error(
        str(failure.get("message", "The job failed.")),
        code=str(failure.get("code", "JOB_FAILED")),
        hint=str(failure.get("hint", "")),
        retryable=bool(failure.get("retryable")),
    )


def conflict(job_id: str) -> InvalidRequest:
    """The error for an id that comes with another input than before."""
    return InvalidRequest(
        f"The job id {job_id} belongs to another request.",
        code="JOB_ID_CONFLICT",
        hint="Send the same input again, or take a new id.",
    )


def not_complete(standing: Standing) -> InvalidRequest:
    """The error for the result of a job that has none yet, or never will."""
    failed = standing.status is Status.FAILED
    return InvalidRequest(
        f"Job is not complete. Status: {standing.status.told}",
        code="JOB_FAILED" if failed else "JOB_NOT_COMPLETE",
        hint=str(standing.failure.get("message", ""))
        if failed
        else "Ask for its status until it is COMPLETED.",
        retryable=standing.status in (Status.QUEUED, Status.RUNNING, Status.LOST),
    )


def workers_lost(attempts: int) -> F5Error:
    """The error for a job that outlived too many workers."""
    return F5Error(
        f"The job was begun {attempts} times and no worker lived to its end.",
        code="WORKERS_LOST",
        hint="Look into the workers' logs, then send the request under a new id.",
    )

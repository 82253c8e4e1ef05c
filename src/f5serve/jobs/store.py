"""Job store: claim with a lease, heartbeat, complete, fail, cancel, status.

Every call blocks, may run in any thread and any process, and relies on whole reads and writes only.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from typing import Any

from f5serve import build
from f5serve.errors import F5Error, InvalidRequest
from f5serve.jobs.history import JobIndex
from f5serve.jobs.record_reader import (
    TOO_NEW,
    RecordReader,
    RecordUnreadable,
    UnreadableRecords,
    unreadable_snapshot,
)
from f5serve.jobs.records import (
    LEASE_S,
    AlreadyCompleted,
    HeldByOther,
    JobRecords,
    JobSnapshot,
    Lease,
    Record,
    Status,
    attempt_of,
    cancelled,
    conflict,
    encode,
    folder_of,
    record_key,
    resolve_status,
    unknown,
)
from f5serve.jobs.schema import FAILED, SHAPES
from f5serve.store.base import ObjectStore

MAX_ATTEMPTS = 10
"""A job that lost so many workers or failed so often is not begun again."""

INDEX_S = 2.0
"""Longest wait for a job's key in the index."""

_CARRIED_FIELDS = ("about", "queued_at", "since", "owner")
"""What a state says that its done record is to say, too."""


class JobStore:
    """The records of all jobs in one store.

    Args:
        boot_id: who this process is, "" makes one up; one `JobStore` per process.
        lease_s: silence after which a worker has lost its job.
        damage: where records that cannot be read are noted; None makes one.

    A damaged record is shown as the job's failure, and is written anew when the job is begun again;
    one of a later schema is left alone.
    """

    def __init__(
        self,
        store: ObjectStore,
        boot_id: str = "",
        lease_s: float = LEASE_S,
        damage: UnreadableRecords | None = None,
    ) -> None:
        self.store = store
        self.reader = RecordReader(store, damage)
        self._index = JobIndex(store)
        self.boot_id = boot_id or uuid.uuid4().hex
        self.lease_s = lease_s
        self.program = build.stamp().program
        self._worker = {"boot_id": self.boot_id, **self.program}

    def claim(
        self,
        job_id: str,
        request_sha256: str,
        about: Mapping[str, Any] | None = None,
        owner: str = "",
        max_attempts: int = MAX_ATTEMPTS,
    ) -> Lease | AlreadyCompleted | HeldByOther:
        """Take the job, if it is free.

        A new job costs one read and two writes at once: done.json is never without a
        state.json, which is written first and removed last.

        Args:
            about: kept in the records for listings, as it is.
            owner: whose key asks; kept with the first record, later ones do not change it.
            max_attempts: how often the job is begun at most.

        Raises:
            InvalidRequest: JOB_ID_CONFLICT, or JOB_CANCELLED.
            RecordUnreadable: RECORD_TOO_NEW.
            F5Error: what an earlier attempt failed with, when trying again is of no use.
        """
        summary = {"about": dict(about)} if about else {}
        state = self._usable(job_id, "state")
        if state is None:
            return self._take(job_id, request_sha256, {"owner": owner, **summary})
        done = self._usable(job_id, "done")
        if (done or state).get("request_sha256") != request_sha256:
            raise conflict(job_id)
        if done is not None:
            return AlreadyCompleted(done)
        snapshot = self._judge(job_id, state)
        if snapshot.status is Status.CANCELLED and "failure" not in snapshot.record:
            raise cancelled(job_id)
        if snapshot.status is Status.RUNNING and self._is_another(state):
            return HeldByOther(max(0.0, state["heartbeat"] + self.lease_s - self.store.now()))
        if not snapshot.damage:
            self._refuse_hopeless(job_id, snapshot, state, max_attempts)
        return self._take(job_id, request_sha256, {**state, **summary})

    def enqueue(
        self,
        job_id: str,
        request_sha256: str,
        about: Mapping[str, Any] | None = None,
        owner: str = "",
    ) -> JobSnapshot:
        """Note that the job is about to be handed to a queue; returns where it stands now.

        Args:
            about, owner: as for `claim`.

        Raises:
            InvalidRequest: JOB_ID_CONFLICT.
            RecordUnreadable: RECORD_TOO_NEW.
        """
        state = self._usable(job_id, "state")
        if state is None:
            now = self.store.now()
            summary = {"about": dict(about)} if about else {}
            state = {
                "job_id": job_id,
                "request_sha256": request_sha256,
                "attempt": 0,
                "phase": "queued",
                "queued_at": now,
                "since": now,
                "owner": owner,
                **summary,
            }
            self._write_first(job_id, state)
            return JobSnapshot(Status.QUEUED, state)
        if state.get("request_sha256") != request_sha256:
            raise conflict(job_id)
        return self.snapshot(job_id)

    def is_queued(self, job_id: str, request_sha256: str) -> bool:
        """Whether `queue` has noted this job with this input; one read."""
        try:
            state = self._read(job_id, "state")
        except RecordUnreadable:
            return False
        return state is not None and state["request_sha256"] == request_sha256

    def heartbeat(self, lease: Lease, phase: str, progress: Mapping[str, Any]) -> None:
        """Tell that the job is alive and how far it is; at most each 15 s.

        Raises:
            InvalidRequest: JOB_CANCELLED, when it was cancelled meanwhile.
        """
        try:
            found = self._usable(lease.job_id, "state")
        except RecordUnreadable:  # a worker of a later version has taken over
            lease.lost = True
            return
        if found is not None and self._was_overtaken(lease, found):
            lease.lost = True
            return
        is_asked = found is not None and found.get("phase") == "cancelled"
        if is_asked or self._usable(lease.job_id, "cancel") is not None:
            raise cancelled(lease.job_id)
        self._put_state(lease, phase=phase, progress=dict(progress))

    def earlier_result(self, lease: Lease) -> Record | None:
        """What another worker has finished, looked for only when our lease is in doubt.

        It is after a long freeze or a take-over; ask before writing anything.
        """
        if not lease.lost and abs(self.store.now() - lease.heartbeat_at) < self.lease_s:
            return None
        try:
            done = self._usable(lease.job_id, "done")
        except RecordUnreadable:
            return None
        return done if done and done["request_sha256"] == lease.request_sha256 else None

    def complete(self, lease: Lease, result: Mapping[str, Any]) -> Record:
        """Write the success and return it; the outputs it names are in the store already.

        Args:
            result: outputs, engine, voice and whatever else is to be kept; at most 64 kB.
        """
        earlier = self.earlier_result(lease)
        if earlier is not None:
            return earlier
        record = {
            **result,
            **lease.fields,
            "state": Status.COMPLETED.value,
            "worker": self._worker,
            "created_at": lease.created_at,
            "finished_at": self.store.now(),
            **{name: lease.state[name] for name in _CARRIED_FIELDS if name in lease.state},
        }
        self._write(lease.job_id, "done", record)
        return record

    def fail(self, lease: Lease, failure: Mapping[str, Any]) -> None:
        """Write how the attempt ended: message, code, hint and retryable."""
        record = {
            **lease.fields,
            "worker": self._worker,
            "failed_at": self.store.now(),
            "failure": dict(failure),
        }
        self._write(lease.job_id, f"failed-{lease.attempt}", record)
        self._end(lease, phase="failed", failure=dict(failure))

    def give_up(self, job_id: str, failure: Mapping[str, Any]) -> None:
        """Note that a job that waits can never be begun, so that it has failed for good.

        One that is over, at work or of a later version stays as it is.
        """
        snapshot = self.snapshot(job_id)
        if snapshot.damage == TOO_NEW or snapshot.status not in (Status.QUEUED, Status.LOST):
            return
        recorded = {**failure, "retryable": False}
        self._write(job_id, "state", {**snapshot.record, "phase": "failed", "failure": recorded})

    def release(self, lease: Lease) -> None:
        """Give the job back unfinished: the next worker may begin at once."""
        self._end(lease, phase="released")

    def end_cancelled(self, lease: Lease) -> None:
        """Record that the work has ended because the job was cancelled."""
        self._end(lease, phase="cancelled")

    def cancel(self, job_id: str, by: str) -> JobSnapshot:
        """Ask for an end; a job that has ended already stays as it is.

        Raises:
            InvalidRequest: INVALID_JOB_ID for an unknown job.
        """
        snapshot = self.snapshot(job_id)
        if snapshot.status is Status.UNKNOWN:
            raise unknown(job_id)
        if snapshot.status not in (Status.QUEUED, Status.RUNNING, Status.LOST):
            return snapshot
        state = snapshot.record
        now = self.store.now()
        self._write(job_id, "cancel", {"job_id": job_id, "by": by, "at": now})
        # For readers, who look no further than the state; the worker's next beat may undo it
        # once, reads cancel.json and stops.
        self._write(job_id, "state", {**state, "phase": "cancelled", "heartbeat": now})
        return self.snapshot(job_id)

    def snapshot(self, job_id: str) -> JobSnapshot:
        """Where the job stands: one read when it is done, two while it is queued or at work.

        A job whose record cannot be read is FAILED, with the reason as its failure.
        """
        try:
            done = self._read(job_id, "done")
            if done is not None:
                return JobSnapshot(Status.COMPLETED, done)
            state = self._read(job_id, "state")
        except RecordUnreadable as error:
            return unreadable_snapshot(job_id, error)
        if state is None:
            return JobSnapshot(Status.UNKNOWN, {})
        snapshot = resolve_status(JobRecords(state=state), self.store.now(), self.lease_s)
        return self._judge(job_id, state) if snapshot.status is Status.LOST else snapshot

    def result(self, job_id: str) -> Record:
        """The record of a job that is done.

        Raises:
            InvalidRequest: INVALID_JOB_ID, JOB_NOT_COMPLETE, or JOB_FAILED with the reason as
                hint.
        """
        snapshot = self.snapshot(job_id)
        if snapshot.status is Status.COMPLETED:
            return snapshot.record
        if snapshot.status is Status.UNKNOWN:
            raise unknown(job_id, named=True)
        failed = snapshot.status is Status.FAILED
        hint = "Ask for its status until it is COMPLETED."
        raise InvalidRequest(
            f"Job is not complete. Status: {snapshot.status.public}",
            code="JOB_FAILED" if failed else "JOB_NOT_COMPLETE",
            hint=str(snapshot.failure.get("message", "")) if failed else hint,
            retryable=snapshot.status in (Status.QUEUED, Status.RUNNING, Status.LOST),
        )

    def _judge(self, job_id: str, state: Record) -> JobSnapshot:
        """Where an unfinished job stands by all of its records."""
        try:
            evidence = JobRecords(
                cancel=self._read(job_id, "cancel"),
                failed=self._read(job_id, f"failed-{attempt_of(state)}"),
                state=state,
            )
        except RecordUnreadable as error:
            return unreadable_snapshot(job_id, error)
        return resolve_status(evidence, self.store.now(), self.lease_s)

    def _take(self, job_id: str, request_sha256: str, found: Record) -> Lease:
        now = self.store.now()
        lease = Lease(job_id, request_sha256, attempt_of(found) + 1, now, now)
        kept = {name: value for name, value in found.items() if name not in ("failure", "progress")}
        lease.state = {**kept, **lease.fields, "worker": self._worker, "created_at": now}
        if "since" in kept:
            self._put_state(lease, phase="starting")
        else:
            lease.state |= {"since": now, "phase": "starting", "heartbeat": now}
            self._write_first(job_id, lease.state)
        return lease

    def _write_first(self, job_id: str, state: Mapping[str, Any]) -> None:
        """Write a job's first record and, at the same time, its key in the index; that is waited
        for only so long, as nothing depends on it."""
        where = (folder_of(job_id), state["since"])
        noted = threading.Thread(target=self._index.add, args=where, daemon=True, name="index")
        noted.start()
        self._write(job_id, "state", state)
        noted.join(INDEX_S)

    def _put_state(self, lease: Lease, **changes: Any) -> None:
        now = self.store.now()
        lease.state = {**lease.state, **changes, "heartbeat": now}
        self._write(lease.job_id, "state", lease.state)
        lease.heartbeat_at = now

    def _end(self, lease: Lease, **changes: Any) -> None:
        """Let go of the state, unless it is another worker's by now, or says more already."""
        try:
            found = self._usable(lease.job_id, "state") or {}
        except RecordUnreadable:  # a worker of a later version has taken over
            return
        if found.get("phase") != "cancelled" and not self._was_overtaken(lease, found):
            self._put_state(lease, **changes)

    def _was_overtaken(self, lease: Lease, found: Record) -> bool:
        if attempt_of(found) == lease.attempt:  # two took over at the same moment
            return self._is_another(found)
        return attempt_of(found) > lease.attempt

    def _is_another(self, state: Record) -> bool:
        return (state.get("worker") or {}).get("boot_id") != self.boot_id

    def _refuse_hopeless(
        self, job_id: str, snapshot: JobSnapshot, state: Record, max_attempts: int
    ) -> None:
        attempts = attempt_of(state)
        failure = snapshot.record.get("failure") or {}
        if failure and (not failure.get("retryable") or attempts >= max_attempts):
            raise F5Error(
                str(failure.get("message", "The job failed.")),
                code=str(failure.get("code", "JOB_FAILED")),
                hint=str(failure.get("hint", "")),
                retryable=bool(failure.get("retryable")),
            )
        if attempts >= max_attempts:
            message = f"The job was begun {attempts} times, and every worker died before its end."
            hint = "Look into the workers' logs, then send the request under a new id."
            error = F5Error(message, code="WORKERS_LOST", hint=hint)
            recorded = {"message": error.message, "code": error.code, "hint": error.hint}
            self._write(job_id, "state", {**state, "phase": "failed", "failure": recorded})
            raise error

    def _usable(self, job_id: str, name: str) -> Record | None:
        """As `_read` for who goes on with the job: a damaged record counts as none.

        Raises:
            RecordUnreadable: RECORD_TOO_NEW, which must not be written over.
        """
        try:
            return self._read(job_id, name)
        except RecordUnreadable as error:
            if error.code == TOO_NEW:
                raise
            return None

    def _read(self, job_id: str, name: str) -> Record | None:
        shape = SHAPES.get(name, FAILED)
        return self.reader.get(record_key(job_id, name), shape, folder_of(job_id))

    def _write(self, job_id: str, name: str, record: Mapping[str, Any]) -> None:
        self.store.put(record_key(job_id, name), encode(record), "application/json")

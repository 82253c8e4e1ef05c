"""Any order of events at several workers: a success is never lost, a cancel never forgotten."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from f5serve.errors import F5Error, InvalidRequest
from f5serve.jobs.records import LEASE_S, AlreadyCompleted, HeldByOther, Lease, Status
from f5serve.jobs.store import MAX_ATTEMPTS, JobStore
from f5serve.store.memory import MemoryStore
from tests.jobs.clock import Clock

JOBS = st.sampled_from(["a", "b"])
WORKERS = st.sampled_from([0, 1, 2])
SHA = "1" * 64


class Jobs(RuleBasedStateMachine):
    """Three workers, two jobs, and what must be true of them."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        store = MemoryStore(self.clock)
        self.boards = [JobStore(store, f"w{n}") for n in range(3)]
        self.leases: list[tuple[int, Lease]] = []
        self.done: set[str] = set()
        self.cancelled: set[str] = set()
        self.hopeless: set[str] = set()

    @rule(job=JOBS, worker=WORKERS)
    def claim(self, job: str, worker: int) -> None:
        try:
            claim = self.boards[worker].claim(job, SHA)
        except F5Error as error:
            self._check_refusal(job, error.code)
            return
        if isinstance(claim, Lease):
            assert job not in self.done | self.cancelled
            self.leases.append((worker, claim))
        elif isinstance(claim, AlreadyCompleted):
            assert job in self.done
        else:
            assert isinstance(claim, HeldByOther)
            assert 0 < claim.wait_s <= LEASE_S

    def _check_refusal(self, job: str, code: str) -> None:
        assert job not in self.done
        known = {"JOB_CANCELLED": self.cancelled, "FINAL": self.hopeless}
        if code in known:
            assert job in known[code]
        else:
            assert self._attempts(job) >= MAX_ATTEMPTS

    @rule(pick=st.integers(0, 9), how=st.sampled_from(["beat", "finish", "fail", "give up", "die"]))
    def go_on(self, pick: int, how: str) -> None:
        if not self.leases:
            return
        worker, lease = self.leases[pick % len(self.leases)]
        if how != "beat":
            self.leases.remove((worker, lease))
        self._go_on(self.boards[worker], lease, how)

    def _go_on(self, board: JobStore, lease: Lease, how: str) -> None:
        if how == "beat":
            try:
                board.heartbeat(lease, "speaking", {})
            except F5Error:
                assert lease.job_id in self.cancelled
        elif how == "finish":
            assert board.complete(lease, story(lease.job_id))["outputs"] == outputs(lease.job_id)
            self.done.add(lease.job_id)
        elif how == "fail":
            final = lease.attempt % 3 == 0
            code = "FINAL" if final else "AGAIN"
            failure = {"message": "x", "code": code, "hint": "", "retryable": not final}
            board.fail(lease, failure)
            if final:
                self.hopeless.add(lease.job_id)
        elif how == "give up":
            board.release(lease)

    @rule(job=JOBS, worker=WORKERS)
    def cancel(self, job: str, worker: int) -> None:
        with contextlib.suppress(InvalidRequest):  # a job that nobody knows
            if self.boards[worker].cancel(job, "test").status is Status.CANCELLED:
                self.cancelled.add(job)

    @rule(seconds=st.sampled_from([1.0, 30.0, LEASE_S, 10 * LEASE_S]))
    def wait(self, seconds: float) -> None:
        self.clock.tick(seconds)

    @invariant()
    def nothing_is_lost(self) -> None:
        for job in self.done:
            snapshot = self.boards[0].snapshot(job)
            assert snapshot.status is Status.COMPLETED
            assert snapshot.record["outputs"] == outputs(job)
        for job in self.cancelled - self.done:
            assert self.boards[1].snapshot(job).status is Status.CANCELLED

    def _attempts(self, job: str) -> int:
        return int(self.boards[0].snapshot(job).record.get("attempt", 0))


def outputs(job: str) -> list[dict[str, Any]]:
    key = f"output/{job}/x.wav"
    return [{"role": "audio", "key": key, "size": 1, "sha256": "0" * 64, "mime": "x/y"}]


def story(job: str) -> dict[str, Any]:
    return {"outputs": outputs(job)}


TestJobs = Jobs.TestCase
TestJobs.settings = settings(max_examples=200, stateful_step_count=40)

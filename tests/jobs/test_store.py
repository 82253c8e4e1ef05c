"""Whose turn a job is: several workers over one store, with a clock that is told to go on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from f5serve.errors import F5Error, InvalidRequest
from f5serve.jobs.records import LEASE_S, AlreadyCompleted, HeldByOther, Lease, Status, record_key
from f5serve.jobs.store import MAX_ATTEMPTS, JobStore
from f5serve.store.memory import MemoryStore
from tests.jobs.clock import Clock

SHA = "1" * 64
OUTPUT = {"role": "audio", "key": "output/a/b.wav", "size": 1, "sha256": "0" * 64, "mime": "x/y"}
STORY: dict[str, Any] = {"outputs": [OUTPUT]}
FAILURE = {"message": "It failed.", "code": "X", "hint": "", "retryable": True}


class Shop:
    """Workers `a` and `b` at one store."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.a = JobStore(self.store, "a")
        self.b = JobStore(self.store, "b")

    def lease(self, board: JobStore, job_id: str = "j") -> Lease:
        claim = board.claim(job_id, SHA)
        assert isinstance(claim, Lease), claim
        return claim

    def record(self, name: str) -> Any:
        return json.loads(self.store.get(record_key("j", name)))


@pytest.fixture
def shop() -> Shop:
    return Shop()


def code(caught: pytest.ExceptionInfo[F5Error]) -> str:
    return caught.value.code


def test_a_job_goes_from_nothing_to_done_and_stays_so(shop: Shop) -> None:
    assert shop.a.snapshot("j").status is Status.UNKNOWN
    lease = shop.lease(shop.a)
    assert shop.b.snapshot("j").status is Status.RUNNING
    record = shop.a.complete(lease, STORY)
    assert shop.record("done") == {"schema": 1, **record}
    assert record["worker"]["boot_id"] == "a"
    claim = shop.b.claim("j", SHA)
    assert isinstance(claim, AlreadyCompleted)
    assert claim.record == shop.b.result("j")
    shop.clock.tick(10 * LEASE_S)
    assert shop.b.snapshot("j").status is Status.COMPLETED


def test_another_input_under_the_same_id_is_refused_at_work_and_afterwards(shop: Shop) -> None:
    lease = shop.lease(shop.a)
    for _ in range(2):
        with pytest.raises(InvalidRequest) as caught:
            shop.b.claim("j", "2" * 64)
        assert code(caught) == "JOB_ID_CONFLICT"
        shop.a.complete(lease, STORY)
    with pytest.raises(InvalidRequest):
        shop.b.enqueue("j", "2" * 64)


def test_a_second_worker_waits_as_long_as_the_first_is_heard_of(shop: Shop) -> None:
    lease = shop.lease(shop.a)
    shop.clock.tick(20)
    claim = shop.b.claim("j", SHA)
    assert claim == HeldByOther(LEASE_S - 20)
    shop.clock.tick(LEASE_S - 21)
    shop.a.heartbeat(lease, "speaking", {"percent": 50})
    shop.clock.tick(2)
    assert isinstance(shop.b.claim("j", SHA), HeldByOther)
    assert shop.b.snapshot("j").record["progress"] == {"percent": 50}


def test_a_worker_that_fell_silent_is_overtaken_and_hides_nothing_when_it_wakes(shop: Shop) -> None:
    old = shop.lease(shop.a)
    shop.clock.tick(LEASE_S)
    assert shop.b.snapshot("j").status is Status.LOST
    new = shop.lease(shop.b)
    assert new.attempt == 2
    shop.a.fail(old, FAILURE)  # woken, it fails: that is its own record
    assert shop.b.snapshot("j").status is Status.RUNNING
    done = shop.b.complete(new, STORY)
    assert shop.a.earlier_result(old) == {"schema": 1, **done}
    assert shop.a.complete(old, {"outputs": [OUTPUT], "x": 1})["attempt"] == 2
    assert shop.a.snapshot("j").status is Status.COMPLETED


def test_a_woken_worker_notices_at_its_next_beat_that_it_was_overtaken(shop: Shop) -> None:
    old = shop.lease(shop.a)
    shop.clock.tick(LEASE_S)
    shop.lease(shop.b)
    shop.a.heartbeat(old, "speaking", {})
    assert old.lost
    assert shop.record("state")["worker"]["boot_id"] == "b"


def test_two_that_take_over_at_the_same_moment_both_may_finish(shop: Shop) -> None:
    first = shop.lease(shop.a)
    second = Lease("j", SHA, first.attempt, first.created_at, first.heartbeat_at, state=first.state)
    shop.b._put_state(second, phase="starting", worker={"boot_id": "b"})
    shop.a.heartbeat(first, "speaking", {})
    assert first.lost
    shop.b.complete(second, STORY)
    assert shop.a.complete(first, STORY)["worker"]["boot_id"] == "b"  # it looks before it writes


def test_a_retryable_failure_is_told_and_may_be_tried_again(shop: Shop) -> None:
    shop.a.fail(shop.lease(shop.a), FAILURE)
    snapshot = shop.b.snapshot("j")
    assert (snapshot.status, snapshot.failure) == (Status.FAILED, FAILURE)
    lease = shop.lease(shop.b)
    assert lease.attempt == 2
    assert shop.b.snapshot("j").status is Status.RUNNING
    assert not {"failure", "progress"} & shop.record("state").keys()
    shop.b.complete(lease, STORY)
    assert shop.record("failed-1")["failure"] == FAILURE


def test_a_job_that_fails_again_and_again_is_given_up(shop: Shop) -> None:
    for _ in range(MAX_ATTEMPTS):
        shop.a.fail(shop.lease(shop.a), FAILURE)
    with pytest.raises(F5Error, match="It failed"):
        shop.b.claim("j", SHA)


def test_a_final_failure_is_repeated_to_whoever_comes_again(shop: Shop) -> None:
    shop.a.fail(shop.lease(shop.a), {**FAILURE, "retryable": False, "hint": "Do that."})
    with pytest.raises(F5Error, match="It failed") as caught:
        shop.b.claim("j", SHA)
    assert (code(caught), caught.value.hint) == ("X", "Do that.")


def test_a_failure_survives_the_loss_of_its_note_in_the_state(shop: Shop) -> None:
    lease = shop.lease(shop.a)
    before = shop.store.get(record_key("j", "state"))
    shop.a.fail(lease, FAILURE)
    shop.store.put(record_key("j", "state"), before)  # as if the second write had not come
    assert shop.b.snapshot("j").status is Status.RUNNING
    shop.clock.tick(LEASE_S)
    assert shop.b.snapshot("j").status is Status.FAILED


def test_a_job_that_kills_its_workers_ends_as_an_error(shop: Shop) -> None:
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert shop.lease(shop.a).attempt == attempt
        shop.clock.tick(LEASE_S)
    with pytest.raises(F5Error) as caught:
        shop.a.claim("j", SHA)
    assert code(caught) == "WORKERS_LOST"
    assert shop.b.snapshot("j").failure["code"] == "WORKERS_LOST"


def test_a_released_job_is_free_at_once(shop: Shop) -> None:
    shop.a.release(shop.lease(shop.a))
    assert shop.b.snapshot("j").status is Status.LOST
    assert shop.lease(shop.b).attempt == 2


def test_a_cancelled_job_is_not_begun_and_its_worker_learns_of_it(shop: Shop) -> None:
    lease = shop.lease(shop.a)
    assert shop.b.cancel("j", "request").status is Status.CANCELLED
    with pytest.raises(InvalidRequest) as caught:
        shop.a.heartbeat(lease, "speaking", {})
    assert code(caught) == "JOB_CANCELLED"
    shop.a.fail(lease, FAILURE)  # whatever else happens to it
    shop.a.release(lease)
    assert shop.b.snapshot("j").status is Status.CANCELLED
    with pytest.raises(InvalidRequest):
        shop.b.claim("j", SHA)


def test_a_beat_that_crosses_a_cancel_does_not_lose_it(shop: Shop) -> None:
    lease = shop.lease(shop.a)
    before = shop.store.get(record_key("j", "state"))
    shop.b.cancel("j", "request")
    shop.store.put(record_key("j", "state"), before)  # a beat that had read before
    with pytest.raises(InvalidRequest):
        shop.a.heartbeat(lease, "speaking", {})
    shop.clock.tick(LEASE_S)  # and if the worker dies instead
    assert shop.b.snapshot("j").status is Status.CANCELLED


def test_a_success_is_stronger_than_a_cancel(shop: Shop) -> None:
    lease = shop.lease(shop.a)
    shop.b.cancel("j", "request")
    shop.a.complete(lease, STORY)
    assert shop.b.snapshot("j").status is Status.COMPLETED
    assert shop.b.cancel("j", "request").status is Status.COMPLETED
    assert isinstance(shop.b.claim("j", SHA), AlreadyCompleted)


def test_a_stopped_job_reads_as_cancelled_and_may_be_handed_out_again(shop: Shop) -> None:
    shop.a.fail(shop.lease(shop.a), {**FAILURE, "code": "JOB_CANCELLED"})
    assert shop.b.snapshot("j").status is Status.CANCELLED
    assert shop.lease(shop.b).attempt == 2


def test_a_queued_job_is_known_before_anybody_has_it(shop: Shop) -> None:
    assert shop.a.enqueue("j", SHA).status is Status.QUEUED
    assert shop.b.snapshot("j").status is Status.QUEUED
    shop.clock.tick(100 * LEASE_S)
    assert shop.a.enqueue("j", SHA).status is Status.QUEUED
    shop.b.complete(shop.lease(shop.b), STORY)
    assert shop.a.enqueue("j", SHA).status is Status.COMPLETED


def test_a_queued_job_can_be_cancelled(shop: Shop) -> None:
    shop.a.enqueue("j", SHA)
    assert shop.b.cancel("j", "request").status is Status.CANCELLED
    with pytest.raises(InvalidRequest):
        shop.a.claim("j", SHA)


def test_what_nobody_knows_cannot_be_cancelled_nor_asked_for(shop: Shop) -> None:
    with pytest.raises(InvalidRequest, match="Invalid job_id"):
        shop.a.cancel("j", "request")
    with pytest.raises(InvalidRequest, match="Invalid job_id: j"):
        shop.a.result("j")


def test_a_result_that_is_not_there_yet_says_why(shop: Shop) -> None:
    lease = shop.lease(shop.a)
    with pytest.raises(
        InvalidRequest, match=r"^Job is not complete\. Status: PROCESSING$"
    ) as caught:
        shop.b.result("j")
    assert caught.value.retryable
    shop.a.fail(lease, FAILURE)
    with pytest.raises(InvalidRequest, match="Status: ERROR") as caught:
        shop.b.result("j")
    assert (code(caught), caught.value.hint) == ("JOB_FAILED", "It failed.")


def test_a_damaged_record_is_that_job_s_error_until_it_is_written_anew(shop: Shop) -> None:
    lease = shop.lease(shop.a)
    for name, data in (("done", b"{}"), ("state", b"")):
        shop.store.put(record_key("j", name), data)
        snapshot = shop.b.snapshot("j")
        assert (snapshot.status, snapshot.damage) == (Status.FAILED, "RECORD_DAMAGED")
        assert "jobs/j/" in snapshot.failure["message"]
    with pytest.raises(InvalidRequest) as caught:
        shop.b.result("j")
    assert code(caught) == "JOB_FAILED"
    assert shop.b.cancel("j", "test").status is Status.FAILED
    shop.a.heartbeat(lease, "speaking", {})
    shop.store.delete(record_key("j", "done"))
    assert shop.b.snapshot("j").status is Status.RUNNING
    shop.store.put(record_key("j", "done"), b"[]")
    shop.a.complete(lease, STORY)
    assert shop.b.snapshot("j").status is Status.COMPLETED


def test_a_job_whose_records_are_damaged_can_be_begun_again(shop: Shop) -> None:
    shop.a.complete(shop.lease(shop.a), STORY)
    shop.store.put(record_key("j", "done"), b"{")
    shop.clock.tick(LEASE_S)
    again = shop.lease(shop.b)
    assert again.attempt == 2
    shop.b.complete(again, STORY)
    for name in ("state", "done"):
        shop.store.put(record_key("j", name), b"\xff")
    assert shop.lease(shop.a).attempt == 1
    shop.store.put(record_key("j", "state"), b"\xff")
    assert shop.a.enqueue("j", SHA).status is Status.QUEUED
    assert shop.a.reader.damage.counts() == {"RECORD_DAMAGED": 1}  # done.json alone is left


def test_a_record_of_a_later_version_is_left_alone(shop: Shop) -> None:
    lease = shop.lease(shop.a)
    newer = b'{"schema":2,"who":"knows"}'
    shop.store.put(record_key("j", "state"), newer)
    snapshot = shop.b.snapshot("j")
    assert (snapshot.status, snapshot.damage) == (Status.FAILED, "RECORD_TOO_NEW")
    for call in (lambda: shop.b.claim("j", SHA), lambda: shop.b.enqueue("j", SHA)):
        with pytest.raises(F5Error) as caught:
            call()
        assert code(caught) == "RECORD_TOO_NEW"
    shop.b.cancel("j", "test")
    shop.b.give_up("j", FAILURE)
    shop.a.heartbeat(lease, "speaking", {})
    assert lease.lost
    shop.a.fail(lease, FAILURE)
    assert shop.store.get(record_key("j", "state")) == newer


def test_fields_of_a_later_version_stay_in_the_state(shop: Shop) -> None:
    shop.a.enqueue("j", SHA)
    state = {**shop.record("state"), "later": [1]}
    shop.store.put(record_key("j", "state"), json.dumps(state).encode())
    lease = shop.lease(shop.b)
    shop.b.heartbeat(lease, "speaking", {})
    assert shop.record("state")["later"] == [1]


class Counting(MemoryStore):
    """Counts calls by name."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        self.calls["get"] += 1
        return super().get(key, max_bytes)

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        self.calls["put"] += 1
        super().put(key, data, content_type)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Any:
        self.calls["list"] += 1
        return super().list(prefix, recursive=recursive)


def test_what_a_job_asks_of_the_store() -> None:
    store = Counting()
    board = JobStore(store, "a")

    def spent(call: Callable[..., Any], *args: Any) -> dict[str, int]:
        store.calls.clear()
        returned.append(call(*args))
        return dict(store.calls)

    returned: list[Any] = []
    assert spent(board.snapshot, "j") == {"get": 2}
    assert spent(board.claim, "j", SHA) == {"get": 1, "put": 2}  # and the index, at the same time
    lease = returned[-1]
    assert spent(board.snapshot, "j") == {"get": 2}
    assert spent(board.heartbeat, lease, "speaking", {}) == {"get": 2, "put": 1}
    assert spent(board.complete, lease, STORY) == {"put": 1}
    assert spent(board.snapshot, "j") == {"get": 1}
    assert spent(board.claim, "j", SHA) == {"get": 2}

"""What waits is there whole until it is removed, whatever its id; and the list of the newest."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.jobs.history import JobIndex, RecentJobs, key_of
from f5serve.jobs.pending import PendingJob, PendingJobs, entry_key
from f5serve.jobs.records import JobSnapshot, Lease, Status
from f5serve.jobs.retention import DAY_S, collect_garbage
from f5serve.jobs.store import JobStore
from f5serve.store.base import ObjectStore, is_key
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from tests.jobs.clock import Clock
from tests.voices.material import CountingStore

SHA = "1" * 64
WHOLE = 10**18
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-WHOLE, WHOLE)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


SLOW = settings(max_examples=40)
"""Other tests may take the machine."""


@SLOW
@given(st.text(min_size=1), st.dictionaries(st.text(), JSON))
def test_what_waits_comes_back_as_it_was(job_id: str, payload: dict[str, Any]) -> None:
    waiting = PendingJobs(MemoryStore())
    entry = PendingJob(job_id, SHA, payload)
    assert is_key(entry_key(job_id))
    waiting.put(entry)
    (listed,) = waiting.list()
    assert waiting.read(job_id) == waiting.read(listed.name) == entry
    waiting.remove(listed.name)
    waiting.remove(listed.name)
    assert (waiting.list(), waiting.read(job_id)) == ([], None)


def test_the_oldest_is_listed_first_and_old_ones_go_with_their_jobs() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    waiting = PendingJobs(store)
    for name in ("b", "c", "a"):
        JobStore(store).enqueue(name, SHA)
        waiting.put(PendingJob(name, SHA, {}))
        clock.tick(DAY_S)
    store.put("queue/notes.txt", b"mine")
    assert [entry.name for entry in waiting.list()] == ["b", "c", "a"]
    assert waiting.list()[0].since == clock() - 3 * DAY_S
    swept = collect_garbage(store, 2)
    assert (swept.jobs, swept.files) == (1, 3)
    assert [entry.name for entry in waiting.list()] == ["c", "a"]
    assert store.exists("queue/notes.txt")


# -- the newest jobs


def work(board: JobStore, job_id: str, *, finish: bool = True) -> Lease:
    lease = board.claim(job_id, SHA, {"text": f"I am {job_id}."})
    assert isinstance(lease, Lease)
    key = f"output/{job_id}/x.wav"
    line = {"role": "audio", "key": key, "size": 5, "sha256": "0" * 64, "mime": "audio/wav"}
    if finish:
        board.complete(lease, {"outputs": [line]})
    return lease


def tell(name: str, snapshot: JobSnapshot) -> str:
    return f"{name}:{snapshot.status.public}:{snapshot.record.get('about', {}).get('text')}"


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return MemoryStore() if request.param == "memory" else LocalStore(tmp_path)


def test_the_newest_jobs_are_told_whatever_became_of_them(store: ObjectStore) -> None:
    board = JobStore(store)
    work(board, "done")
    board.enqueue("queued", SHA, {"text": "I am queued."})
    work(board, "at-work", finish=False)
    lease = work(board, "failed", finish=False)
    board.fail(lease, {"code": "X", "message": "x"})
    work(board, "cancelled", finish=False)
    board.cancel("cancelled", "test")
    store.put("jobs/notes.txt", b"mine")
    store.put("jobs/only-parts/chunk-1.bin", b"")
    found = RecentJobs(board, tell).page(50)
    assert not found.next
    assert sorted(found.jobs) == [
        "at-work:PROCESSING:I am at-work.",
        "cancelled:CANCELLED:I am cancelled.",
        "done:COMPLETED:I am done.",
        "failed:ERROR:I am failed.",
        "queued:QUEUED:I am queued.",
    ]


def test_the_newest_come_first_and_no_more_than_asked_for() -> None:
    clock = Clock()
    board = JobStore(MemoryStore(clock))
    for number in range(9):
        work(board, f"j{number}")
        clock.tick(1)
    history = RecentJobs(board, lambda name, snapshot: name)
    assert history.page(3).jobs == ["j8", "j7", "j6"]
    assert history.page(2).jobs == ["j8", "j7"]
    assert history.page(200).jobs == [f"j{number}" for number in range(8, -1, -1)]
    assert RecentJobs(JobStore(MemoryStore()), tell).page(5).jobs == []


def test_a_page_that_is_asked_for_again_costs_one_listing_and_what_may_have_changed() -> None:
    store = CountingStore(MemoryStore())
    board = JobStore(store)
    for number in range(20):
        work(board, f"j{number}")
    work(board, "running", finish=False)
    history = RecentJobs(board, tell, fresh_s=0.05)
    history.page(50)
    time.sleep(0.1)
    before = store.calls.copy()
    history.page(50)
    assert store.calls - before == Counter(
        {
            ("list", "index/jobs/"): 1,
            ("get", "jobs/running/done.json"): 1,
            ("get", "jobs/running/state.json"): 1,
        }
    )
    patient = RecentJobs(board, tell, fresh_s=60)
    patient.page(50)
    before = store.calls.copy()
    assert patient.page(50) == patient.page(50)
    assert not store.calls - before


def test_a_page_costs_the_same_however_many_jobs_there_are() -> None:
    costs = set()
    for count in (30, 300):
        clock = Clock()
        store = CountingStore(MemoryStore(clock))
        board = JobStore(store)
        for number in range(count):
            work(board, f"j{number}", finish=bool(number % 2))
            clock.tick(7)
        before = store.calls.copy()
        assert len(RecentJobs(board, tell).page(20).jobs) == 20
        asked = store.calls - before
        assert asked["list", "index/jobs/"] == 1
        costs.add(sum(asked.values()))
    assert len(costs) == 1
    assert max(costs) <= 1 + 10 + 4 * 10  # done jobs one read, the others at most four


@pytest.mark.parametrize("limit", [1, 3, 7, 200])
def test_pages_follow_one_another_without_a_gap(store: ObjectStore, limit: int) -> None:
    board = JobStore(store)
    names = [f"j{number}" for number in range(20)] + ["b/.. odd", "x.y-z_1"]
    for name in names:
        board.enqueue(name, SHA)
    history = RecentJobs(board, lambda name, snapshot: str(snapshot.record["job_id"]))
    found: list[str] = []
    cursor = ""
    while True:
        page = history.page(limit, cursor)
        assert len(page.jobs) <= limit
        found += page.jobs
        cursor = page.next
        if not cursor:
            break
    assert sorted(found) == sorted(names)
    assert found[0] == names[-1] or isinstance(store, MemoryStore)  # a clock of whole steps


@SLOW
@given(st.text(max_size=40) | st.from_regex(r"\A[0-9]{14}-[a-z.]{1,5}\Z"))
def test_any_cursor_is_a_place_or_refused(cursor: str) -> None:
    board = JobStore(MemoryStore())
    board.enqueue("a", SHA)
    with contextlib.suppress(InvalidRequest):
        assert RecentJobs(board, lambda name, snapshot: name).page(5, cursor).jobs in ([], ["a"])


@SLOW
@given(st.lists(st.floats(0, 8e9), min_size=2, max_size=9))
def test_the_index_is_in_the_order_of_time_from_the_newest_on(times: list[float]) -> None:
    keys = [key_of("x", at) for at in times]
    assert all(map(is_key, keys))
    by_key = sorted(zip(keys, times, strict=True))
    for (_, one), (_, other) in itertools.pairwise(by_key):
        assert one >= other - 0.001
    assert key_of("x", 1e30) <= key_of("x", 1e9) <= key_of("x", -5.0)


def test_jobs_of_earlier_versions_appear_and_keys_without_a_job_go() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    board = JobStore(store)
    for name in ("first", "second", "third"):
        work(board, name)
        clock.tick(100)
    for entry in store.page("index/"):
        if "second" not in entry.key:
            store.delete(entry.key)
    store.put(key_of("nowhere", clock()), b"")
    store.put(key_of("second", 5.0), b"")
    index = JobIndex(store)
    history = RecentJobs(board, lambda name, snapshot: name, fresh_s=0)
    assert history.page(5).jobs == ["second"]  # and its older key is passed over
    assert index.is_due()
    assert index.rebuild() == 2
    assert not index.is_due()
    assert history.page(5).jobs == ["third", "second", "first"]
    assert len(list(index.all())) == 5
    clock.tick(2 * DAY_S)
    assert index.is_due()
    assert index.rebuild() == 0
    assert sorted(name for name, _ in index.all()) == ["first", "second", "third"]
    assert key_of("second", 5.0) not in {entry.key for _, entry in index.all()}


def test_a_job_whose_store_fails_is_left_out_and_the_others_are_told() -> None:
    class Partly(MemoryStore):
        def get(self, key: str, max_bytes: int | None = None) -> bytes:
            if "/bad/" in key:
                raise StorageFailed("It cannot be read.", code="NOT_READABLE")
            return super().get(key, max_bytes)

    board = JobStore(Partly())
    work(board, "good")
    history = RecentJobs(board, lambda name, snapshot: name)
    JobIndex(board.store).add("bad", 5.0)
    JobIndex(board.store).add("gone", 6.0)
    assert history.page(5).jobs == ["good"]
    for name in ("good", "gone"):
        for entry in board.store.page("index/jobs/"):
            if name in entry.key:
                board.store.delete(entry.key)
    with pytest.raises(StorageFailed):
        RecentJobs(board, lambda name, snapshot: name).page(5)


def test_records_that_hang_hold_up_nobody_for_long() -> None:
    go_on = threading.Event()

    def before(call: str, key: str) -> None:
        if call == "get" and "/slow/" in key:
            go_on.wait(20)

    store = CountingStore(MemoryStore())
    board = JobStore(store)
    work(board, "quick")
    board.enqueue("slow", SHA)
    slow = JobStore(CountingStore(store.inner, before=before))
    assert RecentJobs(slow, lambda name, snapshot: name, read_s=0.5).page(5).jobs == ["quick"]
    go_on.set()


def test_an_index_that_cannot_be_written_costs_no_job(caplog: pytest.LogCaptureFixture) -> None:
    class NoIndex(MemoryStore):
        def put(self, key: str, data: bytes, content_type: str = "") -> None:
            if key.startswith("index/"):
                raise StorageFailed("No.", code="S3_FORBIDDEN")
            super().put(key, data, content_type)

    board = JobStore(NoIndex())
    work(board, "a")
    assert board.snapshot("a").status is Status.COMPLETED
    assert "job a is not in the index yet" in caplog.text


def test_an_index_that_hangs_holds_no_job_up_for_long() -> None:
    go_on = threading.Event()

    def before(call: str, key: str) -> None:
        if call == "put" and key.startswith("index/"):
            go_on.wait(20)

    board = JobStore(CountingStore(MemoryStore(), before=before))
    began = time.monotonic()
    work(board, "a")
    assert time.monotonic() - began < 15
    assert board.snapshot("a").status is Status.COMPLETED
    go_on.set()


def test_a_store_that_fails_is_told() -> None:
    class Failing(MemoryStore):
        def page(self, prefix: str, after: str = "", limit: int = 1000) -> Any:
            raise StorageFailed("No listing.", code="S3_BUSY")

    history = RecentJobs(JobStore(Failing()), tell)
    for _ in range(2):
        with pytest.raises(StorageFailed):
            history.page(5)

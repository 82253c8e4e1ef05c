"""What waits is there whole until it is removed, whatever its id; and the list of the newest."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.errors import StorageFailed
from f5serve.jobs.board import Board, Lease
from f5serve.jobs.history import History
from f5serve.jobs.records import Standing
from f5serve.jobs.retention import DAY_S, sweep
from f5serve.jobs.waiting import Entry, Waiting, entry_key
from f5serve.store.base import ObjectStore, is_key
from f5serve.store.folder import FolderStore
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


@settings(max_examples=40)
@given(st.text(min_size=1), st.dictionaries(st.text(), JSON))
def test_what_waits_comes_back_as_it_was(job_id: str, payload: dict[str, Any]) -> None:
    waiting = Waiting(MemoryStore())
    entry = Entry(job_id, SHA, payload)
    assert is_key(entry_key(job_id))
    waiting.keep(entry)
    (listed,) = waiting.list()
    assert waiting.read(job_id) == waiting.read(listed.name) == entry
    waiting.remove(listed.name)
    waiting.remove(listed.name)
    assert (waiting.list(), waiting.read(job_id)) == ([], None)


def test_the_oldest_is_listed_first_and_old_ones_go_with_their_jobs() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    waiting = Waiting(store)
    for name in ("b", "c", "a"):
        Board(store).queue(name, SHA)
        waiting.keep(Entry(name, SHA, {}))
        clock.tick(DAY_S)
    store.put("queue/notes.txt", b"mine")
    assert [entry.name for entry in waiting.list()] == ["b", "c", "a"]
    assert waiting.list()[0].since == clock() - 3 * DAY_S
    swept = sweep(store, 2)
    assert (swept.jobs, swept.files) == (1, 2)
    assert [entry.name for entry in waiting.list()] == ["c", "a"]
    assert store.exists("queue/notes.txt")


# -- the newest jobs


def work(board: Board, job_id: str, *, finish: bool = True) -> Lease:
    lease = board.claim(job_id, SHA, {"text": f"I am {job_id}."})
    assert isinstance(lease, Lease)
    key = f"output/{job_id}/x.wav"
    line = {"role": "audio", "key": key, "size": 5, "sha256": "0" * 64, "mime": "audio/wav"}
    if finish:
        board.finish(lease, {"outputs": [line]})
    return lease


def tell(name: str, standing: Standing) -> str:
    return f"{name}:{standing.status.told}:{standing.record.get('about', {}).get('text')}"


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return MemoryStore() if request.param == "memory" else FolderStore(tmp_path)


def test_the_newest_jobs_are_told_whatever_became_of_them(store: ObjectStore) -> None:
    board = Board(store)
    work(board, "done")
    board.queue("queued", SHA, {"text": "I am queued."})
    work(board, "at-work", finish=False)
    lease = work(board, "failed", finish=False)
    board.fail(lease, {"code": "X", "message": "x"})
    work(board, "cancelled", finish=False)
    board.cancel("cancelled", "test")
    store.put("jobs/notes.txt", b"mine")
    store.put("jobs/only-parts/chunk-1.bin", b"")
    found = History(board, tell).newest(50)
    assert not found.truncated
    assert sorted(found.jobs) == [
        "at-work:PROCESSING:I am at-work.",
        "cancelled:CANCELLED:I am cancelled.",
        "done:COMPLETED:I am done.",
        "failed:ERROR:I am failed.",
        "queued:QUEUED:I am queued.",
    ]


def test_the_newest_come_first_and_no_more_than_asked_for() -> None:
    clock = Clock()
    board = Board(MemoryStore(clock))
    for number in range(9):
        work(board, f"j{number}")
        clock.tick(1)
    history = History(board, lambda name, standing: name)
    assert history.newest(3).jobs == ["j8", "j7", "j6"]
    assert history.newest(2).jobs == ["j8", "j7"]
    assert history.newest(200).jobs == [f"j{number}" for number in range(8, -1, -1)]
    assert History(Board(MemoryStore()), tell).newest(5).jobs == []


def test_a_page_that_asks_again_and_again_costs_little() -> None:
    clock = Clock()
    inner = MemoryStore(clock)
    store = CountingStore(inner)
    board = Board(store)
    for number in range(20):
        work(board, f"j{number}")
    clock.tick(1)
    work(board, "running", finish=False)
    history = History(board, tell, fresh_s=0)
    history.newest(50)
    before = store.calls.copy()
    history.newest(50)
    asked = store.calls - before
    assert asked == {("list", "jobs/"): 1, ("get", "jobs/running/done.json"): 1} | {
        ("get", "jobs/running/state.json"): 1
    }
    patient = History(board, tell)
    patient.newest(50)
    before = store.calls.copy()
    assert patient.newest(50) == patient.newest(50)
    assert not store.calls - before


def test_an_endless_listing_is_cut_and_said_to_be() -> None:
    board = Board(MemoryStore())
    for number in range(10):
        work(board, f"j{number}")
    found = History(board, tell, max_keys=7).newest(50)
    assert found.truncated
    assert 0 < len(found.jobs) < 10


def test_who_comes_while_somebody_looks_is_told_what_was_found_before() -> None:
    may_list = threading.Event()
    lists = threading.Event()

    def before(call: str, key: str) -> None:
        if call == "list":
            lists.set()
            assert may_list.wait(10)

    store = CountingStore(MemoryStore(), before=before)
    board = Board(store)
    work(board, "first")
    may_list.set()
    history = History(board, tell, fresh_s=0)
    assert len(history.newest(5).jobs) == 1
    work(board, "second")
    may_list.clear()
    lists.clear()
    looking = threading.Thread(target=history.newest, args=(5,))
    looking.start()
    assert lists.wait(10)
    assert len(history.newest(5).jobs) == 1
    may_list.set()
    looking.join(10)
    assert len(history.newest(5).jobs) == 2


def test_a_store_that_fails_is_told() -> None:
    class Failing(MemoryStore):
        def list(self, prefix: str = "", *, deep: bool = True) -> Any:
            raise StorageFailed("No listing.", code="S3_BUSY")

    history = History(Board(Failing()), tell)
    for _ in range(2):
        with pytest.raises(StorageFailed):
            history.newest(5)

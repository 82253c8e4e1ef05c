"""A store that hangs: every call ends in time, and one key does not block another."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import InvalidRequest, KeyMissing, StorageFailed
from f5serve.store.bounded import BoundedStore, Limits
from f5serve.store.deadlines import CallAbandoned, Deadline, DeadlineExecutor
from f5serve.store.local import LocalStore
from tests.store.hanging import HangingStore

QUICK = Limits(call_s=0.2, transfer_s=0.2, calls_per_key=2, silence_s=0.1)
LONG_S = 20.0
"""Beyond all that a call may take here, on a machine with much else to do."""


@pytest.fixture
def hanging() -> Iterator[HangingStore]:
    with HangingStore() as one:
        one.put("a/1", b"one")
        one.put("b", b"two")
        yield one


def disk(inner: HangingStore, limits: Limits = QUICK) -> BoundedStore:
    return BoundedStore(inner, inner_has_deadlines=False, limits=limits)


def refusal(call: Callable[[], Any]) -> StorageFailed:
    with pytest.raises(StorageFailed) as caught:
        call()
    return caught.value


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + LONG_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("pattern", "call"),
    [
        ("get a/1", lambda s: s.get("a/1", 10)),
        ("get a/1", lambda s: s.get_part("a/1", 0, 2)),
        ("put a/1", lambda s: s.put("a/1", b"new")),
        ("put a/1", lambda s: s.put_file("a/1", Path(__file__))),
        ("exists a/1", lambda s: s.exists("a/1")),
        ("delete a/1", lambda s: s.delete("a/1")),
        ("list a/", lambda s: list(s.list("a/"))),
    ],
)
def test_every_call_returns(
    hanging: HangingStore, pattern: str, call: Callable[[BoundedStore], Any]
) -> None:
    store = disk(hanging)
    hanging.hang(pattern)
    began = time.monotonic()
    error = refusal(lambda: call(store))
    assert (error.code, error.retryable) == ("STORE_NOT_ANSWERING", True)
    assert time.monotonic() - began < LONG_S
    assert store.hung == 1
    assert store.get("b", 10) == b"two"
    hanging.go_on()
    eventually(lambda: store.hung == 0)
    call(store)


def test_a_transfer_goes_on_for_as_long_as_bytes_move() -> None:
    deadline = Deadline(1.0)
    threads = DeadlineExecutor("test")

    def transfer() -> str:
        for _ in range(12):  # longer than the first deadline
            time.sleep(0.1)
            deadline.renew(1.0 + LONG_S)
        return "all of it"

    assert threads.run(transfer, deadline) == "all of it"


def test_one_key_holds_few_threads_whoever_asks_for_it(hanging: HangingStore) -> None:
    """Of 40 callers two wait in the store; the others are told soon, and other keys are free."""
    store = BoundedStore(hanging, limits=QUICK)  # it has no deadline of its own
    hanging.hang("get a/1")
    with ThreadPoolExecutor(40) as callers:
        hung = [callers.submit(store.get, "a/1", 10) for _ in range(40)]
        eventually(lambda: sum(one.done() for one in hung) == 38)
        assert hanging.waiting == 2
        assert {refusal(one.result).code for one in hung if one.done()} == {"STORE_NOT_ANSWERING"}
        assert store.get("b") == b"two"
        began = time.monotonic()
        refusal(lambda: store.get("a/1"))  # at once now: nothing has moved since
        assert time.monotonic() - began < LONG_S
        hanging.go_on()
        assert [one.result(LONG_S) for one in hung if one.exception(LONG_S) is None] == [
            b"one",
            b"one",
        ]
    assert store.get("a/1") == b"one"
    assert not store._keys._calls


def test_a_key_that_many_want_is_waited_for_while_it_answers() -> None:
    class Slow(HangingStore):
        def get(self, key: str, max_bytes: int | None = None) -> bytes:
            time.sleep(0.02)
            return super().get(key, max_bytes)

    with Slow() as inner, ThreadPoolExecutor(30) as callers:
        inner.put("a", b"1")
        store = BoundedStore(inner, limits=Limits(calls_per_key=2, silence_s=5.0))
        assert set(callers.map(store.get, ["a"] * 60)) == {b"1"}


def test_a_disk_that_hangs_altogether_parks_a_bounded_number_of_threads(
    hanging: HangingStore,
) -> None:
    store = disk(hanging, Limits(call_s=0.05))
    store._executor = DeadlineExecutor("test", max_hung=5)
    hanging.hang(".")
    for number in range(12):
        refusal(lambda key=f"k/{number}": store.get(key, 1))  # type: ignore[misc]
    assert (store.hung, hanging.waiting) == (5, 5)
    assert len(store._keys._calls) == 5
    hanging.go_on()
    eventually(lambda: store.hung == 0)
    assert store.get("b", 5) == b"two"
    assert not store._keys._calls


def test_results_and_errors_are_those_of_the_store(tmp_path: Path) -> None:
    store = BoundedStore(LocalStore(tmp_path / "store"), inner_has_deadlines=False)
    store.put("a/b", b"12345")
    assert store.get("a/b") == b"12345"
    assert store.get_part("a/b", 1, 2) == b"23"
    assert store.exists("a/b")
    assert [one.key for one in store.list()] == ["a/b"]
    moved: list[int] = []
    store.download("a/b", tmp_path / "out", 5, on_progress=moved.append)
    store.put_file("c", tmp_path / "out", on_progress=moved.append)
    assert moved == [5, 5]
    assert store.url("c").startswith("file:///")
    assert store.describe() == f"folder {tmp_path}/store"
    assert abs(store.now() - time.time()) < LONG_S
    with pytest.raises(KeyMissing):
        store.get("none")
    with pytest.raises(InvalidRequest):
        store.put("../x", b"")
    assert refusal(lambda: store.get("a/b", 2)).code == "OBJECT_TOO_LARGE"
    store.delete("a/b")
    assert not store.exists("a/b")
    assert not store._keys._calls


def test_the_newest_write_is_known(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = BoundedStore(LocalStore(tmp_path / "file/store"))  # no folder can be made there
    assert store.last_write is None
    refusal(lambda: store.put("a", b"123"))
    assert store.last_write is not None
    assert (store.last_write.code != "", store.last_write.size) == (True, 3)
    (tmp_path / "file").unlink()
    store.put("a", b"1234")
    assert (store.last_write.code, store.last_write.size) == ("", 4)
    assert refusal(lambda: store.put("a/b", b"")).code == "KEY_CONFLICT"
    assert store.last_write.code == ""  # it says nothing about the next one


def test_helpers_are_used_again_and_begin_anew_after_a_fork() -> None:
    threads = DeadlineExecutor("test")
    names = {threads.run(threading.get_ident, Deadline(LONG_S)) for _ in range(20)}
    assert len(names) == 1
    with pytest.raises(ZeroDivisionError):
        threads.run(lambda: 1 // 0, Deadline(LONG_S))
    with pytest.raises(CallAbandoned) as caught:
        threads.run(lambda: time.sleep(0.3), Deadline(0.01))
    assert caught.value.is_started
    child = os.fork()
    if child == 0:  # in the child, which has none of these threads
        os._exit(threads.run(lambda: 7, Deadline(LONG_S)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

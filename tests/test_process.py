"""Waiting in threads ends when nobody wants the result any more; cores are those of the quota."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from f5serve.process import hold_lock, log_failure, never_cancelled, usable_threads, wait_all


class Enough(Exception):
    """Nobody wants it."""


def enough() -> None:
    raise Enough


def test_futures_are_waited_for_while_they_are_wanted() -> None:
    done: Future[int] = Future()
    done.set_exception(KeyError())
    wait_all([done], enough)  # however it has ended
    wait_all([])
    waiting: Future[int] = Future()
    with pytest.raises(Enough):
        wait_all([done, waiting], enough)
    timer = threading.Timer(0.15, waiting.set_result, [1])
    timer.start()
    wait_all([waiting], never_cancelled)
    assert waiting.result(0) == 1
    timer.join()


def test_a_lock_is_waited_for_while_it_is_wanted() -> None:
    lock = threading.Lock()
    with hold_lock(lock), pytest.raises(Enough), hold_lock(lock, enough):
        pass
    assert not lock.locked()
    began = time.monotonic()
    with hold_lock(threading.Semaphore(1)):
        assert time.monotonic() - began < 15


def test_faults_that_nobody_waits_for_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    for future in (fine := Future[int](), failed := Future[int](), cancelled := Future[int]()):
        log_failure(future, "the work")
    fine.set_result(1)
    cancelled.cancel()
    assert not caplog.records
    failed.set_exception(KeyError("x"))
    assert "the work failed: KeyError" in caplog.text


def test_threads_follow_the_containers_quota(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("100000 100000\n")
    assert usable_threads(quota) == 1
    quota.write_text("max 100000\n")
    everything = usable_threads(quota)
    assert everything == usable_threads(tmp_path / "none") >= 1
    quota.write_text("50000 100000\n")
    assert usable_threads(quota) == 1

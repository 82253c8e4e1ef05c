"""Waiting in threads ends when nobody wants the result any more."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import pytest

from f5serve.waits import held, log_faults, until_done, wanted


class Enough(Exception):
    """Nobody wants it."""


def enough() -> None:
    raise Enough


def test_futures_are_waited_for_while_they_are_wanted() -> None:
    done: Future[int] = Future()
    done.set_exception(KeyError())
    until_done([done], enough)  # however it has ended
    until_done([])
    waiting: Future[int] = Future()
    with pytest.raises(Enough):
        until_done([done, waiting], enough)
    timer = threading.Timer(0.15, waiting.set_result, [1])
    timer.start()
    until_done([waiting], wanted)
    assert waiting.result(0) == 1
    timer.join()


def test_a_lock_is_waited_for_while_it_is_wanted() -> None:
    lock = threading.Lock()
    with held(lock), pytest.raises(Enough), held(lock, enough):
        pass
    assert not lock.locked()
    began = time.monotonic()
    with held(threading.Semaphore(1)):
        assert time.monotonic() - began < 1


def test_faults_that_nobody_waits_for_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    for future in (fine := Future[int](), failed := Future[int](), cancelled := Future[int]()):
        log_faults(future, "the work")
    fine.set_result(1)
    cancelled.cancel()
    assert not caplog.records
    failed.set_exception(KeyError("x"))
    assert "the work failed: KeyError" in caplog.text

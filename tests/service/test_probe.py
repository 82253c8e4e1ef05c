"""A look that may hang: many ask, one thread looks, everybody is answered in time."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator

import pytest

from f5serve.service.health import Probe


class Looks:
    """Counts looks, which can be held."""

    def __init__(self) -> None:
        self.count = 0
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __call__(self) -> int:
        self.count += 1
        assert self.goes_on.wait(60)
        return self.count


@pytest.fixture
def looks() -> Iterator[Looks]:
    one = Looks()
    yield one
    one.goes_on.set()


def test_an_answer_is_remembered(looks: Looks) -> None:
    probe = Probe("test", looks, ttl_s=60, timeout_s=10)
    first = probe.get_blocking()
    assert (first.value, first.is_late) == (1, False)
    again = asyncio.run(probe.get())
    assert again.value == looks.count == 1
    assert again.age_s is not None
    assert first.age_s is not None
    assert again.age_s >= first.age_s


def test_an_old_answer_is_not(looks: Looks) -> None:
    probe = Probe("test", looks, ttl_s=0, timeout_s=10)
    assert [probe.get_blocking().value for _ in range(3)] == [1, 2, 3]


def test_forty_who_ask_about_what_hangs_are_told_in_time_by_one_thread(looks: Looks) -> None:
    probe = Probe("test", looks, ttl_s=0, timeout_s=1.0)
    assert probe.get_blocking().value == 1
    looks.goes_on.clear()
    threads = threading.active_count()

    async def story() -> None:
        async with asyncio.timeout(30):
            seen = await asyncio.gather(*(probe.get() for _ in range(40)))
            assert {(one.value, one.is_late) for one in seen} == {(1, True)}  # what it was last
            began = time.monotonic()
            assert (await probe.get()).is_late  # and nobody waits again
            assert time.monotonic() - began < 0.9
            looks.goes_on.set()
            while (after := await probe.get()).is_late:
                await asyncio.sleep(0.01)
            assert after.value is not None
            assert after.value >= 2

    asyncio.run(story())
    assert threading.active_count() <= threads + 1


def test_before_the_first_answer_nothing_is_known(looks: Looks) -> None:
    looks.goes_on.clear()
    seen = Probe("test", looks, ttl_s=1, timeout_s=0.05).get_blocking()
    assert (seen.value, seen.age_s, seen.is_late) == (None, None, True)


def test_a_look_that_fails_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def look() -> int:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        seen = Probe("test", look, ttl_s=1, timeout_s=10).get_blocking()
    assert (seen.value, seen.is_late) == (None, False)
    assert "a look has failed" in caplog.text


def test_where_there_is_no_thread_the_next_one_looks(looks: Looks) -> None:
    probe = Probe("test", looks, ttl_s=60, timeout_s=10)
    usual = threading.stack_size(1 << 47)  # more than the machine can give
    try:
        began = time.monotonic()
        seen = probe.get_blocking()
    finally:
        threading.stack_size(usual)
    assert (seen.value, seen.is_late, looks.count) == (None, False, 0)
    assert time.monotonic() - began < 5
    assert probe.get_blocking().value == 1

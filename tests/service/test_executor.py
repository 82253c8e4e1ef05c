"""Executors by kind of work: few threads, a bounded line, BUSY instead of a wait without end."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from f5serve.errors import F5Error
from f5serve.service.executor import BoundedExecutor, Pools

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="")


class Held:
    """A call that stays where it is until it may end."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_end.wait(20)
        return "done"


@pytest.fixture
def held() -> Iterator[Held]:
    one = Held()
    yield one
    one.may_end.set()


@asynccontextmanager
async def busy_with(pool: BoundedExecutor, held: Held) -> AsyncIterator[asyncio.Task[str]]:
    """The pool's only thread is at work."""
    task = asyncio.create_task(pool.run(held))
    assert await asyncio.to_thread(held.begun.wait, 10)
    yield task
    held.may_end.set()
    await asyncio.wait({task})
    pool.close()


def test_one_too_many_is_refused_and_a_place_is_kept_until_the_work_ends(held: Held) -> None:
    async def story() -> None:
        pool = BoundedExecutor("recordings", threads=1, waiting=1)
        async with busy_with(pool, held) as first:
            second = asyncio.create_task(pool.run(lambda: "second"))
            await asyncio.sleep(0)
            with pytest.raises(F5Error) as caught:
                await pool.run(lambda: "one too many")
            assert (caught.value.code, caught.value.retryable) == ("BUSY", True)
            assert "2 recordings" in caught.value.message
            first.cancel()  # who asked goes away; the work does not
            second.cancel()  # never begun, so its place is free
            await asyncio.wait({first, second})
            third = asyncio.create_task(pool.run(lambda: "third"))
            await asyncio.sleep(0)
            with pytest.raises(F5Error):
                await pool.run(lambda: "one too many again")
            held.may_end.set()
            assert await third == "third"
        assert len(pool) == 0

    asyncio.run(story())


def test_nobody_waits_long_for_a_thread(held: Held) -> None:
    async def story() -> None:
        pool = BoundedExecutor("listings", threads=1, waiting=5, wait_s=0.1)
        async with busy_with(pool, held) as first:
            with pytest.raises(F5Error) as caught:
                await pool.run(lambda: "never begun")
            assert caught.value.code == "BUSY"
            assert len(pool) == 1
            held.may_end.set()
            assert await first == "done"  # what was begun may take its time

    asyncio.run(story())


def test_work_under_way_is_never_refused(held: Held) -> None:
    async def story() -> None:
        pool = BoundedExecutor("steps of jobs", threads=1, waiting=0, wait_s=0.01)
        async with busy_with(pool, held):
            with pytest.raises(F5Error):
                await pool.run(lambda: "new")
            record = asyncio.create_task(pool.finish(lambda: "recorded"))
            kept = pool.submit(lambda: "kept")
            await asyncio.sleep(0.1)
            held.may_end.set()
            assert await record == "recorded"
            assert kept.result(10) == "kept"

    asyncio.run(story())


def test_one_kind_that_hangs_holds_up_no_other(held: Held) -> None:
    async def story() -> None:
        pools = Pools()
        hung = [asyncio.create_task(pools.listings.run(held)) for _ in range(40)]
        assert await asyncio.to_thread(held.begun.wait, 10)
        others = [pool for pool in vars(pools).values() if pool is not pools.listings]
        assert len(others) > 5
        async with asyncio.timeout(10):
            for pool in others:
                assert await pool.run(lambda: "answered") == "answered"
        held.may_end.set()
        assert set(await asyncio.gather(*hung)) == {"done"}
        pools.close()

    asyncio.run(story())


def test_errors_and_the_names_of_logs_pass() -> None:
    async def story() -> None:
        pool = BoundedExecutor("look-ups", threads=1, waiting=0)
        NAME.set("a job")
        assert await pool.run(NAME.get) == "a job"
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0)
        pool.close()
        with pytest.raises(RuntimeError, match="shutdown"):
            await pool.run(NAME.get)
        assert len(pool) == 0

    asyncio.run(story())

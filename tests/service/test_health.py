"""What health tells of the store: reads and writes, whatever hangs, and how old it is."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from f5serve.errors import StorageFailed
from f5serve.service import health
from f5serve.store.bounded import BoundedStore, WriteResult
from f5serve.store.memory import MemoryStore
from tests.service.house import HELLO, house
from tests.store.hanging import HangingStore


class Full(MemoryStore):
    """A disk with room for some more bytes."""

    room = 1_000_000

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        if len(data) > self.room:
            raise StorageFailed("The disk is full.", code="NO_SPACE")
        super().put(key, data, content_type)


def test_a_store_that_cannot_be_written_is_told_until_it_can() -> None:
    inner = Full()
    store = BoundedStore(inner)
    assert health.check_store(store) == "ok"  # the first look writes
    inner.room = 100
    with pytest.raises(StorageFailed):
        store.put("output/a", bytes(5000))
    assert health.check_store(store) == "NO_SPACE"  # though small ones would fit
    assert health.check_store(store) == "NO_SPACE"
    inner.room = 10_000
    assert health.check_store(store) == "ok"
    assert inner.get(health.KEY) == b""  # what was tried takes no room


def test_the_look_writes_seldom_and_reads_else() -> None:
    inner = Full()
    store = BoundedStore(inner)
    health.check_store(store)
    assert store.last_write is not None
    wrote_at = store.last_write.at
    inner.room = -1  # nothing can be written, and nobody has noticed
    assert health.check_store(store) == "ok"
    assert store.last_write.at == wrote_at
    store.last_write = replace(store.last_write, at=wrote_at - health.WRITE_AGAIN_S)
    assert health.check_store(store) == "NO_SPACE"
    store.last_write = WriteResult("", 1, time.monotonic())  # somebody else could
    assert health.check_store(store) == "ok"


def test_health_degrades_with_a_failed_write_and_recovers(tmp_path: Path) -> None:
    async def story() -> None:
        inner = Full()
        async with house(tmp_path, inner) as here:
            await here.ask("first", **HELLO)
            inner.room = 10
            error = await here.refuse("second", **HELLO, seed=2)
            assert error.code == "NO_SPACE"
            told = await here.call("health")
            assert (told["status"], told["store"]) == ("degraded", "NO_SPACE")
            inner.room = 1_000_000
            await here.ask("third", **HELLO, seed=3)
            async with asyncio.timeout(60):  # it is remembered for some seconds
                while (told := await here.call("health"))["status"] != "ok":
                    await asyncio.sleep(0.1)
            assert told["store"] == "ok"
            assert 0 <= told["age_s"]["store"] <= health.STORE_TTL_S + 5

    asyncio.run(story())


def test_forty_health_calls_and_a_store_that_hangs_leave_speech_alone(tmp_path: Path) -> None:
    async def story() -> None:
        with HangingStore() as store:
            store.hang("_meta/health")
            async with house(tmp_path, store) as here, asyncio.timeout(60):
                await here.ask("warm", **HELLO)
                began = time.monotonic()
                asked = [asyncio.create_task(here.call("health")) for _ in range(40)]
                await asyncio.sleep(0.05)
                await here.ask("job", **HELLO, seed=7)
                assert not any(task.done() for task in asked)  # speech was first
                told = await asyncio.gather(*asked)
                assert time.monotonic() - began < 5 * health.HEALTH_S
                assert {one["store"] for one in told} == {"slow"}
                assert {one["status"] for one in told} == {"degraded"}
                assert store.waiting == 1
                began = time.monotonic()
                await here.call("health")  # nobody waits for the same look again
                assert time.monotonic() - began < health.HEALTH_S - 1

    asyncio.run(story())

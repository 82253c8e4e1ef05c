"""What an attempt leaves for the next: only what is missing is spoken again, in equal bytes."""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import StorageFailed
from f5serve.service import ServiceOptions
from f5serve.store.base import ObjectStore
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.checkpoints import CheckpointPolicy
from tests.service.house import CountingTone, House, house, run

TEXT = " ".join(f"Sentence number {n} of a text that is as long as most are." for n in range(14))
AT_ONCE = ServiceOptions(lease_s=0.5, checkpoints=CheckpointPolicy(min_runtime_s=0.0))


def chunks(store: ObjectStore, job_id: str = "j") -> list[str]:
    return [e.key for e in store.list(f"jobs/{job_id}/") if "/chunk-" in e.key]


async def settled(store: ObjectStore, count: int) -> list[str]:
    """The chunks of the job, once there are so many."""
    for _ in range(200):
        if len(chunks(store)) == count:
            break
        await asyncio.sleep(0.01)
    return chunks(store)


SCRIPT = TEXT.replace("3 of a", "3 [pause:0.7s] of a").replace("9 of a", "9 [speed:1.4] of a")


async def break_off(here: House, after: int, text: str = TEXT) -> None:
    """Have the job stopped by its caller once so many utterances are kept."""
    task = asyncio.create_task(here.operations.answer({"text": text}, "j"))
    while len(chunks(here.store)) < after:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class SlowTone(CountingTone):
    def __init__(self) -> None:
        super().__init__(cost_s=0.05)


async def speak_whole(folder: Path, text: str = TEXT, **payload: Any) -> tuple[bytes, list[str]]:
    """The bytes of the job on a store of its own, and what was spoken for it."""
    async with house(folder / "other") as other:
        answer = await other.ask("j", text=text, **payload)
        return other.store.get(answer["audio_url"].removeprefix("memory:")), other.tone.spoken


@pytest.mark.parametrize("text", [TEXT, SCRIPT], ids=["text", "script"])
def test_a_retry_speaks_what_is_missing_and_tidies_up(text: str, tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        tone = SlowTone()
        async with house(tmp_path, store, AT_ONCE, tone=tone) as here:
            await break_off(here, 2, text)
            kept = await settled(store, len(chunks(store)))
        async with house(tmp_path, store, AT_ONCE) as here:
            answer = await here.ask("j", text=text)
            audio = store.get(answer["audio_url"].removeprefix("memory:"))
            assert not await settled(store, 0)
            health = await here.call("health")
            assert health["metrics"]["resumed_utterances"] == len(kept)
            whole, texts = await speak_whole(tmp_path, text)
            assert audio == whole
            assert sorted(here.tone.spoken) == sorted(texts[len(kept) :])
            assert 2 <= len(kept) < len(texts)

    run(story)


def test_damaged_chunks_are_made_again(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        async with house(tmp_path, store, AT_ONCE, tone=SlowTone()) as here:
            await break_off(here, after=5)
        keys = chunks(store)
        for key, part in ((keys[3], b"odd"), (keys[4], struct.pack("<3f", 0.0, math.nan, 0.1))):
            store.put(key, hashlib.sha256(part).digest() + part)  # well formed, and no sound
        store.put(keys[0], store.get(keys[0])[:-4])
        store.put(keys[1], b"")
        flipped = bytearray(store.get(keys[2]))
        flipped[100] ^= 1
        store.put(keys[2], bytes(flipped))
        async with house(tmp_path, store, AT_ONCE) as here:
            answer = await here.ask("j", text=TEXT)
            audio = store.get(answer["audio_url"].removeprefix("memory:"))
            whole, texts = await speak_whole(tmp_path)
            assert audio == whole
            assert len(here.tone.spoken) == len(texts) - (len(keys) - 5)
            assert not await settled(store, 0)

    run(story)


def test_a_cancelled_job_leaves_no_chunks(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, options=AT_ONCE, tone=SlowTone()) as here:
            task = asyncio.create_task(here.refuse("j", text=TEXT))
            while not chunks(here.store):
                await asyncio.sleep(0.005)
            await here.call("cancel", job_id="j")
            assert (await task).code == "JOB_CANCELLED"
            assert not await settled(here.store, 0)

    run(story)


class Puts(MemoryStore):
    """Remembers what was put."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        self.names.append(key)
        super().put(key, data, content_type)


@pytest.mark.parametrize(
    ("text", "options"), [(TEXT, ServiceOptions()), (TEXT[:200], AT_ONCE)], ids=["quick", "short"]
)
def test_what_is_quickly_made_again_is_not_kept(
    tmp_path: Path, text: str, options: ServiceOptions
) -> None:
    async def story() -> None:
        store = Puts()
        async with house(tmp_path, store, options) as here:
            await here.ask("j", text=text)
        assert not [name for name in store.names if "/chunk-" in name]

    run(story)


class NoRoom(MemoryStore):
    """Takes everything but chunks."""

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        if "/chunk-" in key:
            time.sleep(0.05)
            raise StorageFailed("The store is full.", code="NO_SPACE")
        super().put(key, data, content_type)


def test_a_store_that_takes_no_chunks_costs_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, NoRoom(), AT_ONCE) as here:
            assert (await here.ask("j", text=TEXT))["status"] == "COMPLETED"

    run(story)


WORKER = """
import asyncio, sys
from pathlib import Path
from f5serve.service import ServiceOptions
from f5serve.synthesis.checkpoints import CheckpointPolicy
from f5serve.store.local import LocalStore
from tests.service.house import house
from tests.synthesis.test_checkpoints import TEXT, SlowTone

async def main(folder):
    options = ServiceOptions(checkpoints=CheckpointPolicy(min_runtime_s=0.0))
    async with house(folder, LocalStore(folder / "store"), options, tone=SlowTone()) as here:
        await here.ask("j", text=TEXT)

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_killed_worker_leaves_its_utterances_to_the_next(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    killed = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], cwd=root)
    folder = tmp_path / "store" / "jobs" / "j"
    until = time.monotonic() + 30
    while len(list(folder.glob("chunk-*.bin"))) < 2:
        assert killed.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(10)

    async def story() -> None:
        store = LocalStore(tmp_path / "store")
        kept = chunks(store)
        async with house(tmp_path, store, AT_ONCE) as here:
            answer = await here.ask("j", text=TEXT)
            made = next(entry.key for entry in store.list("output/j/"))
            whole, texts = await speak_whole(tmp_path)
            assert store.get(made) == whole
            assert answer["status"] == "COMPLETED"
            assert len(here.tone.spoken) == len(texts) - len(kept)
            assert not await settled(store, 0)

    run(story)

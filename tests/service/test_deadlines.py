"""Timeout and cancel reach every step of a job, whatever hangs: the store, or the words."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from f5serve.alignment.aligners import Aligners
from f5serve.errors import F5Error
from f5serve.process import Check
from f5serve.service import ServiceOptions
from f5serve.service.events import DeliveryOptions
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.checkpoints import CheckpointPolicy
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import Alignment, Wave
from tests.service.house import HELLO, PATIENCE_S, House, house, run
from tests.synthesis.test_word_timing import Silent

IN_TIME_S = 15.0
"""For what takes a second at most on a quiet machine; what hangs does so for a minute."""


class Hanging(MemoryStore):
    """Keeps those waiting who touch one kind of key, until it is let go."""

    def __init__(self, part: str, calls: str = "put") -> None:
        super().__init__()
        self.part, self.calls = part, calls
        self.hangs = True
        self.free = threading.Event()

    def _wait(self, call: str, key: str) -> None:
        if self.hangs and call in self.calls and self.part in key:
            assert self.free.wait(PATIENCE_S)

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        self._wait("put", key)
        super().put(key, data, content_type)

    def put_file(self, key: str, path: Path, *args: Any) -> None:
        self._wait("put", key)
        super().put_file(key, path, *args)

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        self._wait("get", key)
        return super().get(key, max_bytes)

    def get_part(self, key: str, start: int, size: int) -> bytes:
        self._wait("get", key)
        return super().get_part(key, start, size)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[Any]:
        self._wait("list", prefix)
        return super().list(prefix, recursive=recursive)

    def let_go(self) -> None:
        self.hangs = False
        self.free.set()


async def passes(here: House, timeout_s: int = 1, **payload: Any) -> None:
    """The job is answered in time, and that it was late."""
    began = time.monotonic()
    error = await here.refuse("j", timeout_s=timeout_s, **{**HELLO, **payload})
    assert 0.9 * timeout_s < time.monotonic() - began < IN_TIME_S
    assert (error.code, error.retryable) == ("DEADLINE_PASSED", False)


async def known(here: House, *statuses: str) -> dict[str, Any]:
    """Where the job stands once what hung has been written."""
    while not here.store.exists("jobs/j/state.json"):
        await asyncio.sleep(0.01)
    return await here.until("j", *statuses)


@pytest.mark.parametrize(
    ("part", "calls", "status"),
    [
        ("state.json", "put", "ERROR"),  # the claim
        ("state.json", "get", "ERROR"),
        ("cache/", "get", "ERROR"),  # a look for an earlier result
        ("output/", "put", "ERROR"),  # the audio
        ("timings/", "put", "ERROR"),
        ("done.json", "put", "COMPLETED"),  # what was made is there after all
        ("cache/", "put", "COMPLETED"),
    ],
)
def test_a_store_that_hangs_lets_nobody_wait_longer_than_he_wants(
    tmp_path: Path, part: str, calls: str, status: str
) -> None:
    async def story() -> None:
        store = Hanging(part, calls)
        async with house(tmp_path, store) as here:
            # A job that is to be made has more time to get there.
            await passes(here, 4 if status == "COMPLETED" else 1, timing_format="srt")
            store.let_go()
            told = await known(here, status)
            assert not told.get("failure") or told["failure"]["code"] == "DEADLINE_PASSED"
            assert (await here.ask("k", **HELLO))["status"] == "COMPLETED"

    run(story)


@pytest.mark.parametrize("part", ["state.json", "output/", "done.json"])
def test_a_caller_who_goes_away_waits_for_no_store(tmp_path: Path, part: str) -> None:
    async def story() -> None:
        store = Hanging(part)
        async with house(tmp_path, store) as here:
            task = asyncio.create_task(here.ask("j", **HELLO))
            await asyncio.sleep(0.3)
            began = time.monotonic()
            task.cancel()
            await asyncio.wait({task})
            assert time.monotonic() - began < IN_TIME_S
            store.let_go()
            await known(here, "CANCELLED", "COMPLETED")

    run(story)


def test_an_earlier_result_that_cannot_be_read_is_told_in_time(tmp_path: Path) -> None:
    async def story() -> None:
        store = Hanging("output/", "get")
        async with house(tmp_path, store) as here:
            await here.ask("j", **HELLO)
            began = time.monotonic()
            with pytest.raises(F5Error, match="not done within the 1 s"):
                await here.listen("j", DeliveryOptions(chunks=True), **HELLO, timeout_s=1)
            assert time.monotonic() - began < IN_TIME_S
            store.let_go()

    run(story)


def test_utterances_of_an_earlier_attempt_are_waited_for_no_longer(tmp_path: Path) -> None:
    keep = ServiceOptions(checkpoints=CheckpointPolicy(min_runtime_s=0.0, min_utterances=1))

    async def story() -> None:
        store = Hanging("jobs/j/", "list")
        async with house(tmp_path, store, keep) as here:
            here.tone.hold()
            task = asyncio.create_task(here.ask("j", **HELLO))
            await here.at_work()
            task.cancel()
            here.tone.release()
            await asyncio.wait({task})
            await passes(here)
            store.let_go()

    run(story)


class Slow(Aligners):
    """Takes for ever over each text, until it is let go."""

    def __init__(self) -> None:
        super().__init__("auto", parallel=1)
        self.begun = 0
        self.free = threading.Event()

    def _align(self, wave: Wave, text: str, language: str, check: Check) -> Alignment:
        self.begun += 1
        self.free.wait(PATIENCE_S)
        return Alignment()


@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_words_are_waited_for_no_longer_and_no_more_are_begun(tmp_path: Path, how: str) -> None:
    aligners, tone = Slow(), Silent()
    text = " ".join(f"This is sentence number {n} of a long text." for n in range(40))

    async def story() -> None:
        load = lambda: Synthesizer(tone, aligners=aligners)  # noqa: E731
        async with house(tmp_path, load_speech=load, tone=tone) as here:
            if how == "timeout":
                await passes(here, text=text)
            else:
                task = asyncio.create_task(here.refuse("j", text=text))
                while not aligners.begun:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.2)
                began = time.monotonic()
                await here.call("cancel", job_id="j")
                assert (await task).code == "JOB_CANCELLED"
                assert time.monotonic() - began < IN_TIME_S
            aligners.free.set()
            assert (await here.ask("k", **HELLO))["status"] == "COMPLETED"
            assert aligners.begun == 2  # one of the job that was stopped, and this one's

    run(story)


def test_who_joins_a_job_waits_no_longer_than_he_wants(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            first = asyncio.create_task(here.ask("j", **HELLO, timeout_s=60))
            await here.at_work()
            began = time.monotonic()
            assert (await here.refuse("j", **HELLO, timeout_s=1)).code == "DEADLINE_PASSED"
            assert time.monotonic() - began < IN_TIME_S
            assert not first.done()  # which goes on
            here.tone.release()
            assert (await first)["status"] == "COMPLETED"

    run(story)


def test_a_job_ends_with_the_last_who_waits_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            leaving = DeliveryOptions(chunks=True, detach_on_disconnect=True)
            first = asyncio.create_task(here.listen("j", leaving, **HELLO))
            await here.at_work()
            second = asyncio.create_task(here.refuse("j", **HELLO, timeout_s=1))
            await asyncio.sleep(0.4)  # it has joined
            first.cancel()
            await asyncio.wait({first})
            assert (await second).code == "DEADLINE_PASSED"
            here.tone.release()
            await here.until("j", "ERROR")

    run(story)

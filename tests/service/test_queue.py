"""Jobs for later are never lost: they wait in the store, for whoever is there to do them."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import F5Error, StorageFailed
from f5serve.jobs.pending import PendingJob, PendingJobs
from f5serve.jobs.records import LEASE_S
from f5serve.jobs.store import JobStore
from f5serve.service import ServiceOptions
from f5serve.service.queue import QUEUE_ATTEMPTS, JobQueue
from f5serve.service.queue_rounds import JobSlots
from f5serve.store.base import ObjectStore
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.store.namespace import tenant_store
from f5serve.synthesis.synthesizer import Synthesizer
from tests.jobs.clock import Clock
from tests.service.house import HELLO, CountingTone, House, house, run
from tests.service.queue_server import TENANTS
from tests.voices.material import CountingStore

ROOT = Path(__file__).parents[2]
QUICK = ServiceOptions(lease_s=0.6, heartbeat_s=0.15, poll_s=0.1)


def waiting(store: ObjectStore) -> list[str]:
    return [entry.name for entry in PendingJobs(store).list()]


async def until_empty(store: ObjectStore, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while waiting(store):
            await asyncio.sleep(0.02)


async def enqueue(here: House, job_id: str, **payload: Any) -> str:
    answer = await here.ask(job_id, **{**HELLO, "seed": 1, **payload}, mode="async")
    return str(answer["status"])


def test_a_job_waits_in_the_store_from_before_its_answer_until_it_is_over(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        async with house(tmp_path, store) as here:
            here.tone.hold()
            assert await enqueue(here, "a") == "QUEUED"
            assert waiting(store) == ["a"]
            assert (await enqueue(here, "b", text="Refused.", voice="nobody")) == "QUEUED"
            assert (await enqueue(here, "b/.. c", text="Odd.")) == "QUEUED"
            names = set(waiting(store)) - {"b"}  # which may have been refused meanwhile
            assert "a" in names
            assert len(names) == 2
            here.tone.release()
            assert (await here.until("b", "ERROR"))["failure"]["code"] == "VOICE_NOT_FOUND"
            await here.until("a", "COMPLETED")
            await here.until("b/.. c", "COMPLETED")
            await until_empty(store)
            assert await enqueue(here, "a") == "COMPLETED"
            assert not waiting(store)

    run(story)


def test_speech_that_is_waited_for_asks_the_store_nothing_more(tmp_path: Path) -> None:
    async def story() -> None:
        store = CountingStore(MemoryStore())
        async with house(tmp_path, store) as here:
            await here.ask("a", **HELLO)
            before = store.calls.copy()
            await here.ask("b", text="Something else.")
            asked = store.calls - before
            assert sum(asked.values()) == 7  # state twice, index, cache twice, audio, done
            assert not store.total("", "queue/b")

    run(story)


def test_few_are_begun_at_a_time_in_their_order(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            for number in range(6):
                assert await enqueue(here, f"j{number}", text=f"Number {number}.") == "QUEUED"
            for number in range(2):
                await here.until(f"j{number}", "PROCESSING")
            assert [await here.status(f"j{number}") for number in range(2, 6)] == ["QUEUED"] * 4
            assert "f5_jobs_queued 4" in here.operations.metrics.render()
            here.tone.release()
            await here.until("j5", "COMPLETED")
            names = ["zero", "one", "two", "three", "four", "five"]
            spoken = [names.index(text[7:-1]) for text in here.tone.spoken]
            assert sorted(spoken) == list(range(6))
            assert all(abs(at - number) <= 1 for at, number in enumerate(spoken))

    run(story)


def test_a_server_takes_no_more_than_it_can_know(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            deps = here.operations._deps
            queue = JobQueue(
                deps, here.operations.answer, JobSlots(deps.executor, 0), max_pending=1
            )
            assert (await queue.enqueue("a", _ask())).status.public == "QUEUED"
            with pytest.raises(F5Error, match="1 jobs are waiting") as caught:
                await queue.enqueue("b", _ask())
            assert (caught.value.code, caught.value.retryable) == ("BUSY", True)
            queue.stop()
            with pytest.raises(F5Error, match="shut down"):
                await queue.enqueue("a", _ask())

    run(story)


def _ask() -> Any:
    from f5serve.service.requests import TTSRequest

    return TTSRequest.parse(HELLO)


def test_a_cancelled_job_waits_no_more(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        async with house(tmp_path, store) as here, house(tmp_path / "2", store) as other:
            here.tone.hold()
            for name in ("a", "b", "c", "d", "e"):
                await enqueue(here, name, text=f"I am {name}.")
            await here.at_work()
            assert (await here.call("cancel", job_id="d"))["status"] == "CANCELLED"
            assert (await other.call("cancel", job_id="e"))["status"] == "CANCELLED"
            assert sorted(waiting(store)) == ["a", "b", "c"]
            assert (await here.call("cancel", job_id="a"))["status"] == "CANCELLED"
            here.tone.release()
            await here.until("c", "COMPLETED")
            await until_empty(store)
            assert "I am d." not in here.tone.spoken
            assert "I am e." not in here.tone.spoken
            assert await here.status("a") == "CANCELLED"

    run(story)


def test_what_has_not_begun_at_the_end_is_done_by_the_next_after_a_lease(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        store = MemoryStore(clock)
        async with house(tmp_path, store) as here:
            here.tone.hold()
            for number in range(5):
                await enqueue(here, f"j{number}", text=f"Number {number}.", odd_field=[1])
            await here.at_work()
            closing = asyncio.create_task(here.operations.close(0.4))
            await asyncio.sleep(0.3)
            here.tone.release()
            await closing
        assert len(waiting(store)) == 5
        async with house(tmp_path, store, ServiceOptions(poll_s=0.05)) as other:
            await other.until("j0", "COMPLETED")  # it was let go of, so it is free at once
            await other.until("j1", "COMPLETED")
            await asyncio.sleep(0.2)
            assert await other.status("j2") == "QUEUED"  # its server may well be alive
            clock.tick(LEASE_S)
            for number in range(2, 5):
                await other.until(f"j{number}", "COMPLETED")
            await until_empty(store)
            result = await other.call("result", job_id="j4")
            assert "The field 'odd_field' is not known." in result["warnings"]

    run(story)


class Shaky(MemoryStore):
    """Fails to keep results for a while."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        if key.startswith("output/") and self.failures:
            self.failures -= 1
            raise StorageFailed("The bucket is busy.", code="S3_BUSY", retryable=True)
        super().put(key, data, content_type)


@pytest.mark.parametrize("failures", [QUEUE_ATTEMPTS - 1, 100])
def test_a_failure_that_may_pass_is_tried_again(tmp_path: Path, failures: int) -> None:
    async def story() -> None:
        store = Shaky(failures)
        async with house(tmp_path, store, QUICK) as here:
            await enqueue(here, "a")
            if failures < QUEUE_ATTEMPTS:
                await here.until("a", "COMPLETED")
            else:
                told = await here.until("a", "ERROR")
                assert (told["failure"]["code"], told["failure"]["retryable"]) == ("S3_BUSY", True)
                assert 100 - store.failures == QUEUE_ATTEMPTS
            await until_empty(store)

    run(story)


def test_a_job_that_a_later_server_refuses_is_told_as_failed(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        entry = PendingJob("a", "1" * 64, {"text": "Far too long.", "queued_as": "a"})
        JobStore(store).enqueue("a", entry.request_sha256)
        PendingJobs(store).put(entry)
        await asyncio.sleep(QUICK.lease_s)
        async with house(tmp_path, store, QUICK, max_text_chars=5) as here:
            told = await here.until("a", "ERROR")
            assert told["failure"]["code"] == "TEXT_TOO_LONG"
            await until_empty(store)

    run(story)


def test_an_entry_of_a_later_version_is_left_alone_and_a_damaged_one_is_its_job_s_error(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        store = MemoryStore()
        store.put("queue/a.json", b'{"schema": 2, "what": "else"}')
        for name in ("b", "no-job"):
            store.put(f"queue/{name}.json", b"no json")
        JobStore(store).enqueue("b", "1" * 64)
        await asyncio.sleep(QUICK.lease_s)
        async with house(tmp_path, store, QUICK) as here:
            await enqueue(here, "c")
            await here.until("c", "COMPLETED")
            failure = (await here.until("b", "ERROR"))["failure"]
            assert (failure["code"], failure["retryable"]) == ("RECORD_DAMAGED", False)
            health = await here.call("health")
            assert {found["code"] for found in health["doctor"]} >= {"RECORD_TOO_NEW"}
            assert 'unreadable_records_total{code="RECORD_DAMAGED"}' in (
                here.operations.metrics.render()
            )
            async with asyncio.timeout(60):
                while sorted(waiting(store)) != ["a"]:
                    await asyncio.sleep(0.02)

    run(story)


@pytest.mark.parametrize("payload", [HELLO, {"text": "", "seed": "x"}])
def test_a_cancel_that_was_half_written_ends_the_job(
    tmp_path: Path, payload: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        store = MemoryStore()
        JobStore(store).enqueue("a", _ask().sha256)
        store.put("jobs/a/cancel.json", b'{"schema":1,"job_id":"a","by":"x","at":1}')
        PendingJobs(store).put(PendingJob("a", _ask().sha256, payload))
        await asyncio.sleep(QUICK.lease_s)
        async with house(tmp_path, store, QUICK) as here:
            await here.until("a", "CANCELLED")
            await until_empty(store)

    run(story)
    assert "background task" not in caplog.text


def test_no_record_of_a_neighbour_stops_the_look_through_the_queue(tmp_path: Path) -> None:
    """A job that a dead server has left is begun, whatever lies beside it."""
    neighbours = {
        "text-failure": b'{"schema":1,"request_sha256":"%s","phase":"failed","failure":"x"}',
        "huge-heartbeat": b'{"schema":1,"request_sha256":"%s","phase":"x","heartbeat":1'
        + b"0" * 400
        + b"}",
        "too-large": b'{"schema":1,"request_sha256":"%s","phase":"x","a":"' + b"x" * 70_000 + b'"}',
    }

    async def story() -> None:
        store = LocalStore(tmp_path / "store")
        for name, state in neighbours.items():
            store.put(f"jobs/{name}/state.json", state.replace(b"%s", b"1" * 64))
            PendingJobs(store).put(PendingJob(name, "1" * 64, HELLO))
        link = tmp_path / "store/jobs/link/state.json"
        link.parent.mkdir()
        link.symlink_to(tmp_path / "nowhere")
        PendingJobs(store).put(PendingJob("link", "1" * 64, HELLO))
        async with house(tmp_path / "first", store, QUICK) as first:
            first.tone.hold()
            for number in range(4):
                await enqueue(first, f"left-{number}")
        async with house(tmp_path / "second", store, QUICK) as here:
            for number in range(4):
                await here.until(f"left-{number}", "COMPLETED")
            for name in (*neighbours, "link"):  # their entries say all, so they are done anew
                await here.until(name, "COMPLETED")
            assert here.operations.background.health()["queue"]["faults"] == 0

    run(story)


class Failing(CountingTone):
    """Has a fault."""

    def estimate_s(self, utterances: Any) -> float | None:
        raise ZeroDivisionError


def test_a_fault_of_ours_costs_three_attempts_and_no_other_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        store = MemoryStore()
        async with house(tmp_path, store, QUICK, tone=Failing()) as here:
            await enqueue(here, "a")
            assert (await here.until("a", "ERROR"))["failure"]["code"] == "INTERNAL"
            await until_empty(store)

    run(story)
    assert caplog.text.count("ZeroDivisionError") >= QUEUE_ATTEMPTS


def test_a_store_that_does_not_list_is_asked_again(tmp_path: Path) -> None:
    class Blind(MemoryStore):
        fails = 2

        def list(self, prefix: str = "", *, recursive: bool = True) -> Any:
            if prefix == "queue/" and self.fails:
                self.fails -= 1
                raise StorageFailed("No listing.", code="S3_BUSY")
            return super().list(prefix, recursive=recursive)

    async def story() -> None:
        store = Blind()
        entry = PendingJob("a", "1" * 64, {**HELLO, "queued_as": "a"})
        PendingJobs(store).put(entry)
        await asyncio.sleep(QUICK.lease_s)
        async with house(tmp_path, store, QUICK) as here:
            while store.fails:
                await asyncio.sleep(0.02)
            await until_empty(store)
            assert await here.status("a") == "COMPLETED"

    run(story)


def test_two_servers_share_the_jobs_of_one_and_each_is_done_once(tmp_path: Path) -> None:
    async def story() -> None:
        store = LocalStore(tmp_path / "store")
        tones = CountingTone(cost_s=0.06), CountingTone(cost_s=0.06)
        load = [lambda tone=tone: Synthesizer(tone) for tone in tones]
        async with house(tmp_path, store, QUICK, load_speech=load[0], tone=tones[0]) as here:
            for number in range(30):
                await enqueue(here, f"j{number}", text=f"Number {number}.")
            async with house(tmp_path, store, QUICK, load_speech=load[1], tone=tones[1]):
                await until_empty(store)
                for number in range(30):
                    assert await here.status(f"j{number}") == "COMPLETED"
        spoken = Counter(tones[0].spoken + tones[1].spoken)
        assert len(spoken) == 30
        # Both may begin one in the same millisecond, and on a busy machine a sign of life is late:
        # that costs time. Were they not to share at all, there would be 60.
        assert sum(spoken.values()) <= 40
        assert min(len(tone.spoken) for tone in tones) >= 5
        assert len(list(store.list("output/"))) == 30

    run(story)


@contextlib.contextmanager
def server(folder: Path, name: str, jobs: int) -> Iterator[subprocess.Popen[str]]:
    """See `queue_server`; it has answered all of its jobs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.service.queue_server", str(folder), name, str(jobs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "posted\n"
            yield process
        finally:
            if process.poll() is None:
                process.communicate(timeout=20)


def test_a_killed_server_loses_no_job(tmp_path: Path) -> None:
    whole = LocalStore(tmp_path / "store")
    stores = [tenant_store(whole, tenant) for tenant in ("", *TENANTS)]
    jobs = 12

    def left() -> list[str]:
        return [name for store in stores for name in waiting(store)]

    with server(tmp_path, "first", jobs) as first:
        _until(lambda: len(left()) <= jobs - 2)
        first.kill()
        first.wait(10)
    assert 0 < len(left()) < jobs
    cancelled = left()[-1]
    number = int(cancelled.rpartition("-")[2])
    JobStore(stores[number % 3]).cancel(cancelled, "test")
    with server(tmp_path, "second", 0) as second:
        _until(lambda: not left())
        assert second.poll() is None
    told = Counter(
        JobStore(stores[number % 3]).snapshot(f"first-{number}").status.public
        for number in range(jobs)
    )
    assert told == {"COMPLETED": jobs - 1, "CANCELLED": 1}
    spoken = Counter(
        line for name in ("first", "second") for line in _lines(tmp_path / f"{name}.log")
    )
    assert len(spoken) == jobs - 1
    assert sum(spoken.values()) <= jobs + 1  # those at work when it was killed


def _lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def _until(is_so: Any, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)

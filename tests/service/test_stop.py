"""Cancelling, stopping and shutting down: within a step, on record, and nothing is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import F5Error
from f5serve.jobs.records import LEASE_S
from f5serve.service import ServiceOptions
from f5serve.service.active_jobs import ActiveJob, shut_down_error, stopped
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import Wave
from tests.jobs.clock import Clock
from tests.service.house import HELLO, PATIENCE_S, CountingTone, House, house, run


def begin(here: House, job_id: str, **payload: Any) -> asyncio.Task[dict[str, Any]]:
    return asyncio.create_task(here.operations.answer(payload or HELLO, job_id))


async def begin_and_hold(here: House, job_id: str = "j") -> asyncio.Task[dict[str, Any]]:
    here.tone.hold()
    task = begin(here, job_id)
    await here.at_work()
    return task


async def code_of(task: asyncio.Task[Any]) -> str:
    with pytest.raises(F5Error) as caught:
        await task
    return caught.value.code


def test_a_cancel_ends_the_work_at_its_next_step(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            task = await begin_and_hold(here)
            before = here.tone.steps
            cancelled = await here.call("cancel", job_id="j")
            assert cancelled == {"job_id": "j", "status": "CANCELLED"}
            here.tone.release()
            assert await code_of(task) == "JOB_CANCELLED"
            assert here.tone.steps == before + 1
            assert await here.status("j") == "CANCELLED"
            assert not list(here.store.list("output/"))
            assert (await here.refuse("j", **HELLO)).code == "JOB_CANCELLED"
            assert (await here.ask("k", **HELLO))["status"] == "COMPLETED"

    run(story)


class SlowToClaim(MemoryStore):
    """Says that a job is not there, and lets the first claim wait before it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = threading.Event()

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        assert self.may_write.wait(PATIENCE_S)
        super().put(key, data, content_type)


def test_a_cancel_before_the_claim_is_written(tmp_path: Path) -> None:
    async def story() -> None:
        store = SlowToClaim()
        async with house(tmp_path, store) as here:
            task = begin(here, "j")
            await here.until("j", "PROCESSING")
            assert (await here.call("cancel", job_id="j"))["status"] == "CANCELLED"
            store.may_write.set()
            assert await code_of(task) == "JOB_CANCELLED"
            assert await here.status("j") == "CANCELLED"
            assert not list(store.list("output/"))

    run(story)


def test_a_caller_that_is_cancelled_waits_for_the_device_and_the_record(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            task = await begin_and_hold(here)
            task.cancel()
            await asyncio.sleep(0.05)
            assert not task.done()  # the device is still in its step
            assert await here.status("j") == "PROCESSING"
            steps = here.tone.steps
            here.tone.release()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert here.tone.steps == steps + 1
            assert await here.status("j") == "CANCELLED"
            # Whoever stopped it may hand it out again.
            assert (await here.ask("j", **HELLO))["status"] == "COMPLETED"

    run(story)


def test_a_stop_ends_all_deliveries_of_the_job(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            first = await begin_and_hold(here)
            second = begin(here, "j")
            await asyncio.sleep(0.4)  # it has joined
            second.cancel()
            here.tone.release()
            assert await code_of(first) == "JOB_CANCELLED"
            assert await asyncio.wait({second})
            assert second.cancelled()

    run(story)


@pytest.mark.parametrize("how", ["cancel", "stop"])
def test_a_job_that_waits_for_the_device_never_gets_it(tmp_path: Path, how: str) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            first = await begin_and_hold(here, "first")
            second = begin(here, "second", text="Never spoken.")
            await here.until("second", "PROCESSING")
            await asyncio.sleep(0.05)
            if how == "cancel":
                await here.call("cancel", job_id="second")
            else:
                second.cancel()
            await asyncio.wait({second}, timeout=PATIENCE_S / 3)
            assert second.done()  # though the device is busy
            second.cancelled() or second.exception()
            here.tone.release()
            assert (await first)["status"] == "COMPLETED"
            assert here.tone.spoken == ["Hello there."]
            assert await here.status("second") == "CANCELLED"

    run(story)


def test_a_cancel_at_another_worker_is_noticed_at_the_next_beat(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        quick = ServiceOptions(heartbeat_s=0.05)
        async with house(tmp_path, store, quick) as here, house(tmp_path, store) as other:
            task = await begin_and_hold(here)
            await other.call("cancel", job_id="j")
            await asyncio.sleep(1.0)  # twenty beats
            here.tone.release()
            assert await code_of(task) == "JOB_CANCELLED"
            assert await other.status("j") == "CANCELLED"

    run(story)


def test_a_job_that_is_done_cannot_be_cancelled(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await here.ask("j", **HELLO)
            assert (await here.call("cancel", job_id="j"))["status"] == "COMPLETED"
            assert await here.status("j") == "COMPLETED"
            error = await here.refuse("x", endpoint="cancel", job_id="unknown")
            assert error.code == "INVALID_JOB_ID"

    run(story)


def test_at_the_end_running_jobs_may_finish(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            task = await begin_and_hold(here)
            closing = asyncio.create_task(here.operations.close(10))
            await asyncio.sleep(0.05)
            assert (await here.refuse("k", **HELLO)).code == "SHUT_DOWN"
            here.tone.release()
            assert (await task)["status"] == "COMPLETED"
            await closing

    run(story)


def test_at_the_end_late_jobs_are_free_for_others_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        async with house(tmp_path, store) as here:
            task = await begin_and_hold(here)
            closing = asyncio.create_task(here.operations.close(0.4))
            await asyncio.sleep(0.35)
            here.tone.release()
            assert await code_of(task) == "SHUT_DOWN"
            await closing
        async with house(tmp_path, store) as other:
            status = await other.call("status", job_id="j")
            assert (status["status"], "gone" in status["note"]) == ("PROCESSING", True)
            assert (await other.ask("j", **HELLO))["status"] == "COMPLETED"

    run(story)


def test_at_the_end_a_job_of_our_own_queue_goes_on_elsewhere(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        async with house(tmp_path, store) as here:
            here.tone.hold()
            assert (await here.ask("j", **HELLO, mode="async"))["status"] == "QUEUED"
            await here.at_work()
            closing = asyncio.create_task(here.operations.close(0.4))
            await asyncio.sleep(0.35)
            here.tone.release()
            await closing
        async with house(tmp_path, store) as other:
            assert (await other.until("j", "COMPLETED"))["status"] == "COMPLETED"
            assert other.tone.spoken

    run(story)


def test_a_worker_waits_for_another_that_has_the_job(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        async with house(tmp_path, store) as here, house(tmp_path, store) as other:
            task = await begin_and_hold(here)
            second = begin(other, "j")
            await asyncio.sleep(0.3)
            assert not second.done()
            here.tone.release()
            assert await task == await second
            assert not other.tone.spoken

    run(story)


def test_a_job_of_a_dead_worker_is_done_by_the_next_with_the_same_bytes(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        store = MemoryStore(clock)
        async with house(tmp_path, MemoryStore()) as elsewhere:
            expected = await elsewhere.ask("j", **HELLO)
        async with house(tmp_path, store) as here:
            task = await begin_and_hold(here)  # takes the claim, then hangs: as good as dead
            async with house(tmp_path, store) as other:
                second = begin(other, "j")
                await asyncio.sleep(0.3)
                clock.tick(LEASE_S)
                answer = await second
                assert answer["seed"] == expected["seed"]
                assert answer["audio_url"] == expected["audio_url"]  # the hash is in its name
                assert other.tone.spoken
            here.tone.release()  # it wakes, sees that the job is done, and takes that
            assert await task == answer

    run(story)


def test_a_stop_ends_the_wait_for_another_worker(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        async with house(tmp_path, store) as here, house(tmp_path, store) as other:
            task = await begin_and_hold(here)
            second = begin(other, "j")
            await asyncio.sleep(0.1)
            second.cancel()
            await asyncio.wait({second}, timeout=PATIENCE_S / 3)
            assert second.cancelled()
            here.tone.release()
            assert (await task)["status"] == "COMPLETED"  # the one that has it goes on

    run(story)


def test_a_lease_is_kept_by_beats(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        store = MemoryStore(clock)
        async with house(tmp_path, store, ServiceOptions(heartbeat_s=0.05)) as here:
            task = await begin_and_hold(here)
            for _ in range(3):
                clock.tick(0.6 * LEASE_S)
                before = store.get("jobs/j/state.json")
                async with asyncio.timeout(PATIENCE_S):
                    while store.get("jobs/j/state.json") == before:
                        await asyncio.sleep(0.01)
            assert "note" not in await here.call("status", job_id="j")  # which a lost job has
            here.tone.release()
            await task

    run(story)


class Lingering(CountingTone):
    """Has spoken, and takes its time to say so."""

    def generate(self, *args: Any, **options: Any) -> list[Wave]:
        waves = super().generate(*args, **options)
        self.hold()
        self.at_work.set()
        self.may_go_on.wait(PATIENCE_S)
        return waves


def test_a_cancel_after_the_last_step_still_keeps_the_output_out(tmp_path: Path) -> None:
    tone = Lingering()

    async def story() -> None:
        async with house(tmp_path, load_speech=lambda: Synthesizer(tone)) as here:
            task = begin(here, "j")
            async with asyncio.timeout(PATIENCE_S):
                while not tone.at_work.is_set() or tone.may_go_on.is_set():
                    await asyncio.sleep(0.01)
            await here.call("cancel", job_id="j")
            tone.release()
            assert await code_of(task) == "JOB_CANCELLED"
            assert not list(here.store.list("output/"))

    run(story)


class SlowBeats(MemoryStore):
    """Takes its time over the first sign of life."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.ended = threading.Event(), threading.Event()

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        is_first = b'"phase":"waiting"' in data and not self.begun.is_set()
        if is_first:
            self.begun.set()
            time.sleep(0.3)
        super().put(key, data, content_type)
        if is_first:
            self.ended.set()


def test_a_late_sign_of_life_does_not_hide_how_a_job_ended(tmp_path: Path) -> None:
    async def story() -> None:
        store = SlowBeats()
        async with house(tmp_path, store, ServiceOptions(heartbeat_s=0.05)) as here:
            task = await begin_and_hold(here)
            assert await asyncio.to_thread(store.begun.wait, PATIENCE_S)  # a beat is on its way
            task.cancel()
            here.tone.release()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(store.ended.wait, PATIENCE_S)
            assert await here.status("j") == "CANCELLED"

    run(story)


def test_the_first_reason_for_a_stop_counts() -> None:
    async def story() -> None:
        job = ActiveJob("j", "0" * 64)
        job.check()
        job.cancel(lambda: stopped("j"))
        job.cancel(shut_down_error)
        with pytest.raises(F5Error, match="Job j was stopped"):
            job.check()
        with pytest.raises(F5Error, match="was stopped"):
            await job.sleep(5)

    run(story)

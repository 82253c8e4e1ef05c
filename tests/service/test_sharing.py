"""Equal requests under way are made once, and each caller's time and end stay his own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import EngineFailed, StorageFailed
from f5serve.service.events import AudioChunk, AudioFile, DeliveryOptions
from f5serve.service.results import UNSTORED
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import Wave
from tests.service.house import HELLO, CountingTone, House, house, run
from tests.synthesis.test_checkpoints import chunks


def ask(here: House, job_id: str, **more: Any) -> asyncio.Task[dict[str, Any]]:
    return asyncio.create_task(here.ask(job_id, **{**HELLO, **more}))


async def begun(here: House, *job_ids: str) -> None:
    """Until all of them are under way, the first at the device."""
    await here.at_work()
    for job_id in job_ids:
        await here.until(job_id, "PROCESSING")
    await asyncio.sleep(0.05)


def test_many_at_once_are_made_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            names = [f"j{n}" for n in range(30)]
            tasks = [ask(here, name) for name in names]
            await begun(here, *names)
            other = ask(here, "other", seed=5)
            here.tone.release()
            answers = [await task for task in tasks]
            assert here.tone.spoken == ["Hello there."] * 2
            assert [answer["cached"] for answer in answers].count(False) == 1
            assert len({answer["audio_url"] for answer in answers}) == 1
            assert [answer["job_id"] for answer in answers] == names
            assert not (await other)["cached"]
            assert (await here.ask("late", **HELLO))["cached"]
            told = here.operations.metrics.render()
            assert 'f5_result_cache_total{outcome="joined"} 29' in told
            assert (await here.call("health"))["queue"]["jobs"] == 0

    run(story)


@pytest.mark.parametrize("how", ["cancel", "gone", "timeout"])
def test_where_the_first_ends_the_next_goes_on(tmp_path: Path, how: str) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            first = asyncio.create_task(
                here.operations.answer({**HELLO, "timeout_s": 1 if how == "timeout" else 60}, "j0")
            )
            await here.at_work()
            others = [ask(here, "j1"), ask(here, "j2")]
            await begun(here, "j0", "j1", "j2")
            if how == "cancel":
                await here.call("cancel", job_id="j0")
            elif how == "gone":
                first.cancel()
            else:
                await asyncio.sleep(1.1)
            here.tone.release()
            await asyncio.wait({first})
            assert first.cancelled() or first.exception() is not None
            answers = [await other for other in others]
            assert sorted(answer["cached"] for answer in answers) == [False, True]
            assert len(here.tone.spoken) == 2

    run(story)


def test_one_who_waits_has_his_own_time_and_end(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            first = ask(here, "j0")
            await here.at_work()
            began = time.monotonic()
            error = await here.refuse("j1", **HELLO, timeout_s=1)
            assert error.code == "DEADLINE_PASSED"
            assert time.monotonic() - began < 15  # the first is held for a minute
            second = asyncio.create_task(here.refuse("j2", **HELLO))
            await begun(here, "j2")
            await here.call("cancel", job_id="j2")
            assert (await second).code == "JOB_CANCELLED"
            here.tone.release()
            assert not (await first)["cached"]
            assert here.tone.spoken == ["Hello there."]

    run(story)


class FailsOnce(CountingTone):
    failures = 0

    def generate(self, *args: Any, **options: Any) -> list[Wave]:
        waves = super().generate(*args, **options)
        if not self.failures:
            self.failures += 1
            raise EngineFailed("It failed.", code="STEP_FAILED")
        return waves


def test_the_failure_of_one_is_not_that_of_all(tmp_path: Path) -> None:
    tone = FailsOnce()

    async def story() -> None:
        async with house(tmp_path, load_speech=lambda: Synthesizer(tone), tone=tone) as here:
            tone.hold()
            first = asyncio.create_task(here.refuse("j0", **HELLO))
            await here.at_work()
            second = ask(here, "j1")
            await begun(here, "j1")
            tone.release()
            assert (await first).code == "STEP_FAILED"
            assert (await second)["status"] == "COMPLETED"

    run(story)


def test_without_a_cache_everybody_makes_his_own(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, result_cache=False) as here:
            answers = await asyncio.gather(ask(here, "j0"), ask(here, "j1"))
            assert not any(answer["cached"] for answer in answers)
            assert len(here.tone.spoken) == 2

    run(story)


def test_listeners_of_the_same_hear_it_when_it_is_made(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            in_chunks = DeliveryOptions(chunks=True)
            first = asyncio.create_task(here.listen("j0", in_chunks, **HELLO))
            await here.at_work()
            piecewise = asyncio.create_task(here.listen("j1", in_chunks, **HELLO))
            as_file = DeliveryOptions(chunks=True, whole_files=True)
            whole = asyncio.create_task(here.listen("j2", as_file, **HELLO))
            await begun(here, "j1", "j2")
            here.tone.release()
            assert (await first)[0]
            (chunk,), answer = await piecewise
            assert isinstance(chunk, AudioChunk)
            assert answer["cached"]
            (file,), answer = await whole
            assert isinstance(file, AudioFile)
            assert answer["cached"]
            assert file.read(0, file.size)[:4] == b"RIFF"
            assert len(here.tone.spoken) == 1

    run(story)


class Full(MemoryStore):
    """Takes no more of one kind of key."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.part = part

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        if self.part in key:
            raise StorageFailed("The disk is full.", code="NO_SPACE")
        super().put(key, data, content_type)


@pytest.mark.parametrize("part", ["output/", "done.json"])
def test_who_is_content_with_the_speech_has_it_without_a_record(tmp_path: Path, part: str) -> None:
    async def story() -> None:
        async with house(tmp_path, Full(part)) as here:
            wishes = DeliveryOptions(chunks=True, whole_files=True, accept_unstored=True)
            (file,), answer = await here.listen("j", wishes, **HELLO)
            assert isinstance(file, AudioFile)
            assert file.read(0, file.size)[:4] == b"RIFF"
            (warning,) = [told for told in answer["warnings"] if told.startswith(UNSTORED)]
            assert "NO_SPACE" in warning
            assert answer["text"] == "Hello there."
            assert await here.status("j") == "ERROR"
            assert not chunks(here.store)
            assert (await here.refuse("k", **HELLO)).code == "NO_SPACE"  # jobs stay strict

    run(story)

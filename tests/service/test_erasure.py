"""A voice goes with everything that was made in it, and nothing else does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.service.erasure import erase_voice
from f5serve.service.executor import BoundedExecutor
from f5serve.service.upkeep import (
    MARK,
    MaintenanceIntervals,
    VoiceMaintenance,
    maintain_voices,
)
from f5serve.store.base import ObjectStore
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.voices import names
from f5serve.voices.library import VoiceLibrary
from tests.service.house import HELLO, House, house, run
from tests.service.test_voices import FILE, b64
from tests.voices.material import OTHER_WORDS, WORDS, CountingStore, other_recording, recording
from tests.voices.test_garbage import blobs, later

SECRET = "The words that nobody may keep."


def everything(store: ObjectStore) -> str:
    """All keys and all values, as one text."""
    found = [f"{e.key}\n{store.get(e.key).decode('latin-1')}" for e in store.list()]
    return "\n".join(found)


def about(store: ObjectStore, job_id: str) -> list[str]:
    return [entry.key for entry in store.list() if job_id in entry.key]


async def make(here: House) -> None:
    """Two voices; jobs in one of them under every spelling, and in others."""
    await here.call("upload", voice_name="Ana", voice_file=FILE, ref_text=WORDS)
    other = b64(other_recording())
    await here.call("upload", voice_name="bob", voice_file=other, ref_text=OTHER_WORDS)
    timings = {"timing_format": "srt"}
    await here.ask("ana-1", text=SECRET, voice="Ana", **timings)
    assert (await here.ask("ana-2", text=SECRET, local_voice="ANA.wav", **timings))["cached"]
    await here.ask("ana-1.b", text="Another one.", voice="bob", **timings)
    await here.ask("default-1", **HELLO)
    await here.refuse("ana-3", text=SECRET, voice="ana", nfe_step=20, model="none")


def test_a_voice_goes_with_its_results(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await make(here)
            told = await here.call("delete_voice", voice_name="ana", with_results=True)
            assert told["status"] == "Voice 'ana' deleted."
            results = told["results"]
            assert (results["voice"], results["jobs"], results["cache_entries"]) == (True, 3, 1)
            assert [key for key in about(here.store, "ana-") if "index" in key] == about(
                here.store, "-ana-1.b"
            )
            assert (results["at_work"], results["unreadable"]) == (0, 0)
            assert results["files"] > 6
            left = everything(here.store)
            assert SECRET not in left
            assert WORDS not in left
            assert '"Ana"' not in left
            for job in ("ana-1", "ana-2", "ana-3"):
                assert [key for key in about(here.store, job) if "ana-1.b" not in key] == []
            for job in ("ana-1.b", "default-1"):
                assert (await here.call("result", job_id=job))["status"] == "COMPLETED"
            assert here.store.exists("timings/ana-1.b.srt")
            assert (await here.call("list_voices"))["count"] == 1
            again = await here.refuse(
                "x", endpoint="delete_voice", voice_name="ana", with_results=True
            )
            assert again.code == "VOICE_NOT_FOUND"

    run(story)


def test_results_are_found_when_the_voice_is_gone_already(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await make(here)
            await here.call("delete_voice", voice_name="Ana")
            assert SECRET in everything(here.store)
            told = await here.call("delete_voice", voice_name="ana.wav", with_results=True)
            assert (told["results"]["voice"], told["results"]["jobs"]) == (False, 3)
            assert SECRET not in everything(here.store)

    run(story)


def test_a_job_at_work_is_left_and_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await here.call("upload", voice_name="ana", voice_file=FILE, ref_text=WORDS)
            here.tone.hold()
            speaking = asyncio.create_task(here.ask("a", text=SECRET, voice="ana"))
            await here.at_work()
            told = await here.call("delete_voice", voice_name="ana", with_results=True)
            assert (told["results"]["jobs"], told["results"]["at_work"]) == (0, 1)
            here.tone.release()
            await speaking
            told = await here.call("delete_voice", voice_name="ana", with_results=True)
            assert told["results"]["jobs"] == 1
            assert SECRET not in everything(here.store)

    run(story)


def test_records_that_cannot_be_read_are_told_and_stop_nobody(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    voices = VoiceLibrary(store, tmp_path / "cache")
    voices.put("ana", recording(), WORDS)
    (tmp_path / "store" / "jobs" / "ill").mkdir(parents=True)
    (tmp_path / "store" / "jobs" / "ill" / "state.json").write_bytes(b"{")
    (tmp_path / "store" / "cache").mkdir()
    (tmp_path / "store" / "cache" / f"{'0' * 64}.json").write_bytes(b"[")
    told: list[tuple[int, int]] = []
    erased = erase_voice(voices, store, "ana", lambda *said: told.append(said))
    assert (erased.voice, erased.jobs, erased.unreadable) == (True, 0, 1)
    assert told == [(1, 0)]
    with pytest.raises(InvalidRequest):
        erase_voice(voices, store, "../ana")


@pytest.mark.parametrize("value", ["yes", 1, None, []])
def test_the_field_is_true_or_false(tmp_path: Path, value: object) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            asked = {"endpoint": "delete_voice", "voice_name": "ana", "with_results": value}
            expected = "VOICE_NOT_FOUND" if value is None else "BAD_OPTION"
            assert (await here.refuse("x", **asked)).code == expected

    run(story)


SOON = MaintenanceIntervals(first_s=0.01, look_s=0.01)


@contextlib.asynccontextmanager
async def upkeep(store: ObjectStore, folder: Path) -> AsyncIterator[VoiceMaintenance]:
    """The upkeep of a library, which goes on inside."""
    kept = VoiceMaintenance(VoiceLibrary(store, folder), store)
    pool = BoundedExecutor("upkeep", 1, 1)
    task = asyncio.create_task(maintain_voices([kept], pool, SOON))
    yield kept
    assert not task.done()
    task.cancel()
    await asyncio.wait({task})
    pool.close()


async def until(is_so: object) -> None:
    for _ in range(1_000):
        if is_so():  # type: ignore[operator]
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


def test_a_server_sweeps_and_tidies_by_itself(tmp_path: Path) -> None:
    store = MemoryStore()
    elsewhere = VoiceLibrary(store, tmp_path / "elsewhere")
    elsewhere.put("ana", recording(), WORDS)
    elsewhere.put("gone", recording(), OTHER_WORDS)
    VoiceLibrary(store, tmp_path / "here").get("gone")
    elsewhere.put("ana", other_recording(), OTHER_WORDS)
    elsewhere.delete("gone")

    async def story() -> None:
        async with upkeep(later(store), tmp_path / "here") as kept:
            await until(lambda: len(blobs(store)) == 2)
            await until(lambda: not list((tmp_path / "here" / "blobs").iterdir()))
            await until(lambda: store.exists(MARK))
            VoiceLibrary(store, tmp_path / "here").get("ana")
            elsewhere.put("ana", recording(), WORDS)
            kept._tidied_at = float("-inf")  # as if six hours had passed
            await until(lambda: not list((tmp_path / "here" / "blobs").iterdir()))

    run(story)
    assert elsewhere.get("ana").ref_text == WORDS


def test_a_sweep_is_left_to_whoever_began_one(tmp_path: Path) -> None:
    store = MemoryStore()
    store.put(MARK, b"{}")
    counting = CountingStore(store)

    async def story() -> None:
        async with upkeep(counting, tmp_path):
            await until(lambda: counting.total("list", MARK) > 3)

    run(story)
    assert counting.total("list", names.BLOBS) == 0


def test_a_store_that_fails_does_not_end_the_upkeep(tmp_path: Path) -> None:
    store = MemoryStore()
    looked: list[str] = []

    def fail(call: str, key: str) -> None:
        looked.append(key)
        raise StorageFailed("The bucket is away.", code="S3_UNREACHABLE")

    async def story() -> None:
        async with upkeep(CountingStore(store, before=fail), tmp_path):
            await until(lambda: len(looked) > 3)

    run(story)


def test_health_tells_of_the_upkeep(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await asyncio.sleep(0)
            told = await here.call("health")
            assert told["background"]["voices"]["running"]
            json.dumps(told)

    run(story)

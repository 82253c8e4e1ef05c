"""Status, result, download, health and the queue: from records, by any worker, without a model."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.errors import F5Error
from f5serve.fallback.tone import Tone
from f5serve.jobs.records import LEASE_S
from f5serve.jobs.store import JobStore
from f5serve.service import ServiceOptions, SpeechService
from f5serve.settings import Settings
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import VoiceLibrary
from tests.jobs.clock import Clock
from tests.service.house import HELLO, CountingTone, house, run
from tests.voices.material import CountingStore


def test_any_worker_tells_status_and_result(tmp_path: Path) -> None:
    async def story() -> None:
        store = MemoryStore()
        async with house(tmp_path, store) as here:
            answer = await here.ask("j", **HELLO)
        async with house(tmp_path, store) as other:
            assert await other.call("status", job_id="j") == {
                "job_id": "j",
                "status": "COMPLETED",
                "progress": {"phase": "done", "percent": 100},
            }
            assert await other.call("result", job_id="j") == answer
            assert await other.call("download", job_id="j") == {
                "job_id": "j",
                "audio_url": answer["audio_url"],
                "content_type": "audio/wav",
                "filename": "j.wav",
                "format": "wav",
                "status": "ready",
            }
            assert not other.tone.spoken

    run(story)


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ({"endpoint": "status"}, "Invalid job_id."),
        ({"endpoint": "status", "job_id": "x"}, "Invalid job_id."),
        ({"endpoint": "result"}, "No job_id provided"),
        ({"endpoint": "result", "job_id": "x"}, "Invalid job_id: x"),
        ({"endpoint": "download", "job_id": "x"}, "Invalid job_id: x"),
        ({"endpoint": "tts"}, "Text input is required."),
        ({"text": "  "}, "Text input is required."),
        ({"text": None}, "Text input is required."),
        ({"endpoint": "result", "job_id": 7}, "job_id is 7."),
        ({"endpoint": "delete_voice"}, "voice_name is required."),
    ],
)
def test_the_sentences_that_clients_know(
    tmp_path: Path, payload: dict[str, Any], sentence: str
) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            assert (await here.refuse("j", **payload)).message == sentence

    run(story)


def test_a_job_under_way_is_told_with_its_progress_and_has_no_result(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            task = asyncio.create_task(here.ask("j", **HELLO))
            await here.at_work()
            status = await here.call("status", job_id="j")
            assert status["status"] == "PROCESSING"
            assert status["progress"] == {"phase": "waiting", "percent": 0}
            for endpoint in ("result", "download"):
                error = await here.refuse("x", endpoint=endpoint, job_id="j")
                assert error.message == "Job is not complete. Status: PROCESSING"
                assert (error.code, error.retryable) == ("JOB_NOT_COMPLETE", True)
            here.tone.release()
            await task
            error = await here.refuse("x", endpoint="download", job_id="j", type="timing")
            assert error.code == "NO_TIMINGS"

    run(story)


def test_a_failed_job_is_told_under_failure(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await here.refuse("j", **HELLO, voice="nobody")
            status = await here.call("status", job_id="j")
            assert status["status"] == "ERROR"
            assert status["failure"]["code"] == "VOICE_NOT_FOUND"
            error = await here.refuse("x", endpoint="result", job_id="j")
            assert error.message == "Job is not complete. Status: ERROR"
            assert (await here.refuse("j", **HELLO, voice="nobody")).code == "VOICE_NOT_FOUND"

    run(story)


def test_what_needs_no_model_waits_for_none(tmp_path: Path) -> None:
    may_load = threading.Event()

    def load() -> Synthesizer:
        assert may_load.wait(10)
        return Synthesizer(Tone())

    async def story() -> None:
        store = MemoryStore()
        async with house(tmp_path, store) as earlier:
            await earlier.ask("old", **HELLO)
        async with house(tmp_path, store, load_speech=load) as here:
            task = asyncio.create_task(here.ask("j", **HELLO))
            await here.until("j", "PROCESSING")
            async with asyncio.timeout(2):
                health = await here.call("health")
                assert (health["status"], health["model"]["state"]) == ("loading", "loading")
                assert health["queue"] == {"jobs": 1, "waiting": 0, "estimated_s": None}
                await here.call("list_voices")
                await here.call("result", job_id="old")
                assert (await here.ask("old", **HELLO))["status"] == "COMPLETED"
                assert (await here.call("cancel", job_id="j"))["status"] == "CANCELLED"
                with pytest.raises(F5Error):
                    await task
            may_load.set()
            assert (await here.ask("k", **HELLO))["cached"]

    run(story)


def test_health_tells_what_runs_here_and_no_path(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await here.ask("j", **HELLO)
            health = await here.call("health")
            assert health["status"] == "ok"
            assert health["model"] == {"name": "tone", "state": "ready", "engine": "tone"}
            assert (health["store"], health["device"]) == ("ok", "test tone")
            assert health["queue"] == {"jobs": 0, "waiting": 0, "estimated_s": 0}
            assert str(tmp_path) not in str(health)

    run(story)


def test_an_async_job_is_known_at_once_and_done_later(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            queued = await here.ask("j", **HELLO, mode="async", return_audio="base64")
            assert queued == {"job_id": "j", "status": "QUEUED"}
            assert await here.status("j") in ("QUEUED", "PROCESSING")
            assert (await here.refuse("j", text="Other.", mode="async")).code == "JOB_ID_CONFLICT"
            here.tone.release()
            await here.until("j", "COMPLETED")
            assert (await here.call("result", job_id="j"))["text"] == "Hello there."
            again = await here.ask("j", **HELLO, mode="async")
            assert again == {"job_id": "j", "status": "COMPLETED"}
            assert len(here.tone.spoken) == 1

    run(story)


def test_who_says_that_a_job_was_put_off_is_not_believed(tmp_path: Path) -> None:
    """Over a platform's queue: `queued_as` names a job, and takes no place in the line."""

    async def enqueue(payload: dict[str, Any]) -> str:
        queue.append(payload)
        return "platform"

    queue: list[dict[str, Any]] = []
    options = ServiceOptions(enqueue=enqueue)

    async def story() -> None:
        tone = CountingTone(cost_s=30.0)
        async with house(tmp_path, options=options, tone=tone, max_queue_s=0.5) as here:
            await here.ask("later", **HELLO, mode="async")
            tone.hold()
            first = asyncio.create_task(here.ask("first", text="One. " * 30))
            while not (await here.call("health"))["queue"]["estimated_s"]:
                await asyncio.sleep(0.01)
            assert (await here.refuse("x", **HELLO)).code == "BUSY"
            assert (await here.refuse("x", **HELLO, queued_as="forged")).code == "BUSY"
            other = {"text": "Something else.", "queued_as": "later"}
            assert (await here.refuse("x", **other)).code == "BUSY"
            half = await here.refuse("x", **HELLO, queued_as="\ud800")
            assert half.code == "BAD_OPTION"
            back = asyncio.create_task(here.ask("platform", **queue[0]))  # it was promised
            await here.until("later", "PROCESSING")
            for task in (first, back):
                task.cancel()
            tone.release()
            await asyncio.gather(first, back, return_exceptions=True)

    run(story)


def test_where_no_platform_has_a_queue_the_field_is_not_known(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            answer = await here.ask("mine", **HELLO, queued_as="yours")
            assert answer["job_id"] == "mine"
            assert "The field 'queued_as' is not known." in answer["warnings"]

    run(story)


def test_what_was_made_here_is_not_read_back(tmp_path: Path) -> None:
    async def story() -> None:
        store = CountingStore(MemoryStore())
        async with house(tmp_path, store) as here:
            text = "A sentence of some length that is said here, again and again. " * 40
            answer = await here.ask("j", text=text)
            assert len(answer["word_timings"]) == 40 * 12
            assert any(".json" in e.key for e in store.list("output/j/"))  # they are long
            assert not store.total("get", "output/j/")
            again = await here.call("result", job_id="j")
            assert again["word_timings"] == answer["word_timings"]
            assert store.total("get", "output/j/") == 1

    run(story)


def test_an_async_job_goes_through_the_platforms_queue(tmp_path: Path) -> None:
    queue: list[dict[str, Any]] = []

    async def enqueue(payload: dict[str, Any]) -> str:
        queue.append(payload)
        return f"platform-{len(queue)}"

    async def story() -> None:
        store = MemoryStore()
        async with house(tmp_path, store, ServiceOptions(enqueue=enqueue)) as here:
            queued = await here.ask("j", **HELLO, seed=5, mode="async", return_audio="base64")
            assert queued == {"job_id": "j", "status": "QUEUED"}
            assert await here.status("j") == "QUEUED"
            assert not here.tone.spoken
        async with house(tmp_path, store, ServiceOptions(enqueue=enqueue)) as other:
            for n in range(2):  # delivered twice
                answer = await other.ask(f"platform-{n}", **queue[0])
            assert (answer["job_id"], answer["seed"]) == ("j", 5)
            assert "audio_base64" not in answer  # nobody waits for it
            assert await other.status("j") == "COMPLETED"
            assert len(other.tone.spoken) == 1

    run(story)


def test_an_async_job_whose_first_worker_died_before_queueing_is_queued_again(
    tmp_path: Path,
) -> None:
    queue: list[dict[str, Any]] = []

    async def enqueue(payload: dict[str, Any]) -> str:
        queue.append(payload)
        if len(queue) == 1:
            raise F5Error("The queue is away.", code="QUEUE_FAILED", retryable=True)
        return "platform"

    async def story() -> None:
        async with house(tmp_path, options=ServiceOptions(enqueue=enqueue)) as here:
            assert (await here.refuse("j", **HELLO, mode="async")).code == "QUEUE_FAILED"
            assert (await here.ask("j", **HELLO, mode="async"))["status"] == "QUEUED"
            assert len(queue) == 2

    run(story)


def test_an_async_job_whose_worker_died_is_queued_again_when_asked_for_again(
    tmp_path: Path,
) -> None:
    queue: list[dict[str, Any]] = []

    async def enqueue(payload: dict[str, Any]) -> str:
        queue.append(payload)
        return "platform"

    async def story() -> None:
        clock = Clock()
        store = MemoryStore(clock)
        async with house(tmp_path, store, ServiceOptions(enqueue=enqueue)) as here:
            await here.ask("j", **HELLO, mode="async")
            sha = json.loads(store.get("jobs/j/state.json"))["request_sha256"]
            JobStore(store, "dead").claim("j", sha)
            assert (await here.ask("j", **HELLO, mode="async"))["status"] == "PROCESSING"
            assert len(queue) == 1
            clock.tick(LEASE_S)
            assert (await here.ask("j", **HELLO, mode="async"))["status"] == "PROCESSING"
            assert len(queue) == 2
            assert (await here.ask("platform", **queue[1]))["job_id"] == "j"

    run(story)


def test_an_async_job_can_be_cancelled_before_it_is_delivered(tmp_path: Path) -> None:
    queue: list[dict[str, Any]] = []

    async def enqueue(payload: dict[str, Any]) -> str:
        queue.append(payload)
        return "platform"

    async def story() -> None:
        async with house(tmp_path, options=ServiceOptions(enqueue=enqueue)) as here:
            await here.ask("j", **HELLO, mode="async")
            assert (await here.call("cancel", job_id="j"))["status"] == "CANCELLED"
            assert (await here.refuse("platform", **queue[0])).code == "JOB_CANCELLED"
            assert await here.status("j") == "CANCELLED"
            assert not here.tone.spoken

    run(story)


def test_an_async_request_that_cannot_be_done_is_refused_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            assert (await here.refuse("j", text="", mode="async")).code == "EMPTY_TEXT"
            assert (await here.refuse("x", endpoint="status", job_id="j")).code == "INVALID_JOB_ID"

    run(story)


@settings(max_examples=50)
@given(st.one_of(st.text(), st.integers(), st.booleans(), st.lists(st.text())))
def test_an_unknown_endpoint_is_never_taken_for_tts(endpoint: Any) -> None:
    async def story() -> None:
        store = MemoryStore()
        tone = Tone()
        operations = SpeechService(
            store, VoiceLibrary(store, Path("unused")), lambda: Synthesizer(tone), Settings()
        )
        with pytest.raises(F5Error) as caught:
            await operations.answer({**HELLO, "endpoint": endpoint}, "j")
        assert caught.value.code == "UNKNOWN_ENDPOINT"
        assert "tts, dub, upload, list_voices" in caught.value.hint
        assert not list(store.list())
        await operations.close(1)

    known = {"tts", "upload", "list_voices", "status", "result", "download", "cancel"}
    if endpoint not in (*known, "delete_voice", "health"):
        asyncio.run(story())

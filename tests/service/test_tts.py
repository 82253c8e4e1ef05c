"""tts: what is answered, what is stored, and what is never done twice."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from f5serve.audio.encode import MEDIA_TYPES, read_wav
from f5serve.errors import ModelUnavailable, StorageFailed
from f5serve.fallback.tone import Tone
from f5serve.service.job_handle import MAX_INLINE_BYTES
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from tests.service.house import HELLO, house, run

ANSWERED = {
    *("job_id", "status", "audio_url", "duration", "sample_rate", "format", "seed", "text"),
    *("voice", "model", "word_timings", "timing_files", "timing_format", "timing_method"),
    *(
        "spoken_text",
        "parts",
        "script",
        "marks",
        "timing_confidence",
        "word_count",
        "cached",
        "verification",
        "warnings",
        "metrics",
        "worker",
    ),
}
METRICS = {"queue_s", "voice_s", "inference_s", "timing_s", "upload_s", "rtf", "first_audio_s"}


def stored(store: Any, answer: dict[str, Any]) -> bytes:
    return bytes(store.get(answer["audio_url"].removeprefix("memory:")))


def test_an_answer_tells_everything_and_its_audio_is_in_the_store(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            answer = await here.ask("a-1", text=" Hello\tthere. ", local_voice="default.wav")
            assert answer.keys() == ANSWERED
            assert answer["metrics"].keys() == METRICS
            assert (answer["job_id"], answer["status"]) == ("a-1", "COMPLETED")
            assert (answer["text"], answer["voice"]) == ("Hello there.", "default")
            assert answer["spoken_text"] == "Hello there."
            assert (answer["model"], answer["format"]) == ("tone", "wav")
            assert (answer["sample_rate"], answer["cached"]) == (24000, False)
            assert [word["word"] for word in answer["word_timings"]] == ["Hello", "there."]
            assert answer["word_timings"][0].keys() == {
                *("word", "start_time", "end_time", "confidence")
            }
            assert (answer["timing_method"], answer["timing_confidence"]) == ("exact", 1.0)
            assert (answer["word_count"], answer["timing_files"]) == (2, {})
            assert not any("timings" in warning for warning in answer["warnings"])
            assert answer["worker"].keys() == {"version", "commit"}
            audio = stored(here.store, answer)
            wave = read_wav(audio)
            assert wave.duration_s == pytest.approx(answer["duration"], abs=1e-3)
            sha = hashlib.sha256(audio).hexdigest()
            assert answer["audio_url"] == f"memory:output/a-1/{sha[:16]}.wav"
            done = json.loads(here.store.get("jobs/a-1/done.json"))
            assert done["outputs"][0]["sha256"] == sha
            phases = [told["phase"] for told in here.told]
            assert phases == ["loading", "waiting", "speaking", "storing"]

    run(story)


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_every_format_is_stored_under_its_name_and_type(tmp_path: Path, format: str) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            answer = await here.ask("j", **HELLO, response_format=format)
            assert answer["audio_url"].endswith(f".{format}")
            told = await here.call("download", job_id="j")
            assert told["content_type"] == MEDIA_TYPES[format]
            assert told["filename"] == f"j.{format}"

    run(story)


def test_a_job_that_comes_again_is_answered_from_its_record(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            first = await here.ask("j", **HELLO)
            assert await here.ask("j", **HELLO) == first
            assert await here.call("result", job_id="j") == first
            async with house(tmp_path, here.store) as other:  # another worker, another day
                assert await other.ask("j", **HELLO) == first
                assert not other.tone.spoken
            error = await here.refuse("j", text="Another text.")
            assert error.code == "JOB_ID_CONFLICT"
            assert len(here.tone.spoken) == 1

    run(story)


def test_a_job_delivered_twice_at_once_runs_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            here.tone.hold()
            both = [asyncio.create_task(here.ask("j", **HELLO)) for _ in range(2)]
            await here.at_work()
            assert (await here.refuse("j", text="Other.")).code == "JOB_ID_CONFLICT"
            here.tone.release()
            first, second = await asyncio.gather(*both)
            assert first == second
            assert len(here.tone.spoken) == 1

    run(story)


def test_an_equal_request_is_answered_with_the_stored_audio(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            first = await here.ask("a", **HELLO)
            second = await here.ask("b", **HELLO, voice="default")
            assert (second["cached"], second["job_id"]) == (True, "b")
            assert stored(here.store, second) == stored(here.store, first)
            assert second["seed"] == first["seed"]
            assert second["metrics"]["inference_s"] == 0
            assert len(here.tone.spoken) == 1
            assert await here.call("result", job_id="b") == second
            for n, change in enumerate([{"seed": 1}, {"speed": 2}, {"response_format": "flac"}]):
                assert not (await here.ask(f"c{n}", **HELLO, **change))["cached"]

    run(story)


def test_the_result_cache_can_be_switched_off(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, result_cache=False) as here:
            for job in "ab":
                assert not (await here.ask(job, **HELLO))["cached"]
            assert len(here.tone.spoken) == 2
            assert not list(here.store.list("cache/"))

    run(story)


def test_audio_comes_inside_the_answer_up_to_a_limit(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, load_speech=lambda: Synthesizer(Tone(s_per_byte=1))) as here:
            for _ in range(2):  # made now, and from the store
                answer = await here.ask("a", text="One.", return_audio="base64")
                assert base64.b64decode(answer["audio_base64"]) == stored(here.store, answer)
            long = "x" * (MAX_INLINE_BYTES // 48_000 + 1)
            for _ in range(2):
                error = await here.refuse("b", text=long, return_audio="base64")
                assert error.code == "RESULT_TOO_LARGE"
            assert len(stored(here.store, await here.call("result", job_id="b"))) > 6_000_000

    run(story)


def test_a_long_text_is_told_in_full_later(tmp_path: Path) -> None:
    text = "The river runs past the old mill. " * 600

    async def story() -> None:
        short = Synthesizer(Tone(s_per_byte=0.005), max_text_chars=50_000)
        async with house(tmp_path, max_text_chars=50_000, load_speech=lambda: short) as here:
            answer = await here.ask("j", text=text, return_word_timings=False)
            assert answer["text"] == text.strip()
            assert answer["warnings"] == ["This is a test tone, not speech."]
            assert await here.call("result", job_id="j") == answer
            assert (await here.ask("k", text=text, return_word_timings=False))["cached"]

    run(story)


def test_ids_that_are_no_names_are_kept_under_their_hash(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            answer = await here.ask("../../etc/passwd\n", **HELLO)
            assert answer["job_id"] == "../../etc/passwd\n"
            assert (await here.call("result", job_id="../../etc/passwd\n")) == answer

    run(story)


def test_another_model_than_the_loaded_one_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            assert (await here.ask("a", **HELLO, model="tone"))["model"] == "tone"
            assert (await here.refuse("b", **HELLO, model="F5TTS_Base")).code == "MODEL_NOT_LOADED"
            failure = (await here.call("status", job_id="b"))["failure"]
            assert failure["code"] == "MODEL_NOT_LOADED"

    run(story)


def test_a_model_that_cannot_be_loaded_is_told_and_is_one_workers_trouble(tmp_path: Path) -> None:
    store = MemoryStore()

    def fail() -> Synthesizer:
        raise ModelUnavailable("There is no model.", code="MODEL_MISSING", hint="Pull it.")

    async def story() -> None:
        async with house(tmp_path, store, load_speech=fail) as here:
            assert (await here.refuse("j", **HELLO)).code == "MODEL_MISSING"
            health = await here.call("health")
            assert (health["status"], health["model"]["state"]) == ("failed", "failed")
            assert health["model"]["failure"]["code"] == "MODEL_MISSING"
            assert await here.status("j") == "ERROR"
        async with house(tmp_path, store) as other:
            assert (await other.ask("j", **HELLO))["status"] == "COMPLETED"
            assert (await other.call("health"))["status"] == "ok"

    run(story)


class Flaky(MemoryStore):
    """Refuses to put below a prefix, as long as it is told to."""

    refused = ""

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        if self.refused and key.startswith(self.refused):
            raise StorageFailed("The store is away.", code="S3_UNREACHABLE", retryable=True)
        super().put(key, data, content_type)


@pytest.mark.parametrize("prefix", ["output/", "jobs/j/done", "jobs/"])
def test_nothing_is_answered_that_was_not_stored(tmp_path: Path, prefix: str) -> None:
    async def story() -> None:
        store = Flaky()
        async with house(tmp_path, store) as here:
            store.refused = prefix
            assert (await here.refuse("j", **HELLO)).code == "S3_UNREACHABLE"
            store.refused = ""
            if prefix != "jobs/":
                failure = (await here.call("status", job_id="j"))["failure"]
                assert failure["retryable"]
            assert (await here.ask("j", **HELLO))["status"] == "COMPLETED"

    run(story)


def test_a_cache_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    async def story() -> None:
        store = Flaky()
        store.refused = "cache/"
        async with house(tmp_path, store) as here:
            assert (await here.ask("j", **HELLO))["status"] == "COMPLETED"

    run(story)


class Broken(Tone):
    """An engine with a fault in it."""

    def generate(self, *args: Any, **options: Any) -> Any:
        raise ZeroDivisionError


def test_a_fault_in_the_program_is_recorded_without_its_details(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, load_speech=lambda: Synthesizer(Broken())) as here:
            with pytest.raises(ZeroDivisionError):
                await here.ask("j", **HELLO)
            failure = (await here.call("status", job_id="j"))["failure"]
            assert failure["code"] == "INTERNAL"
            assert "Zero" not in str(failure)

    run(story)

"""Several requests at once, speech in pieces, and a device that fails for good."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from f5serve.audio.encode import MEDIA_TYPES, to_pcm16
from f5serve.errors import EngineFailed, F5Error
from f5serve.fallback.tone import Tone
from f5serve.service.events import (
    MEMORY_SAMPLES,
    AudioChunk,
    ChunkStore,
    Completed,
    DeliveryOptions,
)
from f5serve.service.executor import NICER
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import OnDone, Utterance, Wave
from tests.engine.test_engine import speaker
from tests.service.house import HELLO, House, house, run

LONG = " ".join(f"Sentence number {n} of a text, as long as most are." for n in range(12))


class Together(Tone):
    """An engine that gets on only while two callers are in it."""

    concurrent = True

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2, timeout=10)

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        self.both.wait()
        return super().generate(utterances, on_done, check)


def test_an_engine_that_allows_it_has_several_requests_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, load_speech=lambda: Synthesizer(Together())) as here:
            both = [here.ask(f"j{n}", text=f"Hello number {n}.") for n in range(2)]
            answers = await asyncio.gather(*both)
            assert [answer["status"] for answer in answers] == ["COMPLETED"] * 2

    run(story)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority")
def test_threads_that_encode_let_the_loop_go_first(tmp_path: Path) -> None:
    class Looking(Tone):
        concurrent = True

        def generate(self, *arguments: Any, **more: Any) -> list[Wave]:
            found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return super().generate(*arguments, **more)

    async def story() -> None:
        async with house(tmp_path, load_speech=lambda: Synthesizer(Looking())) as here:
            await here.ask("j", **HELLO)
            found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    found: list[int] = []
    run(story)
    in_the_request, in_the_loop = found
    assert in_the_request == min(19, in_the_loop + NICER)


async def listen(
    here: House, job_id: str, **payload: Any
) -> tuple[list[AudioChunk], dict[str, Any]]:
    told, answer = await here.listen(job_id, DeliveryOptions(chunks=True), **payload)
    return [piece for piece in told if isinstance(piece, AudioChunk)], answer


def sound(pieces: list[AudioChunk]) -> bytes:
    return b"".join(to_pcm16(piece.read().samples).tobytes() for piece in pieces)


def test_pieces_are_the_stored_speech(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            pieces, answer = await listen(here, "j", text=LONG, response_format="pcm")
            assert len(pieces) > 3
            assert here.store.get(answer["audio_url"].removeprefix("memory:")) == sound(pieces)
            starts = np.cumsum([0, *(piece.read().duration_s for piece in pieces)])
            assert [piece.start_s for piece in pieces] == pytest.approx(list(starts[:-1]))
            # The same request without a listener, but told to start quickly, sounds the same.
            quick = await here.ask("k", text=LONG, response_format="pcm", quick_start=True)
            other = await here.ask("l", text=LONG, response_format="pcm")
            assert quick["duration"] == answer["duration"] != other["duration"]

    run(story)


def test_a_second_listener_hears_all_from_the_beginning(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            first = asyncio.create_task(listen(here, "j", text=LONG))
            while not here.tone.spoken:
                await asyncio.sleep(0.01)
            here.tone.hold()
            await here.at_work()
            second = asyncio.create_task(listen(here, "j", text=LONG))
            await asyncio.sleep(0.05)
            here.tone.release()
            assert sound((await first)[0]) == sound((await second)[0])

    run(story)


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_what_was_made_before_is_heard_from_the_store(tmp_path: Path, format: str) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            payload = {"text": "Hello there, you.", "response_format": format, "quick_start": True}
            made = await here.ask("j", **payload)
            for job in ("j", "k"):
                pieces, answer = await listen(here, job, **payload)
                assert len(pieces) == 1
                assert pieces[0].read().duration_s == pytest.approx(made["duration"], abs=0.1)
                assert answer["status"] == "COMPLETED"
            assert len(here.tone.spoken) == 1

    run(story)


def test_a_listener_that_goes_away_stops_the_job(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            stream = here.operations.events({"text": LONG}, "j", DeliveryOptions(chunks=True))
            while not isinstance(await anext(stream), AudioChunk):
                pass
            here.tone.hold()
            await here.at_work()
            closing = asyncio.create_task(stream.aclose())  # type: ignore[arg-type]
            await asyncio.sleep(0.05)
            here.tone.release()
            await closing
            assert await here.status("j") == "CANCELLED"

    run(story)


def test_other_operations_stream_their_answer(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            events = here.operations.events({"endpoint": "list_voices"}, "x")
            (told,) = [event async for event in events]
            assert isinstance(told, Completed)
            assert told.response["status"] == "success"

    run(story)


class Breaking(Tone):
    """A device that fails at the first word."""

    def generate(self, *_: Any, **__: Any) -> list[Wave]:
        self.broken = True
        raise EngineFailed("The device is gone.", code="DEVICE_BROKEN", retryable=True)


def test_a_broken_device_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, load_speech=lambda: Synthesizer(Breaking())) as here:
            assert not here.operations.broken
            assert (await here.refuse("j", **HELLO)).code == "DEVICE_BROKEN"
            assert here.operations.broken
            health = await here.call("health")
            assert (health["status"], health["model"]["state"]) == ("failed", "failed")
            assert (await here.call("list_voices"))["status"] == "success"

    run(story)


def test_what_happened_is_counted(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here:
            await here.ask("a", text="Hello there.", seed=1)
            await here.ask("b", text="Hello there.", seed=1)
            await here.refuse("c", text="")
            await here.call("list_voices")
            health = await here.call("health")
            assert health["metrics"]["spoken"] == 1
            assert health["metrics"]["cache_hits"] == 1
            assert health["metrics"]["audio_s"] == pytest.approx(0.7, abs=0.05)
            told = here.operations.metrics.render().splitlines()
            for line in (
                'f5_requests_total{operation="tts",outcome="ok"} 2.0',
                'f5_requests_total{operation="tts",outcome="EMPTY_TEXT"} 1.0',
                'f5_requests_total{operation="list_voices",outcome="ok"} 1.0',
                'f5_result_cache_total{outcome="miss"} 1.0',
                "f5_first_audio_seconds_count 1.0",
                "f5_requests_waiting 0.0",
            ):
                assert line in told

    run(story)


def test_the_model_says_in_pieces_what_it_says_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, load_speech=lambda: Synthesizer(speaker())) as here:
            text = "This is spoken by a model of few layers, and so is this."
            asked = {"text": text, "seed": 4, "nfe_step": 5, "response_format": "pcm"}
            pieces, answer = await listen(here, "j", **asked)
            assert len(pieces) > 1
            made = here.store.get(answer["audio_url"].removeprefix("memory:"))
            assert made == sound(pieces)
            async with house(tmp_path, load_speech=lambda: Synthesizer(speaker())) as other:
                plain = await other.ask("k", **asked, quick_start=True)
                again = other.store.get(plain["audio_url"].removeprefix("memory:"))
            assert again == made
            health = await here.call("health")
            assert health["metrics"]["rows_per_step"] >= 1
            told = here.operations.metrics.render()
            assert "f5_engine_step_seconds_total" in told
            assert "f5_engine_rows_total" in told

    run(story)


def test_the_model_stops_what_nobody_wants(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, load_speech=lambda: Synthesizer(speaker())) as here:
            text = "This is spoken by a model of few layers, and so is this. " * 8
            long = asyncio.create_task(here.operations.answer({"text": text, "nfe_step": 64}, "j"))
            while (await here.call("health"))["queue"]["waiting"] == 0:
                await asyncio.sleep(0.01)
            await here.call("cancel", job_id="j")
            with pytest.raises(F5Error, match="cancelled"):
                await long
            assert (await here.ask("k", text="And now this.", nfe_step=5))["status"] == "COMPLETED"

    run(story)


def test_long_speech_for_slow_listeners_lies_on_the_disk(tmp_path: Path) -> None:
    chunks = ChunkStore(tmp_path)
    waves = [Wave(np.full(MEMORY_SAMPLES // 2, n / 8, np.float32)) for n in range(4)]
    told = [chunks.keep(wave, total=4) for wave in waves]
    starts = [0.0, *np.cumsum([len(waves[0].samples) / 24_000] * 3)]
    assert [piece.start_s for piece in told] == starts
    for piece, wave in zip(told, waves, strict=True):
        assert np.array_equal(piece.read().samples, wave.samples)
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_size == 2 * waves[0].samples.nbytes

"""What speech will cost, by the jobs that were done last."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from f5serve.fallback.tone import Tone
from f5serve.jobs.records import Lease
from f5serve.jobs.store import JobStore
from f5serve.service import SpeechService
from f5serve.service.device_time import LEAST_S, device_rate, device_time
from f5serve.settings import Settings
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import VoiceLibrary

LONG = "This is long enough to tell something about the time that a second of speech takes."


def test_the_newest_jobs_tell_what_a_second_takes(tmp_path: Path) -> None:
    store = MemoryStore()

    async def work(*texts: str) -> None:
        voices = VoiceLibrary(store, tmp_path)
        tone = Tone(cost_s=0.02)
        service = SpeechService(store, voices, lambda: Synthesizer(tone), Settings())
        for number, text in enumerate(texts):
            await service.answer({"text": text}, f"job-{len(texts)}-{number}")
        await service.close(5)

    jobs = JobStore(store)
    assert device_rate(jobs, "") is None
    asyncio.run(work("Short."))
    assert device_rate(jobs, "") is None, f"less than {LEAST_S} s of speech"
    asyncio.run(work(LONG, LONG))  # the second one is a copy of the first
    rate = device_rate(jobs, "tone")
    assert rate is not None
    assert rate > 0
    assert device_rate(jobs, "") == rate
    assert device_rate(jobs, "F5TTS_v1_Base") is None


def test_a_job_that_others_have_begun_tells_nothing() -> None:
    store = MemoryStore()
    jobs = JobStore(store)
    line = {"role": "audio", "key": "output/a/b.wav", "size": 1, "sha256": "0" * 64, "mime": "a/b"}
    done = {"outputs": [line], "seconds": 60.0}
    for job_id, more in (
        ("resumed", {"metrics": {"rtf": 0.001}, "resumed": 7}),
        ("cached", {"metrics": {"rtf": 0.002}, "cached": True}),
        ("silent", {}),
    ):
        lease = jobs.claim(job_id, "0" * 64)
        assert isinstance(lease, Lease)
        jobs.complete(lease, {**done, **more})
    assert device_rate(jobs, "") is None


def test_a_price_gives_a_cost() -> None:
    assert device_time(7_200, 0.5, 2.0).as_dict() == {"device_s": 3_600, "cost_usd": 2.0}
    assert device_time(7_200, 0.5, 0.0).as_dict() == {"device_s": 3_600, "cost_usd": None}
    assert device_time(7_200, None, 2.0).as_dict() == {"device_s": None, "cost_usd": None}
    assert device_time(10, 0.25, 3_600).usd == pytest.approx(2.5)

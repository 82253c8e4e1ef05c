"""Pipecat's services, made as docs/guides/leaving-openai.md says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.environment import needs_clients, script
from tests.clients.guide import block
from tests.clients.jobs import NewJobs
from tests.hearing import word_error_rate
from tests.http.house import House
from tests.http.test_streaming import HELD, Sentences
from tests.voices.material import DATA, WORDS

pytestmark = [needs_clients, pytest.mark.slow]


def test_openai_speaks_and_listens(home: House, key: str, tmp_path: Path) -> None:
    source = block("Pipecat", home.url, key)
    asks = [{"text": "Hello there."}, {"file": str(DATA / "librivox-0880.wav")}]
    with script("pipecat_services", tmp_path, source, asks) as events:
        sound = [one for one in events.until("end", "error") if one["event"] == "audio"]
        assert sum(part["bytes"] for part in sound) / 48_000 == pytest.approx(12 * 0.06, abs=0.05)
        assert {part["rate"] for part in sound} == {24_000}
        assert word_error_rate(WORDS, events.until("end", "error")[-1]["text"]) < 0.35


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('voice="nova"', 'voice="ghost"', "'ghost' is not supported (must be one of: alloy,"),
        ('voice="nova"', 'voice="nova", model="whisper-1"', "There is no model 'whisper-1'."),
    ],
)
def test_errors_reach_the_pipeline(
    home: House, key: str, tmp_path: Path, before: str, after: str, message: str
) -> None:
    source = block("Pipecat", home.url, key).replace(before, after)
    with script("pipecat_services", tmp_path, source, [{"text": "Hello there."}]) as events:
        assert message in events.until("error", "end")[-1]["message"]


def test_openai_hears_the_first_sentence_before_the_second_is_made(
    halting: House, key: str, tmp_path: Path
) -> None:
    tone = halting.tone
    assert isinstance(tone, Sentences)
    source = block("Pipecat", halting.url, key)
    with script("pipecat_services", tmp_path, source, [{"text": HELD}]) as events:
        first = events.next()
        tone.go_on()
        assert first["event"] == "audio"
        assert events.until("end", "error")[-1]["event"] == "end"


SENTENCES = "The first sentence is short. Then a second one follows it."


@pytest.mark.parametrize("way", ["protocol", "HTTP"])
def test_elevenlabs_speaks_and_times_words(home: House, key: str, tmp_path: Path, way: str) -> None:
    source, jobs = block(f"Pipecat by ElevenLabs' {way}", home.url, key), NewJobs(home)
    asks = [{"text": SENTENCES}, {"text": "Again."}]
    with script("pipecat_services", tmp_path, source, asks) as events:
        *parts, end = events.until("end", "error")
        assert end["event"] == "end"
        words = [part for part in parts if part["event"] == "text"]
        assert [word["text"] for word in words] == SENTENCES.split()
        at_s = [word["at_s"] - words[0]["at_s"] for word in words]
        assert at_s[-1] == pytest.approx(SENTENCES.index("it.") * 0.06, abs=0.4)
        assert len(set(at_s)) == len(at_s)
        sound_s = sum(part["bytes"] for part in parts if part["event"] == "audio") / 48_000
        assert sound_s == pytest.approx(len(SENTENCES) * 0.06, abs=0.4)
        parts = events.until("end", "error")
        assert [part["text"] for part in parts if part["event"] == "text"] == ["Again."]
    assert {voice for _, voice, _ in jobs.asked()} == {"nova"}


def test_elevenlabs_s_errors_are_frames(home: House, key: str, tmp_path: Path) -> None:
    heading, asks = "Pipecat by ElevenLabs' protocol", [{"text": "Hello there."}]
    source = block(heading, home.url, key).replace("nova", "ghost")
    with script("pipecat_services", tmp_path, source, asks) as events:
        assert "completed with no audio" in events.until("end", "error")[-1]["message"]
    source = block(heading, home.url, "another-key")
    with script("pipecat_services", tmp_path, source, asks) as events:
        assert "HTTP 401" in events.until("end", "error")[-1]["message"]
    source = block("Pipecat by ElevenLabs' HTTP", home.url, key).replace("nova", "ghost")
    with script("pipecat_services", tmp_path, source, asks) as events:
        assert "There is no voice 'ghost'" in events.until("end", "error")[-1]["message"]

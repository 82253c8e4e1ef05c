"""LiveKit's plugins, made as docs/guides/leaving-openai.md says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    source = block("LiveKit Agents", home.url, key)
    asks = [
        {"text": "Hello there."},
        {"text": "Hello there.", "model": "tts-1", "voice": "onyx"},
        {"text": "Hello there.", "voice": "ghost"},
        {"file": str(DATA / "librivox-0880.wav")},
    ]
    with script("livekit_plugins", tmp_path, source, asks) as events:
        for is_events in (True, False):
            *parts, end = events.until("end", "error")
            assert sum(part["s"] for part in parts) == pytest.approx(12 * 0.06, abs=0.05)
            assert {part["rate"] for part in parts} == {24_000}
            assert bool(end["output_tokens"]) == is_events  # a plain file cannot say
        assert "There is no voice 'ghost'." in events.until("end", "error")[-1]["message"]
        assert word_error_rate(WORDS, events.next()["text"]) < 0.35


def test_openai_hears_the_first_sentence_before_the_second_is_made(
    halting: House, key: str, tmp_path: Path
) -> None:
    tone = halting.tone
    assert isinstance(tone, Sentences)
    source = block("LiveKit Agents", halting.url, key)
    asks = [{"text": HELD}, {"text": HELD + " So.", "model": "tts-1"}]
    with script("livekit_plugins", tmp_path, source, asks) as events:
        for _ in asks:
            first = events.next()
            tone.go_on()
            assert first["event"] == "audio"
            *parts, end = events.until("end", "error")
            assert end["event"] == "end"
            assert sum(part["s"] for part in parts) > 5


def test_a_wrong_key_is_named(home: House, tmp_path: Path) -> None:
    source = block("LiveKit Agents", home.url, "another-key")
    with script("livekit_plugins", tmp_path, source, [{"text": "Hello there."}]) as events:
        assert "API key" in events.next()["message"]


SENTENCES = "The first sentence is short. Then a second one follows it."


def test_elevenlabs_speaks_words_as_they_come_and_times_them(
    home: House, key: str, tmp_path: Path
) -> None:
    source = block("LiveKit Agents by ElevenLabs' protocol", home.url, key)
    asks: list[dict[str, Any]] = [
        {"words": SENTENCES},
        {"words": "Another voice.", "voice_id": "onyx"},
        {"text": "A whole text."},
        {"voices": True},
    ]
    jobs = NewJobs(home)
    with script("livekit_plugins", tmp_path, source, asks) as events:
        *parts, end = events.until("end", "error")
        assert end["event"] == "end"
        words = [part for part in parts if part["event"] == "word"]
        assert [word["text"].strip() for word in words] == SENTENCES.split()
        starts = [word["start_s"] for word in words]
        assert starts == sorted(starts)
        sound_s = sum(part["s"] for part in parts if part["event"] == "audio")
        assert sound_s == pytest.approx(len(SENTENCES) * 0.06, abs=0.4)  # less between sentences
        assert words[-1]["end_s"] == pytest.approx(sound_s, abs=0.2)
        assert events.until("end", "error")[-1]["event"] == "end"
        parts = events.until("end", "error")
        assert sum(part.get("s", 0.0) for part in parts) == pytest.approx(13 * 0.06, abs=0.1)
        assert {"default", "nova"} <= set(events.next()["voices"])
    voices = [voice for _, voice, _ in jobs.asked()]
    assert set(voices) == {"nova", "default"}


def test_elevenlabs_s_errors_end_the_speech(home: House, key: str, tmp_path: Path) -> None:
    """The plugin shows a sentence of its own; ours is in `lk.pii.data` of its log."""
    source = block("LiveKit Agents by ElevenLabs' protocol", home.url, key)
    asks = [{"words": "Hello there."}, {"words": "Hello there.", "voice_id": "nova"}]
    with script("livekit_plugins", tmp_path, source.replace("nova", "ghost"), asks) as events:
        assert "Could not synthesize" in events.until("end", "error")[-1]["message"]
        assert events.until("end", "error")[-1]["event"] == "end"  # the plugin goes on
    source = block("LiveKit Agents by ElevenLabs' protocol", home.url, "another-key")
    with script("livekit_plugins", tmp_path, source, asks[:1]) as events:
        assert "status_code=401" in events.until("end", "error")[-1]["message"]

"""The whole programs of docs/guides/leaving-openai.md run, each with its own client."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.environment import needs_clients, run, script
from tests.clients.guide import block
from tests.clients.jobs import NewJobs
from tests.hearing import word_error_rate
from tests.http.house import House
from tests.http.sound import heard_s
from tests.voices.material import DATA, WORDS, recording

pytestmark = [needs_clients, pytest.mark.slow]

PROGRAMS = {
    "openai-python": "python",
    "openai-node": "js",
    "AI SDK": "js",
    "LangChain": "python",
    "LiteLLM": "python",
}


@pytest.mark.parametrize("heading", PROGRAMS)
def test_it_speaks_and_listens(home: House, key: str, tmp_path: Path, heading: str) -> None:
    (tmp_path / "talk.wav").write_bytes(recording())
    program, jobs = block(heading, home.url, key), NewJobs(home)
    printed = run(PROGRAMS[heading], program, tmp_path)
    sound = (tmp_path / "hello.mp3").read_bytes()
    text = "Hello Ana." if heading == "LangChain" else "Hello there."
    assert heard_s(sound, "mp3") == pytest.approx(len(text) * 0.06, abs=0.12)
    assert jobs.asked() == [(text, "nova", "mp3")]
    if "talk.wav" in program:
        assert word_error_rate(WORDS, printed) < 0.35


@pytest.mark.parametrize("heading", PROGRAMS)
def test_our_errors_are_shown(home: House, key: str, tmp_path: Path, heading: str) -> None:
    program = block(heading, home.url, key).replace("nova", "ghost")
    with pytest.raises(AssertionError, match="There is no voice 'ghost'"):
        run(PROGRAMS[heading], program, tmp_path)
    with pytest.raises(AssertionError, match="API key"):
        run(PROGRAMS[heading], block(heading, home.url, "another-key"), tmp_path)


def test_litellm_s_proxy_passes_on(home: House, key: str, tmp_path: Path) -> None:
    """By the router, which the proxy gives the `model_list` of its file."""
    source, jobs = block("LiteLLM's proxy", home.url, key), NewJobs(home)
    asks = [
        {"text": "Hello there.", "model": "tts-1", "voice": "nova"},
        {"file": str(DATA / "librivox-0880.wav"), "model": "whisper-1"},
    ]
    with script("litellm_router", tmp_path, source, asks) as events:
        assert events.next()["bytes"] > 1_000
        assert word_error_rate(WORDS, events.next()["text"]) < 0.35
    assert jobs.asked() == [("Hello there.", "nova", "mp3")]

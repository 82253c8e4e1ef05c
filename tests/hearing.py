"""Whisper tiny.en for tests: transcripts of waves, and word error rates.

Works without a network: the model is a wheel, pinned by version.
"""

from __future__ import annotations

from functools import cache

from f5serve.asr.word_errors import SpeechChecker, compare
from f5serve.settings import Settings
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.types import Wave

SETTINGS = Settings(recogniser="tiny.en", device="cpu", threads=1)


@cache
def speech_recognition() -> SpeechRecognition:
    """One for all tests of a process; the model is loaded at its first use."""
    return SpeechRecognition(SETTINGS)


def speech_checker() -> SpeechChecker:
    """One for all tests of a process."""
    found = speech_recognition().open()
    assert found is not None
    return found


def transcribe(wave: Wave) -> str:
    """The words that Whisper recognises."""
    return speech_checker().recogniser.transcribe(wave, "en").text


def word_error_rate(meant: str, heard: str) -> float:
    """Edits from the words of `heard` to those of `meant`, per word of `meant`."""
    return compare(meant, heard, "en").rate

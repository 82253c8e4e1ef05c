"""Whisper tiny.en as an ear: what was said in a wave, and how far that is from what was meant.

Works without a network: the model is a wheel, pinned by version.
"""

from __future__ import annotations

from functools import cache

from f5serve.asr import Ear
from f5serve.asr.wording import compare
from f5serve.settings import Settings
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.types import Wave

SETTINGS = Settings(recogniser="tiny.en", device="cpu", threads=1)


@cache
def ears() -> SpeechRecognition:
    """One for all tests of a process; the model is loaded at its first use."""
    return SpeechRecognition(SETTINGS)


def ear() -> Ear:
    """The ear of all tests."""
    found = ears().open()
    assert found is not None
    return found


def hear(wave: Wave) -> str:
    """The words that Whisper hears."""
    return ear().hear(wave, "en").text


def word_error_rate(meant: str, heard: str) -> float:
    """Edits from the words of `heard` to those of `meant`, per word of `meant`."""
    return compare(meant, heard, "en").rate

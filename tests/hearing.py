"""Whisper tiny.en as an ear: what was said in a wave, and how far that is from what was meant.

Works without a network: the model is a wheel, pinned by version.
"""

from __future__ import annotations

from functools import cache

from f5serve.listening import open_ear
from f5serve.recognition import Ear
from f5serve.recognition.wording import compare
from f5serve.settings import Settings
from f5serve.types import Wave


@cache
def ear() -> Ear:
    """One for all tests of a process; it is loaded at its first use."""
    found = open_ear(Settings(recogniser="tiny.en", device="cpu", threads=2))
    assert found is not None
    return found


def hear(wave: Wave) -> str:
    """The words that Whisper hears."""
    return ear().hear(wave, "en").text


def word_error_rate(meant: str, heard: str) -> float:
    """Edits from the words of `heard` to those of `meant`, per word of `meant`."""
    return compare(meant, heard, "en").rate

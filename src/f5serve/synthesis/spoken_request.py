"""The words that a request speaks, and its utterances."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from f5serve.text.lexicon import Lexicon
from f5serve.text.plan import plan_utterances
from f5serve.text.spoken import SpokenText, spoken_text
from f5serve.types import (
    FRAMES_PER_SECOND,
    SpeechRequest,
    Utterance,
    samples_to_frames,
)


def speech_s(utterance: Utterance) -> float:
    """Planned seconds of an utterance, without its reference."""
    frames = utterance.duration_frames - samples_to_frames(len(utterance.voice.wave.samples))
    return frames / FRAMES_PER_SECOND


def request_words(request: SpeechRequest, lexicon: Lexicon | None = None) -> SpokenText:
    """The words that are spoken for a request with clean text.

    Raises:
        InvalidRequest: BAD_PINYIN.
    """
    return spoken_text(
        request.text,
        request.language,
        request.voice.language,
        request.unnormalized,
        lexicon,
    )


def plan_spoken(
    request: SpeechRequest, spoken: SpokenText, max_text_bytes: int, seed: int
) -> list[Utterance]:
    """The utterances of a request; arguments as `plan_utterances` takes them.

    The transcript of the voice is normalized as well: its words are heard in the recording.
    """
    voice = request.voice
    ref_text = _spoken_reference(voice.ref_text, voice.language, request.unnormalized)
    request = replace(request, text=spoken.written, voice=replace(voice, ref_text=ref_text))
    return plan_utterances(request, spoken.mapped, max_text_bytes, seed, spoken.language)


@lru_cache(maxsize=256)
def _spoken_reference(ref_text: str, language: str, unnormalized: frozenset[str]) -> str:
    """The words of a transcript; remembered, as each request in a voice asks for them."""
    return spoken_text(ref_text, "", language, unnormalized).mapped.text

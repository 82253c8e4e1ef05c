"""The words that a request speaks, and a preview of them before anything is synthesized."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

from f5serve.text.lexicon import Lexicon
from f5serve.text.pinyin import show_pinyin
from f5serve.text.plan import plan_utterances
from f5serve.text.spoken import SpokenText, changes, spoken_text
from f5serve.types import (
    FRAMES_PER_SECOND,
    Engine,
    SpeechRequest,
    Utterance,
    samples_to_frames,
)

_UNLIMITED = 1 << 30
"""Bytes of an utterance while no engine is loaded that has a limit of its own."""


@dataclass(frozen=True, slots=True)
class TextPreview:
    """What a request would speak.

    Attributes:
        utterances: with the length of each, see `speech_s`.
        unspeakable: characters that the engine has no sound for; None while no engine is loaded.
    """

    spoken: SpokenText
    utterances: tuple[Utterance, ...]
    unspeakable: tuple[str, ...] | None


def preview(
    request: SpeechRequest, engine: Engine | None = None, lexicon: Lexicon | None = None
) -> TextPreview:
    """What would be spoken for a request with clean text.

    Raises:
        InvalidRequest: BAD_PINYIN.
    """
    spoken = request_words(request, lexicon)
    limit = engine.max_text_bytes if engine is not None else _UNLIMITED
    utterances = plan_spoken(request, spoken, limit, seed=0)
    unspeakable = None if engine is None else tuple(engine.unspeakable(spoken.mapped.text))
    return TextPreview(spoken, tuple(utterances), unspeakable)


def preview_as_dict(found: TextPreview) -> dict[str, Any]:
    """A preview as JSON, for the command line and POST /v1/text."""
    return {
        "text": found.spoken.written,
        "language": found.spoken.language or None,
        "spoken_text": found.spoken.shown,
        "changes": [asdict(change) for change in changes(found.spoken)],
        "utterances": [
            {"text": show_pinyin(one.text), "duration": round(speech_s(one), 2)}
            for one in found.utterances
        ],
        "unspeakable": None if found.unspeakable is None else list(found.unspeakable),
        "warnings": list(found.spoken.warnings),
    }


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

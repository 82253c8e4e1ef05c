"""The words that a request speaks, and a preview of them before anything is synthesized."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
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
    Voice,
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
    request = replace(
        request,
        text=spoken.written,
        voice=with_spoken_reference(request.voice, request.unnormalized),
    )
    limit = engine.max_text_bytes if engine is not None else _UNLIMITED
    utterances = plan_utterances(request, spoken.mapped, limit, 0, spoken.language)
    unspeakable = None if engine is None else tuple(engine.unspeakable(spoken.mapped.text))
    return TextPreview(spoken, tuple(utterances), unspeakable)


def preview_as_dict(found: TextPreview) -> dict[str, Any]:
    """A preview as JSON, for the command line and POST /v1/text."""
    return {
        "text": found.spoken.written,
        "language": found.spoken.language or None,
        "spoken_text": show_pinyin(found.spoken.mapped.text),
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


def with_spoken_reference(voice: Voice, unnormalized: frozenset[str]) -> Voice:
    """The voice with the words of its transcript, for those are heard in the recording."""
    words = spoken_text(voice.ref_text, "", voice.language, unnormalized).mapped.text
    return voice if words == voice.ref_text else replace(voice, ref_text=words)

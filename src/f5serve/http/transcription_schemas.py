"""Answers and events of POST /v1/audio/transcriptions, as OpenAI has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from f5serve.synthesis.transcription import TranscribedPiece


class DurationUsage(BaseModel):
    """What was listened to."""

    type: Literal["duration"] = "duration"
    seconds: float = Field(description="Of the recording.", examples=[2.99])


class Transcription(BaseModel):
    """The words of a recording."""

    text: str = Field(examples=["Hello there."])
    usage: DurationUsage


class TranscriptionWord(BaseModel):
    """A word, and when it is heard, in seconds from the beginning of the recording."""

    word: str = Field(description="With its punctuation.", examples=["Hello"])
    start: float = Field(examples=[0.31])
    end: float = Field(examples=[0.72])


class TranscriptionSegment(BaseModel):
    """Words that were understood at once, a sentence or less, and how sure the recogniser is."""

    id: int = Field(description="From 0, in order.")
    seek: int = Field(description="Where its piece of the recording begins, in 0.01 s.")
    start: float = Field(description="Seconds.", examples=[0.31])
    end: float = Field(description="Seconds.", examples=[1.4])
    text: str = Field(description="All of them, joined, are the text.", examples=[" Hello there."])
    tokens: list[int] = Field(description="Of the recogniser's model.")
    temperature: float
    avg_logprob: float = Field(description="Mean log probability of the tokens.", examples=[-0.21])
    compression_ratio: float = Field(
        description="Of the text; above 2.4 it would repeat itself, and is left out.",
        examples=[1.2],
    )
    no_speech_prob: float = Field(description="How probable it is that there is no speech.")


class VerboseTranscription(BaseModel):
    """The words of a recording, and when they are heard."""

    task: Literal["transcribe", "translate"] = "transcribe"
    language: str = Field(
        description="As it was given or detected, ISO 639-1; `und` where there is no speech. Of a "
        "translation it is `en`.",
        examples=["en"],
    )
    duration: float = Field(description="Of the recording, in seconds.", examples=[2.99])
    text: str = Field(examples=["Hello there."])
    segments: list[TranscriptionSegment] | None = None
    words: list[TranscriptionWord] | None = None
    usage: DurationUsage


class TranscriptDelta(BaseModel):
    """More of the text; all of them, joined, are the text."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str = Field(examples=[" Hello there."])


class TranscriptDone(BaseModel):
    """The whole text; nothing follows."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str = Field(examples=["Hello there."])


def text_of(pieces: Sequence[TranscribedPiece]) -> str:
    """What was understood, on one line."""
    return "".join(segment.text for piece in pieces for segment in piece.segments)


def plain(pieces: Sequence[TranscribedPiece]) -> Transcription:
    """The answer `json`."""
    return Transcription(text=text_of(pieces), usage=_usage(pieces))


def verbose(
    pieces: Sequence[TranscribedPiece], language: str, *, segments: bool, words: bool
) -> VerboseTranscription:
    """The answer `verbose_json`.

    Args:
        language: that was asked for, or "".
        segments, words: what is listed.
    """
    found = next((piece.language for piece in pieces if piece.segments), language)
    return VerboseTranscription(
        language=found or pieces[0].language or "und",
        duration=round(pieces[-1].end_s, 3),
        text=text_of(pieces),
        segments=_segments(pieces) if segments else None,
        words=[
            TranscriptionWord(word=w.word, start=round(w.start_s, 3), end=round(w.end_s, 3))
            for piece in pieces
            for w in piece.words
        ]
        if words
        else None,
        usage=_usage(pieces),
    )


def _usage(pieces: Sequence[TranscribedPiece]) -> DurationUsage:
    return DurationUsage(seconds=round(pieces[-1].end_s, 3))


def _segments(pieces: Sequence[TranscribedPiece]) -> list[TranscriptionSegment]:
    starts_s = [0.0, *(piece.end_s for piece in pieces)]
    located = [
        (start_s, one)
        for start_s, piece in zip(starts_s, pieces, strict=False)
        for one in piece.segments
    ]
    return [
        TranscriptionSegment(
            id=index,
            seek=round(100 * start_s),
            start=round(one.start_s, 3),
            end=round(one.end_s, 3),
            text=one.text,
            tokens=list(one.tokens),
            temperature=one.temperature,
            avg_logprob=one.log_probability,
            compression_ratio=one.compression_ratio,
            no_speech_prob=one.no_speech,
        )
        for index, (start_s, one) in enumerate(located)
    ]

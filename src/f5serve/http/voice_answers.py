"""What is told of voices over HTTP.

Records of the library flow in, the models of answers flow out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field

from f5serve.types import Voice as Reference
from f5serve.voices.names import DEFAULT_NAME
from f5serve.voices.records import VoiceRecord


class VoiceConsent(BaseModel):
    """Who says that the person who is heard agrees to be cloned, and when they said so."""

    by: str = Field(examples=["Ana Example"])
    at: str = Field(description="ISO 8601 in UTC.", examples=["2026-01-31T12:00:00+00:00"])


class Voice(BaseModel):
    """A voice that speech can be asked for in, by its `id`."""

    id: str = Field(description="What requests for speech call it.", examples=["ana"])
    name: str = Field(description="The same as `id`.", examples=["ana"])
    object: Literal["audio.voice"] = "audio.voice"
    type: Literal["audio_sample"] = "audio_sample"
    builtin: bool = Field(description="It comes with f5serve and cannot be deleted.")
    duration_s: float | None = Field(
        description="Seconds of its recording; null for a file that was dropped into the store "
        "and never used.",
        examples=[7.2],
    )
    language: str | None = Field(description="ISO 639-1 code.", examples=["en"])
    created_at: int = Field(description="Unix time, in seconds; 0 for those that come with it.")
    needs_review: bool = Field(
        description="Its words were written down by a recogniser and not read by anybody yet, "
        "or are missing."
    )
    has_transcript: bool = Field(description="Whether the words of its recording are known.")
    consent: VoiceConsent | None = None


class VoiceDetail(Voice):
    """A voice, and the words that are spoken in its recording."""

    ref_text: str | None = Field(examples=["He was not an ill-disposed young man."])
    warnings: list[str] = Field(
        default=[],
        description="What is odd about its words, such as capitals or letters of another language.",
    )


class VoiceList(BaseModel):
    """Voices in the order of their names, those that come with f5serve first."""

    object: Literal["list"] = "list"
    voices: list[Voice]
    first_id: str | None = Field(description="Of `voices`; null where there are none.")
    last_id: str | None = Field(description="What the next page is asked for with, as `after`.")
    has_more: bool = Field(description="Whether other voices come behind `last_id`.")


class ErasedResults(BaseModel):
    """What went with a voice."""

    voice: bool = Field(description="Whether there was a voice; results outlive one.")
    jobs: int = Field(description="Jobs that were made in it.")
    cache_entries: int = Field(description="Results that equal requests would have been told.")
    files: int = Field(description="Files of these jobs and entries.")
    bytes: int = Field(description="Of these files.")
    at_work: int = Field(description="Jobs that are being made now and stay; ask again later.")
    unreadable: int = Field(description="Jobs whose voice nobody can tell; see the log.")


class VoiceDeleted(BaseModel):
    """A voice that is no more."""

    id: str
    object: Literal["audio.voice.deleted"] = "audio.voice.deleted"
    deleted: Literal[True] = True
    results: ErasedResults | None = Field(
        default=None, description="What went of its results; null where they were not to go."
    )


def builtin_of(voice: Reference) -> VoiceDetail:
    """All that is told of the voice that comes with f5serve."""
    return VoiceDetail(
        id=DEFAULT_NAME,
        name=DEFAULT_NAME,
        builtin=True,
        duration_s=round(voice.wave.duration_s, 3),
        language=voice.language or None,
        created_at=0,
        needs_review=False,
        has_transcript=True,
        ref_text=voice.ref_text,
    )


def detail_of(record: VoiceRecord, voice: Reference | None) -> VoiceDetail:
    """All that is told of a voice of the library; None for one that cannot be used yet."""
    return VoiceDetail(
        **voice_of(record).model_dump(),
        ref_text=voice.ref_text if voice else None,
        warnings=list(voice.warnings) if voice else [],
    )


def voice_of(record: VoiceRecord) -> Voice:
    """What is told of a voice of the library in a list."""
    consent = record.consent
    return Voice(
        id=record.name,
        name=record.name,
        builtin=False,
        duration_s=record.duration_s or None,
        language=record.language or None,
        created_at=_unix_s(record.created_at),
        needs_review=record.needs_review,
        has_transcript=record.text is not None,
        consent=VoiceConsent(by=consent.by, at=consent.at) if consent else None,
    )


def _unix_s(iso: str) -> int:
    """Seconds since 1970; 0 where no time is known."""
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return 0
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())

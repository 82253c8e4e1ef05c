"""Responses of the routes of voices, for FastAPI and the OpenAPI document."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field

from f5serve.voices.records import Consent


class VoiceConsent(BaseModel):
    """Who says that the person who is heard agrees to be cloned, and when they said so."""

    by: str = Field(examples=["Ana Example"])
    at: str = Field(description="ISO 8601 in UTC.", examples=["2026-01-31T12:00:00+00:00"])
    id: str | None = Field(
        default=None,
        description="Of the recording in which they agree; null without one.",
        examples=["cons_fe5d1a2b3c4d0123456789abcdef"],
    )

    @classmethod
    def of(cls, consent: Consent) -> Self:
        """As the record of a voice holds it."""
        return cls(by=consent.by, at=consent.at, id=consent.id or None)


class Voice(BaseModel):
    """A voice that speech can be asked for in, by its `id`."""

    id: str = Field(description="What requests for speech call it.", examples=["ana"])
    name: str = Field(description="The same as `id`.", examples=["ana"])
    object: Literal["audio.voice"] = "audio.voice"
    type: Literal["audio_sample"] = "audio_sample"
    builtin: bool = Field(description="It comes with f5serve and cannot be deleted.")
    read_only: bool = Field(
        default=False,
        description="It belongs to the tenant `public`: all may use it, and only its own keys may "
        "change it.",
    )
    duration_s: float | None = Field(
        description="Seconds of its recording; null for a file that was dropped into the store "
        "and never used.",
        examples=[7.2],
    )
    language: str | None = Field(description="BCP 47 tag.", examples=["en"])
    normalize: str | None = Field(
        description="How its texts are normalized where a request does not say: auto, on, off, or "
        "kinds that are left alone.",
        examples=["date,money"],
    )
    created_at: int = Field(description="Unix time, in seconds; 0 for those that come with it.")
    needs_review: bool = Field(
        description="Its words were written down by a recogniser and not read by anybody yet, "
        "or are missing."
    )
    has_transcript: bool = Field(description="Whether the words of its recording are known.")
    consent: VoiceConsent | None = None
    styles: list[str] = Field(
        default=[],
        description="Its other recordings, which requests for speech ask for with `style`.",
        examples=[["happy", "sad"]],
    )


class StyleRecording(BaseModel):
    """The recording of one style, and the words that are spoken in it."""

    style: str = Field(examples=["happy"])
    duration_s: float | None = Field(
        default=None, description="Null for one that is damaged.", examples=[5.1]
    )
    language: str | None = Field(default=None, description="BCP 47 tag.", examples=["en"])
    normalize: str | None = Field(
        default=None, description="As of a voice.", examples=["date,money"]
    )
    created_at: int = Field(default=0, description="Unix time, in seconds; 0 if it is unknown.")
    needs_review: bool = Field(description="As of a voice.")
    consent: VoiceConsent | None = None
    ref_text: str | None = Field(default=None, examples=["What a day, and what a place!"])
    warnings: list[str] = Field(default=[], description="As of a voice, or why it is damaged.")


class VoiceDetail(Voice):
    """A voice, and the words that are spoken in its recordings."""

    ref_text: str | None = Field(examples=["He was not an ill-disposed young man."])
    warnings: list[str] = Field(
        default=[],
        description="What is odd about its words, such as capitals or letters of another language.",
    )
    style_recordings: list[StyleRecording] = Field(default=[], description="One for each style.")


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
    consents: int = Field(description="Recorded consents that no other voice was created with.")
    jobs: int = Field(description="Jobs that were made in it.")
    cache_entries: int = Field(description="Cached results for equal requests.")
    books: int = Field(description="Books whose speech was removed; their texts stay.")
    files: int = Field(description="Files of these jobs, entries and books.")
    bytes: int = Field(description="Of these files.")
    at_work: int = Field(description="Jobs that are being made now and stay; ask again later.")
    unreadable: int = Field(description="Jobs whose voice is unknown; see the log.")


class VoiceDeleted(BaseModel):
    """A voice, or one of its styles, that is no more."""

    id: str
    style: str | None = Field(
        default=None, description="The style that was removed; null for the whole voice."
    )
    object: Literal["audio.voice.deleted"] = "audio.voice.deleted"
    deleted: Literal[True] = True
    results: ErasedResults | None = Field(
        default=None, description="What went of its results; null where they were not to go."
    )

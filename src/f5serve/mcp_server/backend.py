"""What the tools need: speech, voices and transcripts, of this machine or of a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, Field

OnProgress = Callable[[float, float | None, str], Awaitable[None]]
"""Called with how far the work is, of how much (None if unknown), and what is being done."""

Save = Callable[[Iterable[bytes]], None]
"""Takes a whole file in parts; blocks."""

PART_BYTES = 1 << 20
"""Of a file that is saved part by part."""

MAX_VOICES = 1_000
"""Of one list."""


def describe_progress(progress: Mapping[str, Any]) -> str:
    """The progress of a job, as status answers it, in words."""
    if progress.get("total") is None:
        return str(progress.get("phase", ""))
    return f"{progress['phase']}, {progress.get('done')} of {progress['total']}"


class VoiceEntry(BaseModel):
    """A voice in a list."""

    name: str
    styles: list[str] = Field(description="Its other recordings, for style of say.")
    language: str | None = Field(description="BCP 47 tag.")
    duration_s: float | None = Field(description="Of its recording.")
    needs_review: bool = Field(
        description="Its transcript was written by a recogniser, or is missing."
    )


class VoicePage(BaseModel):
    """Voices in the order of their names."""

    voices: list[VoiceEntry]
    has_more: bool = Field(description="Whether others follow: ask again with after.")


@dataclass(frozen=True, slots=True)
class NewVoice:
    """A recording to clone, as a voice or as a style of one.

    Attributes:
        audio: its bytes, or its https URL.
        ref_text: the words that are spoken in it; "" has them transcribed.
        consent: who confirms that the speaker agrees, or the id of a recorded consent.
    """

    name: str
    style: str
    audio: bytes | str
    ref_text: str
    language: str
    consent: str


class ClonedVoice(BaseModel):
    """A voice that was kept."""

    name: str
    style: str
    ref_text: str = Field(description="The words of its recording; wrong ones spoil the speech.")
    duration_s: float | None
    language: str | None
    needs_review: bool = Field(description="Whether a recogniser has written the words.")
    warnings: list[str] = Field(description="What is odd about the words.")


class TranscriptResult(BaseModel):
    """The words of a recording."""

    text: str
    language: str | None = Field(description="ISO 639-1; null if unknown.")
    duration_s: float


class Backend(Protocol):
    """Speech for the tools. A call that is cancelled stops the device at its next step.

    Every call raises F5Error for what cannot be done.
    """

    async def say(
        self, fields: Mapping[str, Any], on_progress: OnProgress, save: Save
    ) -> Mapping[str, Any]:
        """Speak, and save the file of audio.

        Args:
            fields: of a job, see docs/reference/jobs.md.
            save: called once in a thread, when the speech is complete.

        Returns:
            The result of the job.
        """
        ...

    async def list_voices(self, after: str) -> VoicePage:
        """At most MAX_VOICES voices whose names sort after `after`; "" starts with the first."""
        ...

    async def clone(self, new: NewVoice) -> ClonedVoice:
        """Keep a recording as a voice or a style."""
        ...

    async def transcribe(
        self, name: str, data: bytes, language: str, on_progress: OnProgress
    ) -> TranscriptResult:
        """The words of a recording.

        Args:
            name: of its file.
            language: ISO 639-1; "" is detected.
        """
        ...

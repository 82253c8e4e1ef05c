"""Messages of the WebSocket /v1/audio/speech/stream, as vllm-omni names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from f5serve.http.errors import BadField
from f5serve.http.speech_schemas import VoiceFields
from f5serve.http.word_timestamps import WordTimestamp
from f5serve.service.fields import Flag
from f5serve.service.text_stream import Granularity
from f5serve.settings import MAX_CHARS
from f5serve.types import AudioFormat

WHOLE_ONLY = ("ssml", "duration_s", "timing_format")
"""Fields that a text takes only as a whole."""


class SessionConfig(VoiceFields):
    """How the texts that follow are spoken: first of all, and again between texts.

    Fields that are not known change nothing.
    """

    model_config = ConfigDict(extra="allow")

    type: Literal["session.config"]
    model: Annotated[str, Field(min_length=1, max_length=200, strict=True)] | None = Field(
        None, description="As for /v1/audio/speech; without it, the model that speaks here."
    )
    split_granularity: Granularity = Field(
        "none",
        description="Where the text may be split: `none` speaks it when it is whole; `sentence` at "
        "ends of sentences; `clause` also after its first clause, which is heard soonest.",
    )
    stream_audio: Flag = Field(
        False,
        description="Send sound as it is made. Without it, each segment is one file in one frame.",
    )
    api_key: Annotated[str, Field(max_length=1_000, strict=True)] | None = Field(
        None, description="The key, where neither a header nor the URL has one."
    )

    @property
    def format(self) -> AudioFormat:
        """The format that is wanted; vllm-omni's own default."""
        return self.response_format or "wav"

    def check(self) -> None:
        """Refuse what a text that comes in pieces cannot have.

        Raises:
            BadField: BAD_OPTION.
        """
        names = [name for name in WHOLE_ONLY if getattr(self, name)]
        if self.markup not in (None, "off"):
            names.append("markup")
        if names:
            raise BadField(
                f"{names[0]} is no field of a text that comes in pieces.",
                code="BAD_OPTION",
                hint="Send the whole text to POST /v1/audio/speech, or leave the field out.",
                param=names[0],
            )


class InputText(BaseModel):
    """The next part of the text, words or less."""

    type: Literal["input.text"]
    text: Annotated[str, Field(max_length=MAX_CHARS, strict=True)]


class InputDone(BaseModel):
    """The text is whole."""

    type: Literal["input.done"]


class SessionClose(BaseModel):
    """Close the socket when all texts that are whole are spoken; an open one is dropped."""

    type: Literal["session.close"]


class Segment(BaseModel):
    """Where a message belongs."""

    utterance_index: int = Field(description="Texts before this one, which `input.done` has ended.")
    sentence_index: int = Field(description="Segments of the text before this one.")


class AudioStart(Segment):
    """A segment begins to be spoken."""

    type: Literal["audio.start"] = "audio.start"
    sentence_text: str = Field(description="The segment, as it was written.")
    format: str
    sample_rate: int = Field(description="Of the sound, Hz.")
    word_timestamps: bool


class AudioChunkMessage(Segment):
    """Sound, where `word_timestamps` is asked for; else sound comes as binary frames."""

    type: Literal["audio.chunk"] = "audio.chunk"
    chunk_id: int = Field(description="Of the segment, from 0.")
    chunk_start_ms: int = Field(description="Where the sound behind it lies in the segment.")
    chunk_end_ms: int
    sample_rate: int
    audio_b64: str = Field(description="In base64; empty in the last chunk of a segment.")
    timestamps: list[WordTimestamp] | None = Field(
        description="In the last chunk of a segment: its words, from the segment's beginning."
    )


class AudioDone(Segment):
    """All of a segment was sent."""

    type: Literal["audio.done"] = "audio.done"
    total_bytes: int
    error: bool = Field(description="Whether it broke off, which an `error` before it explains.")


class SessionDone(BaseModel):
    """All of a text was spoken; the next may come."""

    type: Literal["session.done"] = "session.done"
    utterance_index: int
    total_sentences: int


class StreamError(BaseModel):
    """What went wrong; the socket stays open unless it is closed behind this."""

    type: Literal["error"] = "error"
    message: str
    code: str
    param: str | None = Field(description="The field that it is about.")

    @classmethod
    def of(cls, error: Mapping[str, Any]) -> StreamError:
        """The message of an error; `error` as `Problem`."""
        return cls(message=error["message"], code=error["code"], param=error["param"])


CLIENT_MESSAGES = (SessionConfig, InputText, InputDone, SessionClose)
SERVER_MESSAGES = (AudioStart, AudioChunkMessage, AudioDone, SessionDone, StreamError)

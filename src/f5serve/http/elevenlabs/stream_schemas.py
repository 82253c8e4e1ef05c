"""Messages of ElevenLabs' WebSockets stream-input and multi-stream-input, and their query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue

from f5serve.http.elevenlabs.alignment import CharacterAlignment
from f5serve.http.elevenlabs.fields import MAX_MODEL_CHARS, SpeechOptions, VoiceSettings
from f5serve.http.errors import BadField
from f5serve.service.fields import Flag
from f5serve.settings import MAX_CHARS
from f5serve.text.language import MAX_TAG_CHARS

MAX_CONTEXT_ID_CHARS = 200
MAX_IDLE_S = 180

_NO_EFFECT = "Accepted without effect."


class StreamQuery(BaseModel):
    """The query of a socket. Parameters that are not known change nothing."""

    model_config = ConfigDict(protected_namespaces=())

    output_format: str | None = Field(None, description="As for /v1/text-to-speech.")
    model_id: Annotated[str, Field(max_length=MAX_MODEL_CHARS)] | None = Field(
        None, description="As for /v1/text-to-speech."
    )
    language_code: Annotated[str, Field(max_length=MAX_TAG_CHARS)] | None = Field(
        None, description="As for /v1/text-to-speech."
    )
    seed: int | None = Field(None, description="As for /v1/text-to-speech.")
    apply_text_normalization: Literal["auto", "on", "off"] | None = Field(
        None, description="As for /v1/text-to-speech."
    )
    auto_mode: bool = Field(
        False, description="Each message holds a phrase that is spoken as it is."
    )
    sync_alignment: bool = Field(
        False,
        description="Times count from the beginning of the context, not of the segment.",
    )
    inactivity_timeout: Annotated[int, Field(ge=1)] = Field(
        MAX_IDLE_S, description=f"Seconds without a message; {MAX_IDLE_S} at most."
    )
    enable_ssml_parsing: bool = Field(
        False, description="Refused if true: SSML is read as a whole, by POST /v1/audio/speech."
    )
    enable_logging: bool = Field(True, description=_NO_EFFECT)
    optimize_streaming_latency: int | None = Field(None, description=_NO_EFFECT)

    def check(self) -> None:
        """Refuse what a text that comes in pieces cannot have.

        Raises:
            BadField: BAD_OPTION.
        """
        if self.enable_ssml_parsing:
            raise BadField(
                "enable_ssml_parsing is true, and SSML cannot be read in pieces.",
                code="BAD_OPTION",
                hint="Leave it out, or send the whole text to POST /v1/audio/speech with ssml.",
                param="enable_ssml_parsing",
            )

    def options(self, message: StreamMessage) -> SpeechOptions:
        """How a context is spoken whose first message this is.

        Raises:
            ValidationError: the first field that is wrong.
        """
        names = ("model_id", "language_code", "seed", "apply_text_normalization")
        fields: dict[str, Any] = {name: getattr(self, name) for name in names}
        fields["voice_settings"] = message.voice_settings
        fields["pronunciation_dictionary_locators"] = message.pronunciation_dictionary_locators
        return SpeechOptions.model_validate(fields)


class GenerationConfig(BaseModel):
    """When ElevenLabs begins to speak. Here it is with the first clause that can stand alone."""

    chunk_length_schedule: (
        Annotated[list[Annotated[float, Field(ge=5, le=500)]], Field(max_length=100)] | None
    ) = Field(None, description=_NO_EFFECT)


class StreamMessage(BaseModel):
    """A message of a client. Fields that are not known change nothing."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    text: Annotated[str, Field(max_length=MAX_CHARS, strict=True)] | None = Field(
        None,
        description="The next part of the text. A space opens a context. An empty text ends a "
        "stream-input, and keeps a multi-stream-input open.",
    )
    flush: Flag | None = Field(
        None, description="Speak all that has come, whether its last sentence has ended or not."
    )
    context_id: Annotated[str, Field(max_length=MAX_CONTEXT_ID_CHARS, strict=True)] | None = Field(
        None,
        validation_alias=AliasChoices("context_id", "contextId"),
        description="Which text of a multi-stream-input it is about.",
    )
    close_context: Flag | None = Field(
        None,
        description="End the context: what was flushed is spoken, all else is not. Sent again, or "
        "for text that was not flushed, it stops the device at its next step.",
    )
    close_socket: Flag | None = Field(
        None, description="End all contexts likewise, then the socket."
    )
    voice_settings: VoiceSettings | None = Field(
        None, description="In the first message of a context, as for /v1/text-to-speech."
    )
    generation_config: GenerationConfig | None = None
    try_trigger_generation: Flag | None = Field(None, description=_NO_EFFECT)
    pronunciation_dictionary_locators: Annotated[list[JsonValue], Field(max_length=100)] | None = (
        Field(None, description="Refused unless it is empty.")
    )
    xi_api_key: Annotated[str, Field(max_length=1_000, strict=True)] | None = Field(
        None,
        validation_alias=AliasChoices("xi_api_key", "xi-api-key"),
        description="The key, in the first message, where neither a header nor the URL has one.",
    )
    authorization: Annotated[str, Field(max_length=1_000, strict=True)] | None = Field(
        None, description="The same as `Bearer KEY`."
    )

    @property
    def key(self) -> str | None:
        """The key that it holds."""
        if self.xi_api_key or not self.authorization:
            return self.xi_api_key
        scheme, _, rest = self.authorization.strip().partition(" ")
        return rest.strip() if scheme.lower() == "bearer" else self.authorization


class StreamAlignment(BaseModel):
    """When the characters of a segment are heard, in milliseconds."""

    chars: list[str]
    charStartTimesMs: list[int]
    charDurationsMs: list[int]

    @classmethod
    def of(cls, found: CharacterAlignment, offset_s: float) -> StreamAlignment:
        """The same times, later by an offset; each ends where the next begins."""
        starts = [round(1000 * (offset_s + start)) for start in found.character_start_times_seconds]
        ends = [round(1000 * (offset_s + end)) for end in found.character_end_times_seconds]
        return cls(
            chars=found.characters,
            charStartTimesMs=starts,
            charDurationsMs=[end - start for start, end in zip(starts, ends, strict=True)],
        )


class AudioOutput(BaseModel):
    """Sound, or the times of a segment whose sound was sent, or the end of all."""

    audio: str | None = Field(
        description="The next part of the file, in base64; empty with times, null at the end."
    )
    isFinal: Literal[True] | None = None
    alignment: StreamAlignment | None = None
    normalizedAlignment: StreamAlignment | None = Field(
        None, description="The same: times are those of the text as it was written."
    )


class ContextOutput(AudioOutput):
    """`AudioOutput` of a multi-stream-input."""

    contextId: str


class StreamProblem(BaseModel):
    """What went wrong; the socket is closed behind it unless it is about one context."""

    message: str
    error: str = Field(description="The code, which is stable.")
    code: int = Field(description="The close code that stands for it.")
    param: str | None
    contextId: str | None

    @classmethod
    def of(cls, error: Mapping[str, Any], context_id: str | None) -> StreamProblem:
        """An error; `error` as `Problem`, with `close_code`."""
        return cls(
            message=error["message"],
            error=error["code"],
            code=error["close_code"],
            param=error["param"],
            contextId=context_id,
        )


CLIENT_MESSAGES = (StreamMessage, GenerationConfig)
SERVER_MESSAGES = (AudioOutput, ContextOutput, StreamAlignment, StreamProblem)

"""Request body of POST /v1/audio/speech, and the events of its SSE stream."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, WithJsonSchema

from f5serve.http.errors import Problem
from f5serve.service.requests import SpeechFields, TTSRequest, own_fields_first
from f5serve.settings import MAX_CHARS
from f5serve.types import AudioFormat
from f5serve.voices.names import MAX_NAME_CHARS

MAX_INSTRUCTIONS_CHARS = 100_000
NAMED_FIELDS = 5
"""How many fields that are not known a warning names."""

EXAMPLES: list[JsonValue] = [
    {"model": "tts-1", "voice": "default", "input": "Hello there."},
    {
        "model": "gpt-4o-mini-tts",
        "voice": {"id": "default"},
        "input": "Hello there. How are you today?",
        "response_format": "pcm",
        "stream_format": "sse",
        "seed": 7,
    },
]

_NAME = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS}


def _voice_name(value: Any) -> Any:
    """The name in {"id": name}; anything else as it is."""
    return value["id"] if isinstance(value, dict) and set(value) == {"id"} else value


VoiceName = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME_CHARS, strict=True),
    BeforeValidator(_voice_name),
    WithJsonSchema(
        {
            "anyOf": [
                _NAME,
                {
                    "type": "object",
                    "properties": {"id": _NAME},
                    "required": ["id"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


def _document(schema: dict[str, Any], model: type[BaseModel]) -> None:
    own_fields_first(schema, model)
    schema["examples"] = EXAMPLES


class SpeechBody(SpeechFields):
    """OpenAI's request for speech. The fields from `seed` on are f5serve's own.

    Fields that are not known change nothing; `X-F5-Warning` of the answer names them.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=_document)

    input: Annotated[str, Field(min_length=1, max_length=MAX_CHARS, strict=True)] = Field(
        description="What to say: up to F5_OPENAI_MAX_CHARS characters, 4096 unless that is set."
    )
    model: Annotated[str, Field(min_length=1, max_length=200, strict=True)] = Field(
        description="`tts-1`, `tts-1-hd` and `gpt-4o-mini-tts` mean the model that speaks here; so "
        "does its own id, which GET /v1/models tells."
    )
    voice: VoiceName = Field(
        description='A voice of the library by its id, as `"ana"` or as `{"id": "ana"}`; '
        '`"default"` is always there. OpenAI\'s own names (`alloy`, `ash` ...) stand for what '
        "F5_OPENAI_VOICES says, unless a voice of the library has that name."
    )
    instructions: Annotated[str, Field(max_length=MAX_INSTRUCTIONS_CHARS, strict=True)] | None = (
        Field(None, description="Taken and not used: the way of speaking comes from the voice.")
    )
    stream_format: Literal["audio", "sse"] | None = Field(
        None, description="`audio`: the file itself. `sse`: events with base64 of its parts."
    )

    @property
    def format(self) -> AudioFormat:
        """The format that is wanted."""
        return self.response_format or "mp3"

    def request(self, voice: str, model: str, timeout_s: int) -> TTSRequest:
        """The same `tts` job, with the voice and the model that are meant here."""
        shared = {name: getattr(self, name) for name in SpeechFields.model_fields}
        fields = {
            **shared,
            "text": self.input,
            "voice": voice,
            "model": model or None,
            "response_format": self.format,
            "return_word_timings": bool(self.return_word_timings),  # they cost time
            "timeout_s": timeout_s,
        }
        return TTSRequest.of_valid({n: value for n, value in fields.items() if value is not None})

    def warnings(self) -> list[str]:
        """Fields that have no effect, as sentences in ASCII."""
        sentences = []
        if self.instructions:
            sentences.append(
                "instructions is not used: the way of speaking comes from the voice's recording."
            )
        names = list(self.model_extra or {})
        sentences += [f"The field {name[:40]!a} is not known." for name in names[:NAMED_FIELDS]]
        if len(names) > NAMED_FIELDS:
            sentences.append(f"Nor are {len(names) - NAMED_FIELDS} more.")
        return sentences


class Usage(BaseModel):
    """How much was read and made: characters of `input`, and mel frames of speech (93.75/s)."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class SpeechDelta(BaseModel):
    """The next part of the file, in base64."""

    type: Literal["speech.audio.delta"] = "speech.audio.delta"
    audio: str


class SpeechDone(BaseModel):
    """The file is complete."""

    type: Literal["speech.audio.done"] = "speech.audio.done"
    usage: Usage
    warnings: list[str] | None = Field(
        None, description="What came up after the beginning; there only where something did."
    )


class SpeechError(BaseModel):
    """The rest of the file will not come."""

    type: Literal["error"] = "error"
    error: Problem

"""Requests for speech as OpenAI's clients send them, one or several, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, WithJsonSchema

from f5serve.http.errors import BadField, Problem
from f5serve.http.schemas import Links
from f5serve.http.word_timestamps import WordTimestamp
from f5serve.service.fields import Flag, own_fields_first
from f5serve.service.requests import TTSRequest
from f5serve.service.speech_fields import SpeechFields
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


def document_item(schema: dict[str, Any], model: type[BaseModel]) -> None:
    own_fields_first(schema, VoiceFields)
    own_fields_first(schema, model)


def document_batch(schema: dict[str, Any], model: type[BaseModel]) -> None:
    document_item(schema, model)
    schema["examples"] = [
        {"voice": "default", "items": [{"input": "Hello there."}, {"input": "And goodbye."}]}
    ]


def document_speech(schema: dict[str, Any], model: type[BaseModel]) -> None:
    document_item(schema, model)
    schema["anyOf"] = [{"required": [name]} for name in ("voice", "speaker", "ref_audio")]
    schema["examples"] = EXAMPLES


class VoiceFields(SpeechFields):
    """What requests for speech have beside the text: the voice, and how it is made."""

    voice: VoiceName | None = Field(
        None,
        description='A voice of the library by its id, as `"ana"` or as `{"id": "ana"}`; '
        '`"default"` is always there. OpenAI\'s own names (`alloy`, `ash` ...) stand for what '
        "F5_OPENAI_VOICES says, unless a voice of the library has that name. Needed unless there "
        "is `ref_audio`, beside which it is not used.",
    )
    speaker: VoiceName | None = Field(None, description="Another name of `voice`.")
    instructions: Annotated[str, Field(max_length=MAX_INSTRUCTIONS_CHARS, strict=True)] | None = (
        Field(
            None,
            description="The first style of the voice that it names is used, as with `style`: by "
            "its own name or a usual word for it, in several languages; a style that it denies "
            "is not. `X-F5-Style` names the style; where none fits, `X-F5-Warning` says so.",
            examples=["Speak in a cheerful tone."],
        )
    )
    word_timestamps: Flag | None = Field(
        None,
        description="Tell when each word is heard: `X-Word-Timestamps` of the file, which is sent "
        "whole then, or events of type `speech.audio.word_timestamps`.",
    )

    def voice_name(self) -> str:
        """The voice that is asked for; "" where there is a recording in its place.

        Raises:
            BadField: BAD_OPTION for none, or two.
        """
        if self.ref_audio:
            return ""
        if self.voice and self.speaker and self.voice != self.speaker:
            raise BadField(
                f"voice is {self.voice!r} and speaker is {self.speaker!r}, which is its other "
                "name.",
                code="BAD_OPTION",
                hint="Send one of them.",
                param="voice",
            )
        name = self.voice or self.speaker
        if not name:
            raise BadField(
                "voice is missing.",
                code="BAD_OPTION",
                hint="Send the name of a voice, which GET /v1/audio/voices lists, or a recording "
                "as ref_audio.",
                param="voice",
            )
        return name

    @property
    def format(self) -> AudioFormat:
        """The format that is wanted."""
        return self.response_format or "mp3"

    def job_fields(self, voice: str, style: str, model: str, timeout_s: int) -> dict[str, Any]:
        """The fields of a `tts` job but for its text, with what is meant here."""
        fields = {
            **{name: getattr(self, name) for name in SpeechFields.model_fields},
            "voice": voice or None,
            "style": style or None,
            "model": model or None,
            "response_format": self.format,
            # They cost time.
            "return_word_timings": bool(self.return_word_timings or self.word_timestamps),
            "timeout_s": timeout_s,
        }
        return {name: value for name, value in fields.items() if value is not None}


class SpeechBody(VoiceFields):
    """OpenAI's request for speech, with f5serve's own fields.

    Fields that are not known change nothing; `X-F5-Warning` of the answer names them.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=document_speech)

    input: Annotated[str, Field(min_length=1, max_length=MAX_CHARS, strict=True)] = Field(
        description="What to say: up to F5_OPENAI_MAX_CHARS characters, 4096 unless that is set."
    )
    model: Annotated[str, Field(min_length=1, max_length=200, strict=True)] = Field(
        description="`tts-1`, `tts-1-hd` and `gpt-4o-mini-tts` mean the model that speaks here; so "
        "does its own id, which GET /v1/models tells."
    )
    stream_format: Literal["audio", "sse"] | None = Field(
        None, description="`audio`: the file itself. `sse`: events with base64 of its parts."
    )

    def request(self, voice: str, style: str, model: str, timeout_s: int) -> TTSRequest:
        """The same `tts` job, with voice, style and model that are meant here."""
        fields = self.job_fields(voice, style, model, timeout_s)
        return TTSRequest.of_valid({**fields, "text": self.input})

    def warnings(self, style: str, styles: Sequence[str]) -> list[str]:
        """Fields that have no effect, as sentences in ASCII.

        Args:
            style: that is used.
            styles: of the voice, where instructions were to choose one.
        """
        sentences = []
        if self.ref_audio and (self.voice or self.speaker):
            sentences.append("voice is not used: ref_audio is the voice.")
        if not self.ref_audio:
            vain = [name for name in ("ref_text", "consent") if getattr(self, name)]
            sentences += [f"{name} is not used: there is no ref_audio." for name in vain]
        if self.instructions and not (style and styles):
            if style:
                why = f"style is {style}"
            elif styles:
                why = f"it asks for none of the styles of the voice, which are {', '.join(styles)}"
            else:
                why = "the way of speaking comes from the voice's recording"
            sentences.append(f"instructions is not used: {why}.")
        names = list(self.model_extra or {})
        sentences += [f"The field {name[:40]!a} is not known." for name in names[:NAMED_FIELDS]]
        if len(names) > NAMED_FIELDS:
            sentences.append(f"Nor are {len(names) - NAMED_FIELDS} more.")
        return sentences


MAX_ITEMS = 32
"""Texts of one batch."""

_MODEL = "As for one text; without it, the model that speaks here."


class SpeechItem(VoiceFields):
    """A text of a batch. What it does not say, the batch says for all."""

    model_config = ConfigDict(extra="allow", json_schema_extra=document_item)

    input: Annotated[str, Field(min_length=1, max_length=MAX_CHARS, strict=True)] = Field(
        description="What to say: up to F5_OPENAI_MAX_CHARS characters, 4096 unless that is set."
    )
    model: Annotated[str, Field(min_length=1, max_length=200, strict=True)] | None = Field(
        None, description=_MODEL
    )


class SpeechBatch(VoiceFields):
    """Several texts to speak, and the fields that all of them share."""

    model_config = ConfigDict(extra="allow", json_schema_extra=document_batch)

    items: Annotated[list[SpeechItem], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        description="The texts, in the order of the answer."
    )
    model: Annotated[str, Field(min_length=1, max_length=200, strict=True)] | None = Field(
        None, description=_MODEL
    )

    def bodies(self) -> list[SpeechBody]:
        """A request for each item, as if it had been sent alone.

        Raises:
            BadField: BAD_OPTION for a field that one text has and a batch has not.
        """
        shared = _sent_fields(self)
        bodies = []
        for item in self.items:
            own = _sent_fields(item)
            taken = _REFERENCE if own.keys() & _SPEAKERS else frozenset[str]()
            all_fields = {name: value for name, value in shared.items() if name not in taken}
            bodies.append(SpeechBody.model_construct(**{"model": "", **all_fields, **own}))
        return bodies


_SPEAKERS = frozenset({"voice", "speaker", "ref_audio"})
_REFERENCE = _SPEAKERS | {"ref_text", "consent"}
"""What an item that says who speaks does not take from the batch."""


def _sent_fields(model: SpeechItem | SpeechBatch) -> dict[str, Any]:
    extra = model.model_extra or {}
    for name in ("input", "stream_format"):
        if extra.get(name) is not None:
            raise BadField(
                f"{name} is no field of a batch{' item' if name != 'input' else ''}.",
                code="BAD_OPTION",
                hint="Each item has its input, and the answer is JSON.",
                param=name,
            )
    names = type(model).model_fields.keys() - {"items"}
    sent = {name: value for name in names if (value := getattr(model, name)) is not None}
    return {**{n: v for n, v in extra.items() if n not in SpeechBody.model_fields}, **sent}


class SpeechItemResult(BaseModel):
    """What became of a text of a batch."""

    index: int = Field(description="Its place among `items`, from 0.")
    status: Literal["success", "error"]
    job_id: str
    media_type: str | None = Field(examples=["audio/mpeg"])
    sample_rate: int | None
    duration: float | None = Field(description="Of the speech, in seconds.")
    word_timestamps: list[WordTimestamp] | None = Field(description="With `word_timestamps`.")
    warnings: list[str]
    links: Links | None = Field(description="Where the job and its audio are.")
    error: Problem | None
    audio_data: str | None = Field(
        description="The file in base64; null for an error, and where the answer would become "
        "larger than 20 MB: the audio is under `links`."
    )


class SpeechBatchResult(BaseModel):
    """What became of all texts of a batch, in their order."""

    object: Literal["list"] = "list"
    results: list[SpeechItemResult]
    total: int
    succeeded: int
    failed: int


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
    """The rest of the answer will not come."""

    type: Literal["error"] = "error"
    error: Problem

"""Bodies of requests, responses and events, for FastAPI and the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, WithJsonSchema

from f5serve.http.errors import BadField, Problem
from f5serve.service.fields import Flag, own_fields_first
from f5serve.service.requests import TTSRequest
from f5serve.service.speech_fields import SpeechFields
from f5serve.settings import MAX_CHARS
from f5serve.types import AudioFormat
from f5serve.voices.names import MAX_NAME_CHARS

JobState = Literal["QUEUED", "PROCESSING", "COMPLETED", "ERROR", "CANCELLED"]

_JOB_ID = "3f0c9a7be2d24c6f9d1e5b8a7c6d5e4f"


def document_fields(schema: dict[str, Any], model: type[BaseModel]) -> None:
    own_fields_first(schema, model.__bases__[0])
    schema["additionalProperties"] = True


class NewJob(TTSRequest):
    """Speech to be made: the fields of the tts operation. Null is as good as absent."""

    model_config = ConfigDict(json_schema_extra=document_fields)

    fixed_fields: ClassVar[dict[str, Any]] = {
        "endpoint": "tts",
        "mode": "async",
        "return_audio": "url",
    }


class Links(BaseModel):
    """Where to ask for what."""

    self: str = Field(examples=[f"/v1/jobs/{_JOB_ID}"])
    result: str = Field(examples=[f"/v1/jobs/{_JOB_ID}/result"])
    audio: str = Field(examples=[f"/v1/jobs/{_JOB_ID}/audio"])


class JobAccepted(BaseModel):
    """A job that was taken; it is not lost any more, whatever happens to this server."""

    job_id: str = Field(examples=[_JOB_ID])
    status: JobState = Field(description="QUEUED for a new one.", examples=["QUEUED"])
    links: Links


class JobProgress(BaseModel):
    """How far a job is; `done` of `total` utterances are spoken."""

    phase: str = Field(examples=["speaking"])
    percent: int = Field(examples=[40])
    done: int | None = None
    total: int | None = None


class JobFailure(BaseModel):
    """Why a job failed, and whether trying again may help."""

    message: str
    code: str
    hint: str = ""
    retryable: bool = False


class JobStatus(BaseModel):
    """Where a job stands."""

    job_id: str = Field(examples=[_JOB_ID])
    status: JobState
    progress: JobProgress
    failure: JobFailure | None = None
    note: str | None = None


class JobLine(BaseModel):
    """A job in the list of the newest; times are seconds since 1970 by the store's clock."""

    job_id: str = Field(examples=[_JOB_ID])
    status: JobState
    created_at: float | None
    finished_at: float | None
    duration: float | None = Field(description="Of the speech, in seconds.")
    text: str = Field(description="Its beginning.")
    voice: str | None
    model: str | None
    format: str | None
    progress: JobProgress | None
    failure: JobFailure | None


class JobList(BaseModel):
    """The newest jobs, newest first."""

    object: Literal["list"] = "list"
    jobs: list[JobLine]
    truncated: bool = Field(description="Whether there are more jobs behind these.")
    next: str | None = Field(
        description="What `after` takes to tell the jobs behind these; null for the last page."
    )


class JobWord(BaseModel):
    """When a word is heard, in seconds from the beginning."""

    word: str
    start_time: float
    end_time: float
    confidence: float
    voice: str | None = Field(None, description="Who says it, in a script.", examples=["ana"])


class JobTake(BaseModel):
    """A version of a part."""

    seed: int
    duration: float
    audio_url: str


class JobPart(BaseModel):
    """A part of a script, and when it is heard."""

    text: str
    voice: str
    style: str | None
    speed: float
    seed: int = Field(description="Written into the script, it makes the same speech again.")
    start: int = Field(description="First character in the text that was sent.")
    end: int = Field(description="The one behind the last.")
    start_time: float
    end_time: float
    pause: float | None = Field(description="Seconds of silence behind it.")
    takes: list[JobTake]


class JobMark(BaseModel):
    """When a mark of SSML is reached; null where the times of its words are not known."""

    name: str
    time: float | None


class JobResult(BaseModel):
    """What was made, as the tts operation answers it."""

    job_id: str = Field(examples=[_JOB_ID])
    status: Literal["COMPLETED"]
    audio_url: str = Field(description="A path of this server, where the store has no URLs.")
    duration: float
    sample_rate: int
    format: AudioFormat
    seed: int | None
    text: str = Field(examples=["It costs $3.50."])
    spoken_text: str = Field(
        description="The words that were spoken for it.",
        examples=["It costs three dollars and fifty cents."],
    )
    voice: str | None
    model: str | None
    parts: list[JobPart] = Field(description="Of a script; none where the text has no tag.")
    script: str | None = Field(
        description="The text with seeds written in, which gives the same speech again."
    )
    marks: list[JobMark]
    word_timings: list[JobWord]
    timing_files: dict[str, str] = Field(description="URLs by format.")
    timing_format: str | None
    timing_method: str | None
    timing_confidence: float | None
    word_count: int
    verification: dict[str, Any] | None
    cached: bool
    warnings: list[str]
    metrics: dict[str, float]
    worker: dict[str, Any]


class JobCancelled(BaseModel):
    """What became of a job that is wanted no more; one that was done already stays COMPLETED."""

    job_id: str = Field(examples=[_JOB_ID])
    status: JobState = Field(examples=["CANCELLED"])


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


def document_fields_speech(schema: dict[str, Any], model: type[BaseModel]) -> None:
    own_fields_first(schema, model)
    schema["anyOf"] = [{"required": [name]} for name in ("voice", "speaker", "ref_audio")]
    schema["examples"] = EXAMPLES


class SpeechBody(SpeechFields):
    """OpenAI's request for speech. The fields from `seed` on are f5serve's own.

    Fields that are not known change nothing; `X-F5-Warning` of the answer names them.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=document_fields_speech)

    input: Annotated[str, Field(min_length=1, max_length=MAX_CHARS, strict=True)] = Field(
        description="What to say: up to F5_OPENAI_MAX_CHARS characters, 4096 unless that is set."
    )
    model: Annotated[str, Field(min_length=1, max_length=200, strict=True)] = Field(
        description="`tts-1`, `tts-1-hd` and `gpt-4o-mini-tts` mean the model that speaks here; so "
        "does its own id, which GET /v1/models tells."
    )
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
    stream_format: Literal["audio", "sse"] | None = Field(
        None, description="`audio`: the file itself. `sse`: events with base64 of its parts."
    )
    word_timestamps: Flag | None = Field(
        None,
        description="Tell when each word is heard: `X-Word-Timestamps` of the file, which is sent "
        "whole then, or events of type `speech.audio.word_timestamps`.",
    )

    @property
    def format(self) -> AudioFormat:
        """The format that is wanted."""
        return self.response_format or "mp3"

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

    def request(self, voice: str, style: str, model: str, timeout_s: int) -> TTSRequest:
        """The same `tts` job, with voice, style and model that are meant here."""
        shared = {name: getattr(self, name) for name in SpeechFields.model_fields}
        fields = {
            **shared,
            "text": self.input,
            "voice": voice or None,
            "style": style or None,
            "model": model or None,
            "response_format": self.format,
            # They cost time.
            "return_word_timings": bool(self.return_word_timings or self.word_timestamps),
            "timeout_s": timeout_s,
        }
        return TTSRequest.of_valid({n: value for n, value in fields.items() if value is not None})

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

"""The forms of requests for a transcript or a translation, as OpenAI's clients send them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import File, Form, UploadFile

from f5serve.http.errors import BadField
from f5serve.synthesis.transcription import TranscriptionOptions

Format = Literal["json", "text", "verbose_json", "srt", "vtt"]
Granularity = Literal["word", "segment"]

OPENAI_IDS = (
    "whisper-1",
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
)
"""What clients of OpenAI send; here it is the recogniser that is installed."""

STREAMED: tuple[Format, ...] = ("json", "text")
"""Formats that events can stand for."""

MAX_PROMPT_CHARS = 2_000
"""More than the 223 tokens that count."""

_NO_EFFECT = "temperature has no effect: the most probable words are taken."

Recording = Annotated[
    UploadFile,
    File(description="The recording, of at most half an hour: wav, flac, mp3, ogg or m4a."),
]
ModelName = Annotated[
    str,
    Form(
        max_length=200,
        description="A name of OpenAI's, for the recogniser of this server; or its own name.",
        examples=["whisper-1"],
    ),
]
Prompt = Annotated[
    str,
    Form(
        max_length=MAX_PROMPT_CHARS,
        description="Text that might come before; its spelling of names is taken up.",
    ),
]
Temperature = Annotated[
    float, Form(ge=0, le=1, description="It has no effect, and a warning says so above 0.")
]


@dataclass(frozen=True, slots=True)
class TranscriptionForm:
    """The fields of a request; others that OpenAI has are taken and have no effect."""

    file: Recording
    model: ModelName = OPENAI_IDS[0]
    language: Annotated[
        str, Form(max_length=16, description="Spoken language, ISO 639-1; else it is detected.")
    ] = ""
    prompt: Prompt = ""
    response_format: Annotated[
        Format, Form(description="What is answered; `stream` goes with json and text alone.")
    ] = "json"
    granularities: Annotated[
        list[Granularity] | None,
        Form(
            alias="timestamp_granularities[]",
            max_length=4,
            description="What verbose_json lists: segments, unless words alone are named.",
        ),
    ] = None
    temperature: Temperature = 0.0
    stream: Annotated[
        bool, Form(description="Whether the text is sent as server-sent events, in parts.")
    ] = False

    def check(self) -> None:
        """Refuse fields that do not go together.

        Raises:
            BadField: BAD_OPTION.
        """
        if self.granularities and self.response_format != "verbose_json":
            raise BadField(
                f"response_format is {self.response_format!r}, which has no"
                " timestamp_granularities.",
                code="BAD_OPTION",
                hint="Send response_format=verbose_json with them.",
                param="timestamp_granularities[]",
            )
        if self.stream and self.response_format not in STREAMED:
            raise BadField(
                f"response_format is {self.response_format!r}, which cannot be streamed.",
                code="BAD_OPTION",
                hint=f"With stream it is {' or '.join(STREAMED)}.",
                param="response_format",
            )

    @property
    def options(self) -> TranscriptionOptions:
        """What the recogniser is asked."""
        words = self.response_format in ("srt", "vtt") or "word" in (self.granularities or ())
        return TranscriptionOptions(self.language, self.prompt, word_times=words)

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer."""
        return {"X-F5-Warning": _NO_EFFECT} if self.temperature else {}


@dataclass(frozen=True, slots=True)
class TranslationForm:
    """The fields of a request for a translation."""

    file: Recording
    model: ModelName = OPENAI_IDS[0]
    prompt: Prompt = ""
    response_format: Annotated[Format, Form(description="What is answered.")] = "json"
    temperature: Temperature = 0.0

    def transcription(self) -> TranscriptionForm:
        """The same request for what is said."""
        return TranscriptionForm(
            self.file,
            self.model,
            prompt=self.prompt,
            response_format=self.response_format,
            temperature=self.temperature,
        )

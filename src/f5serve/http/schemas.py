"""Bodies of requests, responses and events, for FastAPI and the OpenAPI document."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from f5serve.service.fields import own_fields_first
from f5serve.service.requests import TTSRequest
from f5serve.types import AudioFormat

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

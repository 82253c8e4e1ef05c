"""Results of finished jobs: what is stored, and the record that describes it.

Audio, details and timings are written first, then the done record.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from f5serve.alignment.subtitles import MEDIA_TYPES as TIMING_TYPES
from f5serve.alignment.subtitles import as_dict, write
from f5serve.audio.encode import MEDIA_TYPES
from f5serve.errors import StorageFailed
from f5serve.jobs.records import Lease, Record, output_key, timing_key
from f5serve.jobs.store import JobStore
from f5serve.service.active_jobs import ActiveJob
from f5serve.service.dependencies import Dependencies
from f5serve.service.events import Progress
from f5serve.service.requests import TTSRequest
from f5serve.store.json_documents import canonical_json
from f5serve.store.scratch import ScratchFile
from f5serve.synthesis.verification import describe
from f5serve.types import SpeechResult, Voice

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class StageTimes:
    """Seconds by stage, as callers are told."""

    arrived: float = field(default_factory=time.perf_counter)
    voice_s: float = 0.0
    inference_s: float = 0.0
    spoken_s: float = 0.0
    upload_s: float = 0.0
    audio_s: float = 0.0
    first_audio_s: float = 0.0
    timing_s: float = 0.0

    @property
    def so_far_s(self) -> float:
        return time.perf_counter() - self.arrived

    def metrics(self) -> dict[str, float]:
        elsewhere = self.voice_s + self.spoken_s + self.upload_s
        told = {
            "queue_s": max(0.0, self.so_far_s - elsewhere),
            "voice_s": self.voice_s,
            "inference_s": self.inference_s,
            "timing_s": self.timing_s,
            "upload_s": self.upload_s,
            "first_audio_s": self.first_audio_s,
            "rtf": self.inference_s / self.audio_s if self.audio_s else 0.0,
        }
        return {name: round(value, 4) for name, value in told.items()}


MAX_INLINE_DETAILS = 16_000
"""Bytes of text and words that fit into the record; more become an output of their own."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """Bytes for the store, or a file of them, and the line of the record that describes them."""

    data: bytes | ScratchFile
    meta: dict[str, Any]

    @property
    def key(self) -> str:
        """Where they belong."""
        return str(self.meta["key"])

    @property
    def mime(self) -> str:
        """Their media type."""
        return str(self.meta["mime"])


def audio_output(job_id: str, result: SpeechResult, file: ScratchFile) -> Artifact:
    """The speech itself, which is in `file`."""
    line = _meta("audio", job_id, file, result.format, MEDIA_TYPES[result.format])
    return Artifact(file, {**line, "seconds": round(result.duration_s, 4)})


def details_output(job_id: str, request: TTSRequest, result: SpeechResult) -> Artifact:
    """What was said and when, as JSON: {"text", "word_timings"}."""
    data = canonical_json(spoken_details(request, result))
    return Artifact(data, _meta("details", job_id, data, "json", "application/json"))


def timing_outputs(job_id: str, request: TTSRequest, result: SpeechResult) -> list[Artifact]:
    """The files of word times that were asked for; none where there are no times."""
    if not result.timings.words:
        return []
    outputs = []
    for format in request.timing_formats:
        data = write(result.timings, format)
        line = _meta("timing", job_id, data, format, TIMING_TYPES[format])
        line = {**line, "key": timing_key(job_id, format), "format": format}
        outputs.append(Artifact(data, line))
    return outputs


def build_record(
    request: TTSRequest,
    voice: Voice,
    result: SpeechResult,
    outputs: list[Artifact],
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """All of the record that does not depend on who did the job.

    `outputs` are the audio, the details and the timings; details that are small move into the
    record.
    """
    audio, details, *timings = outputs
    lines = [audio.meta, *(timing.meta for timing in timings)]
    told = spoken_details(request, result)
    if not is_small(details):
        lines.append(details.meta)
        told = {}
    found = result.timings
    return {
        "outputs": lines,
        "details": told,
        "timings": {
            "method": found.method or None,
            "confidence": round(found.confidence, 3) if found.words else None,
            "words": len(found.words),
        },
        "format": result.format,
        "sample_rate": result.wave.sample_rate,
        "seconds": round(result.duration_s, 4),
        "engine": {"kind": result.engine, "model": result.model, "seed": result.seed},
        "voice": {"name": voice.name, "revision": voice.revision},
        "timing_formats": list(request.timing_formats),
        "metrics": dict(metrics),
        "watermark": None,
        "verification": describe(result.verification),
        "warnings": [*result.warnings, *request.warnings],
        "cached": False,
    }


def build_cached_record(story: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The story of an earlier job as that of a new one that computed nothing."""
    return {**story, "metrics": dict(metrics), "cached": True}


def is_small(details: Artifact) -> bool:
    """Whether `build_record` puts the details into the record, so that they need not be stored."""
    return int(details.meta["size"]) <= MAX_INLINE_DETAILS


def spoken_details(request: TTSRequest, result: SpeechResult) -> dict[str, Any]:
    """What was said and when."""
    words = result.timings.words if request.word_timings else ()
    return {"text": result.text, "word_timings": [as_dict(word) for word in words]}


def _meta(
    role: str, job_id: str, data: bytes | ScratchFile, extension: str, mime: str
) -> dict[str, Any]:
    if isinstance(data, ScratchFile):
        digest, size = data.sha256(), data.size
    else:
        digest, size = hashlib.sha256(data).hexdigest(), len(data)
    key = output_key(job_id, digest, extension)
    return {"role": role, "key": key, "size": size, "sha256": digest, "mime": mime}


UNSTORED = "This speech could not be stored, so no record of it is kept."
"""What a caller is told first; then why."""


@dataclass(frozen=True, slots=True)
class MadeSpeech:
    """Speech that was made for a request; `key` is the hash of all that decides it."""

    request: TTSRequest
    voice: Voice
    result: SpeechResult
    file: ScratchFile
    key: str
    times: StageTimes


class NotStored(Exception):
    """Speech was made and could not be stored, and its caller is content with hearing it.

    Attributes:
        record: what a done record would tell; it is nowhere.
        error: why it is not.
    """

    def __init__(self, record: Record, error: StorageFailed) -> None:
        super().__init__(error.message)
        self.record = record
        self.error = error


async def store_result(
    deps: Dependencies, job: ActiveJob, lease: Lease, made: MadeSpeech
) -> tuple[Record, Record | None]:
    """Store what was made, then say so. Who stops meanwhile does not wait for the store.

    Returns:
        The done record; its story, unless another worker had made it already.

    Raises:
        F5Error: what the store says, or why the job was stopped.
        NotStored: in place of the former, where the job may go without a record.
    """
    job.publish(Progress("storing", 100))
    try:
        return await _store(deps, job, lease, made)
    except StorageFailed as error:
        if not job.accept_unstored:
            raise
        _log.warning("speech was sent and could not be stored: %s", error.message)
        record = await deps.blocking(_unstored_record, lease, made, error)
        raise NotStored(record, error) from error


async def _store(
    deps: Dependencies, job: ActiveJob, lease: Lease, made: MadeSpeech
) -> tuple[Record, Record | None]:
    outputs = await job.run_cancellable(deps.blocking(_artifacts, deps.job_store, lease, made))
    if not isinstance(outputs, list):
        return outputs, None
    job.details = spoken_details(made.request, made.result)
    details = outputs[1]
    began = time.perf_counter()
    kept = [output for output in outputs if output is not details or not is_small(details)]
    puts = asyncio.gather(
        *(deps.blocking(_put_artifact, deps.job_store, output) for output in kept)
    )
    await job.run_cancellable(puts)
    made.times.upload_s = time.perf_counter() - began
    told = build_record(made.request, made.voice, made.result, outputs, made.times.metrics())
    job.check()
    deps.metrics.observe_request(told["metrics"], made.times.audio_s, made.times.so_far_s)
    finish = deps.blocking(deps.job_store.complete, lease, told)
    if deps.cache is None:
        return await job.run_cancellable(finish), told
    keep = deps.blocking(deps.cache.keep, made.key, lease.job_id, told)
    record, _ = await job.run_cancellable(asyncio.gather(finish, keep))
    return record, told


def _unstored_record(lease: Lease, made: MadeSpeech, error: StorageFailed) -> Record:
    """All that an answer tells of speech that is not stored; nothing of it is read from there."""
    audio = audio_output(lease.job_id, made.result, made.file)
    details = details_output(lease.job_id, made.request, made.result)
    told = build_record(
        made.request, made.voice, made.result, [audio, details], made.times.metrics()
    )
    warnings = [*told["warnings"], f"{UNSTORED} {error.code}: {error.message}"]
    whole = spoken_details(made.request, made.result)
    return {**told, "outputs": [audio.meta], "details": whole, "warnings": warnings}


def _artifacts(job_store: JobStore, lease: Lease, made: MadeSpeech) -> Record | list[Artifact]:
    """Audio, details and timings; or what another worker has finished meanwhile."""
    earlier = job_store.earlier_result(lease)
    if earlier is not None:
        return earlier
    audio = audio_output(lease.job_id, made.result, made.file)
    details = details_output(lease.job_id, made.request, made.result)
    return [audio, details, *timing_outputs(lease.job_id, made.request, made.result)]


def _put_artifact(job_store: JobStore, output: Artifact) -> None:
    if isinstance(output.data, ScratchFile):
        output.data.put(job_store.store, output.key, output.mime)
    else:
        job_store.store.put(output.key, output.data, output.mime)

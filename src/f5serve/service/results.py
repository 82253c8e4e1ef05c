"""Results of finished jobs: what is stored, and the record that describes it.

Audio, details and timings are written first, then the done record.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
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
from f5serve.synthesis.result import SpeechResult, part_as_dict
from f5serve.synthesis.verification import MAX_DESCRIBED, describe, describe_utterances
from f5serve.types import Voice

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class StageTimes:
    """Seconds by stage, as in answers."""

    arrived: float = field(default_factory=time.perf_counter)
    voice_s: float = 0.0
    inference_s: float = 0.0
    spoken_s: float = 0.0
    upload_s: float = 0.0
    audio_s: float = 0.0
    first_audio_s: float = 0.0
    timing_s: float = 0.0
    resumed: int = 0  # utterances that an earlier job or attempt has made

    @property
    def so_far_s(self) -> float:
        return time.perf_counter() - self.arrived

    def metrics(self) -> dict[str, float]:
        elsewhere = self.voice_s + self.spoken_s + self.upload_s
        body = {
            "queue_s": max(0.0, self.so_far_s - elsewhere),
            "voice_s": self.voice_s,
            "inference_s": self.inference_s,
            "timing_s": self.timing_s,
            "upload_s": self.upload_s,
            "first_audio_s": self.first_audio_s,
            "rtf": self.inference_s / self.audio_s if self.audio_s else 0.0,
        }
        return {name: round(value, 4) for name, value in body.items()}


MAX_INLINE_DETAILS = 16_000
"""Bytes of text and words that fit into the record; more become an output of their own."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """Bytes for the store, or a file of them, and the line of the record that describes them."""

    data: bytes | ScratchFile
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MadeSpeech:
    """Speech that was made for a request.

    Attributes:
        key: hash of all that decides it.
        details: what was said and when: {"text", "spoken_text", "word_timings"}.
    """

    request: TTSRequest
    voice: Voice
    result: SpeechResult
    file: ScratchFile
    key: str
    times: StageTimes
    details: dict[str, Any]


def spoken_details(request: TTSRequest, result: SpeechResult) -> dict[str, Any]:
    """What was said and when; of a script also its parts."""
    words = result.timings.words if request.word_timings else ()
    details: dict[str, Any] = {
        "text": result.text,
        "spoken_text": result.spoken_text,
        "word_timings": [as_dict(word) for word in words],
    }
    if result.parts:
        details["parts"] = [part_as_dict(part) for part in result.parts]
        details["script"] = result.script
    verified = result.verification
    if verified is not None and len(verified.utterances) > MAX_DESCRIBED:
        details["verified"] = describe_utterances(verified)
    if result.marks:
        details["marks"] = [{"name": mark.name, "time": mark.time_s} for mark in result.marks]
    return details


def build_artifacts(job_id: str, made: MadeSpeech) -> list[Artifact]:
    """The audio, the details, and the files of word times where there are times; blocks."""
    result = made.result
    audio = _artifact("audio", job_id, made.file, result.format, MEDIA_TYPES[result.format])
    audio.meta["seconds"] = round(result.duration_s, 4)
    details = canonical_json(made.details)
    artifacts = [audio, _artifact("details", job_id, details, "json", "application/json")]
    for format in made.request.timing_formats if result.timings.words else ():
        data = write(result.timings, format)
        timing = _artifact("timing", job_id, data, format, TIMING_TYPES[format])
        timing.meta.update(key=timing_key(job_id, format), format=format)
        artifacts.append(timing)
    for part, one in enumerate(result.parts):
        for number, take in enumerate(one.takes):
            artifacts.append(
                _artifact("take", job_id, take.audio, result.format, MEDIA_TYPES[result.format])
            )
            seconds = round(take.duration_s, 4)
            artifacts[-1].meta.update(part=part, take=number, seconds=seconds)
    return artifacts


def _artifact(
    role: str, job_id: str, data: bytes | ScratchFile, extension: str, mime: str
) -> Artifact:
    if isinstance(data, ScratchFile):
        digest, size = data.sha256(), data.size
    else:
        digest, size = hashlib.sha256(data).hexdigest(), len(data)
    key = output_key(job_id, digest, extension)
    return Artifact(data, {"role": role, "key": key, "size": size, "sha256": digest, "mime": mime})


def build_record(made: MadeSpeech, artifacts: list[Artifact]) -> dict[str, Any]:
    """All of the record that does not depend on who did the job.

    Args:
        artifacts: as `build_artifacts`; details that are small move into the record.
    """
    request, result = made.request, made.result
    audio, details, *others = (artifact.meta for artifact in artifacts)
    is_small = details["size"] <= MAX_INLINE_DETAILS
    found = result.timings
    return {
        "outputs": [audio, *others] if is_small else [audio, *others, details],
        "details": made.details if is_small else {},
        "timings": {
            "method": found.method or None,
            "confidence": round(found.confidence, 3) if found.words else None,
            "words": len(found.words),
        },
        "format": result.format,
        "sample_rate": request.output_rate,
        "seconds": round(result.duration_s, 4),
        "engine": {"kind": result.engine, "model": result.model, "seed": result.seed},
        "voice": {"name": made.voice.name, "revision": made.voice.revision},
        "voices": sorted({part.voice for part in result.parts}),
        "timing_formats": list(request.timing_formats),
        "metrics": made.times.metrics(),
        "resumed": made.times.resumed,
        "watermark": None,
        "verification": describe(result.verification),
        "warnings": [*result.warnings, *request.warnings],
        "cached": False,
    }


UNSTORED = "This speech could not be stored, so no record of it is kept."
"""First sentence of the warning; then comes the reason."""


class NotStored(Exception):
    """Speech was made and could not be stored, and its caller accepts that.

    Attributes:
        record: what a done record would say; it is not in the store.
        error: why it is not.
    """

    def __init__(self, record: Record, error: StorageFailed) -> None:
        super().__init__(error.message)
        self.record = record
        self.error = error


async def store_result(
    deps: Dependencies, job: ActiveJob, lease: Lease, made: MadeSpeech
) -> tuple[Record, Record | None]:
    """Store what was made, then its record; a cancelled job does not wait for the store.

    Returns:
        The done record; its result fields, unless another worker had made it already.

    Raises:
        F5Error: what the store says, or why the job was cancelled.
        NotStored: in place of the former, where the job may go without a record.
    """
    job.publish(Progress("storing", 100))
    run = deps.pools.jobs.finish
    try:
        built = await job.run_cancellable(run(_build, deps.job_store, lease, made))
        if isinstance(built, dict):
            return built, None
        job.details = made.details
        fields, artifacts = built
        began = time.perf_counter()
        puts = (run(_put, deps.job_store, artifact) for artifact in artifacts)
        await job.run_cancellable(asyncio.gather(*puts))
        made.times.upload_s = time.perf_counter() - began
        fields["metrics"] = metrics = made.times.metrics()
        job.check()
        deps.metrics.observe_request(metrics, made.times.audio_s, made.times.so_far_s)
        finish = run(deps.job_store.complete, lease, fields)
        if deps.cache is None:
            return await job.run_cancellable(finish), fields
        keep = run(deps.cache.keep, made.key, lease.job_id, fields)
        record, _ = await job.run_cancellable(asyncio.gather(finish, keep))
        return record, fields
    except StorageFailed as error:
        if not job.accept_unstored:
            raise
        _log.warning("speech was sent and could not be stored: %s", error.message)
        raise NotStored(await run(_unstored_record, lease, made, error), error) from error


def _build(
    job_store: JobStore, lease: Lease, made: MadeSpeech
) -> Record | tuple[Record, list[Artifact]]:
    """The record and what it names; or the record that another worker has written meanwhile."""
    earlier = job_store.earlier_result(lease)
    if earlier is not None:
        return earlier
    artifacts = build_artifacts(lease.job_id, made)
    fields = build_record(made, artifacts)
    return fields, [artifact for artifact in artifacts if artifact.meta in fields["outputs"]]


def _unstored_record(lease: Lease, made: MadeSpeech, error: StorageFailed) -> Record:
    """All of a response of speech that is not stored, so that nothing is read back."""
    artifacts = build_artifacts(lease.job_id, made)
    fields = build_record(made, artifacts)
    warnings = [*fields["warnings"], f"{UNSTORED} {error.code}: {error.message}"]
    audio = artifacts[0].meta
    return {**fields, "outputs": [audio], "details": made.details, "warnings": warnings}


def _put(job_store: JobStore, artifact: Artifact) -> None:
    key, mime = artifact.meta["key"], artifact.meta["mime"]
    if isinstance(artifact.data, ScratchFile):
        artifact.data.put(job_store.store, key, mime)
    else:
        job_store.store.put(key, artifact.data, mime)

"""What is kept of a finished request, so that any worker can tell its answer later.

A `SpeechResult` flows in, bytes to store and a JSON object flow out. How it is told to callers is
in `answers`; stores are not called here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from f5serve.alignment.subtitles import MEDIA_TYPES as TIMING_TYPES
from f5serve.alignment.subtitles import as_dict, write
from f5serve.audio.encode import MEDIA_TYPES
from f5serve.jobs.records import output_key, timing_key
from f5serve.service.parse import Ask
from f5serve.store.json_documents import canonical_json
from f5serve.store.scratch import ScratchFile
from f5serve.synthesis.verification import describe
from f5serve.types import SpeechResult, Voice

MAX_INLINE_DETAILS = 16_000
"""Bytes of text and words that fit into the record; more become an output of their own."""


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes for the store, or a file of them, and the line of the record that describes them."""

    data: bytes | ScratchFile
    line: dict[str, Any]

    @property
    def key(self) -> str:
        """Where they belong."""
        return str(self.line["key"])

    @property
    def mime(self) -> str:
        """Their media type."""
        return str(self.line["mime"])


def audio_output(job_id: str, result: SpeechResult, file: ScratchFile) -> Output:
    """The speech itself, which is in `file`."""
    line = _line("audio", job_id, file, result.format, MEDIA_TYPES[result.format])
    return Output(file, {**line, "seconds": round(result.duration_s, 4)})


def details_output(job_id: str, ask: Ask, result: SpeechResult) -> Output:
    """What was said and when, as JSON: {"text", "word_timings"}."""
    data = canonical_json(said(ask, result))
    return Output(data, _line("details", job_id, data, "json", "application/json"))


def timing_outputs(job_id: str, ask: Ask, result: SpeechResult) -> list[Output]:
    """The files of word times that were asked for; none where there are no times."""
    if not result.timings.words:
        return []
    outputs = []
    for format in ask.timing_formats:
        data = write(result.timings, format)
        line = _line("timing", job_id, data, format, TIMING_TYPES[format])
        line = {**line, "key": timing_key(job_id, format), "format": format}
        outputs.append(Output(data, line))
    return outputs


def tell(
    ask: Ask, voice: Voice, result: SpeechResult, outputs: list[Output], metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """All of the record that does not depend on who did the job.

    `outputs` are the audio, the details and the timings; details that are small move into the
    record.
    """
    audio, details, *timings = outputs
    lines = [audio.line, *(timing.line for timing in timings)]
    told = said(ask, result)
    if not is_small(details):
        lines.append(details.line)
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
        "timing_formats": list(ask.timing_formats),
        "metrics": dict(metrics),
        "watermark": None,
        "verification": describe(result.verification),
        "warnings": [*result.warnings, *ask.warnings],
        "cached": False,
    }


def retell(story: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The story of an earlier job as that of a new one that computed nothing."""
    return {**story, "metrics": dict(metrics), "cached": True}


def is_small(details: Output) -> bool:
    """Whether `tell` puts the details into the record, so that they need not be stored."""
    return int(details.line["size"]) <= MAX_INLINE_DETAILS


def said(ask: Ask, result: SpeechResult) -> dict[str, Any]:
    """What was said and when."""
    words = result.timings.words if ask.word_timings else ()
    return {"text": result.text, "word_timings": [as_dict(word) for word in words]}


def _line(
    role: str, job_id: str, data: bytes | ScratchFile, extension: str, mime: str
) -> dict[str, Any]:
    if isinstance(data, ScratchFile):
        digest, size = data.sha256(), data.size
    else:
        digest, size = hashlib.sha256(data).hexdigest(), len(data)
    key = output_key(job_id, digest, extension)
    return {"role": role, "key": key, "size": size, "sha256": digest, "mime": mime}

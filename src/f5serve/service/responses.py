"""Responses: stored records to the JSON that callers get, and files of jobs.

Signed URLs expire, so they are made for each response. No key is named `error`: RunPod takes it for
a failure of the request itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from f5serve.alignment.subtitles import MEDIA_TYPES, SubtitleFormat, write
from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.jobs.record_reader import RecordUnreadable, parse, unreadable
from f5serve.jobs.records import ENDED, JobSnapshot, Record, Status, folder_of
from f5serve.jobs.schema import DETAILS
from f5serve.jobs.store import JobStore
from f5serve.service.requests import ABOUT_CHARS
from f5serve.store.base import ObjectStore
from f5serve.types import Alignment, WordTiming
from f5serve.voices.names import casefold, is_public
from f5serve.voices.records import VoiceRecord

MAX_TIMING_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file of a job.

    Attributes:
        filename: under which it is saved.
        sha256: in hexadecimal.
        key: where it lies in the store; "" where `data` is all of it.
    """

    filename: str
    mime: str
    size: int
    sha256: str
    key: str = ""
    data: bytes = b""


def job_file(
    job_store: JobStore,
    job_id: str,
    format: SubtitleFormat | None = None,
    take: tuple[int, int] | None = None,
) -> JobFile:
    """The speech, or one take of a part: its numbers count from 0.

    With `format` when each word is heard: as it was asked for, else written now.

    Raises:
        InvalidRequest: INVALID_JOB_ID, JOB_NOT_COMPLETE, JOB_FAILED; NO_TIMINGS where no words are
            recorded; NO_TAKE.
    """
    record = job_store.result(job_id)
    if format is None:
        line = find_output(record, "audio") if take is None else _find_take(record, job_id, take)
        name = filename_of(job_id, line)
        return JobFile(name, line["mime"], line["size"], line["sha256"], line["key"])
    timing = find_timing(record, format)
    if timing is not None:
        data = job_store.store.get(timing["key"], MAX_TIMING_BYTES)
    else:
        data = _written(job_store, job_id, record, format)
    name = f"{folder_of(job_id)}.{format}"
    return JobFile(name, MEDIA_TYPES[format], len(data), hashlib.sha256(data).hexdigest(), "", data)


def _find_take(record: Record, job_id: str, take: tuple[int, int]) -> dict[str, Any]:
    for line in record.get("outputs", []):
        if take_of(line) == take:
            return dict(line)
    raise InvalidRequest(
        f"Job {job_id} has no take {take[1]} of part {take[0]}.",
        code="NO_TAKE",
        hint="Its result lists the takes of each part; ask for some with the field takes.",
    )


def _written(job_store: JobStore, job_id: str, record: Record, format: SubtitleFormat) -> bytes:
    words = details_of(job_store.store, record).get("word_timings") or []
    if not words:
        raise no_timings(job_id, format, record)
    timings: dict[str, Any] = record.get("timings") or {}
    alignment = Alignment(
        tuple(word_of(fields) for fields in words),
        str(timings.get("method") or ""),
        float(timings.get("confidence") or 0.0),
    )
    return write(alignment, format)


def word_of(fields: Mapping[str, Any]) -> WordTiming:
    """A word and its times as details have them."""
    return WordTiming(
        str(fields["word"]),
        float(fields["start_time"]),
        float(fields["end_time"]),
        float(fields.get("confidence", 1.0)),
        str(fields.get("voice") or ""),
    )


MAX_DETAILS_BYTES = 50_000_000
MAX_DETAILS_ITEMS = 5_000_000
_CREATION_TIMES = ("since", "queued_at", "created_at")
"""Fields that tell when a job was asked for, the best first."""

LOST_NOTE = "The worker that had this job is gone; the next worker continues it."


def tts_response(
    store: ObjectStore,
    job_id: str,
    record: Record,
    expires_s: float,
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The answer to tts and to result, from a done record; blocks while it asks the store.

    Args:
        details: text and word times, where they are known; else the store is asked.
    """
    audio = find_output(record, "audio")
    if details is None:
        details = details_of(store, record)
    words = details.get("word_timings", [])
    timings = record.get("timings") or {}
    files = {line["format"]: line for line in record.get("outputs", []) if _is_timing(line)}
    formats = record.get("timing_formats") or []
    engine, voice = record.get("engine", {}), record.get("voice", {})
    return {
        "job_id": job_id,
        "status": Status.COMPLETED.public,
        "audio_url": _url(store, job_id, audio, expires_s),
        "duration": record.get("seconds"),
        "sample_rate": record.get("sample_rate"),
        "format": record.get("format"),
        "seed": engine.get("seed"),
        "text": details.get("text", ""),
        "spoken_text": details.get("spoken_text", ""),
        "voice": voice.get("name"),
        "model": engine.get("model"),
        "parts": _parts(store, job_id, record, details, expires_s),
        "script": details.get("script") or None,
        "marks": details.get("marks") or [],
        "word_timings": words,
        "timing_files": {
            name: _url(store, job_id, line, expires_s) for name, line in files.items()
        },
        "timing_format": formats[0] if formats else None,
        "timing_method": timings.get("method"),
        "timing_confidence": timings.get("confidence"),
        "word_count": timings.get("words", len(words)),
        "verification": record.get("verification"),
        "cached": bool(record.get("cached")),
        "warnings": list(record.get("warnings", [])),
        "metrics": dict(record.get("metrics", {})),
        "worker": {name: record.get("worker", {}).get(name) for name in ("version", "commit")},
    }


def _parts(
    store: ObjectStore,
    job_id: str,
    record: Record,
    details: Mapping[str, Any],
    expires_s: float,
) -> list[dict[str, Any]]:
    """The parts of a script, with the URL of each take."""
    lines = {take_of(line): line for line in record.get("outputs", []) if take_of(line)}
    parts = []
    for number, part in enumerate(details.get("parts") or []):
        takes = [
            {**take, "audio_url": _url(store, job_id, lines[at], expires_s)}
            for index, take in enumerate(part.get("takes") or [])
            if (at := (number, index)) in lines
        ]
        parts.append({**part, "takes": takes})
    return parts


def take_of(line: Mapping[str, Any]) -> tuple[int, int] | None:
    """The numbers of part and take, from 0, of a line of the output; None for other lines."""
    part, take = line.get("part"), line.get("take")
    if line.get("role") == "take" and isinstance(part, int) and isinstance(take, int):
        return part, take
    return None


def short_tts_response(job_id: str, record: Record) -> dict[str, Any]:
    """The response for an entrypoint that has sent the audio itself; without store calls."""
    return {
        "job_id": job_id,
        "status": Status.COMPLETED.public,
        "duration": record.get("seconds"),
        "warnings": list(record.get("warnings", [])),
    }


def status_response(job_id: str, snapshot: JobSnapshot) -> dict[str, Any]:
    """The answer to status; `failure` describes a failed job."""
    answer = {
        "job_id": job_id,
        "status": snapshot.status.public,
        "progress": _progress(snapshot),
    }
    if snapshot.failure:
        answer["failure"] = snapshot.failure
    if snapshot.status is Status.LOST:
        answer["note"] = LOST_NOTE
    return answer


def download_response(
    store: ObjectStore, job_id: str, record: Record, timing_format: str, expires_s: float
) -> dict[str, Any]:
    """The answer to download of a job's audio, or of its word times in a format.

    Raises:
        InvalidRequest: NO_TIMINGS for word times that were not written.
    """
    line = find_timing(record, timing_format) if timing_format else find_output(record, "audio")
    if line is None:
        raise no_timings(job_id, timing_format, record)
    return {
        "job_id": job_id,
        "timing_url" if timing_format else "audio_url": _url(store, job_id, line, expires_s),
        "content_type": line["mime"],
        "filename": filename_of(job_id, line),
        "format": timing_format or record.get("format"),
        "status": "ready",
    }


def find_timing(record: Record, format: str) -> dict[str, Any] | None:
    """The line of the output that is this file of word times; None where it was not made."""
    for line in record.get("outputs", []):
        if _is_timing(line) and line["format"] == format:
            return dict(line)
    return None


def details_of(store: ObjectStore, record: Record) -> dict[str, Any]:
    """Text and word times of a done job; asks the store where they are long."""
    return dict(record.get("details") or {}) or _stored_details(store, record)


def job_summary(folder: str, snapshot: JobSnapshot) -> dict[str, Any]:
    """The summary of a job in the list of the newest, from its record alone."""
    record = snapshot.record
    about, engine = record.get("about") or {}, record.get("engine") or {}
    text = about.get("text") or (record.get("details") or {}).get("text") or ""
    is_over = snapshot.status in ENDED
    times = (record.get(name) for name in ("finished_at", "failed_at", "heartbeat"))
    return {
        "job_id": str(record.get("job_id") or folder),
        "status": snapshot.status.public,
        "created_at": next(
            (at for name in _CREATION_TIMES if (at := record.get(name)) is not None), None
        ),
        "finished_at": next(filter(None, times), None) if is_over else None,
        "duration": record.get("seconds"),
        "text": str(text)[:ABOUT_CHARS],
        "voice": (record.get("voice") or {}).get("name") or about.get("voice"),
        "model": engine.get("model"),
        "format": record.get("format") or about.get("format"),
        "progress": None if is_over else _progress(snapshot),
        "failure": snapshot.failure or None,
    }


def _is_timing(line: Mapping[str, Any]) -> bool:
    return line.get("role") == "timing" and isinstance(line.get("format"), str)


def no_timings(job_id: str, format: str, record: Record) -> InvalidRequest:
    """The error for a file of word times that was not made."""
    made = [line["format"] for line in record.get("outputs", []) if _is_timing(line)]
    there = f"It has {', '.join(made)}. " if made else ""
    return InvalidRequest(
        f"Job {job_id} has no timing file in {format}.",
        code="NO_TIMINGS",
        hint=f"{there}Ask for it in timing_format of tts; its warnings say why one is missing.",
    )


def voices_response(
    records: list[VoiceRecord], styles: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The answer to list_voices, with the names of both generations.

    Args:
        styles: by case-folded name of the voice.
    """
    voices = [_voice(record, styles.get(casefold(record.name), ())) for record in records]
    return {"voices": voices, "count": len(records), "status": "success"}


def upload_response(
    record: VoiceRecord, warnings: Sequence[str], styles: Sequence[str]
) -> dict[str, Any]:
    """The answer to upload, with what is odd about the transcript."""
    style = f", style '{record.style}'," if record.style else ""
    return {
        "status": f"Voice '{record.voice_file}'{style} and reference text uploaded successfully.",
        "voice": {
            **_voice(record, styles),
            "style": record.style or None,
            "revision": record.revision,
            "consent": asdict(record.consent) if record.consent else None,
        },
        "warnings": list(warnings),
    }


def find_output(record: Record, role: str) -> dict[str, Any]:
    """The line of the output with this role.

    Raises:
        StorageFailed: RECORD_DAMAGED when there is none.
    """
    for line in record.get("outputs", []):
        if line.get("role") == role:
            return dict(line)
    raise StorageFailed(
        f"The record of the job names no {role}.",
        code="RECORD_DAMAGED",
        hint="Send the request again under a new id.",
    )


def _voice(record: VoiceRecord, styles: Sequence[str]) -> dict[str, Any]:
    return {
        "voice_file": record.voice_file,
        "name": record.voice_file,
        "text_file": record.text_file or None,
        "read_only": is_public(record.voice),
        "size": record.audio.size,
        "last_modified": record.updated_at,
        "duration_s": record.duration_s,
        "language": record.language,
        "normalize": record.normalize,
        "styles": list(styles),
        "needs_review": record.needs_review,
        "transcript_confidence": record.transcript_confidence,
    }


def _progress(snapshot: JobSnapshot) -> dict[str, Any]:
    if snapshot.status is Status.COMPLETED:
        return {"phase": "done", "percent": 100}
    fields: Mapping[str, Any] = snapshot.record.get("progress") or {}
    phase = snapshot.record.get("phase", snapshot.status.public.lower())
    return {"phase": phase, "percent": 0, **fields}


def _stored_details(store: ObjectStore, record: Record) -> dict[str, Any]:
    key = find_output(record, "details")["key"]
    try:
        found = parse(store.get(key, MAX_DETAILS_BYTES), key, MAX_DETAILS_ITEMS)
    except StorageFailed as error:
        raise unreadable(error, key) or error from None
    wrong = DETAILS(found)
    if wrong:
        raise RecordUnreadable(key, wrong)
    return found


def _url(store: ObjectStore, job_id: str, line: Mapping[str, Any], expires_s: float) -> str:
    return store.url(line["key"], expires_s, filename_of(job_id, line), line["mime"])


def filename_of(job_id: str, line: Mapping[str, Any]) -> str:
    """Under which an output of a job is saved."""
    return f"{folder_of(job_id)}.{str(line['key']).rpartition('.')[2]}"

"""Records to what callers are told; the shapes of both older generations of clients are in them.

Records flow in, JSON objects flow out. URLs are made here, each time anew, because signed ones
expire. Nothing is computed, and no key named `error` is ever used: RunPod takes it for a failure of
the request itself.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.jobs.reading import RecordUnreadable, parse, unreadable
from f5serve.jobs.records import ENDED, Record, Standing, Status, folder_of
from f5serve.jobs.shapes import DETAILS
from f5serve.service.parse import ABOUT_CHARS
from f5serve.store.base import ObjectStore
from f5serve.voices.records import VoiceRecord

MAX_INLINE_BYTES = 6_000_000
"""Longest audio inside an answer; more would not pass through RunPod's queue."""

MAX_DETAILS_BYTES = 50_000_000
MAX_DETAILS_ITEMS = 5_000_000
_BEGUN = ("since", "queued_at", "created_at")
"""Fields that tell when a job was asked for, the best first."""

LOST_NOTE = "The worker that had this job is gone; whoever is handed it next goes on."


def tts_answer(
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
        "status": Status.COMPLETED.told,
        "audio_url": _url(store, job_id, audio, expires_s),
        "duration": record.get("seconds"),
        "sample_rate": record.get("sample_rate"),
        "format": record.get("format"),
        "seed": engine.get("seed"),
        "text": details.get("text", ""),
        "voice": voice.get("name"),
        "model": engine.get("model"),
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


def short_answer(job_id: str, record: Record) -> dict[str, Any]:
    """What a door needs that has sent the sound itself; asks the store nothing."""
    return {
        "job_id": job_id,
        "status": Status.COMPLETED.told,
        "duration": record.get("seconds"),
        "warnings": list(record.get("warnings", [])),
    }


def inline(answer: dict[str, Any], audio: bytes) -> dict[str, Any]:
    """The answer with the audio in it.

    Raises:
        InvalidRequest: RESULT_TOO_LARGE; the result itself is kept.
    """
    if len(audio) > MAX_INLINE_BYTES:
        raise too_large(answer["job_id"], len(audio))
    return {**answer, "audio_base64": base64.b64encode(audio).decode()}


def too_large(job_id: str, size: int) -> InvalidRequest:
    """The error for audio that does not fit into an answer."""
    return InvalidRequest(
        f"The audio has {size:,} bytes; {MAX_INLINE_BYTES:,} is the most that return_audio base64"
        " can send.",
        code="RESULT_TOO_LARGE",
        hint=f"It is kept: ask for the result of job {job_id}, or use a smaller format.",
    )


def status_answer(job_id: str, standing: Standing) -> dict[str, Any]:
    """The answer to status; a failed job is told under `failure`."""
    answer = {
        "job_id": job_id,
        "status": standing.status.told,
        "progress": _progress(standing),
    }
    if standing.failure:
        answer["failure"] = standing.failure
    if standing.status is Status.LOST:
        answer["note"] = LOST_NOTE
    return answer


def download_answer(
    store: ObjectStore, job_id: str, record: Record, expires_s: float
) -> dict[str, Any]:
    """The answer to download of a job's audio."""
    audio = find_output(record, "audio")
    return {
        "job_id": job_id,
        "audio_url": _url(store, job_id, audio, expires_s),
        "content_type": audio["mime"],
        "filename": _filename(job_id, audio),
        "format": record.get("format"),
        "status": "ready",
    }


def timing_answer(
    store: ObjectStore, job_id: str, record: Record, format: str, expires_s: float
) -> dict[str, Any]:
    """The answer to download of a file of word times.

    Raises:
        InvalidRequest: NO_TIMINGS for one that was not made.
    """
    line = find_timing(record, format)
    if line is None:
        raise no_timings(job_id, format, record)
    return {
        "job_id": job_id,
        "timing_url": _url(store, job_id, line, expires_s),
        "content_type": line["mime"],
        "filename": _filename(job_id, line),
        "format": format,
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


def history_line(folder: str, standing: Standing) -> dict[str, Any]:
    """What is told of a job in the list of the newest, from its record alone."""
    record = standing.record
    about, engine = record.get("about") or {}, record.get("engine") or {}
    text = about.get("text") or (record.get("details") or {}).get("text") or ""
    is_over = standing.status in ENDED
    times = (record.get(name) for name in ("finished_at", "failed_at", "heartbeat"))
    return {
        "job_id": str(record.get("job_id") or folder),
        "status": standing.status.told,
        "created_at": next((at for name in _BEGUN if (at := record.get(name)) is not None), None),
        "finished_at": next(filter(None, times), None) if is_over else None,
        "duration": record.get("seconds"),
        "text": str(text)[:ABOUT_CHARS],
        "voice": (record.get("voice") or {}).get("name") or about.get("voice"),
        "model": engine.get("model"),
        "format": record.get("format") or about.get("format"),
        "progress": None if is_over else _progress(standing),
        "failure": standing.failure or None,
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
        hint=f"{there}Ask for it in timing_format of tts; its warnings tell why one is missing.",
    )


def voices_answer(records: list[VoiceRecord]) -> dict[str, Any]:
    """The answer to list_voices, with the names of both generations."""
    return {"voices": [_voice(record) for record in records], "count": len(records)} | {
        "status": "success"
    }


def upload_answer(record: VoiceRecord, warnings: Sequence[str]) -> dict[str, Any]:
    """The answer to upload, with what is odd about the transcript."""
    return {
        "status": f"Voice '{record.voice_file}' and reference text uploaded successfully.",
        "voice": {
            **_voice(record),
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


def _voice(record: VoiceRecord) -> dict[str, Any]:
    return {
        "voice_file": record.voice_file,
        "name": record.voice_file,
        "text_file": record.text_file or None,
        "size": record.audio.size,
        "last_modified": record.updated_at,
        "duration_s": record.duration_s,
        "language": record.language,
        "needs_review": record.needs_review,
        "transcript_confidence": record.transcript_confidence,
    }


def _progress(standing: Standing) -> dict[str, Any]:
    if standing.status is Status.COMPLETED:
        return {"phase": "done", "percent": 100}
    told: Mapping[str, Any] = standing.record.get("progress") or {}
    phase = standing.record.get("phase", standing.status.told.lower())
    return {"phase": phase, "percent": 0, **told}


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
    return store.url(line["key"], expires_s, _filename(job_id, line), line["mime"])


def _filename(job_id: str, line: Mapping[str, Any]) -> str:
    return f"{folder_of(job_id)}.{str(line['key']).rpartition('.')[2]}"

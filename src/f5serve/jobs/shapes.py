"""Which fields a job's records have, for `reading`: what is known of each is checked, once.

Fields that this version does not know pass; what it uses is there and of its type.
"""

from __future__ import annotations

from typing import Any

from f5serve.jobs.reading import (
    Check,
    Object,
    flag,
    list_of,
    map_of,
    matching,
    nullable,
    number,
    text,
    whole,
)
from f5serve.store.base import is_key

MAX_TIME_S = 1e11
"""Of a moment, in seconds since 1970; a date library takes no more."""

MAX_SECONDS = 1e9
MAX_BYTES = 1 << 53
MAX_ATTEMPT = 1_000_000

_SHORT = text(4_096)
_LONG = text()
_SHA256 = matching(r"[0-9a-f]{64}", "SHA-256")
_MIME = matching(r"[!-~][ -~]{0,126}", "media type")
_FORMAT = matching(r"[A-Za-z0-9_-]{1,16}", "format")
_TIME = number(0.0, MAX_TIME_S)
_SECONDS = number(0.0, MAX_SECONDS)
_COUNT = whole(0, MAX_BYTES)
_ATTEMPT = whole(0, MAX_ATTEMPT)


def _key(value: Any) -> str:
    return "" if isinstance(value, str) and is_key(value) else "is no key of the store"


_FAILURE = Object(
    {"message": _LONG, "code": _SHORT, "hint": _LONG, "retryable": flag},
    frozenset({"message", "code"}),
)
_PROGRESS = Object(
    {"phase": _SHORT, "percent": number(0, 100), "done": _COUNT, "total": _COUNT},
)
_WORKER = map_of(nullable(_SHORT))
_ABOUT = Object({"text": _LONG, "voice": _SHORT, "format": _FORMAT})
_OUTPUT = Object(
    {
        "role": _SHORT,
        "key": _key,
        "size": _COUNT,
        "sha256": _SHA256,
        "mime": _MIME,
        "format": _FORMAT,
        "seconds": _SECONDS,
    },
    frozenset({"key", "size", "sha256", "mime"}),
)
_WORD = Object(
    {"word": _LONG, "start_time": _SECONDS, "end_time": _SECONDS, "confidence": number(-1e6, 1e6)},
    frozenset({"word", "start_time", "end_time"}),
)
_ANY = Object({})

OUTPUTS = list_of(_OUTPUT, most=100, least=1)

DETAILS = Object({"text": _LONG, "word_timings": list_of(_WORD, most=1_000_000)})
"""What was said, and when; a part of the record, or a file of its own."""

_COMMON: dict[str, Check] = {
    "job_id": _LONG,
    "request_sha256": _SHA256,
    "attempt": _ATTEMPT,
    "worker": _WORKER,
    "owner": _SHORT,
    "about": _ABOUT,
    "queued_at": _TIME,
    "created_at": _TIME,
    "since": _TIME,
}

_STORY: dict[str, Check] = {
    "outputs": OUTPUTS,
    "details": DETAILS,
    "timings": Object(
        {"method": nullable(_SHORT), "confidence": nullable(number(-1e6, 1e6)), "words": _COUNT},
    ),
    "format": _FORMAT,
    "sample_rate": whole(1, 1_000_000),
    "seconds": _SECONDS,
    "engine": Object(
        {"kind": _SHORT, "model": _SHORT, "seed": nullable(whole(-MAX_BYTES, 1 << 64))}
    ),
    "voice": Object({"name": _SHORT, "revision": _SHORT}),
    "timing_formats": list_of(_FORMAT, most=100),
    "metrics": map_of(nullable(number(-1e12, 1e12))),
    "verification": nullable(_ANY),
    "warnings": list_of(_LONG, most=1_000),
    "cached": flag,
}

STORY = Object(_STORY, frozenset({"outputs"}))
"""What is told of a result, by whichever job it was made."""

STATE = Object(
    {
        **_COMMON,
        "phase": _SHORT,
        "heartbeat": _TIME,
        "progress": _PROGRESS,
        "failure": _FAILURE,
    },
    frozenset({"request_sha256", "phase"}),
)
DONE = Object(
    {**_COMMON, **_STORY, "state": _SHORT, "finished_at": _TIME},
    frozenset({"request_sha256", "outputs"}),
)
FAILED = Object(
    {**_COMMON, "failed_at": _TIME, "failure": _FAILURE},
    frozenset({"failure"}),
)
CANCEL = Object({"job_id": _LONG, "by": _LONG, "at": _TIME})
WAITING = Object(
    {"job_id": _LONG, "request_sha256": _SHA256, "payload": _ANY, "owner": _SHORT},
    frozenset({"job_id", "request_sha256", "payload"}),
)
CACHED = Object(
    {"job_id": _LONG, "at": _TIME, "story": STORY}, frozenset({"job_id", "at", "story"})
)

_SHAPES = {"state": STATE, "done": DONE, "cancel": CANCEL}


def shape_of(name: str) -> Check:
    """The shape of a job's record by its name: state, done, cancel or failed-N."""
    return _SHAPES.get(name, FAILED)

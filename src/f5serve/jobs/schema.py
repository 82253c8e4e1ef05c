"""Checks for JSON values, and the schema of each stored record.

Fields that this version does not know pass; fields that it uses are there and of their type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from f5serve.store.base import is_key
from f5serve.store.json_documents import MAX_ITEMS

Check = Callable[[Any], str]
"""What is wrong with a value, "" for nothing; of a field inside, after its name."""


@dataclass(frozen=True, slots=True)
class Object:
    """A check of objects: `fields` by name, those in `required` must be there."""

    fields: Mapping[str, Check]
    required: frozenset[str] = field(default=frozenset())

    def __call__(self, value: Any) -> str:
        if not isinstance(value, dict):
            return "is no object"
        for name, check in self.fields.items():
            if name not in value:
                if name in self.required:
                    return f"{name} is missing"
            elif wrong := check(value[name]):
                return f"{name} {wrong}" if wrong.startswith(("is ", "has ")) else f"{name}.{wrong}"
        return ""


def text(max_chars: int = 1 << 20) -> Check:
    """A string of at most so many characters."""
    return lambda value: (
        "" if isinstance(value, str) and len(value) <= max_chars else "is no text, or too long"
    )


def matching(pattern: str, what: str) -> Check:
    """A string that is all of the regular expression."""
    whole = re.compile(pattern)
    return lambda value: (
        "" if isinstance(value, str) and whole.fullmatch(value) else f"is no {what}"
    )


def number(low: float, high: float) -> Check:
    """A finite number from `low` to `high`."""
    return lambda value: "" if is_number(value) and low <= value <= high else "is no such number"


def whole(low: int, high: int) -> Check:
    """A whole number from `low` to `high`."""
    return lambda value: (
        "" if type(value) is int and low <= value <= high else "is no such whole number"
    )


def flag(value: Any) -> str:
    """True or false."""
    return "" if isinstance(value, bool) else "is neither true nor false"


def nullable(check: Check) -> Check:
    """Null, or a value that passes `check`."""
    return lambda value: "" if value is None else check(value)


def list_of(check: Check, most: int = MAX_ITEMS, least: int = 0) -> Check:
    """A list of values that pass `check`."""

    def judge(value: Any) -> str:
        if not isinstance(value, list) or not least <= len(value) <= most:
            return "is no list, or has a wrong number of items"
        return next((f"has an item that {wrong}" for item in value if (wrong := check(item))), "")

    return judge


def map_of(check: Check, most: int = 100) -> Check:
    """An object of any names, whose values pass `check`."""

    def judge(value: Any) -> str:
        if not isinstance(value, dict) or len(value) > most:
            return "is no object, or has too many fields"
        faults = (wrong for item in value.values() if (wrong := check(item)))
        return next((f"has an item that {wrong}" for wrong in faults), "")

    return judge


def is_number(value: Any) -> bool:
    """Whether it is a finite number; True is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


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
        "part": _COUNT,
        "take": _COUNT,
    },
    frozenset({"key", "size", "sha256", "mime"}),
)
_WORD = Object(
    {
        "word": _LONG,
        "start_time": _SECONDS,
        "end_time": _SECONDS,
        "confidence": number(-1e6, 1e6),
        "voice": _SHORT,
    },
    frozenset({"word", "start_time", "end_time"}),
)
_ANY = Object({})

OUTPUTS = list_of(_OUTPUT, most=100, least=1)

_TAKE = Object({"seed": _COUNT, "duration": _SECONDS}, frozenset({"seed"}))
_PART = Object(
    {
        "text": _LONG,
        "voice": _SHORT,
        "style": nullable(_SHORT),
        "speed": number(0, 1e6),
        "seed": _COUNT,
        "start": _COUNT,
        "end": _COUNT,
        "start_time": number(-MAX_SECONDS, MAX_SECONDS),
        "end_time": _SECONDS,
        "pause": nullable(_SECONDS),
        "takes": list_of(_TAKE, most=1_000),
    },
    frozenset({"text", "voice", "seed"}),
)
_VERIFIED = Object({"wer": number(0, 1e6), "seed": _COUNT}, frozenset({"wer", "seed"}))
_MARK = Object({"name": _LONG, "time": nullable(_SECONDS)}, frozenset({"name"}))

DETAILS = Object(
    {
        "text": _LONG,
        "spoken_text": text(1 << 24),
        "word_timings": list_of(_WORD, most=1_000_000),
        "parts": list_of(_PART, most=100_000),
        "script": _LONG,
        "marks": list_of(_MARK, most=100_000),
        "verified": list_of(_VERIFIED, most=100_000),
        "kept": list_of(_SHORT, most=100_000),
    }
)
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

_RESULT_FIELDS: dict[str, Check] = {
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
    "voices": list_of(_SHORT, most=1_000),
    "timing_formats": list_of(_FORMAT, most=100),
    "metrics": map_of(nullable(number(-1e12, 1e12))),
    "resumed": _COUNT,
    "verification": nullable(_ANY),
    "warnings": list_of(_LONG, most=1_000),
    "cached": flag,
}

RESULT = Object(_RESULT_FIELDS, frozenset({"outputs"}))
"""The fields of a result that do not depend on the job that made it."""

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
    {**_COMMON, **_RESULT_FIELDS, "state": _SHORT, "finished_at": _TIME},
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
    {"job_id": _LONG, "at": _TIME, "story": RESULT}, frozenset({"job_id", "at", "story"})
)

SHAPES = {"state": STATE, "done": DONE, "cancel": CANCEL}
"""By the name of a job's record; FAILED for failed-N."""

"""The one strict reader of every record: bytes in, a record of a known shape out, or an error.

Whatever lies in the store is input. A record that is not JSON, is too deep, holds a number that is
none or half of a surrogate pair, lacks a field, has one of a wrong type, or is of a later schema
raises `RecordUnreadable`, and nothing else. What a record means is not known here.
"""

from __future__ import annotations

import math
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from f5serve.errors import StorageFailed
from f5serve.store.json_documents import MAX_ITEMS, InvalidDocument, parse_object

DAMAGED = "RECORD_DAMAGED"
TOO_NEW = "RECORD_TOO_NEW"

SCHEMA = 1
"""Raised when a reader of the number before could no longer use what is written."""

MAX_NAMES = 1_000
_NEVER_READABLE = frozenset({"OBJECT_TOO_LARGE", "NOT_A_FILE", "LINK_LEADS_OUT"})
"""Codes of a store that say that what lies under this one key can never be read as a record."""

Record = dict[str, Any]
"""One JSON object of the store. Fields that this version does not know are kept."""

Check = Callable[[Any], str]
"""What is wrong with a value, "" for nothing; of a field inside, after its name."""


class RecordUnreadable(StorageFailed):
    """One record cannot be used; `code` is RECORD_DAMAGED or RECORD_TOO_NEW.

    Attributes:
        key: where it lies.
    """

    def __init__(self, key: str, why: str, code: str = DAMAGED) -> None:
        hint = (
            "A later version of f5serve has written it; bring this one up to date."
            if code == TOO_NEW
            else "Send the request again, under the same id or a new one."
        )
        super().__init__(f"The record {key} cannot be read: {why}.", code=code, hint=hint)
        self.key = key

    def told(self) -> Record:
        """As the failure of the job that it belongs to."""
        return {
            "message": self.message,
            "code": self.code,
            "hint": self.hint,
            "retryable": self.code == TOO_NEW,
        }


class Damage:
    """The records that this process could not read; any thread may tell.

    Args:
        on_note: told the code each time.
    """

    def __init__(self, on_note: Callable[[str], None] | None = None) -> None:
        self._on_note = on_note
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}

    def note(self, error: RecordUnreadable) -> bool:
        """Count it; whether it is the first time that this record is met."""
        with self._lock:
            is_new = self._known.get(error.key) != error.code
            if is_new and len(self._known) >= MAX_NAMES:
                del self._known[next(iter(self._known))]
            self._known[error.key] = error.code
        if self._on_note is not None:
            self._on_note(error.code)
        return is_new

    def forget(self, key: str) -> None:
        """The record was written anew, or is gone."""
        if self._known:
            with self._lock:
                self._known.pop(key, None)

    def counts(self) -> dict[str, int]:
        """How many different records there are, by code."""
        with self._lock:
            return dict(Counter(self._known.values()))

    def first(self) -> str:
        """The key of one of them, "" without any."""
        with self._lock:
            return next(iter(self._known), "")


def parse(data: bytes, key: str, max_items: int = MAX_ITEMS) -> Record:
    """The JSON object in `data`, finite in every way.

    Raises:
        RecordUnreadable: it is none.
    """
    try:
        return parse_object(data, max_items)
    except InvalidDocument as error:
        raise RecordUnreadable(key, str(error)) from None


def read(data: bytes, key: str, shape: Check) -> Record:
    """`parse`, of this schema, and every known field of `shape`.

    Raises:
        RecordUnreadable: what is wrong, and where.
    """
    record = parse(data, key)
    schema = record.get("schema")
    if type(schema) is not int or schema < 1:
        raise RecordUnreadable(key, "it has no schema")
    if schema > SCHEMA:
        raise RecordUnreadable(key, f"its schema is {schema}, this version knows {SCHEMA}", TOO_NEW)
    wrong = shape(record)
    if wrong:
        raise RecordUnreadable(key, wrong)
    return record


def unreadable(error: StorageFailed, key: str) -> RecordUnreadable | None:
    """The error for a key under which a store finds what can be no record; None for a store that
    does not do its part."""
    if error.code not in _NEVER_READABLE:
        return None
    return RecordUnreadable(key, error.message.rstrip(".").replace(repr(key), "it"))


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

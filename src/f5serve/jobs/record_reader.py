"""Strict reader for every stored record: bytes to a checked record, or `RecordUnreadable`.

Whatever lies in the store is input. A record that is not JSON, is too deep, holds a number that is
none or half of a surrogate pair, lacks a field, has one of a wrong type, or is of a later schema
raises `RecordUnreadable`, and nothing else.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.jobs.records import (
    MAX_RECORD_BYTES,
    SCHEMA,
    JobSnapshot,
    Record,
    Status,
    folder_of,
)
from f5serve.jobs.schema import Check
from f5serve.store.base import ObjectStore
from f5serve.store.json_documents import MAX_ITEMS, InvalidDocument, parse_object

_log = logging.getLogger(__name__)

DAMAGED = "RECORD_DAMAGED"
TOO_NEW = "RECORD_TOO_NEW"
MAX_NAMES = 1_000

_NEVER_READABLE = frozenset({"OBJECT_TOO_LARGE", "NOT_A_FILE", "LINK_LEADS_OUT"})
"""Codes of a store that say that what lies under this one key can never be read as a record."""


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

    def as_failure(self) -> Record:
        """As the failure of the job that it belongs to."""
        return {
            "message": self.message,
            "code": self.code,
            "hint": self.hint,
            "retryable": self.code == TOO_NEW,
        }


class UnreadableRecords:
    """The records that this process could not read; any thread may tell.

    Args:
        on_note: called with the code each time.
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


class RecordReader:
    """Reads records of one store, and notes what cannot be read; any thread may call.

    Args:
        damage: where it is noted; None makes one.
    """

    def __init__(self, store: ObjectStore, damage: UnreadableRecords | None = None) -> None:
        self._store = store
        self.damage = damage or UnreadableRecords()

    def get(
        self, key: str, shape: Check, of: str = "", max_bytes: int = MAX_RECORD_BYTES
    ) -> Record | None:
        """The record under `key`, None where there is none.

        Args:
            of: the folder of the job that it must belong to, if it names one; "" for any.

        Raises:
            RecordUnreadable: it is no record of this shape.
            StorageFailed: the store does not do its part.
        """
        try:
            data = self._store.get(key, max_bytes)
            record = read(data, key, shape)
            job_id = record.get("job_id")
            if of and job_id is not None and folder_of(job_id) != of:
                raise RecordUnreadable(key, "it is another job's")
        except KeyMissing:
            self.damage.forget(key)
            return None
        except RecordUnreadable as error:
            self._note(error)
            raise
        except StorageFailed as error:
            reason = unreadable(error, key)
            if reason is None:
                raise
            self._note(reason)
            raise reason from None
        self.damage.forget(key)
        return record

    def find(self, key: str, shape: Check, of: str = "") -> Record | None:
        """As `get`; None, too, for what cannot be read."""
        try:
            return self.get(key, shape, of)
        except RecordUnreadable:
            return None

    def _note(self, error: RecordUnreadable) -> None:
        if self.damage.note(error):
            _log.warning("%s", error.message)


def unreadable_snapshot(job_id: str, error: RecordUnreadable) -> JobSnapshot:
    """Where a job stands whose record cannot be read."""
    return JobSnapshot(Status.FAILED, {"job_id": job_id, "failure": error.as_failure()}, error.code)

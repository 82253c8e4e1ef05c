"""Serialises the objects of the voice index: bases (all records) and notes (one change)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from f5serve.errors import StorageFailed
from f5serve.store.base import StoredObject
from f5serve.voices.names import casefold
from f5serve.voices.records import VoiceRecord, as_fields, read_json_object, read_record

SCHEMA: Final = 1
MAX_JSON_BYTES: Final = 128_000_000
"""Limit of a decompressed base."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A voice of the index.

    Attributes:
        record: as it was read.
        stamp: size and modification time of the record's object, from a listing before it was
            read; None if unknown, or too recent to distinguish two versions.
    """

    record: VoiceRecord
    stamp: tuple[int, str] | None = None


Entries = Mapping[str, Entry]
"""Voices by case-folded name."""


@dataclass(frozen=True, slots=True)
class Note:
    """A change of one voice, by case-folded name; `record` is None if it was deleted."""

    name: str
    record: VoiceRecord | None


@dataclass(frozen=True, slots=True)
class Base:
    """All voices at one moment: object name, names of the notes that are included, entries."""

    name: str
    notes: frozenset[str]
    entries: Entries


def stamp_of(item: StoredObject) -> tuple[int, str]:
    """Size and modification time, which change when an object is written again."""
    return item.size, item.modified.isoformat()


def dump_base(entries: Entries, notes: Iterable[str]) -> bytes:
    """A base as zlib-compressed JSON."""
    voices = [[as_fields(entry.record), entry.stamp] for entry in entries.values()]
    return zlib.compress(_dump({"notes": sorted(notes), "voices": voices}), 1)


def read_base(name: str, data: bytes) -> Base:
    """The base in `data`. Voices that cannot be read are left out; the next check finds them.

    Raises:
        ValueError: it is not a base of this version.
    """
    packed = zlib.decompressobj()
    try:
        unpacked = packed.decompress(data, MAX_JSON_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not packed.eof:
        raise ValueError("cut, or too large")
    fields = _fields(unpacked)
    notes, voices = fields.get("notes"), fields.get("voices")
    if not isinstance(notes, list) or not isinstance(voices, list):
        raise ValueError("no lists")
    entries: dict[str, Entry] = {}
    for voice in voices:
        try:
            fields, stamp = voice
            record = read_record(fields["name"], fields)
            entries[casefold(record.name)] = Entry(record, _read_stamp(stamp))
        except (ValueError, TypeError, KeyError, AttributeError, StorageFailed):
            continue
    return Base(name, frozenset(note for note in notes if isinstance(note, str)), entries)


def dump_note(note: Note) -> bytes:
    """A note as JSON."""
    return _dump({"name": note.name, "record": as_fields(note.record) if note.record else None})


def read_note(data: bytes) -> Note:
    """The note in `data`.

    Raises:
        ValueError: it is not a note of this version.
        StorageFailed: the record in it cannot be read.
    """
    fields = _fields(data)
    name, record = fields.get("name"), fields.get("record")
    if not isinstance(name, str) or casefold(name) != name:
        raise ValueError("no name")
    if record is None:
        return Note(name, None)
    if not isinstance(record, dict):
        raise ValueError("no record")
    return Note(name, read_record(name, record))


def _dump(fields: Mapping[str, Any]) -> bytes:
    whole = {"schema": SCHEMA, **fields}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()


def _fields(data: bytes) -> dict[str, Any]:
    fields = read_json_object(data)
    schema = fields.get("schema")
    if isinstance(schema, bool) or schema != SCHEMA:
        raise ValueError("another schema")
    return fields


def _read_stamp(stamp: Any) -> tuple[int, str] | None:
    if stamp is None:
        return None
    size, modified = stamp
    return (size, modified) if isinstance(size, int) and isinstance(modified, str) else None

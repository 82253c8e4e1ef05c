"""The objects of the index of voices as bytes, and back: bases and notes.

Entries and notes flow in, bytes flow out, and the other way round. Stores and times are not known
here; `index` tells what the objects are for.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from f5serve.errors import StorageFailed
from f5serve.store.base import StoredObject
from f5serve.voices.names import fold
from f5serve.voices.records import VoiceRecord, as_fields, read_fields, read_record

SCHEMA: Final = 1
MAX_JSON_BYTES: Final = 128_000_000
"""Of a base that is unpacked, so that none can fill the memory."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A voice of the index.

    Attributes:
        record: what it was when it was read.
        stamp: size and time of the record's object, of a listing before it was read; None where
            they are not known, or too young to tell two versions apart.
    """

    record: VoiceRecord
    stamp: tuple[int, str] | None = None


Entries = Mapping[str, Entry]
"""Voices by folded name."""


@dataclass(frozen=True, slots=True)
class Note:
    """A change of one voice, by folded name; None where it was removed."""

    name: str
    record: VoiceRecord | None


@dataclass(frozen=True, slots=True)
class Base:
    """A base: its name in the folder, the notes that are in it, and what they have led to."""

    name: str
    notes: frozenset[str]
    entries: Entries


def stamp_of(item: StoredObject) -> tuple[int, str]:
    """What changes when an object is written anew, as far as a listing tells."""
    return item.size, item.modified.isoformat()


def dump_base(entries: Entries, notes: Iterable[str]) -> bytes:
    """A base, compressed."""
    voices = [[as_fields(entry.record), entry.stamp] for entry in entries.values()]
    return zlib.compress(_dump({"notes": sorted(notes), "voices": voices}), 1)


def read_base(name: str, data: bytes) -> Base:
    """The base in `data`; a voice that cannot be read is left out, for the next check to find.

    Raises:
        ValueError: it is none of this version.
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
            entries[fold(record.name)] = Entry(record, _read_stamp(stamp))
        except (ValueError, TypeError, KeyError, AttributeError, StorageFailed):
            continue
    return Base(name, frozenset(note for note in notes if isinstance(note, str)), entries)


def dump_note(note: Note) -> bytes:
    """A note."""
    return _dump({"name": note.name, "record": as_fields(note.record) if note.record else None})


def read_note(data: bytes) -> Note:
    """The note in `data`.

    Raises:
        ValueError: it is none of this version.
        StorageFailed: the record in it cannot be read.
    """
    fields = _fields(data)
    name, record = fields.get("name"), fields.get("record")
    if not isinstance(name, str) or fold(name) != name:
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
    fields = read_fields(data)
    schema = fields.get("schema")
    if isinstance(schema, bool) or schema != SCHEMA:
        raise ValueError("another schema")
    return fields


def _read_stamp(stamp: Any) -> tuple[int, str] | None:
    if stamp is None:
        return None
    size, modified = stamp
    return (size, modified) if isinstance(size, int) and isinstance(modified, str) else None

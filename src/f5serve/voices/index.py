"""The index of voices: all records in few objects, so that lists need not read every record.

    voices/_index/base-MS-ID.json.gz   all records at one moment; the newest one is valid
    voices/_index/note-MS-ID.json      one change since then: a record, or a deleted name

Both are immutable, so a listing of this folder shows what is new. The index is a cache: a process
that writes or deletes a voice adds a note. If a note is missing, `check` finds the difference in a
listing of the records, which are the truth. docs/decisions/0026.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from f5serve.errors import F5Error, KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.voices import names
from f5serve.voices.index_format import (
    Base,
    Entries,
    Entry,
    Note,
    dump_base,
    dump_note,
    read_base,
    read_note,
    stamp_of,
)
from f5serve.voices.records import MAX_RECORD_BYTES, UNREADABLE, VoiceRecord, load_record

_log = logging.getLogger(__name__)

T = TypeVar("T")

INDEX: Final = f"{names.ROOT}_index/"
MERGE_AT: Final = 50
"""A reader that finds more notes than this writes a new base."""

LATE_S: Final = 60.0
"""Largest delay of a listing. Until then, outdated objects are kept, and notes of this process are
used even if they are not listed."""

_NEVER_READABLE: Final = ("OBJECT_TOO_LARGE", "NOT_A_FILE", "LINK_LEADS_OUT")
_SETTLED_S: Final = 5.0  # below it, two versions of a record may have the same time
_READERS: Final = 8
_MAX_OWN: Final = 256
_MAX_CLEANED: Final = 500
_MAX_BASE_BYTES: Final = 32_000_000
_FUTURE_MS: Final = 86_400_000  # names from further ahead are wrong
_NAME = re.compile(r"(base-[0-9]{13}-[0-9a-f]{8}\.json\.gz)|(note-[0-9]{13}-[0-9a-f]{8}\.json)")


@dataclass(slots=True)
class _Listed:
    """Object names of the index: bases, newest first; notes, oldest first.

    `others` have a time in the future, and would hide later ones.
    """

    bases: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


class Index:
    """The index of one store; for any number of threads and processes.

    Args:
        merge_at: see MERGE_AT.
    """

    def __init__(self, store: ObjectStore, merge_at: int = MERGE_AT) -> None:
        self._store = store
        self._merge_at = merge_at
        self._lock = threading.Lock()  # never held during a call of the store
        self._last_ms = 0
        self._base: Base | None = None
        self._bad_bases: set[str] = set()
        self._notes: dict[str, Note] = {}
        self._own: dict[str, tuple[float, Note]] = {}  # notes of this process, with their time
        self._checked: Entries = {}  # of the last check
        self._unreadable: Mapping[str, tuple[int, str]] = {}  # stamps, of the last check

    @property
    def unreadable(self) -> int:
        """Number of records that the last check could not read."""
        return len(self._unreadable)

    def note(self, name: str, record: VoiceRecord | None) -> None:
        """Note that a record was written, or deleted (None); errors are only logged."""
        note = Note(names.casefold(name), record)
        try:
            key = self._new_name("note", "json")
            self._store.put(INDEX + key, dump_note(note), "application/json")
            with self._lock:
                self._own[key] = (time.monotonic(), note)
                while len(self._own) > _MAX_OWN:
                    del self._own[next(iter(self._own))]
            if secrets.randbelow(self._merge_at) == 0:  # merge even without listings
                self.load()
        except StorageFailed as error:  # the next check finds the difference
            _log.warning("the index of voices may lack %s for now: %s", note.name, error.message)

    def load(self) -> Entries | None:
        """All voices, from the index alone; None if there is no base.

        The number of requests does not depend on the number of voices.

        Raises:
            StorageFailed: the store's own code.
        """
        listed = self._list()
        base = self._load_base(listed)
        if base is None:
            if len(listed.notes) > self._merge_at:
                self._clean(listed.notes)
            return None
        changes = self._changes(listed, base)
        entries = _apply(base.entries, changes)
        if len(changes) > self._merge_at:
            notes = {*changes, *(note for note in listed.notes if note in base.notes)}
            self._write(entries, notes, listed, base)
        return entries

    def check(self, rewrite: bool = False, may_write: bool = True) -> Entries:
        """All voices, from the records; corrects the index where it differs.

        Costs a listing of all records, and one request for each that differs from the index.

        Args:
            rewrite: write a base even if nothing has changed, and delete all older objects at
                once, so that none names a deleted voice.
            may_write: False writes nothing.

        Raises:
            StorageFailed: the store's own code.
        """
        now = self._store.now()
        stored = {
            name: item
            for item in self._store.list(names.RECORDS)
            if (name := names.parse_record_key(item.key))
        }
        listed = self._list()
        base = self._load_base(listed)
        changes = self._changes(listed, base)
        known = _apply(base.entries if base else {}, changes)
        entries, is_changed, read = self._compare(known, stored, now)
        is_worth_it = is_changed or read >= self._merge_at or (base is None and bool(entries))
        if may_write and (is_worth_it or rewrite):
            self._write(entries, {*changes, *listed.notes}, listed, base, at_once=rewrite)
        return entries

    def _compare(
        self, known: Entries, stored: Mapping[str, StoredObject], now: float
    ) -> tuple[dict[str, Entry], bool, int]:
        """All voices, whether the index differs, and how many records were read."""
        entries: dict[str, Entry] = {}
        to_read = [name for name in known if name not in stored]  # listings may be late
        for name, item in stored.items():
            stamp, entry, checked = stamp_of(item), known.get(name), self._checked.get(name)
            if entry and checked and entry.stamp != stamp and checked.record == entry.record:
                entry = checked  # a note has no stamp
            if entry is not None and entry.stamp == stamp:
                entries[name] = entry
            elif entry is not None or self._unreadable.get(name) != stamp:
                to_read.append(name)
        is_changed = False
        unreadable = {name: s for name, s in self._unreadable.items() if name in stored}
        records = _map_threads(self._read, to_read)
        for name, (record, is_certain) in zip(to_read, records, strict=True):
            before, found = known.get(name), stored.get(name)
            if not is_certain:  # the store failed: as in the index, until the next check
                if before is not None:
                    entries[name] = before
                continue
            is_changed |= record != (before.record if before else None)
            is_settled = found is not None and now - found.modified.timestamp() > _SETTLED_S
            settled = stamp_of(found) if found is not None and is_settled else None
            if record is not None:
                entries[name] = Entry(record, settled)
            elif settled is not None:
                unreadable[name] = settled
        self._checked, self._unreadable = entries, unreadable
        return entries, is_changed, len(to_read)

    def _read(self, name: str) -> tuple[VoiceRecord | None, bool]:
        """A record, None if there is none or it is unreadable; and whether that is certain."""
        try:
            data = self._store.get(names.record_key(name), MAX_RECORD_BYTES)
            return load_record(name, data), True
        except KeyMissing:
            return None, True
        except F5Error as error:
            _log.warning("the voice %s is left out of the list: %s", name, error.message)
            return None, error.code in (*UNREADABLE, *_NEVER_READABLE)

    def _list(self) -> _Listed:
        found = _Listed()
        latest_ms = int(self._store.now() * 1000) + _FUTURE_MS
        for item in self._store.list(INDEX):
            name = item.key.removeprefix(INDEX)
            match = _NAME.fullmatch(name)
            if match is None:
                continue
            if _ms(name) > latest_ms:
                found.others.append(name)
            else:
                (found.bases if match[1] else found.notes).append(name)
        found.bases.sort(reverse=True)
        found.notes.sort()
        return found

    def _load_base(self, listed: _Listed) -> Base | None:
        """The newest readable base."""
        with self._lock:
            known, bad = self._base, set(self._bad_bases)
        for name in listed.bases:
            if known is not None and known.name >= name:
                return known
            if name in bad:
                continue
            try:
                base = read_base(name, self._store.get(INDEX + name, _MAX_BASE_BYTES))
            except KeyMissing:  # deleted since: the listing is late
                continue
            except ValueError as error:
                _log.warning("an index of voices is passed over: %s", error)
                with self._lock:
                    self._bad_bases = {*(self._bad_bases & {*listed.bases}), name}
                continue
            with self._lock:
                self._base = base
            return base
        return known

    def _changes(self, listed: _Listed, base: Base | None) -> dict[str, Note]:
        """The notes that are not included in the base, oldest first."""
        included = base.notes if base else frozenset()
        since = time.monotonic() - LATE_S
        with self._lock:
            self._own = {key: own for key, own in self._own.items() if own[0] > since}
            known = {key: self._notes[key] for key in listed.notes if key in self._notes}
            known |= {key: note for key, (_, note) in self._own.items()}
        missing = [key for key in listed.notes if key not in known and key not in included]
        for key, note in zip(missing, _map_threads(self._read_note, missing), strict=True):
            if note is not None:
                known[key] = note
        with self._lock:
            self._notes = known
        return {key: known[key] for key in sorted(known) if key not in included}

    def _read_note(self, key: str) -> Note | None:
        try:
            return read_note(self._store.get(INDEX + key, 2 * MAX_RECORD_BYTES))
        except KeyMissing:
            return None
        except (StorageFailed, ValueError) as error:  # the next check finds the change
            _log.warning("a note of a voice is passed over: %s", error)
            return None

    def _write(
        self,
        entries: Entries,
        notes: Iterable[str],
        listed: _Listed,
        base: Base | None,
        at_once: bool = False,
    ) -> None:
        """Write a base of these entries, which include these notes; errors are only logged."""
        included = frozenset(notes)
        data = dump_base(entries, included)
        if len(data) > _MAX_BASE_BYTES:
            _log.warning("there are too many voices for an index: %d", len(entries))
            return
        try:
            after = [*listed.bases[:1], *([base.name] if base else [])]
            name = self._new_name("base", "json.gz", after)
            with self._lock:  # valid in this process even if the write fails
                self._base = Base(name, included, entries)
            self._store.put(INDEX + name, data, "application/gzip")
            if at_once:
                self._clean([*listed.others, *listed.bases, *listed.notes], at_once=True)
            else:  # other readers may still use the former base and its notes
                covered = base.notes if base else frozenset()
                old = [name for name in listed.bases if base is None or name != base.name]
                self._clean([*old, *(note for note in listed.notes if note in covered)])
        except StorageFailed as error:
            _log.warning("the index of voices is not written: %s", error.message)

    def _clean(self, old: Sequence[str], at_once: bool = False) -> None:
        before_ms = (self._store.now() - LATE_S) * 1000
        gone = [name for name in old if at_once or _ms(name) < before_ms]
        _map_threads(lambda name: self._store.delete(INDEX + name), gone[:_MAX_CLEANED])

    def _new_name(self, kind: str, ending: str, after: Iterable[str] = ()) -> str:
        """An object name that sorts after all names of this process and of `after`."""
        now_ms = int(self._store.now() * 1000)
        with self._lock:
            self._last_ms = max(now_ms, self._last_ms + 1, *(_ms(name) + 1 for name in after))
            return f"{kind}-{self._last_ms:013d}-{secrets.token_hex(4)}.{ending}"


def _apply(entries: Entries, changes: Mapping[str, Note]) -> dict[str, Entry]:
    """The entries after these changes."""
    applied = dict(entries)
    for note in changes.values():
        if note.record is None:
            applied.pop(note.name, None)
        else:
            applied[note.name] = Entry(note.record)
    return applied


def _ms(name: str) -> int:
    """Time of an object name: milliseconds since 1970, by the clock of the store."""
    return int(name.split("-")[1])


def _map_threads(call: Callable[[str], T], items: Sequence[str]) -> list[T]:
    if len(items) < 2:
        return [call(name) for name in items]
    with ThreadPoolExecutor(_READERS, "voices") as pool:
        return list(pool.map(call, items))

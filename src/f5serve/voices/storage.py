"""Reads, writes and deletes voices in the store, and collects unreferenced recordings.

A voice is a record and two blobs, audio and text. Blobs are written before the record that names
them and deleted before it, and a writer checks them once more after its record: a record never
lacks its blobs, even if others write or delete it at the same time. docs/decisions/0009.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.voices import names
from f5serve.voices.disk_cache import DiskCache
from f5serve.voices.records import (
    MAX_AUDIO_BYTES,
    MAX_RECORD_BYTES,
    Blob,
    VoiceRecord,
    damaged_error,
    dump_record,
    load_record,
)

_log = logging.getLogger(__name__)

GRACE_S: Final = 3_600.0
"""Younger blobs are kept, and those of a voice with a younger record: someone may be reading them,
or about to write the record that names them."""

_BLOB = re.compile(r"([^/]+)/([0-9a-f]{64})\.(wav|txt)")


@dataclass(slots=True)
class GcReport:
    """Number and bytes of deleted blobs."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class GcOptions:
    """Options of a garbage collection.

    Attributes:
        grace_s: see GRACE_S.
        dry_run: count only.
        on_file: called with the key of each deleted blob.
        should_stop: asked before each voice.
    """

    grace_s: float = GRACE_S
    dry_run: bool = False
    on_file: Callable[[str], None] | None = None
    should_stop: Callable[[], bool] = lambda: False


class VoiceStorage:
    """The voices of one store.

    Args:
        cache: of this machine, for blobs.
        on_change: called with name and record of a voice that was written, None if deleted.
    """

    def __init__(
        self,
        store: ObjectStore,
        cache: DiskCache,
        on_change: Callable[[str, VoiceRecord | None], None],
    ) -> None:
        self._store = store
        self._cache = cache
        self._on_change = on_change

    def read(self, name: str) -> VoiceRecord | None:
        """The current record, by one request; None if there is none.

        Raises:
            StorageFailed: VOICE_RECORD_TOO_NEW, VOICE_RECORD_DAMAGED, or the store's own code.
        """
        try:
            data = self._store.get(names.record_key(name), MAX_RECORD_BYTES)
        except KeyMissing:
            return None
        except StorageFailed as error:
            if error.code not in ("OBJECT_TOO_LARGE", "NOT_A_FILE"):
                raise
            raise damaged_error(name) from None
        return load_record(name, data)

    def read_audio(self, record: VoiceRecord) -> bytes:
        """The canonical recording as wav; downloaded once per machine.

        Raises:
            KeyMissing: the voice was deleted or replaced since its record was read.
        """
        return self._read_blob(record.name, _blob_keys(record)[0], record.audio)

    def read_text(self, record: VoiceRecord) -> str:
        """The transcript; downloads and errors as `read_audio`."""
        if record.text is None:
            raise damaged_error(record.name)
        return self._read_blob(record.name, _blob_keys(record)[1], record.text).decode()

    def _read_blob(self, name: str, key: str, blob: Blob) -> bytes:
        return self._cache.get(name, blob, lambda: self._store.get(key, blob.size))

    def write(self, record: VoiceRecord, audio: bytes, text: bytes) -> None:
        """Write a voice; it is complete when this returns."""
        audio_key, text_key = _blob_keys(record)
        blobs = {audio_key: (audio, "audio/wav"), text_key: (text, "text/plain")}
        for key, (data, content_type) in blobs.items():
            self._store.put(key, data, content_type)
        self._store.put(names.record_key(record.name), dump_record(record), "application/json")
        gone = [key for key in blobs if not self._store.exists(key)]
        if gone and self._store.exists(names.record_key(record.name)):
            for key in gone:  # someone deleted the former voice meanwhile, but not this one
                self._store.put(key, *blobs[key])
        self._on_change(record.name, record)

    def delete(self, name: str, record: VoiceRecord | None) -> None:
        """Delete all blobs of a voice, then its record; it need not exist."""
        keys = {entry.key for entry in self._store.list(names.blob_folder(name))}
        if record is not None:  # listings may be late
            keys.update(_blob_keys(record))
        for key in sorted(keys):
            self._store.delete(key)
        self._store.delete(names.record_key(name))
        self._cache.drop(name)
        self._on_change(name, None)

    def collect_garbage(self, known: Mapping[str, VoiceRecord], options: GcOptions) -> GcReport:
        """Delete blobs that no record has named for `grace_s`.

        Costs a listing of all records and blobs. It may be stopped and repeated at any time, and
        run in several processes at once.

        Args:
            known: all records by case-folded name.

        Raises:
            StorageFailed: the store's own code.
        """
        report = GcReport()
        before = self._store.now() - options.grace_s
        changed = {
            name: entry.modified.timestamp()
            for entry in self._store.list(names.RECORDS)
            if (name := names.parse_record_key(entry.key))
        }
        for name, blobs in self._list_blobs().items():
            if options.should_stop():
                return report
            if name in changed and (name not in known or changed[name] >= before):
                continue  # its record cannot be read, or is too young
            named = _blob_keys(known[name]) if name in known else ()
            old = [b for b in blobs if b.key not in named and b.modified.timestamp() < before]
            try:
                for blob in old:
                    self._collect(name, blob, report, options)
            except StorageFailed as error:
                _log.warning("the recordings of %s are not swept: %s", name, error.message)
        return report

    def _collect(self, name: str, blob: StoredObject, report: GcReport, options: GcOptions) -> None:
        """Delete a blob; it is restored if a record names it by now."""
        if self._is_named(name, blob.key):
            return
        if not options.dry_run:
            try:
                data = self._store.get(blob.key, MAX_AUDIO_BYTES)
            except KeyMissing:  # another process was faster
                return
            self._store.delete(blob.key)
            if self._is_named(name, blob.key):
                content_type = "audio/wav" if blob.key.endswith(".wav") else "text/plain"
                self._store.put(blob.key, data, content_type)
                return
        report.files += 1
        report.bytes += blob.size
        if options.on_file is not None:
            options.on_file(blob.key)

    def _is_named(self, name: str, key: str) -> bool:
        record = self.read(name)
        return record is not None and key in _blob_keys(record)

    def _list_blobs(self) -> dict[str, list[StoredObject]]:
        """Blobs by the case-folded name of their voice."""
        found: defaultdict[str, list[StoredObject]] = defaultdict(list)
        for entry in self._store.list(names.BLOBS):
            match = _BLOB.fullmatch(entry.key.removeprefix(names.BLOBS))
            if match:
                found[match[1]].append(entry)
        return dict(sorted(found.items()))


def _blob_keys(record: VoiceRecord) -> tuple[str, ...]:
    """Keys of the audio and, if there is one, the text."""
    keys = (names.audio_key(record.name, record.audio.sha256),)
    text = record.text
    return keys if text is None else (*keys, names.text_key(record.name, text.sha256))

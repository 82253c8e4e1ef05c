"""Deletes recordings and transcripts that no record refers to, after a time of grace."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.voices import names
from f5serve.voices.records import MAX_AUDIO_BYTES, VoiceRecord
from f5serve.voices.storage import VoiceStorage, blob_keys

_log = logging.getLogger(__name__)

GRACE_S: Final = 3_600.0
"""Younger blobs are kept, and those of a voice with a younger record: another process may read
them, or be about to write the record that names them."""


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


class GarbageCollection:
    """One run over a store; it may be stopped, repeated, and run in several processes at once."""

    def __init__(self, store: ObjectStore, storage: VoiceStorage, options: GcOptions) -> None:
        self._store = store
        self._storage = storage
        self._options = options
        self._changed: dict[str, float] = {}  # times of records, by case-folded name
        self._report = GcReport()

    def run(self, known: Mapping[str, VoiceRecord]) -> GcReport:
        """Delete blobs that no record has named for `grace_s`.

        A style needs its voice: its blobs go if the voice has no record. Costs a listing of all
        records and blobs, and a request for each style with several recordings.

        Args:
            known: the records of all voices, by case-folded name.

        Raises:
            StorageFailed: the store's own code.
        """
        before = self._store.now() - self._options.grace_s
        for name, blobs in sorted(self._list().items()):
            if self._options.should_stop():
                break
            if self._changed.get(name, float("-inf")) >= before:
                continue
            try:
                named = self._named(name, blobs, known)
                for blob in blobs:
                    if blob.key not in named and blob.modified.timestamp() < before:
                        self._collect(name, blob)
            except StorageFailed as error:
                _log.warning("the recordings of %s are not swept: %s", name, error.message)
        return self._report

    def _list(self) -> dict[str, list[StoredObject]]:
        """All blobs by the case-folded name of their record; notes the times of all records."""
        blobs: defaultdict[str, list[StoredObject]] = defaultdict(list)
        for folder in (names.RECORDS, names.STYLES, names.BLOBS):
            for entry in self._store.list(folder):
                record = names.parse_record_key(entry.key)
                if record is not None:
                    self._changed[record] = entry.modified.timestamp()
                    continue
                owner = names.parse_blob_key(entry.key)
                if owner is not None:
                    blobs[owner].append(entry)
        return blobs

    def _named(
        self, name: str, blobs: Sequence[StoredObject], known: Mapping[str, VoiceRecord]
    ) -> Collection[str]:
        """Keys that the record of this name refers to, and more if it cannot be read."""
        if name not in self._changed:
            return ()
        keys = [blob.key for blob in blobs]
        voice, style = names.split_record_name(name)
        if not style:
            return blob_keys(known[name]) if name in known else keys
        is_plain = len({key.rpartition(".")[2] for key in keys}) == len(keys)
        if is_plain and voice in self._changed:  # a record never lacks its blobs: it names these
            return keys
        return [key for key in keys if self._is_named(name, key)]

    def _collect(self, name: str, blob: StoredObject) -> None:
        """Delete a blob; it is restored if a record names it by now."""
        if self._is_named(name, blob.key):
            return
        if not self._options.dry_run:
            try:
                data = self._store.get(blob.key, MAX_AUDIO_BYTES)
            except KeyMissing:  # another process was faster
                return
            self._store.delete(blob.key)
            if self._is_named(name, blob.key):
                content_type = "audio/wav" if blob.key.endswith(".wav") else "text/plain"
                self._store.put(blob.key, data, content_type)
                return
        self._report.files += 1
        self._report.bytes += blob.size
        if self._options.on_file is not None:
            self._options.on_file(blob.key)

    def _is_named(self, name: str, key: str) -> bool:
        """Whether the record of this name, and that of its voice, exist and it names this key."""
        record = self._storage.read(name)
        if record is None or key not in blob_keys(record):
            return False
        return not record.style or self._storage.read(record.voice) is not None

"""Records and their blobs in a store: read, written and removed so that no crash leaves half.

A record flows in with the bytes it speaks of, and out again. Blobs are put before the record that
names them and removed before it, and a writer looks for them once more after its record; so whoever
writes or removes at the same time, a record that stays has its blobs. What voices mean is not known
here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore
from f5serve.voices import names
from f5serve.voices.disk_cache import DiskCache
from f5serve.voices.records import (
    MAX_RECORD_BYTES,
    Blob,
    VoiceRecord,
    damaged,
    dump_record,
    load_record,
)


class Shelf:
    """Where voices are kept.

    Args:
        store: of records and blobs.
        cache: of this machine, for the blobs.
        on_change: told the name and the record of a voice that was written, None of one removed.
    """

    def __init__(
        self,
        store: ObjectStore,
        cache: DiskCache,
        on_change: Callable[[str, VoiceRecord | None], None],
    ) -> None:
        self._store = store
        self._on_change = on_change
        self._cache = cache

    def read(self, name: str) -> VoiceRecord | None:
        """The record as it is now, by one request; None when there is none.

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
            raise damaged(name) from None
        return load_record(name, data)

    def write(self, record: VoiceRecord, audio: bytes, text: bytes) -> None:
        """Keep a voice; it is there, whole, when this returns."""
        blobs = {
            names.audio_key(record.name, record.audio.sha256): (audio, "audio/wav"),
            names.text_key(record.name, hashlib.sha256(text).hexdigest()): (text, "text/plain"),
        }
        for key, (data, content_type) in blobs.items():
            self._store.put(key, data, content_type)
        self._store.put(names.record_key(record.name), dump_record(record), "application/json")
        gone = [key for key in blobs if not self._store.exists(key)]
        if gone and self._store.exists(names.record_key(record.name)):
            for key in gone:  # somebody removed the former voice meanwhile, and not this one
                self._store.put(key, *blobs[key])
        self._on_change(record.name, record)

    def remove(self, name: str, record: VoiceRecord | None) -> None:
        """Remove a voice and all that it ever was; no error for what is not there."""
        keys = set()
        if record is not None and record.text is not None:
            keys |= {
                names.audio_key(name, record.audio.sha256),
                names.text_key(name, record.text.sha256),
            }
        keys |= {entry.key for entry in self._store.list(names.blob_folder(name))}
        for key in sorted(keys):
            self._store.delete(key)
        self._store.delete(names.record_key(name))
        self._cache.drop(name)
        self._on_change(name, None)

    def audio(self, record: VoiceRecord) -> bytes:
        """The canonical recording, downloaded once per machine.

        Raises:
            KeyMissing: the voice was removed or replaced since its record was read.
        """
        key = names.audio_key(record.name, record.audio.sha256)
        return self._blob(record.name, key, record.audio)

    def text(self, record: VoiceRecord) -> str:
        """The words of the recording; as `audio` otherwise."""
        if record.text is None:
            raise damaged(record.name)
        key = names.text_key(record.name, record.text.sha256)
        return self._blob(record.name, key, record.text).decode()

    def _blob(self, name: str, key: str, blob: Blob) -> bytes:
        return self._cache.get(name, blob, lambda: self._store.get(key, blob.size))

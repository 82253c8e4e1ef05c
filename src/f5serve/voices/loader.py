"""Loads the voices of records, URLs and recordings, through the caches of this machine."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

from f5serve.audio.encode import read_wav
from f5serve.download.connection import NetworkPolicy
from f5serve.download.url import FetchLimits, fetch_url
from f5serve.errors import BadAudio, StorageFailed
from f5serve.types import SAMPLE_RATE, Voice
from f5serve.voices.caches import DiskCache, VoiceCache
from f5serve.voices.names import casefold
from f5serve.voices.records import VoiceRecord, damaged_error
from f5serve.voices.storage import VoiceBuilder, VoiceStorage, VoiceUpload
from f5serve.voices.transcripts import transcript_warnings

_URL = "url:"  # of voices without a record in the cache; no name has a colon


class VoiceLoader:
    """The voices of one store on one machine; thread-safe.

    Args:
        limits: for voices given as URLs.
        network: network access for them; None is the real network.
    """

    def __init__(  # noqa: PLR0913 - wired once, by the library
        self,
        storage: VoiceStorage,
        builder: VoiceBuilder,
        disk: DiskCache,
        memory: VoiceCache,
        limits: FetchLimits,
        network: NetworkPolicy | None,
    ) -> None:
        self._storage = storage
        self._builder = builder
        self._disk = disk
        self._memory = memory
        self._limits = limits
        self._network = network
        self._guard = threading.Lock()
        self._preparing: WeakValueDictionary[str, Any] = WeakValueDictionary()

    def load(self, record: VoiceRecord) -> Voice:
        """The voice of a record.

        Raises:
            KeyMissing: it was deleted or replaced since its record was read.
            StorageFailed: VOICE_RECORD_DAMAGED, or the store's own code.
        """
        cached = self._memory.get(casefold(record.name), record.revision)
        voice = cached or self._read(record)
        # All but audio and transcript may change within a revision.
        if (voice.language, voice.normalize) != (record.language, record.normalize):
            voice = replace(voice, language=record.language, normalize=record.normalize)
        warnings = transcript_warnings(voice, record.needs_review)
        if voice.warnings != warnings:
            voice = replace(voice, warnings=warnings)
        if voice is not cached:
            self._memory.put(casefold(record.name), record.revision, voice)
        return voice

    def from_url(self, url: str, upload: VoiceUpload) -> Voice:
        """The voice of a recording on the web; errors as `VoiceLibrary.from_url`.

        Args:
            upload: what is known of it, without name and recording.
        """
        self._builder.check(upload, None)
        data = fetch_url(url, self._limits, what="voice", network=self._network)
        return self._prepared("url", replace(upload, data=data))

    def from_bytes(self, upload: VoiceUpload) -> Voice:
        """The voice of a recording, which is not kept; errors as `VoiceLibrary.from_bytes`.

        Args:
            upload: the recording, and what is known of it, without name.
        """
        self._builder.check(upload, None)
        return self._prepared("recording", upload)

    def _prepared(self, origin: str, upload: VoiceUpload) -> Voice:
        """The voice, named after where it is from; one thread prepares it, others wait for that."""
        words = f"{upload.language}\0{upload.ref_text}".encode()
        key = hashlib.sha256(hashlib.sha256(upload.data).digest() + words).hexdigest()
        name = f"{origin}-{key[:12]}"
        with self._guard:
            lock = self._preparing.setdefault(key, threading.Lock())
        with lock:
            voice = self._memory.get(_URL, key)
            if voice is None:
                voice = self._builder.prepare(replace(upload, name=name)).voice
                self._memory.put(_URL, key, voice)
        return voice if voice.name == name else replace(voice, name=name)

    def add(self, record: VoiceRecord, voice: Voice) -> None:
        """Cache a voice that was just written, in place of its former revisions."""
        self.evict(record.name, keep=record)
        self._memory.put(casefold(record.name), record.revision, voice)

    def evict(self, name: str, keep: VoiceRecord | None = None) -> int:
        """Drop all but the revision `keep` of a voice from the caches.

        Returns:
            The number of files dropped.
        """
        self._memory.evict(casefold(name), keep.revision if keep else "")
        blobs = (keep.audio, keep.text) if keep else ()
        return self._disk.drop(name, [blob.sha256 for blob in blobs if blob])

    def names(self) -> set[str]:
        """Case-folded names of the records in the caches."""
        return {*self._disk.names(), *self._memory.names()} - {_URL}

    def evict_stale(self, known: Mapping[str, VoiceRecord]) -> int:
        """Evict all that is deleted or replaced.

        Args:
            known: records by case-folded name; the others are looked up one by one.

        Returns:
            The number of files deleted from the disk.
        """
        deleted = 0
        for name in self.names():
            record = known.get(name)
            with contextlib.suppress(StorageFailed):  # it may have been put since
                record = record or self._storage.read(name)
            deleted += self.evict(name, keep=record)
        return deleted + self._disk.drop_unnamed()

    def _read(self, record: VoiceRecord) -> Voice:
        self.evict(record.name, keep=record)
        try:
            text = self._storage.read_text(record)
            wave = read_wav(self._storage.read_audio(record))
        except (BadAudio, UnicodeDecodeError):
            raise damaged_error(record.name) from None
        if wave.sample_rate != SAMPLE_RATE:
            raise damaged_error(record.name)
        return Voice(
            *(record.voice, wave, text, record.revision, record.language),
            normalize=record.normalize,
            style=record.style,
        )

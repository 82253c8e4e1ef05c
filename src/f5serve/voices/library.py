"""The voice library: creates, finds, lists and deletes voices by name, over any store.

A cached voice costs one small request, which checks that it still exists and has not changed.
docs/decisions/0009.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from f5serve.audio.encode import read_wav
from f5serve.download.connection import NetworkPolicy
from f5serve.download.url import FetchLimits, fetch_url
from f5serve.errors import BadAudio, InvalidRequest, KeyMissing, StorageFailed
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.types import SAMPLE_RATE, Voice
from f5serve.voices import names
from f5serve.voices.caches import MAX_BYTES, DiskCache, ExistsCache, VoiceCache
from f5serve.voices.catalog import MAX_PAGE, Catalog, Page
from f5serve.voices.external_files import ExternalFiles
from f5serve.voices.lexicon_records import lexicon_key
from f5serve.voices.names import casefold, check_name
from f5serve.voices.prepare import NO_TRANSCRIBER, Transcriber, default_voice
from f5serve.voices.records import DAMAGED, UNREADABLE, Consent, VoiceRecord, damaged_error
from f5serve.voices.storage import GcOptions, GcReport, VoiceBuilder, VoiceStorage, VoiceUpload
from f5serve.voices.transcripts import transcript_warnings

_TRIES = 4
_PAUSE_S = 0.05  # for a voice that is replaced at this moment
_URL = "url:"  # key in the cache; no name has a colon


@dataclass(frozen=True, slots=True)
class LibraryOptions:
    """Limits and times of a library.

    Attributes:
        fetch_limits: for voices given as URLs.
        network: network access for them; None is the real network.
        external_refresh_s: least time between two checks of a voice for changed external files.
        exists_ttl_s: how long `exists` caches its answer.
        missing_ttl_s: how long it is cached that a name has no external files.
        list_ttl_s: how long a page of voices is cached.
        check_interval_s: least time between two checks of the index in the background; infinite
            for none.
        voices_in_memory: at most; each takes up to 1.2 MB.
        cache_bytes: at most, of recordings and transcripts on the local disk.
    """

    fetch_limits: FetchLimits = field(default_factory=FetchLimits)
    network: NetworkPolicy | None = None
    external_refresh_s: float = 60.0
    exists_ttl_s: float = 10.0
    missing_ttl_s: float = 5.0
    list_ttl_s: float = 1.0
    check_interval_s: float = 45.0
    voices_in_memory: int = 32
    cache_bytes: int = MAX_BYTES


class VoiceNotFound(InvalidRequest):
    """There is no voice of this name; code VOICE_NOT_FOUND.

    Args:
        near: similar names, the most similar first.
    """

    def __init__(self, name: str, near: tuple[str, ...]) -> None:
        meant = f"Did you mean {' or '.join(near)}? " if near else ""
        super().__init__(
            f"There is no voice {name!r}.",
            code="VOICE_NOT_FOUND",
            hint=f"{meant}See list_voices for all names, or upload the voice.",
        )
        self.near = near


def open_library(
    settings: Settings, store: ObjectStore, transcriber: Transcriber = NO_TRANSCRIBER
) -> VoiceLibrary:
    """The library that the settings describe; nothing is read or written yet."""
    return VoiceLibrary(
        store,
        settings.data_dir / "cache" / "voices",
        require_consent=settings.require_consent,
        transcriber=transcriber,
        options=LibraryOptions(fetch_limits=FetchLimits(allow_http=settings.allow_http_urls)),
    )


class VoiceLibrary:
    """Voices by name; for any number of threads, processes and machines over one store.

    Args:
        store: voices are kept under `voices/`.
        cache_dir: local folder; processes may share it.
        require_consent: refuse new voices without consent.
        transcriber: for transcripts that are missing, too long or wrong.
    """

    def __init__(
        self,
        store: ObjectStore,
        cache_dir: Path,
        require_consent: bool = False,
        transcriber: Transcriber = NO_TRANSCRIBER,
        options: LibraryOptions | None = None,
    ) -> None:
        self._store = store
        self._options = options = options or LibraryOptions()
        self._catalog = Catalog(store, options.list_ttl_s, options.check_interval_s)
        self._disk_cache = DiskCache(cache_dir, options.cache_bytes)
        self._storage = VoiceStorage(store, self._disk_cache, self._catalog.note)
        self._builder = VoiceBuilder(store, self._storage, require_consent, transcriber)
        self._cache = VoiceCache(options.voices_in_memory)
        self._exists = ExistsCache(options.exists_ttl_s)
        self._external = ExternalFiles(
            *(store, self._storage, self._builder, self._catalog.files),
            *(options.external_refresh_s, options.missing_ttl_s),
        )

    @property
    def unreadable(self) -> int:
        """Number of records that could not be read when all were listed last."""
        return self._catalog.unreadable

    @property
    def can_transcribe(self) -> bool:
        """Whether a recording may be added without its transcript."""
        return self._builder.can_transcribe

    def get(self, name: str | None) -> Voice:
        """The current voice of a name; None and "default" are the packaged voice.

        Raises:
            InvalidRequest: VOICE_NOT_FOUND, BAD_VOICE_NAME, RESERVED_VOICE_NAME, or a code of
                `prepare_voice` for external files.
            BadAudio: as `prepare_voice`, for external files.
            StorageFailed: VOICE_RECORD_TOO_NEW, VOICE_RECORD_DAMAGED, VOICE_CHANGING, BUSY, or
                the store's own code.
        """
        if name is None or names.is_default(name):
            return default_voice()
        name = check_name(name)
        for attempt in range(_TRIES):
            time.sleep(_PAUSE_S * attempt)
            record = self._current(name)
            try:
                return self._load(record)
            except KeyMissing:
                continue
        raise damaged_error(name)

    def get_record(self, name: str) -> VoiceRecord:
        """The metadata of a voice; errors as `get`. The packaged voice has none."""
        return self._current(check_name(name))

    def exists(self, name: str) -> bool:
        """Whether there is such a voice; cached for some seconds, so cheap for every request.

        Errors as `get`. Of external files, those in the same capitals count.
        """
        if names.is_default(name):
            return True
        name = check_name(name)
        exists = self._exists.get(casefold(name))
        if exists is None:
            exists = self._storage.read(name) is not None or self._external.exist(name)
            self._exists.put(casefold(name), exists)
        return exists

    def put(  # noqa: PLR0913 - all that is known of a recording
        self,
        name: str,
        data: bytes,
        ref_text: str = "",
        language: str = "",
        consent: Consent | None = None,
        owner: str = "",
        normalize: str | Sequence[str] = "",
    ) -> VoiceRecord:
        """Add a voice, or replace the one of this name.

        Args:
            data: the recording, in any format that `decode` reads.
            ref_text: its transcript; may be empty if `can_transcribe`.
            language: BCP 47 tag, or "".
            consent: of the speaker; an earlier one stays valid for the same recording.
            owner: id of the API key, or "".
            normalize: auto, on, off, or kinds of text to leave alone; "" leaves it to others.

        Raises:
            InvalidRequest: BAD_OPTION, CONSENT_REQUIRED, VOICE_NAME_TAKEN, REF_TEXT_REQUIRED, or
                as `get`.
            BadAudio: as `prepare_voice`.
            StorageFailed: VOICE_RECORD_TOO_NEW, or the store's own code.
        """
        name = check_name(name)
        before = self._replaceable(name)
        upload = VoiceUpload(name, data, ref_text, language, consent, owner, normalize)
        self._builder.check(upload, before)
        record, voice = self._builder.create(upload, before, self._external.read_hashes(name))
        self._evict(name, keep=record)
        self._cache.put(casefold(name), record.revision, voice)
        self._exists.evict(casefold(name))
        return record

    def delete(self, name: str) -> None:
        """Delete a voice: record, recordings, transcripts, external files, and its lexicon.

        Raises:
            InvalidRequest: VOICE_NOT_FOUND, BAD_VOICE_NAME, RESERVED_VOICE_NAME.
            StorageFailed: the store's own code; the next call deletes what is left.
        """
        name = check_name(name)
        exists, record = True, None
        try:
            record = self._storage.read(name)
            exists = record is not None
        except StorageFailed as error:
            if error.code not in UNREADABLE:
                raise
        keys = self._external.keys(name, record)
        if not exists and not keys:
            raise VoiceNotFound(name, self._catalog.similar_names(name))
        for key in keys:
            self._store.delete(key)
        self._store.delete(lexicon_key(name))
        self._storage.delete(name, record)
        self._cache.evict(casefold(name))
        self._exists.evict(casefold(name))

    def from_url(
        self, url: str, ref_text: str = "", language: str = "", consent: Consent | None = None
    ) -> Voice:
        """The voice of a recording on the web; nothing is written to the store.

        The recording is downloaded at every call, because it may change. The prepared voice is
        cached in memory by the hash of its content and transcript.

        Raises:
            InvalidRequest: as `fetch_url` and `put`.
            BadAudio: as `prepare_voice`.
            StorageFailed: as `fetch_url`.
        """
        self._builder.check(VoiceUpload("", b"", ref_text, language, consent), None)
        options = self._options
        data = fetch_url(url, options.fetch_limits, what="voice", network=options.network)
        words = f"{language}\0{ref_text}".encode()
        key = hashlib.sha256(hashlib.sha256(data).digest() + words).hexdigest()
        voice = self._cache.get(_URL, key)
        if voice is None:
            upload = VoiceUpload(f"url-{key[:12]}", data, ref_text, language)
            voice = self._builder.prepare(upload).voice
            self._cache.put(_URL, key, voice)
        return voice

    def list(self, update_index: bool = True) -> list[VoiceRecord]:
        """All voices of the store in alphabetical order, without the packaged one.

        External files that were not imported yet are included, with what a listing tells of them.
        Unreadable records are left out and logged. Costs a listing of all records; `page` does not.

        Args:
            update_index: False writes nothing.

        Raises:
            StorageFailed: the store's own code.
        """
        return self._catalog.list_all(update_index)

    def page(self, after: str = "", limit: int = MAX_PAGE) -> Page:
        """Some voices in the order of their names; the list may be some seconds old.

        The number of requests does not depend on the number of voices. Changes by this process are
        visible at once; by others as soon as the store lists them; by older versions of f5serve
        after the next check of the index.

        Args:
            after: only names that sort after it, whether it exists or not; "" for all.
            limit: 1 to MAX_PAGE.

        Raises:
            StorageFailed: the store's own code.
        """
        return self._catalog.page(after, min(max(limit, 1), MAX_PAGE))

    def similar_names(self, name: str) -> tuple[str, ...]:
        """Names of voices that are spelled like `name`, the most similar first; never fails."""
        with contextlib.suppress(StorageFailed):
            self._catalog.page(limit=1)  # loads the names, if they are not loaded yet
        return self._catalog.similar_names(name)

    def evict_stale(self) -> int:
        """Evict deleted and replaced voices from the caches of this machine.

        Costs nothing if the caches are empty, else a check of the index.

        Returns:
            The number of files deleted from the disk.

        Raises:
            StorageFailed: the store's own code.
        """
        cached = {*self._disk_cache.names(), *self._cache.names()} - {_URL}
        if not cached:
            return self._disk_cache.drop_unnamed()
        entries, deleted = self._catalog.check(), 0
        for name in cached:
            record = entries[name].record if name in entries else None
            with contextlib.suppress(StorageFailed):  # it may have been put since
                record = record or self._storage.read(name)
            deleted += self._evict(name, keep=record)
        return deleted + self._disk_cache.drop_unnamed()

    def collect_garbage(self, options: GcOptions | None = None) -> GcReport:
        """Delete recordings that no record names, and their traces in the index.

        Raises:
            StorageFailed: the store's own code.
        """
        options = options or GcOptions()
        entries = self._catalog.check(not options.dry_run, not options.dry_run)
        known = {name: entry.record for name, entry in entries.items()}
        return self._storage.collect_garbage(known, options)

    def _load(self, record: VoiceRecord) -> Voice:
        """The voice of a record; raises KeyMissing if it was deleted or replaced since."""
        cached = self._cache.get(casefold(record.name), record.revision)
        voice = cached or self._read(record)
        # All but audio and transcript may change within a revision.
        if (voice.language, voice.normalize) != (record.language, record.normalize):
            voice = replace(voice, language=record.language, normalize=record.normalize)
        warnings = transcript_warnings(voice, record.needs_review)
        if voice.warnings != warnings:
            voice = replace(voice, warnings=warnings)
        if voice is not cached:
            self._cache.put(casefold(record.name), record.revision, voice)
        return voice

    def _read(self, record: VoiceRecord) -> Voice:
        self._evict(record.name, keep=record)
        try:
            text = self._storage.read_text(record)
            wave = read_wav(self._storage.read_audio(record))
        except (BadAudio, UnicodeDecodeError):
            raise damaged_error(record.name) from None
        if wave.sample_rate != SAMPLE_RATE:
            raise damaged_error(record.name)
        return Voice(
            *(record.name, wave, text, record.revision, record.language),
            normalize=record.normalize,
        )

    def _current(self, name: str) -> VoiceRecord:
        """The current record; external files are imported first if they are new."""
        record = self._storage.read(name)
        if record is not None:
            return self._external.refresh(record)
        self._evict(name)
        record = self._external.import_voice(name)
        if record is None:
            raise VoiceNotFound(name, self._catalog.similar_names(name))
        return record

    def _evict(self, name: str, keep: VoiceRecord | None = None) -> int:
        """Drop all but the revision `keep` of a voice from the caches; number of files dropped."""
        self._cache.evict(casefold(name), keep.revision if keep else "")
        blobs = (keep.audio, keep.text) if keep else ()
        return self._disk_cache.drop(name, [blob.sha256 for blob in blobs if blob])

    def _replaceable(self, name: str) -> VoiceRecord | None:
        """The record that `put` replaces; None if there is none or it is damaged."""
        try:
            before = self._storage.read(name)
        except StorageFailed as error:
            if error.code != DAMAGED:
                raise
            return None
        if before is not None and before.name != name:
            raise InvalidRequest(
                f"There is a voice {before.name!r}, which differs from {name!r} only in capitals.",
                code="VOICE_NAME_TAKEN",
                hint=f"Write {before.name}, or choose another name.",
            )
        return before

"""The voice library: creates, finds, lists and deletes voices by name, over any store.

A cached voice costs one small request, which checks that it still exists and has not changed.
docs/decisions/0009.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from f5serve.download.connection import NetworkPolicy
from f5serve.download.url import FetchLimits
from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore
from f5serve.types import Voice
from f5serve.voices import names
from f5serve.voices.caches import MAX_BYTES, DiskCache, TtlCache, VoiceCache
from f5serve.voices.catalog import MAX_PAGE, Catalog, Page
from f5serve.voices.consents import VoiceConsents
from f5serve.voices.external_files import ExternalFiles
from f5serve.voices.garbage import GarbageCollection, GcOptions, GcReport
from f5serve.voices.lexicon_records import lexicon_key
from f5serve.voices.loader import VoiceLoader
from f5serve.voices.names import StyleNotFound, VoiceNotFound, casefold, check_name
from f5serve.voices.prepare import NO_TRANSCRIBER, Transcriber, default_voice
from f5serve.voices.records import Consent, VoiceRecord, damaged_error
from f5serve.voices.storage import VoiceBuilder, VoiceStorage, VoiceUpload
from f5serve.voices.styles import VoiceStyles

_TRIES = 4
_PAUSE_S = 0.05  # for a voice that is replaced at this moment


@dataclass(frozen=True, slots=True)
class LibraryOptions:
    """Limits and times of a library.

    Attributes:
        fetch_limits: for voices given as URLs.
        network: network access for them; None is the real network.
        external_refresh_s: least time between two checks of a voice for changed external files.
        exists_ttl_s: how long `exists`, `styles` and `all_styles` cache their answers.
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


class VoiceLibrary:
    """Voices by name; for any number of threads, processes and machines over one store.

    Args:
        store: voices are kept under `voices/`.
        cache_dir: local folder; processes may share it.
        require_consent: refuse new voices without consent.
        transcriber: for transcripts that are missing, too long or wrong.

    Attributes:
        consents: recordings in which speakers agree to be cloned.
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
        options = options or LibraryOptions()
        self._catalog = Catalog(store, options.list_ttl_s, options.check_interval_s)
        disk = DiskCache(cache_dir, options.cache_bytes)
        self._storage = VoiceStorage(store, disk, self._note)
        self.consents = VoiceConsents(store, self._storage)
        self._builder = VoiceBuilder(store, self._storage, require_consent, transcriber)
        self._loader = VoiceLoader(
            *(self._storage, self._builder, disk, VoiceCache(options.voices_in_memory)),
            *(options.fetch_limits, options.network),
        )
        self._exists = TtlCache[bool](options.exists_ttl_s)
        self._styles = VoiceStyles(store, self._storage, options.exists_ttl_s)
        self._external = ExternalFiles(
            *(store, self._storage, self._builder, self._catalog.files),
            *(options.external_refresh_s, options.missing_ttl_s),
        )

    @property
    def store(self) -> ObjectStore:
        """Where it keeps its voices."""
        return self._store

    @property
    def public(self) -> VoiceLibrary | None:
        """The library whose voices are read as `public/NAME`; None where none are."""
        return None

    @property
    def unreadable(self) -> int:
        """Number of records that could not be read when all were listed last."""
        return self._catalog.unreadable

    @property
    def can_transcribe(self) -> bool:
        """Whether a recording may be added without its transcript."""
        return self._builder.can_transcribe

    def get(self, name: str | None, style: str | None = "") -> Voice:
        """The current voice of a name; None and "default" are the packaged voice.

        Args:
            style: which of its recordings; "" and None are the main one.

        Raises:
            InvalidRequest: VOICE_NOT_FOUND, BAD_VOICE_NAME, RESERVED_VOICE_NAME, STYLE_NOT_FOUND,
                BAD_STYLE_NAME, or a code of `prepare_voice` for external files.
            BadAudio: as `prepare_voice`, for external files.
            StorageFailed: VOICE_RECORD_TOO_NEW, VOICE_RECORD_DAMAGED, VOICE_CHANGING, BUSY, or
                the store's own code.
        """
        style = names.check_style(style) if style else ""
        if name is None or names.is_default(name):
            if style:
                raise StyleNotFound(names.DEFAULT_NAME, style, ())
            return default_voice()
        name = check_name(name)
        for attempt in range(_TRIES):
            time.sleep(_PAUSE_S * attempt)
            record = self._current(name, style)
            try:
                return self._loader.load(record)
            except KeyMissing:
                continue
        raise damaged_error(names.record_name(name, style))

    def get_record(self, name: str, style: str = "") -> VoiceRecord:
        """The metadata of a recording; errors as `get`. The packaged voice has none."""
        return self._current(check_name(name), names.check_style(style))

    def styles(self, name: str) -> tuple[str, ...]:
        """The styles of a voice in alphabetical order, without its main recording.

        Cached for some seconds, so cheap for every request. Empty if there is no such voice.

        Raises:
            InvalidRequest: BAD_VOICE_NAME, RESERVED_VOICE_NAME.
            StorageFailed: the store's own code.
        """
        return () if names.is_default(name) else self._styles.of(check_name(name))

    def all_styles(self) -> Mapping[str, tuple[str, ...]]:
        """The styles of every voice that has some, by its case-folded name; as `styles`."""
        return self._styles.all()

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

    def is_listed(self, name: str) -> bool:
        """As `exists`, by the list of `page`: one listing for any number of names."""
        return names.is_default(name) or self._catalog.has(check_name(name))

    def put(  # noqa: PLR0913 - all that is known of a recording
        self,
        name: str,
        data: bytes,
        ref_text: str = "",
        language: str = "",
        consent: Consent | None = None,
        owner: str = "",
        normalize: str | Sequence[str] = "",
        style: str = "",
    ) -> VoiceRecord:
        """Add a voice or a style of a voice, or replace it.

        Args:
            data: the recording, in any format that `decode` reads.
            ref_text: its transcript; may be empty if `can_transcribe`.
            language: BCP 47 tag, or "".
            consent: of the speaker, see `consents.attested`; an earlier one stays valid for the
                same recording.
            owner: id of the API key, or "".
            normalize: auto, on, off, or kinds of text to leave alone; "" leaves it to others.
            style: of a voice that exists; "" for the voice itself.

        Raises:
            InvalidRequest: BAD_OPTION, CONSENT_REQUIRED, CONSENT_NOT_FOUND, VOICE_NAME_TAKEN,
                REF_TEXT_REQUIRED, RESERVED_STYLE_NAME, TOO_MANY_STYLES, or as `get`.
            BadAudio: as `prepare_voice`.
            StorageFailed: VOICE_RECORD_TOO_NEW, or the store's own code.
        """
        name = check_name(name)
        if style:
            style = names.check_new_style(style)
            name = self._voice_for_style(name, style)
        before = self._builder.before(name, style)
        upload = VoiceUpload(name, data, ref_text, language, consent, owner, normalize, style)
        self._builder.check(upload, before)
        seen = None if style else self._external.read_hashes(name)
        self.consents.note_use(consent, upload.record_name)
        record, voice = self._builder.create(upload, before, seen)
        self.consents.check_after_use(record, before)
        if style and not self._store.exists(names.record_key(name)):  # deleted meanwhile
            self._storage.delete(record.name, record)
            raise VoiceNotFound(name, self._catalog.similar_names(name))
        self._loader.add(record, voice)
        self._exists.evict(casefold(name))
        return record

    def delete(self, name: str, style: str | None = None) -> None:
        """Delete a voice: record, recordings, styles, external files, and its lexicon.

        Args:
            style: delete this style alone; None is the voice with all its styles.

        Raises:
            InvalidRequest: VOICE_NOT_FOUND, BAD_VOICE_NAME, RESERVED_VOICE_NAME; of styles
                STYLE_NOT_FOUND, BAD_STYLE_NAME, RESERVED_STYLE_NAME.
            StorageFailed: the store's own code; the next call deletes what is left.
        """
        name = check_name(name)
        if style is not None:
            self._delete_style(name, names.check_new_style(style))
            return
        exists, record = self._storage.find(name)
        keys = self._external.keys(name, record)
        styles = self._storage.delete_styles(name)
        if not exists and not keys and not styles:
            raise VoiceNotFound(name, self._catalog.similar_names(name))
        for key in keys:
            self._store.delete(key)
        self._store.delete(lexicon_key(name))
        self._storage.delete(name, record)
        self._storage.delete_styles(name)  # that were put while the voice was still there
        self._loader.evict(name)
        self._exists.evict(casefold(name))

    def _delete_style(self, name: str, style: str) -> None:
        recording = names.record_name(name, style)
        exists, record = self._storage.find(recording)
        if not exists:
            voice = self.get_record(name)
            raise StyleNotFound(voice.name, style, self._storage.styles(name))
        self._storage.delete(recording, record)

    def from_url(
        self, url: str, ref_text: str = "", language: str = "", consent: Consent | None = None
    ) -> Voice:
        """The voice of a recording on the web; nothing is written to the store.

        The recording is downloaded at every call, because it may change. The prepared voice is
        cached in memory by the hash of its content and transcript. Errors as `fetch_url`, `put`.
        """
        return self._loader.from_url(url, VoiceUpload("", b"", ref_text, language, consent))

    def from_bytes(
        self, data: bytes, ref_text: str = "", language: str = "", consent: Consent | None = None
    ) -> Voice:
        """The voice of a recording; cached and refused as those of `from_url`."""
        return self._loader.from_bytes(VoiceUpload("", data, ref_text, language, consent))

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
        after the next check of the index. Raises StorageFailed with the store's own code.

        Args:
            after: only names that sort after it, whether it exists or not; "" for all.
            limit: 1 to MAX_PAGE.
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
        entries = self._catalog.check() if self._loader.names() else {}
        known = {name: entry.record for name, entry in entries.items()}
        return self._loader.evict_stale(known)

    def collect_garbage(self, options: GcOptions | None = None) -> GcReport:
        """Delete recordings that no record names, and their traces in the index.

        Raises StorageFailed with the store's own code.
        """
        options = options or GcOptions()
        entries = self._catalog.check(not options.dry_run, not options.dry_run)
        known = {name: entry.record for name, entry in entries.items()}
        report = GarbageCollection(self._store, self._storage, options).run(known)
        self.consents.collect_garbage(options, report)
        return report

    def _current(self, name: str, style: str = "") -> VoiceRecord:
        """The current record; external files are imported first if they are new."""
        if style:
            return self._current_style(name, style)
        record = self._storage.read(name)
        if record is not None:
            return self._external.refresh(record)
        self._loader.evict(name)
        record = self._external.import_voice(name)
        if record is None:
            raise VoiceNotFound(name, self._catalog.similar_names(name))
        return record

    def _current_style(self, name: str, style: str) -> VoiceRecord:
        recording = names.record_name(name, style)
        record = self._storage.read(recording)
        if record is None:
            self._loader.evict(recording)
        elif self.exists(name):
            return record
        voice = self._current(name)  # a style of a voice that is gone is gone, too
        if record is None:
            raise StyleNotFound(voice.name, style, self._storage.styles(name))
        return record

    def _voice_for_style(self, name: str, style: str) -> str:
        """The name of the voice that a style is added to, as it is spelled.

        Raises:
            InvalidRequest: VOICE_NOT_FOUND, TOO_MANY_STYLES, or as `get`.
        """
        try:
            voice = self._current(name)
        except VoiceNotFound as error:
            error.hint = f"{error.hint} A voice is uploaded without style first, then its styles."
            raise
        self._styles.check_room(voice.name, style)
        return voice.name

    def _note(self, name: str, record: VoiceRecord | None) -> None:
        """Note a change by this process; styles are not in the catalog."""
        voice, style = names.split_record_name(name)
        if style:
            self._styles.forget(voice)
            if record is None:
                self._loader.evict(name)
        else:
            self._catalog.note(name, record)

"""The voices that can be asked for by name, over any store.

A name flows in and a `Voice` flows out; a recording and its words flow in and are kept. A voice in
memory costs one small request, to see that it is still there and the same. Requests for speech,
jobs and doors are not known here; why things lie where they lie: docs/decisions/0009.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import replace
from pathlib import Path

from f5serve.audio.encode import read_wav
from f5serve.download.url import fetch_url
from f5serve.errors import BadAudio, KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore
from f5serve.types import Voice
from f5serve.units import SAMPLE_RATE
from f5serve.voices import names
from f5serve.voices.adoption import Adoption
from f5serve.voices.catalog import MAX_PAGE, Catalog, Page
from f5serve.voices.default import default_voice
from f5serve.voices.disk_cache import DiskCache
from f5serve.voices.hearing import NOBODY, Hearing
from f5serve.voices.intake import Intake, Recording
from f5serve.voices.memory import VoiceMemory
from f5serve.voices.names import check_name, fold
from f5serve.voices.notes import told_of
from f5serve.voices.options import LibraryOptions
from f5serve.voices.presence import Presence
from f5serve.voices.records import DAMAGED, UNREADABLE, Consent, VoiceRecord, damaged
from f5serve.voices.refusals import VoiceNotFound, name_taken
from f5serve.voices.shelf import Shelf
from f5serve.voices.sweep import SweepOptions, SweptVoices, sweep_blobs

__all__ = ["Consent", "Hearing", "LibraryOptions", "Page", "VoiceLibrary", "VoiceRecord"]

_TRIES = 4
_PAUSE_S = 0.05  # a removal or replacement that is met half-way is over by then
_URL = "url:"  # in memory; no name of a voice holds a colon


class VoiceLibrary:
    """Voices by name; for any number of threads, processes and machines over one store.

    Args:
        store: where voices are kept, under `voices/`.
        cache_dir: a folder of this machine; processes may share it.
        require_consent: refuse new voices that come without consent.
        hearing: who listens to recordings, for transcripts that are missing, too long or wrong.
        options: the rest.
    """

    def __init__(
        self,
        store: ObjectStore,
        cache_dir: Path,
        require_consent: bool = False,
        hearing: Hearing = NOBODY,
        options: LibraryOptions | None = None,
    ) -> None:
        self._store = store
        self._options = options = options or LibraryOptions()
        self._catalog = Catalog(store, options.fresh_s, options.check_s)
        self._cache = DiskCache(cache_dir, options.cache_bytes)
        self._shelf = Shelf(store, self._cache, self._catalog.note)
        self._intake = Intake(store, self._shelf, require_consent, hearing)
        self._memory = VoiceMemory(self._options.voices_in_memory)
        self._presence = Presence(self._options.presence_s)
        self._adoption = Adoption(store, self._shelf, self._intake, self._catalog.files, options)

    @property
    def unreadable(self) -> int:
        """Voices whose record could not be read when all were listed last."""
        return self._catalog.unreadable

    @property
    def writes_transcripts(self) -> bool:
        """Whether a recording may come without its words."""
        return self._intake.writes_transcripts

    def get(self, name: str | None) -> Voice:
        """The voice of that name as it is now; None and "default" are the packaged one.

        Raises:
            InvalidRequest: VOICE_NOT_FOUND, BAD_VOICE_NAME, RESERVED_VOICE_NAME, or what is wrong
                with files that were dropped into the store.
            BadAudio: as `prepare_voice`, for such files.
            StorageFailed: VOICE_RECORD_TOO_NEW, VOICE_RECORD_DAMAGED, VOICE_CHANGING, BUSY, or
                the store's own code.
        """
        if name is None or names.is_default(name):
            return self._default()
        name = check_name(name)
        for attempt in range(_TRIES):
            time.sleep(_PAUSE_S * attempt)
            record = self._current(name)
            try:
                return self._voice(record)
            except KeyMissing:
                continue
        raise damaged(name)

    def record(self, name: str) -> VoiceRecord:
        """What is known of a voice, without its sound; names and errors as `get`, no default."""
        return self._current(check_name(name))

    def has(self, name: str) -> bool:
        """Whether there is such a voice, as of the last seconds; cheap, for a look at each request.

        Names and errors as `get`. Of files that were dropped, those spelled like `name` count.
        """
        if names.is_default(name):
            return True
        name = check_name(name)
        found = self._presence.get(fold(name))
        if found is None:
            found = self._shelf.read(name) is not None or self._adoption.has_files(name)
            self._presence.put(fold(name), found)
        return found

    def put(  # noqa: PLR0913 - all that is known of a recording
        self,
        name: str,
        data: bytes,
        ref_text: str = "",
        language: str = "",
        consent: Consent | None = None,
        owner: str = "",
    ) -> VoiceRecord:
        """Keep a recording under a name, in the place of the one that was there.

        Args:
            data: any format that `decode` reads.
            ref_text: the words spoken in it; empty where somebody who hears is to write them.
            language: ISO 639-1 code, or "".
            consent: of the person who is heard; one given earlier stays with the same recording.
            owner: stable id of the key whose holder puts it, "" without one.

        Raises:
            InvalidRequest: BAD_OPTION, CONSENT_REQUIRED, VOICE_NAME_TAKEN, REF_TEXT_REQUIRED, or
                as `get`.
            BadAudio: as `prepare_voice`.
            StorageFailed: VOICE_RECORD_TOO_NEW, or the store's own code.
        """
        name = check_name(name)
        before = self._replaceable(name)
        recording = Recording(name, data, ref_text, language, consent, owner)
        self._intake.check(recording, before)
        record, voice = self._intake.keep(recording, before, self._adoption.seen(name))
        self._forget(name, but=record)
        self._memory.put(fold(name), record.revision, voice)
        self._presence.forget(fold(name))
        return record

    def delete(self, name: str) -> None:
        """Remove a voice: record, recordings, words, and the files it was dropped in as.

        Raises:
            InvalidRequest: VOICE_NOT_FOUND, BAD_VOICE_NAME, RESERVED_VOICE_NAME.
            StorageFailed: the store's own code; what is left is removed by the next call.
        """
        name = check_name(name)
        is_there, record = True, None
        try:
            record = self._shelf.read(name)
            is_there = record is not None
        except StorageFailed as error:
            if error.code not in UNREADABLE:
                raise
        files = self._adoption.files_of(name, record)
        if not is_there and not files:
            raise VoiceNotFound(name, self._catalog.like(name))
        for key in files:
            self._store.delete(key)
        self._shelf.remove(name, record)
        self._memory.forget(fold(name))
        self._presence.forget(fold(name))

    def from_url(
        self, url: str, ref_text: str = "", language: str = "", consent: Consent | None = None
    ) -> Voice:
        """The voice of a recording on the web; nothing is kept in the store.

        It is downloaded at every call, since what a URL leads to may change. What is prepared from
        it stays in memory, under its content and words.

        Raises:
            InvalidRequest: as `fetch_url` and `put`.
            BadAudio: as `prepare_voice`.
            StorageFailed: as `fetch_url`.
        """
        self._intake.check(Recording("", b"", ref_text, language, consent), None)
        limits, internet = self._options.web, self._options.internet
        data = fetch_url(url, limits, what="voice", internet=internet)
        words = f"{language}\0{ref_text}".encode()
        key = hashlib.sha256(hashlib.sha256(data).digest() + words).hexdigest()
        voice = self._memory.get(_URL, key)
        if voice is None:
            recording = Recording(f"url-{key[:12]}", data, ref_text, language)
            voice = self._intake.prepare(recording).voice
            self._memory.put(_URL, key, voice)
        return voice

    def list(self, mend: bool = True) -> list[VoiceRecord]:
        """Every voice of the store in alphabetical order; the packaged one is not among them.

        Files that were dropped and never asked for are there too, with what is known of them
        without reading them. What cannot be read is left out, and warned about. Costs a listing of
        all records; `page` does not.

        Args:
            mend: bring the index up to date; False writes nothing.

        Raises:
            StorageFailed: the store's own code.
        """
        return self._catalog.all(mend)

    def page(self, after: str = "", limit: int = MAX_PAGE) -> Page:
        """Some voices in the order of their names, of a list that may be some seconds old.

        The number of requests does not depend on how many voices there are. What this process has
        put or removed is told as it is; what another one has, once the store's listings do; records
        that an older program wrote, within a minute of looking.

        Args:
            after: the name behind which the page begins, whether there is such a voice or not;
                "" is the beginning.
            limit: 1 to MAX_PAGE.

        Raises:
            StorageFailed: the store's own code.
        """
        return self._catalog.page(after, min(max(limit, 1), MAX_PAGE))

    def tidy(self) -> int:
        """Drop what the caches of this machine hold of voices that are gone.

        Returns how many files went from the disk.

        Costs nothing where the caches are empty, else a check of the index.

        Raises:
            StorageFailed: the store's own code.
        """
        held = {*self._cache.names(), *self._memory.names()} - {names.DEFAULT_NAME, _URL}
        if not held:
            return self._cache.drop_unnamed()
        entries, dropped = self._catalog.check(), 0
        for name in held:
            record = entries[name].record if name in entries else None
            with contextlib.suppress(StorageFailed):  # it may have been put since
                record = record or self._shelf.read(name)
            dropped += self._forget(name, but=record)
        return dropped + self._cache.drop_unnamed()

    def sweep(self, options: SweepOptions | None = None) -> SweptVoices:
        """Remove recordings that no voice refers to any more, and what the index says of them.

        Raises:
            StorageFailed: the store's own code.
        """
        options = options or SweepOptions()
        entries = self._catalog.check(not options.dry_run, not options.dry_run)
        known = {name: entry.record for name, entry in entries.items()}
        return sweep_blobs(self._store, known, options)

    def like(self, name: str) -> tuple[str, ...]:
        """Names of voices that are spelled much like `name`, the nearest first; never fails.

        Reads the index where no names are known yet, which errors of `get` do not.
        """
        with contextlib.suppress(StorageFailed):
            self._catalog.page(limit=1)
        return self._catalog.like(name)

    def _default(self) -> Voice:
        voice = self._memory.get(names.DEFAULT_NAME, "")
        if voice is None:
            voice = default_voice()
            self._memory.put(names.DEFAULT_NAME, "", voice)
        return voice

    def _voice(self, record: VoiceRecord) -> Voice:
        """The voice of a record; KeyMissing when it was removed or replaced since."""
        voice = self._memory.get(fold(record.name), record.revision)
        found = voice or self._read(record)
        # Somebody may have read and confirmed its words since.
        warnings = told_of(found, record.needs_review)
        if voice is None or voice.warnings != warnings:
            found = replace(found, warnings=warnings)
            self._memory.put(fold(record.name), record.revision, found)
        return found

    def _read(self, record: VoiceRecord) -> Voice:
        self._forget(record.name, but=record)
        try:
            text = self._shelf.text(record)
            wave = read_wav(self._shelf.audio(record))
        except (BadAudio, UnicodeDecodeError):
            raise damaged(record.name) from None
        if wave.sample_rate != SAMPLE_RATE:
            raise damaged(record.name)
        return Voice(record.name, wave, text, record.revision, record.language)

    def _current(self, name: str) -> VoiceRecord:
        """The record as it is now, or one made of files that were dropped."""
        record = self._shelf.read(name)
        if record is not None:
            return self._adoption.renewed(record)
        self._forget(name)
        record = self._adoption.adopt(name)
        if record is None:
            raise VoiceNotFound(name, self._catalog.like(name))
        return record

    def _forget(self, name: str, but: VoiceRecord | None = None) -> int:
        """Drop what is here of a voice that is gone, or of what it was before `but`."""
        self._memory.forget(fold(name), but.revision if but else "")
        blobs = (but.audio, but.text) if but else ()
        return self._cache.drop(name, [blob.sha256 for blob in blobs if blob])

    def _replaceable(self, name: str) -> VoiceRecord | None:
        """The record that is to be replaced; one that cannot be read stands in nobody's way."""
        try:
            before = self._shelf.read(name)
        except StorageFailed as error:
            if error.code != DAMAGED:
                raise
            return None
        if before is not None and before.name != name:
            raise name_taken(name, before.name)
        return before

"""Creates, reads and deletes voices and their styles in the store.

A voice is a record and two blobs, audio and text. Blobs are written before the record that names
them and deleted before it, and a writer checks them once more after its record: a record never
lacks its blobs, even if others write or delete it at the same time. docs/decisions/0009.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from f5serve import build
from f5serve.audio.encode import encode
from f5serve.errors import InvalidRequest, KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore
from f5serve.text.language import parse_tag
from f5serve.text.spoken import check_normalize
from f5serve.text_kinds import parse_normalize
from f5serve.types import Voice
from f5serve.voices import names
from f5serve.voices.caches import DiskCache
from f5serve.voices.prepare import PreparedVoice, Transcriber, clean_ref_text, prepare_voice
from f5serve.voices.records import (
    DAMAGED,
    MAX_RECORD_BYTES,
    UNREADABLE,
    Blob,
    Consent,
    ImportedFiles,
    VoiceRecord,
    damaged_error,
    dump_record,
    load_record,
)
from f5serve.voices.transcripts import transcript_warnings

MAX_LANGUAGE_CHARS = 64
MAX_CONSENT_CHARS = 200

_SURROGATE = re.compile(r"[\ud800-\udfff]")


class VoiceStorage:
    """The voices of one store.

    Args:
        cache: of this machine, for blobs.
        on_change: called with the name of a record and the record that was written, None if it
            was deleted.
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

    def find(self, name: str) -> tuple[bool, VoiceRecord | None]:
        """Whether there is a record, and the record if it can be read."""
        try:
            record = self.read(name)
        except StorageFailed as error:
            if error.code not in UNREADABLE:
                raise
            return True, None
        return record is not None, record

    def read_audio(self, record: VoiceRecord) -> bytes:
        """The canonical recording as wav; downloaded once per machine.

        Raises:
            KeyMissing: the voice was deleted or replaced since its record was read.
        """
        return self._read_blob(record.name, blob_keys(record)[0], record.audio)

    def read_text(self, record: VoiceRecord) -> str:
        """The transcript; downloads and errors as `read_audio`."""
        if record.text is None:
            raise damaged_error(record.name)
        return self._read_blob(record.name, blob_keys(record)[1], record.text).decode()

    def _read_blob(self, name: str, key: str, blob: Blob) -> bytes:
        return self._cache.get(name, blob, lambda: self._store.get(key, blob.size))

    def write(self, record: VoiceRecord, audio: bytes, text: bytes) -> None:
        """Write a voice; it is complete when this returns."""
        audio_key, text_key = blob_keys(record)
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
            keys.update(blob_keys(record))
        for key in sorted(keys):
            self._store.delete(key)
        self._store.delete(names.record_key(name))
        self._cache.drop(name)
        self._on_change(name, None)

    def revert(self, record: VoiceRecord, before: VoiceRecord | None) -> None:
        """Take back a record that was just written: `before` replaces it; None deletes it.

        The blobs of `before` are still there, because the garbage collection keeps young ones.
        """
        if before is None:
            self.delete(record.name, record)
            return
        self._store.put(names.record_key(before.name), dump_record(before), "application/json")
        self._on_change(before.name, before)

    def styles(self, name: str) -> tuple[str, ...]:
        """The styles of a voice in alphabetical order, by one listing."""
        listed = self._store.list(names.styles_folder(name), recursive=False)
        records = filter(None, (names.parse_record_key(entry.key) for entry in listed))
        return tuple(sorted(names.split_record_name(record)[1] for record in records))

    def delete_styles(self, name: str, only_leftovers: bool = False) -> int:
        """Delete all styles of a voice, and what killed processes left of them.

        Args:
            only_leftovers: keep them if the voice has a record.

        Returns:
            Their number.
        """
        listed = [entry.key for entry in self._store.list(names.styles_folder(name))]
        found = {names.parse_record_key(key) or names.parse_blob_key(key) for key in listed} - {
            None
        }
        # Asked after the listing: all that is in it belonged to a voice that is gone.
        if found and only_leftovers and self._store.exists(names.record_key(name)):
            return 0
        for record in sorted(filter(None, found)):
            self.delete(record, None)
        return len(found)


def blob_keys(record: VoiceRecord) -> tuple[str, ...]:
    """Keys of the audio and, if there is one, the text."""
    keys = (names.audio_key(record.name, record.audio.sha256),)
    text = record.text
    return keys if text is None else (*keys, names.text_key(record.name, text.sha256))


@dataclass(frozen=True, slots=True)
class VoiceUpload:
    """A recording to create a voice from; fields as in `VoiceLibrary.put`."""

    name: str
    data: bytes
    ref_text: str = ""
    language: str = ""
    consent: Consent | None = None
    owner: str = ""
    normalize: str | Sequence[str] = ""
    style: str = ""

    @property
    def record_name(self) -> str:
        """The name of its record."""
        return names.record_name(self.name, self.style)


class VoiceBuilder:
    """Creates the voices of one library."""

    def __init__(
        self,
        store: ObjectStore,
        storage: VoiceStorage,
        require_consent: bool,
        transcriber: Transcriber,
    ) -> None:
        self._store = store
        self._storage = storage
        self._require_consent = require_consent
        self._transcriber = transcriber

    @property
    def can_transcribe(self) -> bool:
        """Whether an upload may lack its transcript."""
        return self._transcriber.transcribe is not None

    def before(self, name: str, style: str) -> VoiceRecord | None:
        """The record that an upload replaces; None if there is none or it is damaged.

        Raises:
            InvalidRequest: code VOICE_NAME_TAKEN.
            StorageFailed: VOICE_RECORD_TOO_NEW, or the store's own code.
        """
        try:
            before = self._storage.read(names.record_name(name, style))
        except StorageFailed as error:
            if error.code != DAMAGED:
                raise
            return None
        if before is not None and before.voice != name and not style:
            raise InvalidRequest(
                f"There is a voice {before.name!r}, which differs from {name!r} only in capitals.",
                code="VOICE_NAME_TAKEN",
                hint=f"Write {before.name}, or choose another name.",
            )
        return before

    def check(self, upload: VoiceUpload, before: VoiceRecord | None) -> None:
        """Check all that can be checked without decoding the recording.

        Raises:
            InvalidRequest: BAD_OPTION, CONSENT_REQUIRED, BAD_CONSENT, REF_TEXT_REQUIRED.
        """
        _check_encodable(ref_text=upload.ref_text, language=upload.language, owner=upload.owner)
        if len(upload.language) > MAX_LANGUAGE_CHARS:
            raise InvalidRequest(
                f"The language {upload.language[:MAX_LANGUAGE_CHARS]!r} is too long.",
                code="BAD_OPTION",
                hint="Give a tag of BCP 47, such as en, pt-BR or zh-Hans.",
            )
        if upload.language.strip():
            parse_tag(upload.language.strip().replace("_", "-"))
        check_normalize(upload.normalize)
        consent = upload.consent
        if consent is not None:
            _check_encodable(consent=f"{consent.by}{consent.at}{consent.statement_sha256}")
        consent = consent or (before.consent if before else None)
        _check_consent(consent, self._require_consent, "")
        if upload.ref_text.strip() or not self.can_transcribe:
            clean_ref_text(upload.ref_text)

    def prepare(self, upload: VoiceUpload) -> PreparedVoice:
        """The voice, without writing it; errors as `prepare_voice`."""
        prepared = prepare_voice(
            upload.name, upload.data, upload.ref_text, upload.language, self._transcriber
        )
        if not upload.style:
            return prepared
        voice = replace(prepared.voice, style=upload.style)
        warnings = transcript_warnings(voice, prepared.confidence is not None)
        return replace(prepared, voice=replace(voice, warnings=warnings))

    def create(
        self, upload: VoiceUpload, before: VoiceRecord | None, seen: ImportedFiles | None
    ) -> tuple[VoiceRecord, Voice]:
        """Prepare an upload that has passed `check`, and write it in place of `before`.

        Args:
            seen: the external files that the voice is made from, or that it replaces.

        Raises:
            InvalidRequest: CONSENT_REQUIRED if the earlier consent was for another recording, or as
                `prepare_voice`.
            BadAudio, ModelUnavailable: as `prepare_voice`.
            StorageFailed: the store's own code.
        """
        prepared = self.prepare(upload)
        voice = replace(prepared.voice, normalize=parse_normalize(upload.normalize))
        audio, text = encode(voice.wave, "wav"), voice.ref_text.encode()
        consent = upload.consent
        if consent is None and before is not None and before.audio == _blob(audio):
            consent = before.consent  # consent belongs to a recording, not to a name
        now = _iso_time(self._store.now())
        record = VoiceRecord(
            name=upload.record_name,
            revision=voice.revision,
            audio=_blob(audio),
            text=_blob(text),
            duration_s=round(voice.wave.duration_s, 3),
            language=voice.language,
            consent=_check_consent(consent, self._require_consent, now),
            created_at=now,
            updated_at=now,
            needs_review=prepared.confidence is not None,
            transcript_confidence=prepared.confidence,
            seen=seen,
            made_by=str(build.stamp()),
            owner=upload.owner,
            normalize=voice.normalize,
        )
        if before is not None:
            created_at, unknown = before.created_at, before.unknown_fields
            record = replace(record, created_at=created_at, unknown_fields=unknown)
        if before is None and not upload.style:  # a new speaker must not get another one's styles
            self._storage.delete_styles(upload.name, only_leftovers=True)
        self._storage.write(record, audio, text)
        return record, voice


def _check_consent(consent: Consent | None, required: bool, now: str) -> Consent | None:
    """The consent with its time set; None if there is none.

    Raises:
        InvalidRequest: code CONSENT_REQUIRED, or BAD_CONSENT.
    """
    if consent is None or not consent.attested:
        if required:
            raise InvalidRequest(
                "This library takes a voice only with the consent of the speaker.",
                code="CONSENT_REQUIRED",
                hint="Say who confirms it: consent.by with speech and jobs, consent_by in uploads "
                "over HTTP, --consent-by.",
            )
        return None
    if not consent.by.strip() or len(consent.by) > MAX_CONSENT_CHARS or len(consent.at) > 40:
        raise InvalidRequest(
            "The consent does not name who gives it.",
            code="BAD_CONSENT",
            hint=f"Give a name of at most {MAX_CONSENT_CHARS} characters.",
        )
    return replace(consent, by=consent.by.strip(), at=consent.at or now)


def _check_encodable(**texts: str) -> None:
    """Refuse texts with unpaired surrogates, which UTF-8 cannot encode.

    Args:
        texts: by the name of the request's field.

    Raises:
        InvalidRequest: code BAD_OPTION, naming the field.
    """
    for field_name, text in texts.items():
        found = _SURROGATE.search(text)
        if found:
            raise InvalidRequest(
                f"{field_name} holds {found[0]!a}, half of a character.",
                code="BAD_OPTION",
                hint="Send text in UTF-8.",
            )


def _iso_time(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _blob(data: bytes) -> Blob:
    return Blob(hashlib.sha256(data).hexdigest(), len(data))

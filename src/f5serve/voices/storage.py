"""Creates, reads and deletes voices in the store, and collects unreferenced recordings.

A voice is a record and two blobs, audio and text. Blobs are written before the record that names
them and deleted before it, and a writer checks them once more after its record: a record never
lacks its blobs, even if others write or delete it at the same time. docs/decisions/0009.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from f5serve import build
from f5serve.audio.encode import encode
from f5serve.errors import InvalidRequest, KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.text.language import parse_tag
from f5serve.text.spoken import check_normalize
from f5serve.text_kinds import parse_normalize
from f5serve.types import Voice
from f5serve.voices import names
from f5serve.voices.caches import DiskCache
from f5serve.voices.prepare import PreparedVoice, Transcriber, clean_ref_text, prepare_voice
from f5serve.voices.records import (
    MAX_AUDIO_BYTES,
    MAX_RECORD_BYTES,
    Blob,
    Consent,
    ImportedFiles,
    VoiceRecord,
    damaged_error,
    dump_record,
    load_record,
)

_log = logging.getLogger(__name__)

GRACE_S: Final = 3_600.0
"""Younger blobs are kept, and those of a voice with a younger record: another process may read
them, or be about to write the record that names them."""

MAX_LANGUAGE_CHARS = 64
MAX_CONSENT_CHARS = 200

_SURROGATE = re.compile(r"[\ud800-\udfff]")
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
        return prepare_voice(
            upload.name, upload.data, upload.ref_text, upload.language, self._transcriber
        )

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
            name=voice.name,
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
                hint="Say who confirms it: consent.by in jobs, consent_by over HTTP, --consent-by.",
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

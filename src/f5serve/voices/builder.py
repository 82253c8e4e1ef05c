"""Creates voices: checks and prepares an upload, describes it in a record, writes both."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from f5serve import build
from f5serve.audio.encode import encode
from f5serve.errors import InvalidRequest
from f5serve.store.base import ObjectStore
from f5serve.types import Voice
from f5serve.voices.prepare import PreparedVoice, Transcriber, clean_ref_text, prepare_voice
from f5serve.voices.records import (
    Blob,
    Consent,
    ImportedFiles,
    VoiceRecord,
)
from f5serve.voices.storage import VoiceStorage

MAX_LANGUAGE_CHARS = 64
MAX_CONSENT_CHARS = 200

_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class VoiceUpload:
    """A recording to create a voice from; fields as in `VoiceLibrary.put`."""

    name: str
    data: bytes
    ref_text: str = ""
    language: str = ""
    consent: Consent | None = None
    owner: str = ""


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
                hint="Give an ISO 639-1 code, for example en.",
            )
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
        voice = prepared.voice
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

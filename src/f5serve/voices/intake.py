"""A recording from outside to a voice of the library: prepared, described and put on the shelf.

A `Recording` flows in; a `Voice` and its `VoiceRecord` flow out, kept. Where the recording came
from, and who may ask for it later, is not known here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from f5serve import build
from f5serve.audio.encode import encode
from f5serve.errors import InvalidRequest
from f5serve.store.base import ObjectStore
from f5serve.types import Voice
from f5serve.voices.hearing import Hearing
from f5serve.voices.prepare import Prepared, clean_ref_text, prepare
from f5serve.voices.records import (
    Blob,
    Consent,
    Seen,
    VoiceRecord,
    check_consent,
    check_writable,
)
from f5serve.voices.shelf import Shelf

MAX_LANGUAGE_CHARS = 64


@dataclass(frozen=True, slots=True)
class Recording:
    """What somebody sent in to be cloned; fields as in `VoiceLibrary.put`."""

    name: str
    data: bytes
    ref_text: str = ""
    language: str = ""
    consent: Consent | None = None
    owner: str = ""


class Intake:
    """Turns recordings into voices, under the rules of one library."""

    def __init__(
        self, store: ObjectStore, shelf: Shelf, require_consent: bool, hearing: Hearing
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._require_consent = require_consent
        self._hearing = hearing

    @property
    def writes_transcripts(self) -> bool:
        """Whether a recording may come without its words."""
        return self._hearing.hear is not None

    def check(self, recording: Recording, before: VoiceRecord | None) -> None:
        """Refuse what can be refused before a recording is looked at.

        Raises:
            InvalidRequest: BAD_OPTION, CONSENT_REQUIRED, BAD_CONSENT, REF_TEXT_REQUIRED.
        """
        check_writable(
            ref_text=recording.ref_text, language=recording.language, owner=recording.owner
        )
        if len(recording.language) > MAX_LANGUAGE_CHARS:
            raise InvalidRequest(
                f"The language {recording.language[:MAX_LANGUAGE_CHARS]!r} is too long.",
                code="BAD_OPTION",
                hint="Give an ISO 639-1 code, for example en.",
            )
        consent = recording.consent
        if consent is not None:
            statement = consent.statement_sha256
            check_writable(consent=f"{consent.by}{consent.at}{statement}")
        consent = consent or (before.consent if before else None)
        check_consent(consent, self._require_consent, "")
        if recording.ref_text.strip() or not self.writes_transcripts:
            clean_ref_text(recording.ref_text)

    def prepare(self, recording: Recording) -> Prepared:
        """The voice, which is not kept anywhere; errors as `prepare_voice`."""
        return prepare(
            recording.name, recording.data, recording.ref_text, recording.language, self._hearing
        )

    def keep(
        self, recording: Recording, before: VoiceRecord | None, seen: Seen | None
    ) -> tuple[VoiceRecord, Voice]:
        """Prepare a recording and put it in the place of `before`.

        Args:
            seen: the dropped files that the new record takes the place of, or was made of.

        Raises:
            InvalidRequest: as `check`.
            BadAudio, ModelUnavailable: as `prepare_voice`.
            StorageFailed: the store's own code.
        """
        kept = before.consent if before else None
        self.check(recording, before)
        prepared = self.prepare(recording)
        voice = prepared.voice
        audio, text = encode(voice.wave, "wav"), voice.ref_text.encode()
        if before is not None and before.audio != _blob(audio):
            kept = None  # consent is given for a recording, not for a name
        now = iso_time(self._store.now())
        record = VoiceRecord(
            name=voice.name,
            revision=voice.revision,
            audio=_blob(audio),
            text=_blob(text),
            duration_s=round(voice.wave.duration_s, 3),
            language=voice.language,
            consent=check_consent(recording.consent or kept, self._require_consent, now),
            created_at=now,
            updated_at=now,
            needs_review=prepared.confidence is not None,
            transcript_confidence=prepared.confidence,
            seen=seen,
            made_by=str(build.stamp()),
            owner=recording.owner,
        )
        if before is not None:
            record = replace(record, created_at=before.created_at, extra=before.extra)
        self._shelf.write(record, audio, text)
        return record, voice


def iso_time(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _blob(data: bytes) -> Blob:
    return Blob(hashlib.sha256(data).hexdigest(), len(data))

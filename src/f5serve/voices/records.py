"""What is known of a voice besides its sound: a small JSON document, and back.

Bytes of a store flow in, a `VoiceRecord` flows out, and the other way round. Fields that this
version does not know are kept, so that an older program does not lose what a newer one wrote.
Keys and stores are not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from f5serve.errors import InvalidRequest, StorageFailed

SCHEMA: Final = 1
DAMAGED: Final = "VOICE_RECORD_DAMAGED"
TOO_NEW: Final = "VOICE_RECORD_TOO_NEW"
UNREADABLE = (DAMAGED, TOO_NEW)
MAX_RECORD_BYTES = 65_536
MAX_CONSENT_CHARS = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the store: hash in hexadecimal ("" when they were never read) and their number."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Files that a person dropped in and that a record has taken into account already.

    The record was made of them, or replaced them; only others than these are imported anew.
    """

    ending: str
    audio_sha256: str
    text_sha256: str


@dataclass(frozen=True, slots=True)
class Consent:
    """That the person who is heard agrees to be cloned.

    Attributes:
        by: who says so.
        attested: that it was said; False is no consent.
        at: when, ISO 8601; the library fills in the store's time when it is empty.
        statement_sha256: of the statement that was agreed to, "" for none.
    """

    by: str
    attested: bool = True
    at: str = ""
    statement_sha256: str = ""


@dataclass(frozen=True, slots=True)
class VoiceRecord:
    """A voice of the library.

    Attributes:
        name: as it was written first, without an ending.
        revision: of `Voice`; "" for a dropped recording that nobody has asked for yet.
        audio: canonical recording; of a dropped one its file.
        text: the words; None when a dropped recording has no transcript.
        duration_s: seconds of canonical audio; 0 while it is not known.
        language: ISO 639-1 code, or "".
        created_at, updated_at: ISO 8601 in UTC, by the store's clock.
        needs_review: its transcript was recognised by a machine, or is missing.
        transcript_confidence: 0..1, of the machine; None where a person wrote it.
        seen: dropped files that it knows of.
        extra: fields of other versions.
    """

    name: str
    revision: str
    audio: Blob
    text: Blob | None
    duration_s: float = 0.0
    language: str = ""
    consent: Consent | None = None
    created_at: str = ""
    updated_at: str = ""
    needs_review: bool = False
    transcript_confidence: float | None = None
    seen: Seen | None = None
    made_by: str = ""
    schema: int = SCHEMA
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @property
    def voice_file(self) -> str:
        """The name that old clients know it by."""
        return f"{self.name}.wav"

    @property
    def text_file(self) -> str:
        """As `voice_file`, of its transcript; "" without one."""
        return f"{self.name}.txt" if self.text else ""

    @property
    def size(self) -> int:
        """Bytes of the recording."""
        return self.audio.size

    @property
    def last_modified(self) -> str:
        """When it was put or replaced, ISO 8601 in UTC."""
        return self.updated_at


def dump_record(record: VoiceRecord) -> bytes:
    """The record as canonical JSON."""
    known = {
        "schema": SCHEMA,
        "name": record.name,
        "revision": record.revision,
        "audio": asdict(record.audio),
        "text": asdict(record.text) if record.text else None,
        "duration_s": record.duration_s,
        "language": record.language,
        "consent": asdict(record.consent) if record.consent else None,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "needs_review": record.needs_review,
        "transcript_confidence": record.transcript_confidence,
        "seen": asdict(record.seen) if record.seen else None,
        "made_by": record.made_by,
    }
    whole = {**record.extra, **known}
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def load_record(name: str, data: bytes) -> VoiceRecord:
    """The record of a voice.

    Raises:
        StorageFailed: code VOICE_RECORD_TOO_NEW or VOICE_RECORD_DAMAGED.
    """
    try:
        fields = json.loads(data)
        schema = fields["schema"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise damaged(name) from None
    if schema != SCHEMA:
        raise StorageFailed(
            f"The record of the voice {name!r} has schema {str(schema)[:20]}, and this version"
            f" reads {SCHEMA}.",
            code=TOO_NEW,
            hint="Update f5serve on this machine to the version that wrote it.",
        )
    try:
        record = _read(fields)
    except (ValueError, TypeError, KeyError):
        raise damaged(name) from None
    if record.name.lower() != name.lower():
        raise damaged(name)
    return record


def damaged(name: str) -> StorageFailed:
    """The error for a record that cannot be read, or whose audio is not there."""
    return StorageFailed(
        f"The voice {name!r} is damaged in the store.",
        code=DAMAGED,
        hint="Upload the voice again, or remove it.",
    )


def check_consent(consent: Consent | None, required: bool, now: str) -> Consent | None:
    """The consent with its time, None for none.

    Raises:
        InvalidRequest: code CONSENT_REQUIRED, or BAD_CONSENT.
    """
    if consent is None or not consent.attested:
        if required:
            raise InvalidRequest(
                "This library takes a voice only with the consent of the person who is heard.",
                code="CONSENT_REQUIRED",
                hint="Say who attests it: consent.by in jobs, consent_by over HTTP, --consent-by.",
            )
        return None
    if not consent.by.strip() or len(consent.by) > MAX_CONSENT_CHARS or len(consent.at) > 40:
        raise InvalidRequest(
            "The consent does not name who gives it.",
            code="BAD_CONSENT",
            hint=f"Give a name of at most {MAX_CONSENT_CHARS} characters.",
        )
    return replace(consent, by=consent.by.strip(), at=consent.at or now)


def _read(fields: dict[str, Any]) -> VoiceRecord:
    rest = dict(fields)

    def take(name: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        value = rest.pop(name, default)
        if not isinstance(value, kind):
            raise TypeError(name)
        return value

    optional = (dict, type(None))
    text, consent, seen = (take(name, optional) for name in ("text", "consent", "seen"))
    return VoiceRecord(
        name=take("name", str),
        revision=take("revision", str),
        audio=_read_blob(take("audio", dict)),
        text=_read_blob(text) if text else None,
        duration_s=float(take("duration_s", (int, float), 0.0)),
        language=take("language", str, ""),
        consent=_read_consent(consent) if consent else None,
        created_at=take("created_at", str, ""),
        updated_at=take("updated_at", str, ""),
        needs_review=take("needs_review", bool, False),
        transcript_confidence=take("transcript_confidence", (int, float, type(None))),
        seen=Seen(**_only(seen, ending=str, audio_sha256=str, text_sha256=str)) if seen else None,
        made_by=take("made_by", str, ""),
        schema=take("schema", int),
        extra=rest,
    )


def _read_blob(fields: dict[str, Any]) -> Blob:
    blob = Blob(**_only(fields, sha256=str, size=int))
    if not _SHA256.fullmatch(blob.sha256):  # it becomes part of keys and of file names
        raise ValueError(blob.sha256)
    return blob


def _read_consent(fields: dict[str, Any]) -> Consent:
    return Consent(**_only(fields, by=str, attested=bool, at=str, statement_sha256=str))


def _only(fields: dict[str, Any], **kinds: type) -> dict[str, Any]:
    for name, kind in kinds.items():
        if not isinstance(fields[name], kind):
            raise TypeError(name)
    return {name: fields[name] for name in kinds}

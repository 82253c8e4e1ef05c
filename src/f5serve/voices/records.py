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
from f5serve.voices.names import check_name, fold

SCHEMA: Final = 1
DAMAGED: Final = "VOICE_RECORD_DAMAGED"
TOO_NEW: Final = "VOICE_RECORD_TOO_NEW"
UNREADABLE = (DAMAGED, TOO_NEW)
MAX_RECORD_BYTES = 65_536
MAX_CONSENT_CHARS = 200
MAX_AUDIO_BYTES = 10_000_000
"""Of canonical audio: 12 s are 576 kB; what is larger is not read into memory."""

MAX_TEXT_BYTES = 1_000_000
MAX_DURATION_S = 3_600.0

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # it is sent in a header of HTTP
_LINE = re.compile(r"[^\x00-\x1f\x7f]{0,1000}")
_TEXT = re.compile(r"[^\x00]{0,1000}", re.DOTALL)
_UNWRITABLE = re.compile(r"[\ud800-\udfff]")


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
        made_by: version and commit of the program that wrote it.
        owner: stable id of the key whose holder has put it; "" for files that were dropped, the
            command line and servers without keys. Nothing is separated by it yet.
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
    owner: str = ""
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
    whole = as_fields(record)
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def as_fields(record: VoiceRecord) -> dict[str, Any]:
    """The record as a JSON object, for `read_record`."""
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
        "owner": record.owner,
    }
    return {**record.extra, **known}


def load_record(name: str, data: bytes) -> VoiceRecord:
    """The record of a voice.

    Raises:
        StorageFailed: code VOICE_RECORD_TOO_NEW or VOICE_RECORD_DAMAGED.
    """
    try:
        fields = read_fields(data)
    except ValueError:
        raise damaged(name) from None
    return read_record(name, fields)


def read_record(name: str, fields: dict[str, Any]) -> VoiceRecord:
    """The record of a voice in the fields of a JSON object; errors as `load_record`."""
    schema = fields.get("schema")
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        raise StorageFailed(
            f"The record of the voice {name!r} has schema {str(schema)[:20]}, and this version"
            f" reads {SCHEMA}.",
            code=TOO_NEW,
            hint="Update f5serve on this machine to the version that wrote it.",
        )
    try:
        record = _read(fields)
    except (ValueError, InvalidRequest):
        raise damaged(name) from None
    if fold(record.name) != fold(name) or record.schema != SCHEMA:
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


def check_writable(**texts: str) -> None:
    """Refuse texts that cannot be written anywhere: with half of a surrogate pair.

    Args:
        texts: by the name of the field they came in.

    Raises:
        InvalidRequest: code BAD_OPTION, naming the field.
    """
    for field_name, text in texts.items():
        found = _UNWRITABLE.search(text)
        if found:
            raise InvalidRequest(
                f"{field_name} holds {found[0]!a}, half of a character.",
                code="BAD_OPTION",
                hint="Send text in UTF-8.",
            )


def read_fields(data: bytes) -> dict[str, Any]:
    """A JSON object that can be written again: finite numbers, whole characters.

    Raises:
        ValueError: it is none.
    """
    try:
        fields = json.loads(data)
        json.dumps(fields, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(fields, dict):
        raise ValueError("no object")
    return fields


class _Fields:
    """The fields of an object, each taken once, with its type and bounds.

    Every method raises ValueError for a value that a writer of this program never wrote.
    """

    def __init__(self, fields: Any) -> None:
        if not isinstance(fields, dict):
            raise ValueError("no object")
        self.rest = dict(fields)

    def text(self, name: str, pattern: re.Pattern[str], default: str | None = None) -> str:
        value = self.rest.pop(name, default)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(name)
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self.rest.pop(name, default)
        if not isinstance(value, bool):
            raise ValueError(name)
        return value

    def number(self, name: str, most: float, default: float) -> float:
        value = self.rest.pop(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise ValueError(name)
        return float(value)

    def whole(self, name: str, most: int) -> int:
        value = self.rest.pop(name, None)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise ValueError(name)
        return value

    def inner(self, name: str) -> _Fields | None:
        value = self.rest.pop(name, None)
        return None if value is None else _Fields(value)


def _read(fields: dict[str, Any]) -> VoiceRecord:
    taken = _Fields(fields)
    audio = taken.inner("audio")
    text, consent, seen = (taken.inner(name) for name in ("text", "consent", "seen"))
    if audio is None:
        raise ValueError("audio")
    is_heard = taken.rest.get("transcript_confidence") is not None
    confidence = taken.number("transcript_confidence", 1, 0) if is_heard else None
    taken.rest.pop("transcript_confidence", None)
    return VoiceRecord(
        name=_kept_name(taken.text("name", _LINE)),
        revision=taken.text("revision", _REVISION),
        audio=_read_blob(audio, MAX_AUDIO_BYTES),
        text=_read_blob(text, MAX_TEXT_BYTES) if text else None,
        duration_s=taken.number("duration_s", MAX_DURATION_S, 0.0),
        language=taken.text("language", _TEXT, ""),
        consent=_read_consent(consent) if consent else None,
        created_at=taken.text("created_at", _LINE, ""),
        updated_at=taken.text("updated_at", _LINE, ""),
        needs_review=taken.flag("needs_review", False),
        transcript_confidence=confidence,
        seen=_read_seen(seen) if seen else None,
        made_by=taken.text("made_by", _LINE, ""),
        owner=taken.text("owner", _LINE, ""),
        schema=taken.whole("schema", SCHEMA),
        extra=taken.rest,
    )


def _kept_name(name: str) -> str:
    if check_name(name) != name:
        raise ValueError("name")
    return name


def _read_blob(fields: _Fields, most: int) -> Blob:
    # The hash becomes part of keys and of file names.
    return Blob(fields.text("sha256", _SHA256), fields.whole("size", most))


def _read_consent(fields: _Fields) -> Consent:
    return Consent(
        by=fields.text("by", _TEXT),
        attested=fields.flag("attested"),
        at=fields.text("at", _TEXT),
        statement_sha256=fields.text("statement_sha256", _TEXT),
    )


def _read_seen(fields: _Fields) -> Seen:
    return Seen(*(fields.text(name, _LINE) for name in ("ending", "audio_sha256", "text_sha256")))

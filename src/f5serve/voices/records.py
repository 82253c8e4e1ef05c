"""The record of a voice: its metadata as a JSON document in the store.

Unknown fields are kept, so that an older version does not lose what a newer one wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.voices.names import casefold, check_name

SCHEMA: Final = 1
DAMAGED: Final = "VOICE_RECORD_DAMAGED"
TOO_NEW: Final = "VOICE_RECORD_TOO_NEW"
UNREADABLE = (DAMAGED, TOO_NEW)
MAX_RECORD_BYTES = 65_536
MAX_CONSENT_CHARS = 200
MAX_AUDIO_BYTES = 10_000_000
"""Of canonical audio; 12 s are 576 kB."""

MAX_TEXT_BYTES = 1_000_000
MAX_DURATION_S = 3_600.0

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # it is sent in an HTTP header
_LINE = re.compile(r"[^\x00-\x1f\x7f]{0,1000}")
_TEXT = re.compile(r"[^\x00]{0,1000}", re.DOTALL)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Blob:
    """An object in the store: SHA-256 in hexadecimal ("" if it was never read), size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class ImportedFiles:
    """The external files that a record was made from, or that it replaced.

    Files with other hashes than these are imported.
    """

    ending: str
    audio_sha256: str
    text_sha256: str


@dataclass(frozen=True, slots=True)
class Consent:
    """The speaker's consent to be cloned.

    Attributes:
        by: who attests it.
        attested: False means no consent.
        at: time in ISO 8601; the library sets the store's time if it is empty.
        statement_sha256: of the statement that was agreed to, or "".
    """

    by: str
    attested: bool = True
    at: str = ""
    statement_sha256: str = ""


@dataclass(frozen=True, slots=True)
class VoiceRecord:
    """A voice of the library; attributes are named like the JSON fields.

    Attributes:
        name: as it was first written, without an extension.
        revision: of `Voice`; "" for an external file that is not imported yet.
        audio: canonical recording; the file itself if it is not imported yet.
        text: transcript; None if an external file has none.
        duration_s: seconds of canonical audio; 0 if unknown.
        language: ISO 639-1 code, or "".
        created_at, updated_at: ISO 8601 in UTC, by the store's clock.
        needs_review: the transcript is machine-written, or missing.
        transcript_confidence: 0..1, of the recogniser; None if a person wrote the transcript.
        seen: external files that this record was made from or replaced.
        made_by: version and commit of the program that wrote it.
        owner: id of the API key that created the voice, or "". For information only.
        unknown_fields: fields of newer versions.
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
    seen: ImportedFiles | None = None
    made_by: str = ""
    owner: str = ""
    schema: int = SCHEMA
    unknown_fields: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @property
    def voice_file(self) -> str:
        """File name of the recording in the older API."""
        return f"{self.name}.wav"

    @property
    def text_file(self) -> str:
        """File name of the transcript in the older API; "" without a transcript."""
        return f"{self.name}.txt" if self.text else ""

    @property
    def size(self) -> int:
        """Bytes of the recording."""
        return self.audio.size

    @property
    def last_modified(self) -> str:
        """`updated_at` by its name in the older API."""
        return self.updated_at


def dump_record(record: VoiceRecord) -> bytes:
    """The record as canonical JSON."""
    fields = as_fields(record)
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def as_fields(record: VoiceRecord) -> dict[str, Any]:
    """The record as a JSON object, for `read_record`."""
    fields = asdict(replace(record, unknown_fields={}))  # those may be too deep for asdict
    del fields["unknown_fields"]
    return {**record.unknown_fields, **fields}


def load_record(name: str, data: bytes) -> VoiceRecord:
    """The record of a voice.

    Raises:
        StorageFailed: code VOICE_RECORD_TOO_NEW or VOICE_RECORD_DAMAGED.
    """
    try:
        fields = read_json_object(data)
    except ValueError:
        raise damaged_error(name) from None
    return read_record(name, fields)


def read_record(name: str, fields: dict[str, Any]) -> VoiceRecord:
    """The record of a voice from a JSON object; errors as `load_record`."""
    schema = fields.get("schema")
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        raise StorageFailed(
            f"The record of the voice {name!r} has schema {str(schema)[:20]}, and this version"
            f" reads {SCHEMA}.",
            code=TOO_NEW,
            hint="Update f5serve on this machine to the version that wrote it.",
        )
    try:
        record = _read(_Fields(fields))
    except (ValueError, InvalidRequest):
        raise damaged_error(name) from None
    if casefold(record.name) != casefold(name) or record.schema != SCHEMA:
        raise damaged_error(name)
    return record


def damaged_error(name: str) -> StorageFailed:
    """The error for a record that cannot be read, or whose audio is missing."""
    return StorageFailed(
        f"The voice {name!r} is damaged in the store.",
        code=DAMAGED,
        hint="Upload the voice again, or remove it.",
    )


def check_consent(consent: Consent | None, required: bool, now: str) -> Consent | None:
    """The consent with its time set; None if there is none.

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


def check_encodable(**texts: str) -> None:
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


def read_json_object(data: bytes) -> dict[str, Any]:
    """A JSON object that can be written again: finite numbers, no unpaired surrogates.

    Raises:
        ValueError: it is not one.
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
    """Takes the fields of a JSON object one by one; each method checks type and bounds.

    Raises:
        ValueError: a field has a value that f5serve never writes.
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

    def number(self, name: str, most: float) -> float:
        value = self.rest.pop(name, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise ValueError(name)
        return float(value)

    def integer(self, name: str, most: int) -> int:
        value = self.rest.pop(name, None)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise ValueError(name)
        return value

    def blob(self, name: str, most: int) -> Blob | None:
        fields = self.inner(name)  # the hash becomes part of keys and file names
        if fields is None:
            return None
        return Blob(fields.text("sha256", _SHA256), fields.integer("size", most))

    def inner(self, name: str) -> _Fields | None:
        value = self.rest.pop(name, None)
        return None if value is None else _Fields(value)


def _read(fields: _Fields) -> VoiceRecord:
    name = fields.text("name", _LINE)
    audio = fields.blob("audio", MAX_AUDIO_BYTES)
    consent, seen = fields.inner("consent"), fields.inner("seen")
    if audio is None or check_name(name) != name:
        raise ValueError("audio or name")
    has_confidence = fields.rest.get("transcript_confidence") is not None
    confidence = fields.number("transcript_confidence", 1) if has_confidence else None
    fields.rest.pop("transcript_confidence", None)
    return VoiceRecord(
        name=name,
        revision=fields.text("revision", _REVISION),
        audio=audio,
        text=fields.blob("text", MAX_TEXT_BYTES),
        duration_s=fields.number("duration_s", MAX_DURATION_S),
        language=fields.text("language", _TEXT, ""),
        consent=_read_consent(consent) if consent else None,
        created_at=fields.text("created_at", _LINE, ""),
        updated_at=fields.text("updated_at", _LINE, ""),
        needs_review=fields.flag("needs_review", False),
        transcript_confidence=confidence,
        seen=_read_imported(seen) if seen else None,
        made_by=fields.text("made_by", _LINE, ""),
        owner=fields.text("owner", _LINE, ""),
        schema=fields.integer("schema", SCHEMA),
        unknown_fields=fields.rest,
    )


def _read_consent(fields: _Fields) -> Consent:
    return Consent(
        by=fields.text("by", _TEXT),
        attested=fields.flag("attested"),
        at=fields.text("at", _TEXT),
        statement_sha256=fields.text("statement_sha256", _TEXT),
    )


def _read_imported(fields: _Fields) -> ImportedFiles:
    names = ("ending", "audio_sha256", "text_sha256")
    return ImportedFiles(*(fields.text(name, _LINE) for name in names))

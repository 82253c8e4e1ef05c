"""The record of a voice: its metadata as a JSON document in the store.

Unknown fields are kept, so that an older version does not lose what a newer one wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from f5serve.errors import StorageFailed
from f5serve.text_kinds import parse_normalize
from f5serve.voices.names import casefold, describe, is_record_name, split_record_name

SCHEMA: Final = 1
DAMAGED: Final = "VOICE_RECORD_DAMAGED"
TOO_NEW: Final = "VOICE_RECORD_TOO_NEW"
UNREADABLE = (DAMAGED, TOO_NEW)
MAX_RECORD_BYTES = 65_536
MAX_AUDIO_BYTES = 10_000_000
"""Of canonical audio; 12 s are 576 kB."""

MAX_TEXT_BYTES = 1_000_000
MAX_DURATION_S = 3_600.0


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
        id: of the recorded consent, whose recording is the statement; or "".
    """

    by: str
    attested: bool = True
    at: str = ""
    statement_sha256: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class VoiceRecord:
    """A voice of the library; attributes are named like the JSON fields.

    Attributes:
        name: as it was first written, without an extension; "ana~happy" for a style.
        revision: of `Voice`; "" for an external file that is not imported yet.
        audio: canonical recording; the file itself if it is not imported yet.
        text: transcript; None if an external file has none.
        duration_s: seconds of canonical audio; 0 if unknown.
        language: BCP 47 tag, or "".
        created_at, updated_at: ISO 8601 in UTC, by the store's clock.
        needs_review: the transcript is machine-written, or missing.
        transcript_confidence: 0..1, of the recogniser; None if a person wrote the transcript.
        seen: external files that this record was made from or replaced.
        made_by: version and commit of the program that wrote it.
        owner: id of the API key that created the voice, or "". For information only.
        normalize: of `Voice`.
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
    normalize: str = ""
    schema: int = SCHEMA
    unknown_fields: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @property
    def voice(self) -> str:
        """Name of the voice, without the style."""
        return split_record_name(self.name)[0]

    @property
    def style(self) -> str:
        """The style, in lower case; "" for the main recording."""
        return split_record_name(self.name)[1]

    @property
    def voice_file(self) -> str:
        """File name of the recording in the older API."""
        return f"{self.voice}.wav"

    @property
    def text_file(self) -> str:
        """File name of the transcript in the older API; "" without a transcript."""
        return f"{self.voice}.txt" if self.text else ""


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
            f"The record of the {describe(*split_record_name(name))} has schema"
            f" {str(schema)[:20]}, and this version reads {SCHEMA}.",
            code=TOO_NEW,
            hint="Update f5serve on this machine to the version that wrote it.",
        )
    try:
        known = {key: _READERS[key](fields[key]) for key in fields if key in _READERS}
        unknown = {key: fields[key] for key in fields if key not in _READERS}
        is_valid = known.keys() >= _REQUIRED and is_record_name(known["name"])
    except ValueError:
        raise damaged_error(name) from None
    if not is_valid or casefold(known["name"]) != casefold(name) or known["schema"] != SCHEMA:
        raise damaged_error(name)
    return VoiceRecord(**{"text": None, **known}, unknown_fields=unknown)


def damaged_error(name: str) -> StorageFailed:
    """The error for a record that cannot be read, or whose audio is missing."""
    return StorageFailed(
        f"The {describe(*split_record_name(name))} is damaged in the store.",
        code=DAMAGED,
        hint="Upload the voice again, or remove it.",
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


Reader = Callable[[Any], Any]
"""Checks a JSON value and converts it; raises ValueError for what f5serve never writes."""


def _text(pattern: str) -> Reader:
    compiled = re.compile(pattern, re.DOTALL)

    def read(value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ValueError(value)
        return value

    return read


def _number(high: float, kind: type[int] | type[float] = float) -> Reader:
    """A number from 0 to `high`; a float may be written as an integer."""

    def read(value: Any) -> float:
        if type(value) not in (int, kind) or not 0 <= value <= high:
            raise ValueError(value)
        return kind(value)

    return read


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _normalize(value: Any) -> str:
    """A voice stays usable without a value that this version does not know."""
    try:
        return parse_normalize(value) if isinstance(value, str) else ""
    except ValueError:
        return ""


def _nullable(reader: Reader) -> Reader:
    return lambda value: None if value is None else reader(value)


def _object(cls: type[Any], optional: tuple[str, ...] = (), **readers: Reader) -> Reader:
    """An object with at least these fields, but for optional ones, as an instance of `cls`."""
    required = readers.keys() - set(optional)

    def read(value: Any) -> Any:
        if not isinstance(value, dict) or not value.keys() >= required:
            raise ValueError(value)
        known = readers.keys() & value.keys()
        return cls(**{name: readers[name](value[name]) for name in known})

    return read


_sha256 = _text(r"[0-9a-f]{64}")  # it becomes part of keys and file names
_line = _text(r"[^\x00-\x1f\x7f]{0,1000}")
_lines = _text(r"[^\x00]{0,1000}")
_READERS: Final[Mapping[str, Reader]] = {
    "name": _line,
    "revision": _text(r"[A-Za-z0-9_.-]{1,128}"),  # it is sent in an HTTP header
    "audio": _object(Blob, sha256=_sha256, size=_number(MAX_AUDIO_BYTES, int)),
    "text": _nullable(_object(Blob, sha256=_sha256, size=_number(MAX_TEXT_BYTES, int))),
    "duration_s": _number(MAX_DURATION_S),
    "language": _lines,
    "consent": _nullable(
        _object(
            Consent,
            ("id",),  # records of earlier versions have none
            **dict.fromkeys(("by", "at", "statement_sha256", "id"), _lines),
            attested=_flag,
        )
    ),
    "created_at": _line,
    "updated_at": _line,
    "needs_review": _flag,
    "transcript_confidence": _nullable(_number(1)),
    "seen": _nullable(_object(ImportedFiles, ending=_line, audio_sha256=_line, text_sha256=_line)),
    "made_by": _line,
    "owner": _line,
    "normalize": _normalize,
    "schema": _number(SCHEMA, int),
}
_REQUIRED: Final = {"name", "revision", "audio", "schema"}

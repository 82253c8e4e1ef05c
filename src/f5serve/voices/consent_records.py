"""The record of a consent: a recording in which a person agrees to be cloned.

    voices/_consents/cons_0123.json               the record
    voices/_consent_audio/cons_0123/SHA256        the recording, byte for byte as it was sent
    voices/_consent_uses/cons_0123/name.json      empty: the voice may name it
    voices/_consent_uses/cons_0123/name/style.json  empty: the style may name it

Ids begin with a time that counts backwards, so listings have the newest first.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.store.json_documents import InvalidDocument, canonical_json, parse_object
from f5serve.voices import names
from f5serve.voices.records import Blob, Consent
from f5serve.voices.storage import MAX_CONSENT_CHARS

SCHEMA: Final = 1
DAMAGED: Final = "CONSENT_DAMAGED"
TOO_NEW: Final = "CONSENT_TOO_NEW"
UNREADABLE: Final = (DAMAGED, TOO_NEW)
ID_PREFIX: Final = "cons_"
MAX_BYTES: Final = 10 * 1024 * 1024
"""Of a recording; as OpenAI has it."""

MAX_RECORD_BYTES: Final = 16_384
RECORDS: Final = f"{names.ROOT}_consents/"
AUDIO: Final = f"{names.ROOT}_consent_audio/"
USES: Final = f"{names.ROOT}_consent_uses/"

_ID = re.compile(rf"{ID_PREFIX}[0-9a-f]{{28}}")
_LAST_MS = 0xFFFFFFFFFFFF
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LINE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]*")
_USE = re.compile(rf"{USES}([^/]+)/([^/]+)(?:/([^/]+))?\.json")


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """A recorded consent; attributes are named like the JSON fields.

    Attributes:
        name: whose it is.
        language: BCP 47 tag of what is said.
        audio: the recording as it was sent.
        duration_s: seconds of speech, without silence at both ends.
        created_at: seconds since 1970, by the store's clock.
        made_by: version and commit of the program that wrote it.
        owner: id of the API key that created it, or "". For information only.
    """

    id: str
    name: str
    language: str
    audio: Blob
    duration_s: float
    created_at: int
    made_by: str = ""
    owner: str = ""
    schema: int = SCHEMA

    @property
    def consent(self) -> Consent:
        """What the record of a voice holds of it."""
        at = datetime.fromtimestamp(self.created_at, UTC).isoformat()
        return Consent(self.name, at=at, statement_sha256=self.audio.sha256, id=self.id)


class ConsentNotFound(InvalidRequest):
    """There is no consent with this id; code CONSENT_NOT_FOUND."""

    def __init__(self, consent_id: str) -> None:
        super().__init__(
            f"There is no consent {consent_id[:60]!r}.",
            code="CONSENT_NOT_FOUND",
            hint="Send an id that POST /v1/audio/voice_consents has answered; without a recording,"
            " a name that does not begin with cons_.",
        )


def new_id(now: float) -> str:
    """An id for a consent that is created at `now`, seconds since 1970."""
    ms = _LAST_MS - round(now * 1000)
    return f"{ID_PREFIX}{ms:012x}{secrets.token_hex(8)}"


def is_id(text: str) -> bool:
    """Whether a consent can have this id."""
    return _ID.fullmatch(text) is not None


def check_id(consent_id: str) -> str:
    """The id, if a consent can have it.

    Raises:
        InvalidRequest: code CONSENT_NOT_FOUND.
    """
    if not is_id(consent_id):
        raise ConsentNotFound(consent_id)
    return consent_id


def check_person(name: str) -> str:
    """The name of a consent, without space around it.

    Raises:
        InvalidRequest: code BAD_CONSENT.
    """
    stripped = name.strip()
    if not stripped or len(stripped) > MAX_CONSENT_CHARS or not _LINE.fullmatch(stripped):
        raise InvalidRequest(
            f"{stripped[:60]!a} cannot be the name of a consent.",
            code="BAD_CONSENT",
            hint=f"Give the name of the person who agrees, a line of at most {MAX_CONSENT_CHARS}"
            " characters.",
        )
    return stripped


def record_key(consent_id: str) -> str:
    """Key of a record."""
    return f"{RECORDS}{consent_id}.json"


def audio_key(consent_id: str, sha256: str) -> str:
    """Key of a recording."""
    return f"{AUDIO}{consent_id}/{sha256}"


def use_key(consent_id: str, record_name: str) -> str:
    """Key that notes that the record of a voice or style may name a consent."""
    voice, style = names.split_record_name(names.casefold(record_name))
    return f"{USES}{consent_id}/{voice}{f'/{style}' if style else ''}.json"


def parse_record_key(key: str) -> str | None:
    """The id in the key of a record; None for other keys."""
    consent_id = key.removeprefix(RECORDS).removesuffix(".json")
    return consent_id if is_id(consent_id) and key == record_key(consent_id) else None


def parse_use_key(key: str) -> tuple[str, str] | None:
    """The id and the name of the record in a `use_key`; None for other keys."""
    match = _USE.fullmatch(key)
    if match is None:
        return None
    record_name = names.record_name(match[2], match[3] or "")
    return (match[1], record_name) if names.is_record_name(record_name) else None


def dump_consent(record: ConsentRecord) -> bytes:
    """The record as canonical JSON."""
    return canonical_json(asdict(record))


def load_consent(consent_id: str, data: bytes) -> ConsentRecord:
    """The consent of a record.

    Raises:
        StorageFailed: CONSENT_DAMAGED, CONSENT_TOO_NEW.
    """
    try:
        fields = parse_object(data)
    except InvalidDocument:
        raise damaged_error(consent_id) from None
    schema = fields.get("schema")
    if type(schema) is int and schema > SCHEMA:
        raise StorageFailed(
            f"The consent {consent_id} has schema {str(schema)[:20]}, and this version reads"
            f" {SCHEMA}.",
            code=TOO_NEW,
            hint="Update f5serve on this machine to the version that wrote it.",
        )
    audio = fields.get("audio")
    blob = audio if isinstance(audio, dict) else {}
    duration_s = fields.get("duration_s")
    is_valid = (
        schema == SCHEMA
        and fields.get("id") == consent_id
        and all(_is_line(fields.get(name)) for name in ("name", "language", "made_by", "owner"))
        and isinstance(blob.get("sha256"), str)
        and _SHA256.fullmatch(blob["sha256"])
        and _is_number(blob.get("size"), MAX_BYTES, int)
        and _is_number(duration_s, 3_600, int, float)
        and _is_number(fields.get("created_at"), 1 << 40, int)
    )
    if not is_valid:
        raise damaged_error(consent_id)
    known = {name: fields[name] for name in ("id", "name", "language", "created_at")}
    known |= {name: fields[name] for name in ("made_by", "owner")}
    return ConsentRecord(
        **known, audio=Blob(blob["sha256"], blob["size"]), duration_s=float(fields["duration_s"])
    )


def damaged_error(consent_id: str) -> StorageFailed:
    """The error for a record that cannot be read."""
    return StorageFailed(
        f"The consent {consent_id} is damaged in the store.",
        code=DAMAGED,
        hint="Send the recording again, or delete the consent.",
    )


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 1_000 and _LINE.fullmatch(value) is not None


def _is_number(value: Any, high: float, *kinds: type) -> bool:
    return type(value) in kinds and 0 <= value <= high

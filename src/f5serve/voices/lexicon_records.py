"""The record of a lexicon: its rules as a JSON document in the store.

lexicons/library.json           rules for all voices
lexicons/voices/name.json       rules for one voice, lower-case; they come before the others
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from f5serve import build
from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.store.json_documents import InvalidDocument, parse_object
from f5serve.text.lexicon_files import MAX_FILE_BYTES, dump_json
from f5serve.text.lexicon_rules import (
    BadLexicon,
    LexiconRule,
    check_count,
    parse_rules,
    rules_revision,
)
from f5serve.voices import names

SCHEMA: Final = 1
DAMAGED: Final = "LEXICON_DAMAGED"
TOO_NEW: Final = "LEXICON_TOO_NEW"
UNREADABLE: Final = (DAMAGED, TOO_NEW)
LIBRARY_KEY: Final = "lexicons/library.json"
VOICES: Final = "lexicons/voices/"


@dataclass(frozen=True, slots=True)
class StoredLexicon:
    """A lexicon as it lies in the store.

    Attributes:
        voice: whose it is; "" is the library.
        rules: empty where there is none.
        updated_at: ISO 8601, by the store's clock; "" if unknown.
    """

    voice: str
    rules: tuple[LexiconRule, ...] = ()
    updated_at: str = ""

    @property
    def revision(self) -> str:
        """SHA-256 of the rules; "" without any."""
        return rules_revision(self.rules)


def check_voice(voice: str) -> str:
    """The name of a voice in lower case, as in keys; the packaged one may have rules as well.

    Raises:
        InvalidRequest: BAD_VOICE_NAME, RESERVED_VOICE_NAME.
    """
    if names.is_default(voice):
        return names.DEFAULT_NAME
    return names.casefold(names.check_name(voice)) if voice else ""


def lexicon_key(voice: str) -> str:
    """Where the lexicon of a voice lies, whatever its capitals; "" is that of the library."""
    return f"{VOICES}{names.casefold(voice)}.json" if voice else LIBRARY_KEY


def voice_of_key(key: str) -> str:
    """The voice of a key; "" for another file."""
    name = key.removeprefix(VOICES).removesuffix(".json")
    try:
        return name if lexicon_key(check_voice(name)) == key else ""
    except InvalidRequest:
        return ""


def check_size(rules: tuple[LexiconRule, ...]) -> None:
    """Refuse what could not be read back, as BAD_LEXICON."""
    check_count(len(rules))
    size = len(dump_json(rules))
    if size > MAX_FILE_BYTES:
        raise BadLexicon(
            f"The lexicon takes {size:,} bytes; {MAX_FILE_BYTES:,} are the most.",
            "Keep rules that only one voice needs in the lexicon of that voice.",
        )


def dump_lexicon(rules: tuple[LexiconRule, ...], now: str) -> bytes:
    """A record; `now` is ISO 8601."""
    record = {
        "schema": SCHEMA,
        "rules": [rule.as_dict() for rule in rules],
        "updated_at": now,
        "made_by": str(build.stamp()),
    }
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()


def load_lexicon(voice: str, data: bytes | None) -> StoredLexicon:
    """The lexicon of a record; without rules where there is none.

    Raises:
        StorageFailed: LEXICON_DAMAGED, LEXICON_TOO_NEW.
    """
    if data is None:
        return StoredLexicon(voice)
    try:
        record = parse_object(data)
        _check_schema(voice, record.get("schema"))
        rules = parse_rules(record.get("rules"), is_stored=True)
    except InvalidDocument as error:
        raise damaged_error(voice, str(error)) from None
    except InvalidRequest as error:
        raise damaged_error(voice, error.message[:1].lower() + error.message[1:-1]) from None
    updated_at = record.get("updated_at")
    is_time = isinstance(updated_at, str) and len(updated_at) <= 40
    return StoredLexicon(voice, rules, str(updated_at) if is_time else "")


def _check_schema(voice: str, schema: Any) -> None:
    if type(schema) is not int or schema < 1:
        raise damaged_error(voice, "it has no schema")
    if schema > SCHEMA:
        raise StorageFailed(
            f"{_name(voice)} has schema {str(schema)[:20]}, and this version reads {SCHEMA}.",
            code=TOO_NEW,
            hint="Update f5serve on this machine to the version that wrote it.",
        )


def damaged_error(voice: str, why: str) -> StorageFailed:
    """The error for a record that cannot be read."""
    return StorageFailed(
        f"{_name(voice)} is damaged in the store: {why}.",
        code=DAMAGED,
        hint="Import it again, or delete it.",
    )


def _name(voice: str) -> str:
    return f"The lexicon of the voice {voice!r}" if voice else "The lexicon of the library"

"""Rules of pronunciation lexicons: what is spoken for some words, read from untrusted JSON."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from f5serve.errors import InvalidRequest
from f5serve.text.language import parse_tag

BAD_LEXICON: Final = "BAD_LEXICON"
MAX_RULES: Final = 10_000
MAX_TEXT_CHARS: Final = 200
MAX_ALIAS_CHARS: Final = 500
JOINERS: Final = "\u200c\u200d"
"""Invisible characters inside words of Persian and of Indian languages."""

_PLAIN = str.maketrans(
    {
        **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},  # full-width ASCII
        **dict.fromkeys("\t\n\r\x0b\x0c\x85\xa0\u2009\u202f\u3000", " "),
        **dict.fromkeys("\u2018\u2019\u02bc", "'"),
    }
)
"""Characters that count as the same whatever the case; one for one."""

_REFUSED = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ue000-\uf8ff\ufffe\uffff"
    "\U000f0000-\U0010ffff]"
)
"""Control and private characters, and halves of surrogate pairs."""

_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
"""Characters that cleaning takes out of texts."""

_FIELDS = ("text", "alias", "pinyin", "case_sensitive", "word_boundaries", "language", "type")
_OTHER_NAMES = {"string_to_replace": "text"}


class BadLexicon(InvalidRequest):
    """A lexicon or one of its rules cannot be used; code BAD_LEXICON."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, code=BAD_LEXICON, hint=hint)


@dataclass(frozen=True, slots=True)
class LexiconRule:
    """What is spoken for some words; `parse_rule` makes valid ones.

    Attributes:
        text: the words as they are written.
        alias: what is spoken in their place; "" where `pinyin` is given.
        case_sensitive: whether only the same capitals match.
        word_boundaries: no match inside a longer word; in scripts without spaces it means nothing.
        language: ISO 639-1 of the texts it is for; "" for all.
        pinyin: syllables with their tones, for Chinese words.
    """

    text: str
    alias: str = ""
    case_sensitive: bool = False
    word_boundaries: bool = True
    language: str = ""
    pinyin: str = ""

    @property
    def key(self) -> tuple[str, bool, str]:
        """Equal for two rules of which one would hide the other."""
        text = plain(self.text) if self.case_sensitive else folded(self.text)
        return text, self.case_sensitive, self.language

    def as_dict(self) -> dict[str, Any]:
        """As JSON, for `parse_rule`; what is not given is left out."""
        spoken = {"pinyin": self.pinyin} if self.pinyin else {"alias": self.alias}
        return {
            "text": self.text,
            **spoken,
            "case_sensitive": self.case_sensitive,
            "word_boundaries": self.word_boundaries,
            **({"language": self.language} if self.language else {}),
        }


@dataclass(frozen=True, slots=True)
class RuleSelector:
    """The rules for a text, in whatever capitals; `parse_selector` makes a valid one.

    Attributes:
        language: "" selects rules for all languages, None rules for any.
        case_sensitive: None selects both kinds.
    """

    text: str
    language: str | None = None
    case_sensitive: bool | None = None

    @property
    def key(self) -> str:
        """The text without capitals."""
        return folded(self.text)

    def selects(self, rule: LexiconRule) -> bool:
        """Whether it is one of them; it has their text."""
        return self.language in (None, rule.language) and self.case_sensitive in (
            None,
            rule.case_sensitive,
        )


def plain(text: str) -> str:
    """Full-width letters as plain ones, one kind of space and of apostrophe; as long as `text`."""
    return text.translate(_PLAIN)


def folded(text: str) -> str:
    """As `plain`, without capitals; as long as `text`."""
    # The only character whose lower-case form is longer; and one letter with two such forms.
    return plain(text).replace("\u0130", "i").lower().replace("\u03c2", "\u03c3")


def unique(rules: Iterable[LexiconRule]) -> tuple[LexiconRule, ...]:
    """The first of all rules with the same key."""
    found: dict[tuple[str, bool, str], LexiconRule] = {}
    for rule in rules:
        found.setdefault(rule.key, rule)
    return tuple(found.values())


def rules_revision(rules: Iterable[LexiconRule]) -> str:
    """SHA-256 of rules in hexadecimal; "" without any. Their order counts."""
    fields = [rule.as_dict() for rule in rules]
    if not fields:
        return ""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def parse_rules(values: Any, is_stored: bool = False) -> tuple[LexiconRule, ...]:
    """The rules of a list of JSON values, without those that an earlier one hides.

    Args:
        is_stored: whether fields of later versions are let through.

    Raises:
        InvalidRequest: BAD_LEXICON, naming the number of the rule and the value.
    """
    if not isinstance(values, list):
        raise BadLexicon("The rules are no list.", 'Send {"rules": [{"text": .., "alias": ..}]}.')
    check_count(len(values))
    return unique(parse_rule(value, number, is_stored) for number, value in enumerate(values, 1))


def check_count(count: int) -> None:
    """Refuse more than MAX_RULES rules, as BAD_LEXICON."""
    if count > MAX_RULES:
        raise BadLexicon(
            f"The lexicon has {count:,} rules; {MAX_RULES:,} are the most.",
            "Keep rules that only one voice needs in the lexicon of that voice.",
        )


def parse_rule(value: Any, number: int = 1, is_stored: bool = False) -> LexiconRule:
    """A rule of a JSON object; arguments and errors as `parse_rules`."""
    fields = _rename_fields(value, number, is_stored)
    rule = LexiconRule(
        text=_text(fields, "text", number, MAX_TEXT_CHARS),
        alias=_text(fields, "alias", number, MAX_ALIAS_CHARS),
        case_sensitive=_flag(fields, "case_sensitive", number, False),
        word_boundaries=_flag(fields, "word_boundaries", number, True),
        language=_language(fields, number),
        pinyin=_text(fields, "pinyin", number, MAX_ALIAS_CHARS),
    )
    if not rule.text:
        raise _bad_rule(number, fields, "has no text", "Give the words as they are written.")
    if bool(rule.alias) == bool(rule.pinyin):
        what = "both alias and pinyin" if rule.alias else "no alias"
        raise _bad_rule(
            number, fields, f"has {what}", "Give what is spoken as alias, or as pinyin for Chinese."
        )
    if rule.pinyin:
        _check_pinyin(rule, number)
    return rule


def parse_selector(value: Any, number: int = 1) -> RuleSelector:
    """The selector of a JSON object, or of a text; arguments and errors as `parse_rules`."""
    fields = {"text": value} if isinstance(value, str) else value
    fields = _rename_fields(fields, number, is_stored=False)
    text = _text(fields, "text", number, MAX_TEXT_CHARS)
    if not text:
        raise _bad_rule(number, fields, "has no text", "Give the text of the rule to remove.")
    is_given = [fields.get(name) is not None for name in ("language", "case_sensitive")]
    return RuleSelector(
        text,
        _language(fields, number) if is_given[0] else None,
        _flag(fields, "case_sensitive", number, False) if is_given[1] else None,
    )


def _rename_fields(value: Any, number: int, is_stored: bool) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadLexicon(
            f"Rule {number} is no object.", 'A rule is {"text": "Nguyen", "alias": "Win"}.'
        )
    fields: dict[str, Any] = {
        _OTHER_NAMES.get(str(name), str(name)): item for name, item in value.items()
    }
    if "phoneme" in fields or fields.get("type") == "phoneme":
        raise phoneme_error(number, fields.get("text"))
    unknown = next((name for name in fields if name not in _FIELDS), None)
    if unknown is not None and not is_stored:
        raise _bad_rule(
            number, fields, f"has a field {unknown[:40]!r}", f"Fields: {', '.join(_FIELDS)}."
        )
    return fields


def phoneme_error(number: int, text: Any) -> BadLexicon:
    """The error for a rule that gives phonemes."""
    return _bad_rule(
        number,
        {"text": text},
        "gives phonemes, which F5 cannot read",
        "Give an alias: the word as it would be spelled in the language of the text.",
    )


def _bad_rule(number: int, fields: Mapping[str, Any], what: str, hint: str) -> BadLexicon:
    text = fields.get("text")
    shown = f" ({text[:40]!r})" if isinstance(text, str) and text else ""
    return BadLexicon(f"Rule {number}{shown} {what}.", hint)


def _text(fields: Mapping[str, Any], name: str, number: int, max_chars: int) -> str:
    """A field as one line of NFC text, "" without it."""
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _bad_rule(number, fields, f"has a {name} that is no text", "Send a text.")
    if len(value) > max_chars:
        raise _bad_rule(
            number,
            fields,
            f"has {len(value):,} characters of {name}; {max_chars} are the most",
            "Give words or short phrases.",
        )
    wrong = _REFUSED.search(value)
    if wrong is not None:
        raise _bad_rule(
            number,
            fields,
            f"has {wrong[0]!a} in its {name}",
            "Send text without control and private characters.",
        )
    return unicodedata.normalize("NFC", " ".join(_INVISIBLE.sub("", value).split()))


def _flag(fields: Mapping[str, Any], name: str, number: int, default: bool) -> bool:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _bad_rule(number, fields, f"has a {name} of {_show(value)}", "It is true or false.")
    return value


def _language(fields: Mapping[str, Any], number: int) -> str:
    """The primary language: en of en-US."""
    value = fields.get("language")
    if value is None or value == "":
        return ""
    try:
        return parse_tag(value if isinstance(value, str) else "?")
    except InvalidRequest as error:
        what = f"has the language {_show(value)}"
        raise _bad_rule(number, fields, what, error.hint) from None


def _show(value: Any) -> str:
    """A scalar as it is, cut short; the type of other values."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return f"{value!r:.40}"


def _check_pinyin(rule: LexiconRule, number: int) -> None:
    from f5serve.text.pinyin import parse_pinyin  # few lexicons have any

    try:
        parse_pinyin(rule.pinyin)
    except InvalidRequest as error:
        why = error.message[:1].lower() + error.message[1:-1]
        raise _bad_rule(number, rule.as_dict(), f"cannot be used: {why}", error.hint) from None

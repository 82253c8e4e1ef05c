"""Lexicons as files: JSON, also with ElevenLabs' names, and PLS 1.0 (XML)."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final, NamedTuple, NoReturn
from xml.parsers import expat

from f5serve.errors import InvalidRequest
from f5serve.text.lexicon_rules import (
    BadLexicon,
    LexiconRule,
    RuleSelector,
    check_count,
    parse_rule,
    parse_rules,
    parse_selector,
    phoneme_error,
    unique,
)

MAX_FILE_BYTES: Final = 2_000_000
MAX_DEPTH: Final = 16
MAX_TEXT_CHARS: Final = 2_000
"""Of one element in XML; what a rule takes is checked later."""

PLS: Final = "http://www.w3.org/2005/01/pronunciation-lexicon"
OWN: Final = "urn:f5serve:lexicon"
"""Namespace of the attributes that PLS does not have; others leave them out."""

PINYIN: Final = "x-pinyin"
"""The only alphabet of phonemes that can be spoken."""

_XML = "http://www.w3.org/XML/1998/namespace"
_SEP = "\n"  # no namespace holds one
_UNDETERMINED = ("", "und", "mul", "mis", "zxx")


def read_lexicon(data: bytes) -> tuple[LexiconRule, ...]:
    """The rules of a file, PLS if it begins with `<`, else JSON.

    Raises:
        InvalidRequest: BAD_LEXICON, with the place of the fault, or the number of the rule.
    """
    _check_size(data)
    text = _decode(data)
    if text.lstrip().startswith("<"):
        return _PlsReader().read(text)
    value = _parse_json(text)
    return parse_rules(value.get("rules") if isinstance(value, dict) else value)


class LexiconChanges(NamedTuple):
    """Rules to add, and which to remove before that."""

    add: tuple[LexiconRule, ...] = ()
    remove: tuple[RuleSelector, ...] = ()


def read_changes(data: bytes) -> LexiconChanges:
    """The changes in {"add": [rule], "remove": [{"text": ".."}]}, or the rules of a lexicon to add.

    Raises:
        InvalidRequest: as `read_lexicon`.
    """
    if not data.lstrip().startswith(b"{"):
        return LexiconChanges(read_lexicon(data))
    _check_size(data)
    value = _parse_json(_decode(data))
    if "rules" in value:
        if {"add", "remove"} & value.keys():
            raise BadLexicon(
                "Both rules and changes were sent.", 'Send "rules", or "add" and "remove".'
            )
        return LexiconChanges(parse_rules(value["rules"]))
    if not {"add", "remove"} & value.keys():
        raise BadLexicon(
            "There is nothing to change.", 'Send {"add": [..], "remove": [{"text": ".."}]}.'
        )
    add, remove = ([] if (of := value.get(name)) is None else of for name in ("add", "remove"))
    if not isinstance(remove, list):
        raise BadLexicon("The rules to remove are no list.", 'Send {"remove": [{"text": ".."}]}.')
    check_count(len(remove))
    selectors = tuple(parse_selector(each, number) for number, each in enumerate(remove, 1))
    return LexiconChanges(parse_rules(add), selectors)


def dump_json(rules: Iterable[LexiconRule]) -> bytes:
    """Rules as JSON, one a line, for `read_lexicon`."""
    lines = [json.dumps(rule.as_dict(), ensure_ascii=False) for rule in rules]
    inner = ",\n".join(f"    {line}" for line in lines)
    return (f'{{\n  "rules": [\n{inner}\n  ]\n}}\n' if lines else '{"rules": []}\n').encode()


def dump_pls(rules: Sequence[LexiconRule]) -> bytes:
    """Rules as PLS 1.0, for `read_lexicon`.

    What PLS cannot say is in attributes of a namespace of its own.
    """
    languages = {rule.language for rule in rules}
    common = languages.pop() if len(languages) == 1 else ""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<lexicon version="1.0" xmlns="{PLS}" xmlns:f5="{OWN}" alphabet="ipa"'
        f' xml:lang="{common or "und"}">',
        *(_lexeme(rule, common) for rule in rules),
        "</lexicon>",
    ]
    return "\n".join([*lines, ""]).encode()


def _lexeme(rule: LexiconRule, common: str) -> str:
    own = {
        "case-sensitive": "true" if rule.case_sensitive else "",
        "word-boundaries": "" if rule.word_boundaries else "false",
        "language": rule.language if rule.language != common else "",
    }
    attributes = "".join(f' f5:{name}="{escape(value)}"' for name, value in own.items() if value)
    spoken = (
        f'<phoneme alphabet="{PINYIN}">{escape(rule.pinyin)}</phoneme>'
        if rule.pinyin
        else f"<alias>{escape(rule.alias)}</alias>"
    )
    grapheme = f"<grapheme>{escape(rule.text)}</grapheme>"
    return f"  <lexeme{attributes}>{grapheme}{spoken}</lexeme>"


def _check_size(data: bytes) -> None:
    if len(data) > MAX_FILE_BYTES:
        raise BadLexicon(
            f"The lexicon has {len(data):,} bytes; {MAX_FILE_BYTES:,} are the most.",
            "Leave out rules that are not needed.",
        )


def _decode(data: bytes) -> str:
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadLexicon(
            f"Byte {error.start + 1:,} of the lexicon is not UTF-8.", "Save the file in UTF-8."
        ) from None


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise BadLexicon("The JSON is too deep.", "Send a list of rules.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BadLexicon(
            f"The lexicon cannot be read as JSON: {where}: {error.msg}.",
            "Send JSON, or PLS, which begins with <.",
        ) from None
    except ValueError:  # a number of too many digits
        raise BadLexicon("A number has too many digits.", "Send a list of rules.") from None


class _Lexeme:
    """What one lexeme holds."""

    def __init__(self, number: int, fields: dict[str, Any]) -> None:
        self.number = number
        self.fields = fields
        self.texts: list[str] = []
        self.aliases: list[str] = []
        self.pinyin: list[str] = []
        self.has_phonemes = False

    def rules(self, first: int) -> list[LexiconRule]:
        """One rule for each way to write it; of several pronunciations the first.

        Args:
            first: number of the first of them in the lexicon.

        Raises:
            InvalidRequest: BAD_LEXICON.
        """
        if not self.texts:
            self.texts = [""]
        spoken: dict[str, Any] = {"alias": "".join(self.aliases[:1])}
        if not self.aliases and self.pinyin:
            spoken = {"pinyin": self.pinyin[0]}
        elif not self.aliases and self.has_phonemes:
            raise phoneme_error(self.number, self.texts[0])
        return [
            parse_rule({**self.fields, **spoken, "text": text}, first + index)
            for index, text in enumerate(self.texts)
        ]


class _PlsReader:
    """Reads one file. It refuses DOCTYPE, and with it all entities but those of XML itself."""

    def __init__(self) -> None:
        parser = self._parser = expat.ParserCreate("utf-8", _SEP)
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.EntityDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._take_text
        self._open: list[tuple[str, dict[str, str]]] = []
        self._languages: list[str] = []
        self._text = ""
        self._lexeme: _Lexeme | None = None
        self._rules: list[LexiconRule] = []

    def read(self, text: str) -> tuple[LexiconRule, ...]:
        """The rules of a file; errors as `read_lexicon`."""
        try:
            self._parser.Parse(text.encode(), True)
        except expat.ExpatError as error:
            self._fail(expat.ErrorString(error.code), (error.lineno, error.offset + 1))
        return unique(self._rules)

    def _fail(self, what: str, place: tuple[int, int] | None = None) -> NoReturn:
        line, column = place or (
            self._parser.CurrentLineNumber,
            self._parser.CurrentColumnNumber + 1,
        )
        raise BadLexicon(
            f"The lexicon cannot be read as PLS: line {line:,}, column {column:,}: {what}.",
            "Send PLS 1.0 without DOCTYPE and entities, or JSON.",
        )

    def _refuse_doctype(self, *_: Any) -> None:
        self._fail("DOCTYPE and entities are not taken")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        depth = len(self._open)
        if depth >= MAX_DEPTH:
            self._fail(f"elements are more than {MAX_DEPTH} deep")
        local = self._local(name)
        if depth == 0 and local != "lexicon":
            self._fail(f"the first element is {local[:40]!r} and not lexicon")
        inherited = self._languages[-1] if self._languages else ""
        self._languages.append(attributes.get(f"{_XML}{_SEP}lang", inherited))
        self._open.append((local, attributes))
        self._text = ""
        if local == "lexeme" and depth == 1:
            self._lexeme = _Lexeme(len(self._rules) + 1, self._lexeme_fields(attributes))

    def _lexeme_fields(self, attributes: dict[str, str]) -> dict[str, Any]:
        own = {
            name.removeprefix(f"{OWN}{_SEP}"): value
            for name, value in attributes.items()
            if name.startswith(f"{OWN}{_SEP}")
        }
        language = own.get("language", self._languages[-1])
        return {
            "language": "" if language.lower() in _UNDETERMINED else language,
            "case_sensitive": own.get("case-sensitive") == "true",
            "word_boundaries": own.get("word-boundaries") != "false",
        }

    def _end(self, name: str) -> None:
        local, attributes = self._open.pop()
        self._languages.pop()
        lexeme, text, self._text = self._lexeme, self._text.strip(), ""
        if lexeme is None:
            return
        if local == "lexeme" and len(self._open) == 1:
            self._add(lexeme)
        elif len(self._open) == 2:
            self._note(lexeme, local, attributes, text)

    def _note(self, lexeme: _Lexeme, local: str, attributes: dict[str, str], text: str) -> None:
        if local == "grapheme":
            lexeme.texts.append(text)
        elif local == "alias":
            lexeme.aliases.append(text)
        elif local == "phoneme":
            alphabet = attributes.get("alphabet") or self._open[0][1].get("alphabet")
            if alphabet == PINYIN:
                lexeme.pinyin.append(text)
            else:
                lexeme.has_phonemes = True

    def _add(self, lexeme: _Lexeme) -> None:
        self._lexeme = None
        check_count(len(self._rules) + max(len(lexeme.texts), 1))
        try:
            self._rules += lexeme.rules(lexeme.number)
        except InvalidRequest as error:
            line = self._parser.CurrentLineNumber
            raise BadLexicon(f"{error.message[:-1]} (line {line:,}).", error.hint) from None

    def _take_text(self, text: str) -> None:
        if self._lexeme is not None:
            self._text += text
            if len(self._text) > MAX_TEXT_CHARS:
                self._fail(f"an element has more than {MAX_TEXT_CHARS:,} characters")

    def _local(self, name: str) -> str:
        """The name of an element of PLS; that of others with their namespace."""
        space, _, local = name.rpartition(_SEP)
        return local if space in (PLS, "") else name

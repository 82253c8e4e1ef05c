"""Parses SSML into parts: voices, styles, rates, pauses, marks, words that are spoken otherwise.

What each element does is in docs/guides/ssml.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from f5serve.errors import InvalidRequest
from f5serve.secrets import PUBLIC
from f5serve.text.aliases import KINDS, MAX_CHARS
from f5serve.text.language import canonical_tag
from f5serve.text.mapped_text import MappedText
from f5serve.text.markup import without_entities
from f5serve.text.pinyin import parse_pinyin
from f5serve.text.script import MAIN, MAX_PAUSE_S, SPEEDS, KnownNames, Script, VoiceNames
from f5serve.text.script_parser import STRENGTHS_S
from f5serve.text.ssml_parts import Manner, PartBuilder
from f5serve.text.ssml_reader import bad_ssml, place_of, read_ssml

_TIME = re.compile(r"\+?(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})\s?(ms|s)", re.ASCII | re.IGNORECASE)
_RATE = re.compile(r"([+-]?)(\d{1,6}(?:\.\d{1,9})?|\.\d{1,9})(%?)", re.ASCII)
_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.75}
_NAME = re.compile(rf"(?:{PUBLIC}/)?[A-Za-z0-9][\w.-]{{0,63}}", re.ASCII)
_NOT_LETTERS = re.compile("[^A-Za-z]+")
_LONGEST_FORMAT = 20

_SENTENCES = ("p", "paragraph", "s", "sentence")
_CHANGING = (*_SENTENCES, "speak", "break", "voice", "express-as", "prosody", "sub", "say-as")
"""What may not be within words that are spoken otherwise."""

_PLAIN = ("speak", "emphasis", "lang", "w", "token", "lookup", "meta")
_NOT_SPOKEN = ("metadata", "desc")
_READ_AS_TEXT = ("time", "currency", "unit", "fraction")
"""Values of interpret-as that normalization knows without being told."""

_WITHOUT_EFFECT = {
    "prosody": ("pitch", "contour", "range", "volume", "duration"),
    "express-as": ("styledegree", "role"),
}
_QUOTES = str.maketrans({'"': "”", "\uff02": "”"})


def parse_ssml(text: str, names: VoiceNames, speed: float = 1.0) -> Script:
    """The parts of a text in SSML; takes time in line with its length.

    Args:
        text: as it was sent; without a `speak` element it is read as if it were in one.
        names: the voices that elements may name.
        speed: of the request; rates multiply it.

    Returns:
        The script; no part where there is neither text nor pause. Words that are spoken otherwise
        are marked as `text/aliases.py` reads them.

    Raises:
        InvalidRequest: BAD_SSML, VOICE_NOT_FOUND, STYLE_NOT_FOUND or BAD_PINYIN, with line and
            column; BAD_UNICODE; what `names` raises.
    """
    elements = _Elements(text, KnownNames(names), speed)
    read_ssml(text, elements)
    return Script(elements.parts.finish(), tuple(elements.warnings.values()), elements.language)


class _Alias(NamedTuple):
    """An open element whose words are spoken otherwise; `tag` marks them, `value` is an alias."""

    depth: int
    at: int
    tag: str
    value: str


@dataclass(slots=True)
class _Open:
    """An open element, and how what follows it is spoken."""

    name: str
    manner: Manner
    rate: float


class _Elements:
    """What each element does to the parts."""

    def __init__(self, text: str, names: KnownNames, speed: float) -> None:
        self.parts = PartBuilder(text)
        self.warnings: dict[str, str] = {}
        self.language = ""
        self._text = text
        self._names = names
        self._speed = speed
        self._manner = Manner()
        self._rate = 1.0
        self._open: list[_Open] = []
        self._alias: _Alias | None = None
        self._words: list[MappedText] = []  # of the alias
        self._unspoken = 0  # elements that are not spoken, open
        self._actions: dict[str, Callable[[dict[str, str], int], None]] = {
            "break": self._add_break,
            "voice": self._begin_voice,
            "express-as": self._begin_style,
            "prosody": self._begin_prosody,
            "sub": self._begin_sub,
            "say-as": self._begin_say_as,
            "mark": self._add_mark,
            "br": lambda _, at: self.add_words(_added(" ", at)),
            **dict.fromkeys(("phoneme", "audio", "lexicon"), self._ignore),
            **dict.fromkeys(_SENTENCES, lambda _, at: self.parts.add_gap(_added("\n\n", at))),
        }

    def begin(self, name: str, attributes: dict[str, str], at: int) -> None:
        self._open.append(_Open(name, self._manner, self._rate))
        self._unspoken += name in _NOT_SPOKEN
        if self._unspoken:
            return
        if self._alias and name in _CHANGING:
            raise bad_ssml(
                f"The element {name} at {self._place(at)} is in words that are spoken otherwise.",
                "Put words only into sub and say-as.",
            )
        attributes = {key.lower(): value.strip() for key, value in attributes.items()}
        for attribute in _WITHOUT_EFFECT.get(name, ()):
            if attribute in attributes:
                self._warn_no_effect(attribute, f"The attribute {attribute} of {name}", at)
        self._check_language(attributes.get("xml:lang", ""), at)
        if action := self._actions.get(name):
            action(attributes, at)
        elif name not in _PLAIN:
            message = (
                f"The element {name[:40]} at {self._place(at)} is not known; its words are spoken."
            )
            self.warnings.setdefault("unknown", message)

    def end(self, at: int) -> None:
        if self._alias and self._alias.depth == len(self._open):
            self._end_alias(self._alias, at)
        opened = self._open.pop()
        self._manner, self._rate = opened.manner, opened.rate
        self._unspoken -= opened.name in _NOT_SPOKEN
        if opened.name in _SENTENCES and not self._unspoken:
            self.parts.add_gap(_added("\n\n", at))

    def add_words(self, words: MappedText) -> None:
        if self._unspoken or not words.text:
            return
        if self._alias:
            self._words.append(words)
        else:
            self.parts.add_words(words, self._manner)

    def _check_language(self, tag: str, at: int) -> None:
        """xml:lang of the root is the language of the text; elsewhere it changes nothing."""
        if not tag:
            return
        try:
            tag = canonical_tag(tag)
        except InvalidRequest as error:
            message = (
                f"The xml:lang at {self._place(at)} is {tag[:40]!r}, which is no language tag."
            )
            raise bad_ssml(message, error.hint) from None
        if len(self._open) == 1 and self._open[0].name == "speak":
            self.language = tag
        elif tag.partition("-")[0] != self.language.partition("-")[0]:
            self._warn_no_effect("xml:lang", f"The language {tag} of a part of the text", at)

    def _add_break(self, attributes: dict[str, str], at: int) -> None:
        time, strength = attributes.get("time"), attributes.get("strength", "medium").lower()
        if time is not None:
            pause_s = self._read_time(time, at)
        elif strength == "none":
            return
        elif strength in STRENGTHS_S:
            pause_s = STRENGTHS_S[strength]
        else:
            message = f"The break at {self._place(at)} has the strength {strength[:40]!r}."
            raise bad_ssml(message, f"It takes none, {', '.join(STRENGTHS_S)}.")
        total_s = self.parts.add_pause(pause_s)
        if total_s > MAX_PAUSE_S:
            message = f"The pauses at {self._place(at)} add up to {total_s:g} s."
            raise bad_ssml(message, f"Take {MAX_PAUSE_S:g} s at most in one place.")

    def _read_time(self, value: str, at: int) -> float:
        match = _TIME.fullmatch(value)
        pause_s = float(match[1]) / (1_000 if match[2].lower() == "ms" else 1) if match else 0.0
        if not 0.001 <= pause_s <= MAX_PAUSE_S:
            message = f"The break at {self._place(at)} has the time {value[:40]!r}."
            raise bad_ssml(message, f"It takes 1ms to {MAX_PAUSE_S:g}s, such as 1.5s or 400ms.")
        return round(pause_s, 3)

    def _begin_voice(self, attributes: dict[str, str], at: int) -> None:
        name = attributes.get("name")
        if name is None and "style" not in attributes:
            self._warn_no_effect("voice", "The element voice without a name", at)
        if name is not None:
            is_main = name.lower() == MAIN
            if not is_main and not (_NAME.fullmatch(name) and self._names.has_voice(name)):
                raise self._names.no_voice(name, self._place(at))
            self._manner = replace(self._manner, voice="" if is_main else name, style="")
        self._begin_style(attributes, at)

    def _begin_style(self, attributes: dict[str, str], at: int) -> None:
        if "style" in attributes:
            place = self._place(at)
            style = self._names.checked_style(self._manner.voice, attributes["style"], place)
            self._manner = replace(self._manner, style=style)

    def _begin_prosody(self, attributes: dict[str, str], at: int) -> None:
        value = attributes.get("rate")
        if value is None:
            return
        rate = _read_rate(value.lower())
        if rate is None:
            message = f"The rate at {self._place(at)} is {value[:40]!r}."
            raise bad_ssml(message, f"It takes {', '.join(_RATES)}, 120%, +20%, -10% or 1.2.")
        self._rate *= rate
        speed = round(self._speed * self._rate, 4)
        if not SPEEDS[0] <= speed <= SPEEDS[1]:
            message = f"The rate {value[:40]!r} at {self._place(at)} makes a speed of {speed:g}."
            raise bad_ssml(message, f"Speeds are {SPEEDS[0]:g} to {SPEEDS[1]:g}.")
        is_changed = round(self._rate, 4) != 1.0
        self._manner = replace(self._manner, speed=speed if is_changed else None)

    def _begin_sub(self, attributes: dict[str, str], at: int) -> None:
        alias = without_entities(MappedText.of(attributes.get("alias", ""))).text
        alias = alias.translate(_QUOTES).strip()
        if not alias:
            message = f"The element sub at {self._place(at)} has no alias."
            raise bad_ssml(message, 'Write what is to be spoken: <sub alias="doctor">Dr</sub>.')
        self._begin_alias(f'<sub alias="{alias}">', at, alias)

    def _begin_say_as(self, attributes: dict[str, str], at: int) -> None:
        pinyin, kind = attributes.get("pinyin"), attributes.get("interpret-as", "").lower()
        if pinyin is not None:
            self._check_pinyin(pinyin, at)
            self._begin_alias(f'<say-as pinyin="{pinyin}">', at)
        elif kind in KINDS:
            date_format = _NOT_LETTERS.sub("", attributes.get("format", ""))[:_LONGEST_FORMAT]
            added = f' format="{date_format}"' if kind == "date" and date_format else ""
            self._begin_alias(f'<say-as interpret-as="{kind}"{added}>', at)
        elif kind not in _READ_AS_TEXT:
            self._warn_no_effect("say-as", f"The value {kind[:40]!r} of interpret-as", at)

    def _check_pinyin(self, pinyin: str, at: int) -> None:
        try:
            parse_pinyin(pinyin)
        except InvalidRequest as error:
            message = f"{error.message.rstrip('.')}, at {self._place(at)}."
            raise InvalidRequest(message, code=error.code, hint=error.hint) from None

    def _begin_alias(self, tag: str, at: int, value: str = "") -> None:
        self._alias = _Alias(len(self._open), at, tag, value)
        self._words = []

    def _end_alias(self, alias: _Alias, at: int) -> None:
        self._alias = None
        words = MappedText.join(self._words)
        if not words.text.strip():
            spoken = MappedText(alias.value, ((alias.at, at),) * len(alias.value))
            self.add_words(spoken if alias.value else words)
            return
        if len(words.text) > MAX_CHARS:
            name = self._open[-1].name
            message = f"The {name} at {self._place(alias.at)} has {len(words.text):,} characters."
            raise bad_ssml(message, f"{MAX_CHARS} is the limit.")
        end_tag = f"</{self._open[-1].name}>"
        tags = _added(alias.tag, alias.at), _added(end_tag, at)
        self.parts.add_tagged(tags[0], words, tags[1], self._manner, alias.value or words.text)

    def _add_mark(self, attributes: dict[str, str], at: int) -> None:
        name = attributes.get("name", "")
        if not name:
            message = f"The mark at {self._place(at)} has no name."
            raise bad_ssml(message, 'Write <mark name="here"/>.')
        self.parts.add_mark(name)

    def _ignore(self, attributes: dict[str, str], at: int) -> None:
        self._warn_no_effect(self._open[-1].name, f"The element {self._open[-1].name}", at)

    def _warn_no_effect(self, key: str, what: str, at: int) -> None:
        self.warnings.setdefault(key, f"{what} has no effect ({self._place(at)}).")

    def _place(self, at: int) -> str:
        return place_of(self._text, at)


def _read_rate(value: str) -> float | None:
    """A factor for the speed: 1.2 of "1.2", "120%" and "+20%"; None if it is none."""
    if value in _RATES:
        return _RATES[value]
    match = _RATE.fullmatch(value)
    if match is None or (match[1] and not match[3]):
        return None
    rate = float(match[2]) / (100 if match[3] else 1)
    return 1 + rate if match[1] == "+" else 1 - rate if match[1] == "-" else rate


def _added(text: str, at: int) -> MappedText:
    """What stands for no character of the text, between two of them."""
    return MappedText(text, ((at, at),) * len(text))

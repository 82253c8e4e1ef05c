"""Parses tags of scripts: `[voice:ana]`, `ana: text`, `[pause:1.2s]`, `{"name": "ana"}`.

Brackets that are no tag stay text (`[sic]`, `[1]`), unless `strict` asks for an error. Which of two
meanings wins is in docs/guides/scripts.md.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from f5serve.errors import InvalidRequest
from f5serve.secrets import PUBLIC
from f5serve.text.mapped_text import MappedText
from f5serve.text.script import (
    MAIN,
    MAX_PAUSE_S,
    MAX_TAGS,
    MAX_VOICES,
    REGULAR,
    AnyVoice,
    KnownNames,
    Part,
    Script,
    VoiceNames,
    bad_markup,
    is_duration,
    position,
    read_pause,
    read_seed,
    read_speed,
    style_splits,
)
from f5serve.text_kinds import Markup

Change = Callable[[], None]

PAUSES_S = {"break": 0.5, "short pause": 0.5, "pause": 1.0, "long pause": 2.0}
STRENGTHS_S = {"x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 1.0, "x-strong": 1.5}

_NAME = rf"(?:{PUBLIC}/)?+[A-Za-z0-9][A-Za-z0-9_.-]{{0,63}}+"
_MAY_BE_SCRIPT = re.compile(rf"[\[{{]|<break\b|^[ \t]*+{_NAME}:\s", re.IGNORECASE | re.MULTILINE)
# What has no group stays text: escapes, code, pinyin, links.
_TOKEN = re.compile(
    r"\\[\\\[\]{}]|`[^`\n]{1,200}+`|\[pinyin:[^\[\]]{0,500}+\]|!?\[[^\[\]\n]{0,500}+\]\("
    r"|\[(?P<bracket>[^\[\]\n]{1,100}+)\]"
    r"|(?P<cut>\[\s?(?:voice|style|speed|rate|seed|pause|break)\s?[:=])"
    r"|(?<![\w\\$])\{(?P<brace>[^{}]{1,500}+)\}"
    r"|<break\b(?P<attributes>[^<>]{0,200}+)>"
    rf"|^[ \t]*+(?P<speaker>{_NAME}):(?=\s)"
    r"|(?P<blank>\n[^\S\n]*+\n)",
    re.IGNORECASE | re.MULTILINE,
)
_IS_NAME = re.compile(_NAME)
_SETTING = re.compile(r"(voice|style|speed|rate|seed|pause|break)\s?[:=](.*)", re.IGNORECASE)
_SPACED_PAUSE = re.compile(r"(?:pause|break)\s(.*)", re.IGNORECASE)
_END = re.compile(r"/\s?(voice|style|speed|rate)?", re.IGNORECASE)
_TIME = re.compile(r"""\btime\s?=\s?["']([^"']*)["']""", re.IGNORECASE)
_STRENGTH = re.compile(r"""\bstrength\s?=\s?["']([^"']*)["']""", re.IGNORECASE)
_ITEM = re.compile(r"[-*+•]\s{1,3}$")
_KEYWORDS = ("voice:", "style:", "speed:", "seed:", *PAUSES_S, "/")
_EXAMPLE = '{"name": "ana", "seed": 7, "speed": 1.1}'
_ESCAPE = r"Write \[ for a bracket that is no tag."


def may_be_script(text: str) -> bool:
    """Whether a text has anything that `parse_script` could take for a tag."""
    return _MAY_BE_SCRIPT.search(text) is not None


def check_tags(text: str, markup: Markup = "auto") -> Script | None:
    """The parts of a text as far as its tags say so themselves, before any name is looked up.

    `[voice:ana]` is a tag then, and `[ana]` text. Arguments and errors as `parse_script`, but for
    names.
    """
    return parse_script(text, None, markup)


def parse_script(text: str, names: VoiceNames | None, markup: Markup = "auto") -> Script | None:
    """The parts of a text; None where it has no tag.

    Args:
        text: as it was sent.
        names: the voices that tags may name; None as for `check_tags`.
        markup: what becomes of brackets that are no tag: `auto` leaves them in the text, `strict`
            refuses them. `off` takes nothing for a tag.

    Raises:
        InvalidRequest: BAD_MARKUP, VOICE_NOT_FOUND or STYLE_NOT_FOUND, with the place; what
            `names` raises.
    """
    if markup == "off" or not may_be_script(text):
        return None
    if names is None:
        return _Parser(text, KnownNames(AnyVoice()), is_strict=False, is_check=True).run()
    return _Parser(text, KnownNames(names), markup == "strict").run()


@dataclass(frozen=True, slots=True)
class _State:
    """How the text that follows is spoken; attributes as of `Part`."""

    voice: str = ""
    style: str = ""
    speed: float | None = None
    seed: int | None = None


class _Parser:
    """One run over one text.

    Each `_take_...` method reads one kind of token, and returns what it changes; None where it is
    no tag.
    """

    def __init__(
        self, text: str, names: KnownNames, is_strict: bool, is_check: bool = False
    ) -> None:
        self._text = text
        self._mapped = MappedText.of(text)
        self._names = names
        self._is_strict = is_strict
        self._is_check = is_check
        self._parts: list[Part] = []
        self._state = _State()
        self._open: list[tuple[str, _State]] = []  # tags that [/] ends, and the state before each
        self._before_line: _State | None = None  # while lines after a speaker's name are read
        self._begin = 0  # of the text that no part has yet
        self._at = 0  # of the token that is read
        self._used: set[tuple[str, str]] = set()

    def run(self) -> Script | None:
        """The parts, or None where there is no tag."""
        tags = 0
        for match in _TOKEN.finditer(self._text):
            kind = match.lastgroup
            if kind is None:
                continue
            self._at = match.start()
            take: Callable[[re.Match[str]], Change | None] = getattr(self, f"_take_{kind}")
            change = take(match)
            if change is None:
                continue
            tags += 1
            if tags > MAX_TAGS:
                hint = "Send it in parts, or set markup to off."
                raise self._error(f"The text has more than {MAX_TAGS:,} tags", hint)
            self._end_part(match.start())
            self._begin = match.end()
            change()
        if not tags:
            return None
        self._end_part(len(self._text))
        return Script(tuple(self._parts))

    def _take_bracket(self, match: re.Match[str]) -> Change | None:
        body = match["bracket"].strip()
        if setting := _SETTING.fullmatch(body):
            return self._setting(setting[1].lower(), setting[2].strip())
        if end := _END.fullmatch(body):
            return self._closing((end[1] or "").lower().replace("rate", "speed"))
        if body.lower() in PAUSES_S:
            return self._pause(PAUSES_S[body.lower()])
        spaced = _SPACED_PAUSE.fullmatch(body)
        if spaced and is_duration(spaced[1].strip()):
            return self._pause(read_pause(spaced[1].strip(), self._place))
        is_checkbox = body in "xX" and _ITEM.search(self._text[max(0, self._at - 4) : self._at])
        if is_checkbox:
            return None
        named = None if self._is_check else self._named(body)
        if named is not None:
            return lambda: self._begin_tag("voice", replace(named, speed=self._state.speed))
        if self._is_strict:
            raise self._unknown(match[0], body)
        return None

    def _take_cut(self, match: re.Match[str]) -> Change:
        raise self._error(
            f"The tag {match[0]!r} is not closed, or has another bracket inside",
            f"Close it with ]. {_ESCAPE}",
        )

    def _take_brace(self, match: re.Match[str]) -> Change | None:
        body = match["brace"].strip()
        if body.startswith('"'):
            return self._json(match[0], body)
        named = None if self._is_check else self._named(body)
        if named is not None:
            return lambda: self._become(named)
        if self._is_strict:
            raise self._unknown(match[0], body)
        return None

    def _take_attributes(self, match: re.Match[str]) -> Change:
        time, strength = (found.search(match["attributes"]) for found in (_TIME, _STRENGTH))
        if time:
            return self._pause(read_pause(time[1], self._place))
        name = strength[1].lower() if strength else "medium"
        return self._pause(STRENGTHS_S.get(name, PAUSES_S["break"]))

    def _take_speaker(self, match: re.Match[str]) -> Change | None:
        name = match["speaker"]
        if self._is_check or name.isdigit() or not self._names.has_voice(name):
            return None
        before = self._before_line or self._state

        def change() -> None:
            self._become(replace(self._state, voice=name, style=""))
            self._before_line = before

        return change

    def _take_blank(self, match: re.Match[str]) -> Change | None:
        """An empty line ends what a speaker's name at the start of a line has begun."""
        before = self._before_line
        return None if before is None else lambda: self._become(before)

    def _json(self, tag: str, body: str) -> Change | None:
        try:
            fields: dict[str, Any] = json.loads(tag)
        except (ValueError, RecursionError):
            fields = {}
        name, style = fields.get("name"), fields.get("style") or ""
        if not isinstance(name, str) or not isinstance(style, str):
            if self._is_strict or body.startswith('"name"'):
                raise self._error(f"The tag {tag[:60]!r} cannot be read", f"Write {_EXAMPLE}.")
            return None
        named = self._named(name.strip())
        if named is None:
            raise self._names.no_voice(name, self._place)
        if style:
            named = replace(named, style=self._names.checked_style(named.voice, style, self._place))
        speed, seed = fields.get("speed"), fields.get("seed")
        if speed is not None:
            named = replace(named, speed=read_speed(json.dumps(speed), self._place))
        if seed is not None and seed != -1:
            named = replace(named, seed=read_seed(json.dumps(seed), self._place))
        return lambda: self._become(named)

    def _setting(self, key: str, value: str) -> Change:
        place, voice = self._place, self._state.voice
        if key in ("pause", "break"):
            return self._pause(read_pause(value, place))
        if key == "seed":
            seed = read_seed(value, place)
            return lambda: setattr(self, "_state", replace(self._state, seed=seed))
        if key in ("speed", "rate"):
            speed = read_speed(value, place)
            return lambda: self._begin_tag("speed", replace(self._state, speed=speed))
        if key == "style":
            style = self._names.checked_style(voice, value, place)
            return lambda: self._begin_tag("style", replace(self._state, style=style))
        is_main = value.lower() == MAIN
        if not is_main and not (_IS_NAME.fullmatch(value) and self._names.has_voice(value)):
            raise self._names.no_voice(value, place)
        name = "" if is_main else value
        return lambda: self._begin_tag("voice", replace(self._state, voice=name, style=""))

    def _named(self, name: str) -> _State | None:
        """Who a name stands for: the request's voice, a style of the current voice, a voice, or
        voice and style as `ana_happy`; None for no one."""
        if not _IS_NAME.fullmatch(name) or name.isdigit():
            return None
        if name.lower() in (MAIN, REGULAR):
            return _State()
        voice = self._state.voice
        if self._names.has_style(voice, name):
            return _State(voice, name.lower())
        if self._names.has_voice(name):
            return _State(name)
        for left, style in style_splits(name):
            if self._names.has_voice(left) and self._names.has_style(left, style):
                return _State(left, style)
        return None

    def _begin_tag(self, kind: str, state: _State) -> None:
        """Begin what lasts until the next tag of its kind, or until [/]."""
        self._open.append((kind, self._state))
        self._state = state
        if kind != "speed":
            self._before_line = None

    def _become(self, state: _State) -> None:
        self._open.clear()
        self._state = state
        self._before_line = None

    def _closing(self, kind: str) -> Change:
        found = [index for index, one in enumerate(self._open) if kind in ("", one[0])]
        if self._is_check:
            return lambda: None
        if not found:
            what = f"no [{kind}:...]" if kind else "no tag"
            raise self._error(f"[/{kind}] has {what} to end", "Leave it out.")

        def close() -> None:
            opened, before = self._open.pop(found[-1])
            names = ("speed",) if opened == "speed" else ("voice", "style")
            restored = {name: getattr(before, name) for name in names}
            self._state = replace(self._state, **restored)

        return close

    def _pause(self, seconds: float) -> Change:
        place = self._place

        def add() -> None:
            if not self._parts:
                self._parts.append(Part(self._mapped[:0]))
            last = self._parts[-1]
            pause_s = round((last.pause_s or 0.0) + seconds, 3)
            if pause_s > MAX_PAUSE_S:
                raise bad_markup(
                    f"The pauses at {place} add up to {pause_s:g} s.",
                    f"Take {MAX_PAUSE_S:g} s at most in one place.",
                )
            self._parts[-1] = replace(last, pause_s=pause_s)

        return add

    def _end_part(self, end: int) -> None:
        """The text since the last tag becomes a part, if it has a word."""
        text = self._mapped[self._begin : end].strip()
        if not any(map(str.isalnum, text.text)):
            return
        state = self._state
        self._used.add((state.voice.lower(), state.style))
        if len(self._used) > MAX_VOICES:
            hint = "Send it in parts."
            raise self._error(f"The text has more than {MAX_VOICES} voices and styles", hint)
        self._parts.append(Part(text, state.voice, state.style, state.speed, state.seed))
        self._state = replace(state, seed=None)

    @property
    def _place(self) -> str:
        return position(self._text, self._at)

    def _error(self, what: str, hint: str) -> InvalidRequest:
        return bad_markup(f"{what}, at {self._place}.", hint)

    def _unknown(self, tag: str, body: str) -> InvalidRequest:
        near = [*self._names.similar(body)[:2]] if _IS_NAME.fullmatch(body) else []
        near += difflib.get_close_matches(body.lower(), _KEYWORDS, 2)
        meant = f"Did you mean {' or '.join(near)}? " if near else ""
        return self._error(f"The tag {tag[:60]!r} is not known", f"{meant}{_ESCAPE}")

"""Scripts: one text with voices, styles, speeds and pauses, parsed into parts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from f5serve.errors import InvalidRequest
from f5serve.text.mapped_text import MappedText
from f5serve.text.plan import MAX_SEED

MAIN = "main"
"""What tags call the voice of the request."""

REGULAR = "regular"
"""What F5-TTS' own page calls it, and the main recording of a voice."""

MAX_TAGS = 1_000
MAX_VOICES = 32
"""Recordings that one script may use: each is read from the store, and takes up to 1.2 MB."""

MAX_NAMES = 64
"""Different names that are looked up for one text: lines may begin with any word and a colon."""

MAX_NAME_CHARS = 256
"""More than a voice and its style have together: each `_` in a name is looked at."""

MAX_PAUSE_S = 60.0
SPEEDS = (0.25, 4.0)


class VoiceNames(Protocol):
    """The voices that tags may name."""

    def styles(self, voice: str) -> frozenset[str] | None:
        """The styles of a voice, in lower case; None if there is no such voice.

        Args:
            voice: a name; "" is the voice of the request.
        """
        ...

    def similar(self, voice: str) -> Sequence[str]:
        """Names that are spelled like `voice`, the most similar first."""
        ...


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a text whose time is wanted.

    Attributes:
        at: index in the text of its part; the next word is the one that is timed.
    """

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a script that is spoken in one way.

    Attributes:
        text: without tags; its spans are in the script. Without characters for silence alone.
        voice: name; "" is the voice of the request.
        style: of the voice, in lower case; "" is its main recording.
        speed: None is the speed of the request.
        seed: None has one derived from the seed of the request.
        pause_s: silence behind it; None where the next part follows without one.
        start_s, end_s: when it is to be heard, for subtitles; else None.
    """

    text: MappedText
    voice: str = ""
    style: str = ""
    speed: float | None = None
    seed: int | None = None
    pause_s: float | None = None
    start_s: float | None = None
    end_s: float | None = None
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    """Parts in order, and what is to be said about the markup.

    Attributes:
        language: that the markup names, as `canonical_tag` returns it; "" for none.
    """

    parts: tuple[Part, ...]
    warnings: tuple[str, ...] = ()
    language: str = ""


def print_script(parts: Sequence[Part]) -> str:
    """A script that parses to these parts again; each one names all that differs from the request.

    The tags are those of F5-TTS' own page: `{"name": "ana", "style": "happy", "seed": 7} Hello.`
    """
    lines = []
    for part in parts:
        if part.text.text:
            lines.append(f"{json.dumps(_settings(part), ensure_ascii=False)} {part.text.text}")
        if part.pause_s is not None:
            pause = f"[pause:{part.pause_s:.3f}".rstrip("0").rstrip(".") + "s]"
            lines.append(f"{lines.pop()} {pause}" if part.text.text else pause)
    return "\n".join(lines)


def _settings(part: Part) -> dict[str, str | int | float]:
    found: dict[str, str | int | float] = {"name": part.voice or MAIN}
    if part.style:
        found["style"] = part.style
    if part.seed is not None:
        found["seed"] = part.seed
    if part.speed is not None:
        found["speed"] = part.speed
    return found


def position(text: str, at: int) -> str:
    """A place in a text as people count: "character 7", with its line where there are several."""
    line = text.count("\n", 0, at) + 1
    where = f"character {at + 1:,}"
    return f"{where} (line {line:,})" if "\n" in text else where


_DURATION = re.compile(r"(.*?)\s?(ms|s|sec|seconds?)?", re.IGNORECASE)
_NUMBER = re.compile(
    r"[+-]?(?:\d{1,20}(?:[.,]\d{0,20})?|[.,]\d{1,20})(?:e[+-]?\d{1,3})?|[+-]?(?:nan|inf(?:inity)?)"
)
_SEED = re.compile(r"\d{1,10}", re.ASCII)


def is_duration(value: str) -> bool:
    """Whether a value is a number, with or without a unit; it may still be too long."""
    match = _DURATION.fullmatch(value.lower())
    return match is not None and _NUMBER.fullmatch(match[1]) is not None


def read_pause(value: str, place: str) -> float:
    """Seconds of "1.2s", "400ms" or "1.2", in whole milliseconds.

    Args:
        place: of the tag, for the error.

    Raises:
        InvalidRequest: BAD_MARKUP.
    """
    match = _DURATION.fullmatch(value.lower())
    seconds = _number(match[1]) / (1_000 if match[2] == "ms" else 1) if match else math.nan
    if not 0.001 <= seconds <= MAX_PAUSE_S:  # false for what is no number as well
        raise bad_markup(
            f"The pause is {value[:40]!r}, at {place}.",
            f"It takes 1ms to {MAX_PAUSE_S:g}s, such as 1.2s.",
        )
    return round(seconds, 3)


def read_speed(value: str, place: str) -> float:
    """A speed; arguments and errors as `read_pause`."""
    speed = _number(value.lower())
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise bad_markup(
            f"The speed is {value[:40]!r}, at {place}.", f"It takes {SPEEDS[0]:g} to {SPEEDS[1]:g}."
        )
    return speed


def read_seed(value: str, place: str) -> int:
    """A seed; arguments and errors as `read_pause`."""
    if not _SEED.fullmatch(value) or int(value) > MAX_SEED:
        raise bad_markup(
            f"The seed is {value[:40]!r}, at {place}.",
            f"It takes a whole number from 0 to {MAX_SEED}.",
        )
    return int(value)


def _number(text: str) -> float:
    """A number as people write it; not a number for anything else."""
    text = text.strip()
    return float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else math.nan


def bad_markup(message: str, hint: str) -> InvalidRequest:
    """The error for a script that cannot be read; code BAD_MARKUP."""
    return InvalidRequest(message, code="BAD_MARKUP", hint=hint)


class _Everything(frozenset[str]):
    """A set that has everything."""

    def __contains__(self, _: object) -> bool:
        return True


class AnyVoice:
    """Names for a script whose markup alone is to be checked: each voice exists, in each style."""

    def styles(self, voice: str) -> frozenset[str]:
        return _Everything()

    def similar(self, voice: str) -> Sequence[str]:
        return ()


def style_splits(name: str) -> Iterator[tuple[str, str]]:
    """What may be voice and style in a name such as `ana_very_happy`: the longest voice first."""
    at = name.rfind("_") if len(name) <= MAX_NAME_CHARS else 0
    while at > 0:
        yield name[:at], name[at + 1 :].lower()
        at = name.rfind("_", 0, at)


class KnownNames:
    """The voices that the tags of one text name; each is looked up once, `MAX_NAMES` at most."""

    def __init__(self, names: VoiceNames) -> None:
        self._names = names
        self._known: dict[str, frozenset[str] | None] = {}

    def has_voice(self, voice: str) -> bool:
        return self._styles(voice) is not None

    def has_style(self, voice: str, style: str) -> bool:
        styles = self._styles(voice)
        return styles is not None and style.lower() in styles

    def checked_style(self, voice: str, style: str, place: str) -> str:
        """A style as parts have it.

        Raises:
            InvalidRequest: STYLE_NOT_FOUND.
        """
        style = style.strip().lower()
        if style in ("", REGULAR, MAIN):
            return ""
        if self.has_style(voice, style):
            return style
        there = sorted(self._styles(voice) or ())
        who = f"The voice {voice!r}" if voice else "The voice of the request"
        raise InvalidRequest(
            f"{who} has no style {style[:40]!r}, which the tag at {place} asks for.",
            code="STYLE_NOT_FOUND",
            hint=f"It has {', '.join(there)}." if there else "It has no styles; add a recording.",
        )

    def no_voice(self, name: str, place: str) -> InvalidRequest:
        """The error for a voice that does not exist; code VOICE_NOT_FOUND."""
        near = self.similar(name)
        return InvalidRequest(
            f"There is no voice {name[:64]!r}, which the tag at {place} asks for.",
            code="VOICE_NOT_FOUND",
            hint=f"Did you mean {' or '.join(near)}?" if near else "Upload the voice first.",
        )

    def similar(self, voice: str) -> Sequence[str]:
        return self._names.similar(voice)

    def _styles(self, voice: str) -> frozenset[str] | None:
        key = voice.lower()
        if key not in self._known:
            if len(self._known) >= MAX_NAMES:
                return None
            self._known[key] = self._names.styles(voice)
        return self._known[key]

"""Scripts as requests: reads the markup of a text, and gives each part its voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from f5serve.errors import InvalidRequest
from f5serve.synthesis.speech_plan import SpeechPart
from f5serve.text.clean import clean_text, empty_text
from f5serve.text.lexicon import Lexicon
from f5serve.text.script import AnyVoice, Mark, Part, Script, VoiceNames, bad_markup
from f5serve.text.script_parser import check_tags, may_be_script, parse_script
from f5serve.text.spoken import written_text
from f5serve.text.ssml import parse_ssml
from f5serve.text_kinds import Markup
from f5serve.types import Voice

_LEADING_MARKS = ".,;:!?…)]}»”’。，、！？；： "
"""What may follow a tag and belongs to the words before it."""


MARKUP_CHARS = 10_000
"""Of tags, in a text of any length: it is read before anything else is known of the request."""

MAX_SILENCE_S = 600.0
"""All pauses of one text together."""


@dataclass(frozen=True, slots=True)
class ScriptSyntax:
    """How the markup of a text is read.

    Attributes:
        markup: what becomes of brackets that are no tag.
        is_ssml: whether the text is SSML.
        speed: of the request, which rates of SSML multiply.
    """

    markup: Markup = "auto"
    is_ssml: bool = False
    speed: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class CastVoice:
    """A voice of a script, and how its texts are read: attributes as of `SpeechPart`.

    Attributes:
        speed: of parts whose tags give none; None is that of the request.
        warnings: for the caller, besides those of the voice.
    """

    voice: Voice
    lexicon: Lexicon | None = None
    unnormalized: frozenset[str] = frozenset()
    speed: float | None = None
    warnings: tuple[str, ...] = ()


class Cast(VoiceNames, Protocol):
    """The voices of a script."""

    def load(self, voice: str, style: str) -> CastVoice:
        """A voice that `styles` knows; "" is the voice of the request, and its style.

        Raises:
            F5Error: as `VoiceLibrary.get`.
        """
        ...


def read_script(text: str, names: VoiceNames, syntax: ScriptSyntax) -> Script | None:
    """The parts of a text; None where it has no markup of scripts.

    Raises:
        InvalidRequest: as `parse_script` and `parse_ssml`.
    """
    if syntax.is_ssml:
        return parse_ssml(text, names, syntax.speed)
    return parse_script(text, names, syntax.markup)


def check_markup(text: str, syntax: ScriptSyntax, max_chars: int) -> Script | None:
    """The parts of a text as far as its markup says so itself, before any name is looked up.

    Args:
        max_chars: that may be spoken.

    Raises:
        InvalidRequest: TEXT_TOO_LONG for more markup than such a text can need; as `read_script`,
            but for names.
    """
    _check_size(text, syntax, max_chars)
    if syntax.is_ssml:
        return parse_ssml(text, AnyVoice(), syntax.speed)
    return check_tags(text, syntax.markup)


def _check_size(text: str, syntax: ScriptSyntax, max_chars: int) -> None:
    most = 3 * max_chars + MARKUP_CHARS
    if len(text) > most and (syntax.is_ssml or may_be_script(text)):
        raise InvalidRequest(
            f"The text has {len(text):,} characters with its markup; {most:,} is the limit.",
            code="TEXT_TOO_LONG",
            hint="Send it in parts, or raise F5_MAX_TEXT_CHARS.",
        )


def check_script(script: Script, max_chars: int) -> None:
    """Refuse a script without words, or with too many words or pauses.

    Raises:
        InvalidRequest: EMPTY_TEXT, TEXT_TOO_LONG, BAD_MARKUP.
    """
    silence_s = sum(part.pause_s or 0.0 for part in script.parts)
    if silence_s > MAX_SILENCE_S:
        raise bad_markup(
            f"The pauses add up to {silence_s:g} s.",
            f"Take {MAX_SILENCE_S:g} s at most in one text.",
        )
    size = sum(len(part.text.text) for part in script.parts)
    if not size:
        raise empty_text()
    if size > max_chars:
        raise InvalidRequest(
            f"The text has {size:,} characters without its tags; {max_chars:,} is the limit of one"
            " request.",
            code="TEXT_TOO_LONG",
            hint="Send it in parts, or raise F5_MAX_TEXT_CHARS.",
        )


@dataclass(frozen=True, slots=True)
class CastScript:
    """A script with its voices.

    Attributes:
        warnings: about its markup and its voices.
        language: that it says it is in; "" if it does not.
    """

    parts: tuple[SpeechPart, ...]
    warnings: tuple[str, ...] = ()
    language: str = ""


def cast_text(text: str, cast: Cast, syntax: ScriptSyntax, max_chars: int) -> CastScript:
    """The parts of a text with their voices; none where it has no markup of scripts.

    Args:
        max_chars: that may be spoken.

    Raises:
        InvalidRequest: TEXT_TOO_LONG; as `read_script` and `check_script`.
        F5Error: as `cast_script`.
    """
    _check_size(text, syntax, max_chars)
    script = read_script(text, cast, syntax)
    if script is None:
        return CastScript(())
    check_script(script, max_chars)
    return cast_script(script, cast)


def cast_script(script: Script, cast: Cast) -> CastScript:
    """Clean the texts of a script, and load its voices, each once.

    Raises:
        InvalidRequest: EMPTY_TEXT where no part has a word; as `clean_text`.
        F5Error: as `Cast.load`.
    """
    loaded: dict[tuple[str, str], CastVoice] = {}
    parts: list[SpeechPart] = []
    for source in script.parts:
        text = _clean(source.text.text).lstrip(_LEADING_MARKS)
        if not text and parts:
            before = parts[-1].source
            pause_s = _sum(before.pause_s, source.pause_s)
            parts[-1] = replace(parts[-1], source=replace(before, pause_s=pause_s))
            continue
        if not text and source.pause_s is None:
            continue
        key = (source.voice.lower(), source.style)
        if key not in loaded:
            loaded[key] = cast.load(source.voice, source.style)
        found = loaded[key]
        if source.speed is None:
            source = replace(source, speed=found.speed)
        marks = _mark_chars(source.text.text, source.marks)
        parts.append(
            SpeechPart(source, text, found.voice, found.lexicon, found.unnormalized, marks)
        )
    if not any(part.text for part in parts):
        raise empty_text()
    warnings = [*script.warnings]
    for found in loaded.values():
        warnings += [*found.voice.warnings, *found.warnings]
    return CastScript(tuple(parts), tuple(dict.fromkeys(warnings)), script.language)


def _clean(text: str) -> str:
    """The text of a part; "" if it has no word."""
    if not text:
        return ""
    try:
        return clean_text(text, len(text))
    except InvalidRequest as error:
        if error.code != "EMPTY_TEXT":
            raise
        return ""


def _mark_chars(text: str, marks: Sequence[Mark]) -> tuple[int, ...]:
    """For each mark the characters before it as they are written, without spaces."""
    found: list[int] = []
    begin = count = 0
    for mark in marks:
        piece = written_text(_clean(text[begin : mark.at]))
        count += len("".join((piece if found else piece.lstrip(_LEADING_MARKS)).split()))
        found.append(count)
        begin = mark.at
    return tuple(found)


def _sum(left: float | None, right: float | None) -> float | None:
    return left if right is None else round((left or 0.0) + right, 3)


def script_parts(parts: Sequence[Part]) -> list[dict[str, object]]:
    """Parts as JSON, with their places in the text that was sent."""
    return [_part_as_dict(part) for part in parts]


def _part_as_dict(part: Part) -> dict[str, object]:
    start, end = part.text.source_span(0, len(part.text.text))
    return {
        "text": part.text.text,
        "voice": part.voice or None,
        "style": part.style or None,
        "speed": part.speed,
        "seed": part.seed,
        "pause": part.pause_s,
        "start": start,
        "end": end,
    }

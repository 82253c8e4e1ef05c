"""From the text that was written to the words that are spoken: lexicon, then normalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from f5serve.errors import InvalidRequest
from f5serve.text.aliases import Alias, speak_aliases, take_aliases
from f5serve.text.language import is_day_first, language_of
from f5serve.text.lexicon import Lexicon
from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization.normalizer import DAY_FIRST_ENGLISH, normalize
from f5serve.text.pinyin import mark_pinyin, show_pinyin, syllable_of, without_pinyin
from f5serve.text_kinds import TEXT_KINDS, VALUES, parse_normalize
from f5serve.types import Span

AUTO, ON, OFF = "auto", "on", "off"


@dataclass(frozen=True, slots=True)
class SpokenText:
    """The words that are spoken for a text.

    Attributes:
        written: the text without the markup of `text/pinyin.py` and `text/aliases.py`.
        mapped: the words; each character has its span in `written`.
        language: of the text, ISO 639-1; "" if unknown.
        warnings: what was left as it is although it may be read wrongly.
    """

    written: str
    mapped: MappedText
    language: str
    warnings: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The words for people: pinyin as it is typed."""
        return show_pinyin(self.mapped.text)


def spoken_text(
    text: str,
    language: str = "",
    voice_language: str = "",
    unnormalized: frozenset[str] = frozenset(),
    lexicon: Lexicon | None = None,
) -> SpokenText:
    """The words for a text.

    Args:
        text: as `clean_text` returns it.
        language: of the text, as `canonical_tag` returns it; "" finds it out from the text and
            `voice_language`, a tag as well.
        unnormalized: kinds of rules that are not used, see `unnormalized_kinds`.
        lexicon: words that are spoken in a way of their own.

    Raises:
        InvalidRequest: BAD_PINYIN for a syllable that does not exist.
    """
    written, mapped, aliases = _without_markup(text)
    tag = language or voice_language
    language = (language or language_of(without_pinyin(written), voice_language)).partition("-")[0]
    mapped, warnings = speak_aliases(mapped, aliases, language)
    if lexicon is not None:
        mapped = lexicon.apply(mapped, language)
    is_british = language == "en" and is_day_first(tag)
    rules = DAY_FIRST_ENGLISH if is_british else language
    done = normalize(mapped, rules, unnormalized)
    return SpokenText(written, done.mapped, language, (*warnings, *done.warnings))


def written_text(text: str) -> str:
    """A clean text as people read it, without the markup of pinyin; errors as `spoken_text`."""
    return _without_markup(text)[0]


def _without_markup(text: str) -> tuple[str, MappedText, list[Alias]]:
    """The text as people read it, the same with pinyin in place of the marked characters, and the
    places of that which are spoken otherwise."""
    marked, aliases = take_aliases(mark_pinyin(MappedText.of(text)))
    if marked.text == text:
        return text, marked, aliases
    parts: list[str] = []
    spans: list[Span] = []
    end = 0
    last: Span | None = None
    for span in marked.spans:
        if span != last:  # several syllables for the same characters have the same span
            parts.append(text[slice(*span)])
            end += len(parts[-1])
        spans.append((end - len(parts[-1]), end))
        last = span
    return "".join(parts), MappedText(marked.text, tuple(spans)), aliases


def as_written(spoken: str, written: str, spans: Sequence[Span]) -> str:
    """What is spoken with the characters that were written for its pinyin: for aligners."""
    if spoken.isascii() or not spans:
        return spoken
    return "".join(
        written[start] if syllable_of(char) else char
        for char, (start, _) in zip(spoken, spans, strict=True)
    )


def check_normalize(normalize: str | Sequence[str]) -> str:
    """A value of `normalize` as `parse_normalize` returns it.

    Args:
        normalize: auto, on, off, or the kinds that are to be left alone.

    Raises:
        InvalidRequest: BAD_OPTION for any other value.
    """
    try:
        return parse_normalize(normalize)
    except ValueError as error:
        raise InvalidRequest(
            f"normalize has {str(error)[:40]!r}.", code="BAD_OPTION", hint=f"It takes {VALUES}."
        ) from None


def unnormalized_kinds(normalize: str | Sequence[str]) -> frozenset[str]:
    """The kinds of rules that a value of `normalize` switches off; errors as `check_normalize`."""
    value = check_normalize(normalize)
    if value in (AUTO, ON, ""):
        return frozenset()
    return frozenset(TEXT_KINDS if value == OFF else value.split(","))


@dataclass(frozen=True, slots=True)
class Change:
    """A part of the written text that is spoken in other characters, or not at all.

    Attributes:
        start, end: first character of `written`, and the one behind its last.
    """

    start: int
    end: int
    written: str
    spoken: str


def changes(spoken: SpokenText) -> list[Change]:
    """What is not spoken as it is written, in order."""
    found: list[Change] = []
    characters = zip(spoken.mapped.text, spoken.mapped.spans, strict=True)
    end = 0
    for span, group in groupby(characters, key=lambda one: one[1]):
        replacement = show_pinyin("".join(char for char, _ in group)).strip()
        _add_change(found, spoken.written, (end, span[0]), "")
        _add_change(found, spoken.written, span, replacement)
        end = max(end, span[1])
    _add_change(found, spoken.written, (end, len(spoken.written)), "")
    return found


def _add_change(found: list[Change], written: str, span: Span, replacement: str) -> None:
    before = written[slice(*span)]
    if before.strip() != replacement:
        found.append(Change(*span, before, replacement))

"""Cleans text for speech: one line of NFC text without markup and invisible characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby, pairwise

from f5serve.errors import InvalidRequest
from f5serve.text.aliases import with_aliases, without_end_tag
from f5serve.text.mapped_text import MappedText
from f5serve.text.markup import (
    PICTURES,
    without_emoji,
    without_entities,
    without_item_mark,
    without_markup,
)
from f5serve.types import Span

MAX_MARKS = 30
"""Combining marks that one letter may carry: Unicode's own limit for safe streams (UAX 15).

Beyond it, bringing text into normal form takes time that grows with the square of the run.
"""

MAX_STRAY_CONTROLS = 5
"""Control characters that are dropped without an error; more must be under a tenth of the text."""

_PLAIN = re.compile(r"(?![- ])(?:[!\"%'()+,./0-9:;?@A-Z^a-z{}-]++| (?! )|\$(?!\$))++(?<! )")
"""One line without anything that cleaning changes; not every such line."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b"
    "\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff9-\ufffc\ufffe\uffff"
    "\U000e0000-\U000e007f\U000e0100-\U000e01ef\U000f0000-\U0010ffff]"
)
"""Controls, marks of direction, fillers, choices among forms of a character, private characters.

The private planes are used by the steps that follow: what is in them is none of the caller's.
"""

_JOINED_SCRIPTS = "\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\ufb50-\ufdff\ufe70-\ufefc"
_STRAY_JOINER = re.compile(
    f"(?<![{_JOINED_SCRIPTS}])\u200c|(?<![{_JOINED_SCRIPTS}{PICTURES}\ufe0f])\u200d"
    "|(?<=\u2139)\u200d|(?<=\u2139\ufe0f)\u200d"
)
"""A joiner where none is needed: Persian and Indic words are spelled with them, and emoji."""

_BINARY = re.compile("[\u0000-\u0008\u000e-\u001a\u007f-\u0084\u0086-\u009f\ufffd]")
_LINE_END = re.compile("\r\n?|[\x85\u2028\u2029]")
_GROUPING_SPACE = re.compile(r"(?<=\d)[\xa0\u2007\u2009\u202f](?=\d)")
_OTHER_SPACE = re.compile(r"(?!(?<=\d)\xa0\d)[^\S ]|\u2800")
_MORE_SPACE = re.compile("(?<= ) ++")
_GROUPING = "\xa0"
"""The space between groups of digits: "1 299" stays one number, and two numbers stay two.

A no-break, narrow, thin or figure space between two digits becomes this one, a plain one does not.
"""

_FORMS = (
    "\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\u2160-\u217f\u24b6-\u24e9"
    "\u3371-\u3376\u3380-\u33df\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\ufb00-\ufb06"
    "\uff02-\uff07\uff0a\uff0b\uff0d\uff0f\uff1c-\uff1e\uff20\uff3c\uff3e-\uff40\uff5c\uff5e"
    "\uff61-\uff9d\uffe0\uffe1\uffe5\uffe6\ufe5f-\ufe6b"
    "\ufb50-\ufbb1\ufbd3-\ufd3d\ufd50-\ufdf9\ufe80-\ufefc\U0001d400-\U0001d7ff"
)
_FORM = re.compile(f"[{_FORMS}]")
"""Full-width letters, digits and signs, half-width kana, Roman numerals, ligatures, units in one
character, letters of Arabic by their place, letters of mathematics and in circles: they sound like
the plain ones, and no vocabulary of a published checkpoint has them. Full-width marks of
punctuation stay: they end sentences without a space."""

_TATWEEL = re.compile("(?<=[\u0620-\u064a\u066e-\u06d3])\u0640++")
"""A stroke that makes an Arabic word longer, and no letter."""

_BEYOND_ASCII = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]++")
_JAMO = re.compile("[\u1160-\u11ff\ud7b0-\ud7fb\uff9e\uff9f]")
"""Parts of Korean syllables and marks of half-width kana, which go with what is before them."""

_KEYCAP = re.compile(
    "([0-9#*])\ufe0f?\u20e3++|[\u2460-\u249b\u24ea-\u24ff\u2776-\u2793\U0001f51f]\ufe0f?+\u20e3*+"
)
"""Digits that are pictures: keycaps, numbers in circles or with brackets."""

_INFORMATION = re.compile("\u2139\ufe0f?")
"""A letter by its category, a picture by its looks."""

_PARAGRAPH_END = re.compile(r"(?<=\S)(?=[^\S\n]*+\n[^\S\n]*+\n)")


def clean_text(text: str, max_chars: int) -> str:
    """As `clean`, without the spans."""
    return clean(text, max_chars).text


def clean(text: str, max_chars: int) -> MappedText:
    """One line of speakable text: NFC, single spaces, no control or direction characters.

    Full-width letters and ligatures become plain ones, line ends spaces; an empty line, a heading
    or an item of a list ends the sentence before it, with a full stop if need be. Marks of
    Markdown, HTML and LaTeX are left out. A no-break space stays between two digits only.

    Returns:
        The text; each character has its span in the text as it was sent.

    Raises:
        InvalidRequest: code TEXT_TOO_LONG, NOT_TEXT, BAD_UNICODE or EMPTY_TEXT.
    """
    if len(text) > max_chars:
        raise InvalidRequest(
            f"The text has {len(text):,} characters; {max_chars:,} is the limit of one request.",
            code="TEXT_TOO_LONG",
            hint="Send it in parts, or raise F5_MAX_TEXT_CHARS.",
        )
    mapped = MappedText.of(text)
    if not _PLAIN.fullmatch(text):
        _refuse_binary(text)
        refuse_broken_unicode(text)
        mapped = _clean(mapped)
    if not any(map(str.isalnum, with_aliases(mapped.text))):
        raise empty_text()
    return mapped


def empty_text() -> InvalidRequest:
    """The error for a text without a word; code EMPTY_TEXT."""
    return InvalidRequest(
        "Text input is required.",
        code="EMPTY_TEXT",
        hint="Send at least one letter or digit to speak.",
    )


def _clean(text: MappedText) -> MappedText:
    text = text.sub(_LINE_END, lambda match: "\n\n" if match[0] == "\u2029" else "\n")
    text = _without_invisible(text)
    written = without_entities(text)
    if written is not text:
        text = _without_invisible(written)
    text = _normalize_forms(text)
    if not text.text.isascii():
        text = text.sub(_KEYCAP, _verbalize_keycap).sub(_INFORMATION, " ").keep(_TATWEEL)
    text = _normalize_forms(without_markup(text))
    text = _with_plain_spaces(_end_paragraphs(text.strip()))
    text = without_item_mark(text.strip()).strip()
    return MappedText(text.text, _without_overlaps(text.spans))


def _without_overlaps(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """Spans that overlap become one: a mark may have moved to the last letter of a ligature."""
    if all(left[1] <= right[0] or left == right for left, right in pairwise(spans)):
        return spans
    groups: list[tuple[Span, int]] = []
    for start, end in spans:
        (first, last), count = groups[-1] if groups else ((0, 0), 0)
        if count and (start < last or (start, end) == (first, last)):
            groups[-1] = (min(first, start), max(last, end)), count + 1
        else:
            groups.append(((start, end), 1))
    return tuple(span for span, count in groups for _ in range(count))


def _without_invisible(text: MappedText) -> MappedText:
    return text.keep(_INVISIBLE).keep(_STRAY_JOINER)


def _with_plain_spaces(text: MappedText) -> MappedText:
    plain = _OTHER_SPACE.sub(" ", _GROUPING_SPACE.sub(_GROUPING, text.text))
    return MappedText(plain, text.spans).keep(_MORE_SPACE)


def _normalize_forms(text: MappedText) -> MappedText:
    """NFC, and plain forms; a character that changes has the span of its cluster."""
    if unicodedata.is_normalized("NFC", text.text) and not _FORM.search(text.text):
        return text
    parts: list[str] = []
    spans: list[Span] = []
    position = 0
    for start, end in _clusters(text.text):
        cluster = text.text[start:end]
        plain = _plain_form(cluster)
        if plain != cluster:
            parts += (text.text[position:start], plain)
            spans += text.spans[position:start]
            spans += [text.source_span(start, end)] * len(plain)
            position = end
    parts.append(text.text[position:])
    spans += text.spans[position:]
    return MappedText("".join(parts), tuple(spans))


def _clusters(text: str) -> Iterator[Span]:
    """Each character beyond ASCII, or with marks, together with the marks that belong to it."""
    for run in _BEYOND_ASCII.finditer(text):
        start = run.start()
        for index in range(start + 1, run.end()):
            if not _joins(text[index]):
                yield start, index
                start = index
        yield start, run.end()


@lru_cache(maxsize=16_384)
def _joins(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or _JAMO.match(character) is not None


@lru_cache(maxsize=16_384)
def _plain_form(cluster: str) -> str:
    if not _FORM.match(cluster):
        return unicodedata.normalize("NFC", cluster)
    plain = unicodedata.normalize("NFKC", cluster)
    if "\u3371" <= cluster[0] <= "\u33df":
        plain = plain.replace("2", "²").replace("3", "³")
    return plain


def _refuse_binary(text: str) -> None:
    count = len(_BINARY.findall(text))
    if count > MAX_STRAY_CONTROLS and count * 10 > len(text):
        raise InvalidRequest(
            f"The text is not text: {count:,} of its {len(text):,} characters are control"
            " characters or could not be decoded.",
            code="NOT_TEXT",
            hint="Send plain text in UTF-8, not a document or an audio file.",
        )


def refuse_broken_unicode(text: str) -> None:
    """Refuse halves of characters, and stacks of marks whose normal form takes long.

    Raises:
        InvalidRequest: code BAD_UNICODE.
    """
    half = _SURROGATE.search(text)
    if half:
        raise InvalidRequest(
            f"Character {half.start() + 1:,} of the text is half a character"
            f" (U+{ord(half.group()):04X}).",
            code="BAD_UNICODE",
            hint="Send the text as UTF-8; a character was cut in two where it was encoded.",
        )
    if not text.isascii() and _longest_run_of_marks(text) > MAX_MARKS:
        raise InvalidRequest(
            f"The text stacks more than {MAX_MARKS} combining marks on one letter.",
            code="BAD_UNICODE",
            hint="Remove the stacked accents.",
        )


def _longest_run_of_marks(text: str) -> int:
    runs = groupby(text, key=lambda char: unicodedata.combining(char) > 0)
    return max((sum(1 for _ in run) for marks, run in runs if marks), default=0)


def _end_paragraphs(text: MappedText) -> MappedText:
    """A heading has no full stop; without one it would be spoken into the line that follows."""
    return text.sub(_PARAGRAPH_END, _end_sentence)


def _end_sentence(match: re.Match[str]) -> str | None:
    text = match.string
    line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
    last = without_emoji(without_end_tag(line))[-1:] or "."
    if unicodedata.category(last)[0] not in "LNM":
        return None
    return "。" if "\u3040" <= last <= "\u9fff" else "."


def _verbalize_keycap(match: re.Match[str]) -> str:
    """The number, apart from others: two keycaps in a row are no number of two digits."""
    number = match[1] or str(int(unicodedata.numeric(match[0][0], 10)))
    start, end = match.span()
    before, after = match.string[start - 1 : start], match.string[end : end + 1]
    left = "" if not before or before.isspace() else " "
    right = " " if after.isalnum() and not _KEYCAP.match(match.string, end) else ""
    return left + number + right

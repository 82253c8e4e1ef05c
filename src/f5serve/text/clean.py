"""Cleans text for speech: one line of NFC text without markup and invisible characters."""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

from f5serve.errors import InvalidRequest
from f5serve.text.markup import without_emoji, without_item_mark, without_markup

MAX_MARKS = 30
"""Combining marks that one letter may carry: Unicode's own limit for safe streams (UAX 15).

Beyond it, bringing text into normal form takes time that grows with the square of the run.
"""

MAX_STRAY_CONTROLS = 5
"""Control characters that are dropped without an error; more must be under a tenth of the text."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
_BINARY = re.compile("[\u0000-\u0008\u000e-\u001a\u007f-\u0084\u0086-\u009f\ufffd]")
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028]")


_FORMS = re.compile(
    "[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\ufb00-\ufb06\u2160-\u217f"
    "\uff02-\uff07\uff0a\uff0b\uff0d\uff0f\uff1c-\uff1e\uff20\uff3c\uff3e-\uff40\uff5c\uff5e"
    "\uffe0\uffe1\uffe5\uffe6\ufe5f-\ufe6b]+"
)
"""Full-width letters, digits and signs, Roman numerals and Latin ligatures: they sound like the
plain ones, and no vocabulary of a published checkpoint has them. Full-width marks of punctuation
stay: they end sentences without a space."""

_KEYCAP = re.compile("([0-9#*])\ufe0f?\u20e3+|[\u2460-\u249b\u24ea-\u24ff\u2776-\u2793\U0001f51f]")
"""Digits that are pictures: keycaps, numbers in circles or with brackets."""

_INFORMATION = re.compile("\u2139\ufe0f?")
"""A letter by its category, a picture by its looks."""


def clean_text(text: str, max_chars: int) -> str:
    """One line of speakable text: NFC, single spaces, no control or direction characters.

    Full-width letters and ligatures become plain ones, line ends spaces; an empty line, a heading
    or an item of a list ends the sentence before it, with a full stop if need be. Marks of
    Markdown and HTML are left out.

    Raises:
        InvalidRequest: code TEXT_TOO_LONG, NOT_TEXT, BAD_UNICODE or EMPTY_TEXT.
    """
    if len(text) > max_chars:
        raise InvalidRequest(
            f"The text has {len(text):,} characters; {max_chars:,} is the limit of one request.",
            code="TEXT_TOO_LONG",
            hint="Send it in parts, or raise F5_MAX_TEXT_CHARS.",
        )
    _refuse_binary(text)
    _refuse_broken_unicode(text)
    text = _LINE_END.sub("\n", text.replace("\u2029", "\n\n"))
    text = unicodedata.normalize("NFC", without_markup(_INVISIBLE.sub("", text)))
    if not text.isascii():
        text = _INFORMATION.sub(" ", _KEYCAP.sub(_verbalize_keycap, text))
    text = _FORMS.sub(lambda run: unicodedata.normalize("NFKC", run.group()), text)
    text = without_item_mark(" ".join(_end_paragraphs(text).split()))
    if not any(map(str.isalnum, text)):
        raise InvalidRequest(
            "Text input is required.",
            code="EMPTY_TEXT",
            hint="Send at least one letter or digit to speak.",
        )
    return text


def _refuse_binary(text: str) -> None:
    count = len(_BINARY.findall(text))
    if count > MAX_STRAY_CONTROLS and count * 10 > len(text):
        raise InvalidRequest(
            f"The text is not text: {count:,} of its {len(text):,} characters are control"
            " characters or could not be decoded.",
            code="NOT_TEXT",
            hint="Send plain text in UTF-8, not a document or an audio file.",
        )


def _refuse_broken_unicode(text: str) -> None:
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


def _end_paragraphs(text: str) -> str:
    lines = [line.rstrip() for line in text.strip().split("\n")]
    for index in range(len(lines) - 1):
        if lines[index] and not lines[index + 1]:
            lines[index] = _end_sentence(lines[index])
    return "\n".join(lines)


def _end_sentence(text: str) -> str:
    """A heading has no full stop; without one it would be spoken into the line that follows."""
    last = without_emoji(text)[-1:] or "."
    if unicodedata.category(last)[0] not in "LNM":
        return text
    return text + ("。" if "\u3040" <= last <= "\u9fff" else ".")


def _verbalize_keycap(match: re.Match[str]) -> str:
    """The number, apart from others: two keycaps in a row are no number of two digits."""
    number = match[1] or str(int(unicodedata.numeric(match[0], 10)))
    return f" {number} " if match.string[match.end() : match.end() + 1].isalnum() else f" {number}"

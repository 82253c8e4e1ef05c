"""Makes paragraphs of lines that were wrapped to a width."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from f5serve.books.headings import MAX_HEADING_CHARS, heading_level

_WRAPPED_CHARS = 120
"""Lines of more are paragraphs, which nothing has wrapped."""

_SHORT = 0.7
"""A line shorter than this share of the others ends its paragraph, if it ends a sentence."""

_SENTENCE_END = re.compile(r"[.!?。！？…][\"'”’»」』)]{0,2}$")
_HYPHENS = "-\xad\u2010"
_CJK_EDGE = re.compile("[\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef]")


class Line(NamedTuple):
    """A line without the spaces around it.

    Attributes:
        number: of the line or of its page, from 1.
    """

    number: int
    text: str
    is_indented: bool = False


def width_of(lines: Iterable[Line]) -> int:
    """How long lines are that were wrapped: all but the longest twentieth are shorter."""
    lengths = sorted(len(line.text) for line in lines if line.text)
    return lengths[len(lengths) * 19 // 20] if lengths else 0


def paragraphs(lines: Iterable[Line], width: int) -> Iterator[list[Line]]:
    """Lines that belong together, by empty lines, indentation, and short lines that end a sentence.

    Args:
        width: as `width_of` finds it.
    """
    found: list[Line] = []
    for line in lines:
        if found and (not line.text or _ends(found[-1], line, width)):
            yield found
            found = []
        if line.text:
            found.append(line)
    if found:
        yield found


def _ends(line: Line, following: Line, width: int) -> bool:
    """Whether a paragraph ends between two lines that have text."""
    if heading_level(line.text):
        return not _is_title_below(line, following)
    if width > _WRAPPED_CHARS or (following.is_indented and not line.is_indented):
        return True
    is_short = len(line.text) < _SHORT * width
    is_end = _SENTENCE_END.search(line.text) is not None
    return (is_short and is_end) or ((is_short or is_end) and heading_level(following.text) > 0)


def _is_title_below(line: Line, following: Line) -> bool:
    """Whether a line belongs to a heading of a number that stands above it."""
    return (
        heading_level(line.text) > 0
        and not heading_level(following.text)
        and len(following.text) <= MAX_HEADING_CHARS // 2
        and not _SENTENCE_END.search(following.text)
    )


def joined(
    paragraph: Sequence[Line], is_divided: Callable[[str, str], bool] = lambda _, __: False
) -> str:
    """The lines of a paragraph as one.

    Args:
        is_divided: whether the hyphen at the end of a line only divides a word, of which it is
            given both parts.
    """
    pieces = [paragraph[0].text]
    for line in paragraph[1:]:
        last = pieces[-1]
        if _CJK_EDGE.match(last[-1]) and _CJK_EDGE.match(line.text):
            pieces.append(line.text)
        elif last[-1] in _HYPHENS and last[-2:-1].isalpha():
            before, after = last[:-1].rpartition(" ")[2], line.text.partition(" ")[0]
            if last[-1] != "-" or is_divided(before, after):
                pieces[-1] = last[:-1]
            pieces.append(line.text)
        else:
            pieces += [" ", line.text]
    return "".join(pieces)

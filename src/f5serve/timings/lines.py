"""Words with times to lines that can be read while they are heard.

Word timings flow in, lines flow out: cut at pauses, after sentences and where a line is full, and
shown long enough to be read where what follows permits. Formats of files are not known here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from f5serve.text.split import fill_evenly, split_characters
from f5serve.types import WordTiming

MAX_COLUMNS = 42
"""Longest row, as television has it; a Chinese or Japanese character takes two columns."""

MAX_ROWS = 2
PAUSE_S = 0.6
"""A silence that ends a line; shorter ones only do so after a clause."""

CLAUSE_PAUSE_S = 0.25
MAX_LINE_S = 7.0
MIN_LINE_S = 1.0
COLUMNS_PER_SECOND = 17.0
"""What people read in comfort. Speech may be faster: then the line stays on, if it may."""

_SENTENCE_END = re.compile(r"[.!?…。！？؟।][\"'”’»›)\]」』]*$")
_CLAUSE_END = re.compile(r"[,;:，、；：،–—-][\"'”’»›)\]」』]*$")


@dataclass(frozen=True, slots=True)
class Line:
    """What is shown at a time.

    Attributes:
        rows: the words, by row.
        start_s, end_s: when it is shown; never before the end of the line before.
    """

    rows: tuple[tuple[WordTiming, ...], ...]
    start_s: float
    end_s: float

    @property
    def words(self) -> tuple[WordTiming, ...]:
        """All of them, in order."""
        return tuple(word for row in self.rows for word in row)

    @property
    def text(self) -> str:
        """The rows, with a line break between them."""
        return "\n".join(join_words([word.word for word in row]) for row in self.rows)


def word_lines(words: Sequence[WordTiming]) -> list[Line]:
    """A line for each word, as long as it is heard."""
    return [Line(((word,),), word.start_s, word.end_s) for word in words]


def group_lines(words: Sequence[WordTiming]) -> list[Line]:
    """Lines of whole sentences where they fit, of clauses or as many words as fit elsewhere."""
    groups = list(_groups(words))
    lines = []
    for index, group in enumerate(groups):
        start_s, end_s = group[0].start_s, group[-1].end_s
        most_s = groups[index + 1][0].start_s if index + 1 < len(groups) else float("inf")
        columns = sum(width(word.word) + 1 for word in group)
        wanted_s = min(max(MIN_LINE_S, columns / COLUMNS_PER_SECOND), MAX_LINE_S)
        end_s = max(end_s, min(start_s + wanted_s, most_s))
        lines.append(Line(_rows(group), start_s, min(end_s, max(most_s, start_s))))
    return lines


def join_words(words: Sequence[str]) -> str:
    """Words as text: spaces between them, but for scripts that have none."""
    gaps = (gap_between(left, right) for left, right in pairwise(words))
    return "".join([*words[:1], *(gap + word for gap, word in zip(gaps, words[1:], strict=True))])


def gap_between(left: str, right: str) -> str:
    """A space, or nothing where the script of either word has no spaces."""
    return "" if len(list(split_characters(left[-1:] + right[:1]))) > 1 else " "


def width(text: str) -> int:
    """Columns of a text: wide characters take two, marks none."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def _groups(words: Sequence[WordTiming]) -> Iterator[list[WordTiming]]:
    group: list[WordTiming] = []
    for index, word in enumerate(words):
        if group and not _fits([*group, word]):
            kept, group = _cut_at_clause(group)
            yield kept
        group.append(word)
        following = words[index + 1] if index + 1 < len(words) else None
        if following is None or _ends_line(word, following.start_s - word.end_s):
            yield group
            group = []


def _ends_line(word: WordTiming, pause_s: float) -> bool:
    if pause_s >= PAUSE_S or _SENTENCE_END.search(word.word):
        return True
    return pause_s >= CLAUSE_PAUSE_S and _CLAUSE_END.search(word.word) is not None


def _fits(group: Sequence[WordTiming]) -> bool:
    if group[-1].end_s - group[0].start_s > MAX_LINE_S:
        return False
    return len(_rows(group)) <= MAX_ROWS


def _cut_at_clause(group: list[WordTiming]) -> tuple[list[WordTiming], list[WordTiming]]:
    """A full line ends with its last clause, if a third of it is left."""
    for cut in range(len(group) - 1, len(group) // 3, -1):
        if _CLAUSE_END.search(group[cut - 1].word):
            return group[:cut], group[cut:]
    return group, []


def _rows(group: Sequence[WordTiming]) -> tuple[tuple[WordTiming, ...], ...]:
    """As few rows as fit, about equally long; a word wider than a row has one of its own."""
    return fill_evenly(lambda columns: _filled(group, columns), MAX_COLUMNS)


def _filled(group: Sequence[WordTiming], columns: int) -> tuple[tuple[WordTiming, ...], ...]:
    rows: list[list[WordTiming]] = [[]]
    for word in group:
        row = [*rows[-1], word]
        if rows[-1] and width(join_words([w.word for w in row])) > columns:
            rows.append([word])
        else:
            rows[-1] = row
    return tuple(map(tuple, rows))

"""Writes word timings as subtitles (srt, vtt, ass) and tables (csv, json).

Words are grouped into cues: cut at pauses, after sentences and where a cue is full, and shown long
enough to be read if the next cue allows it. Markup that a player, a browser or a spreadsheet would
obey is made harmless, each format by one function.

    ass, srt   { } become ( ), and a backslash is kept from what follows: override tags
    srt, vtt   no empty line, no -->; vtt writes & < > as entities, srt parts < from what follows
    csv        RFC 4180; a cell that a spreadsheet would take for a formula gets ' before it
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from f5serve.text.abbreviations import is_abbreviated
from f5serve.text.split import fill_evenly, split_characters
from f5serve.types import Alignment, WordTiming

SubtitleFormat = Literal["srt", "vtt", "ass", "csv", "json"]
Mode = Literal["line", "word"]
FORMATS: tuple[SubtitleFormat, ...] = get_args(SubtitleFormat)

MEDIA_TYPES: dict[SubtitleFormat, str] = {
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "ass": "text/x-ssa; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}

_JOINER = "\u2060"
"""WORD JOINER, no width and no break: between a character and one that would make markup of it."""

_SHOWN = {"Cc": " ", "Zl": " ", "Zp": " ", "Cs": "\ufffd"}
"""Replacements of control characters, line breaks and surrogates, by category."""

_ARROW = re.compile("-(?=->)")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")

MAX_COLUMNS = 42
"""Longest row, as television has it; a Chinese or Japanese character takes two columns."""

MAX_ROWS = 2
PAUSE_S = 0.6
"""A silence that ends a cue; a shorter one does so after a clause only."""

CLAUSE_PAUSE_S = 0.25
MAX_CUE_S = 7.0
MIN_CUE_S = 1.0
COLUMNS_PER_SECOND = 17.0
"""Comfortable reading speed. Speech may be faster: the cue stays longer then, if it can."""

_SENTENCE_END = re.compile(r"[.!?…。！？؟।][\"'”’»›)\]」』]*$")
_CLAUSE_END = re.compile(r"[,;:，、；：،–—-][\"'”’»›)\]」』]*$")


@dataclass(frozen=True, slots=True)
class Cue:
    """A subtitle that is shown for some time.

    Attributes:
        rows: the words, by row.
        start_s, end_s: when it is shown; never before the end of the one before.
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


def word_cues(words: Sequence[WordTiming]) -> list[Cue]:
    """A cue for each word, as long as it is heard."""
    return [Cue(((word,),), word.start_s, word.end_s) for word in words]


def segment_cues(words: Sequence[WordTiming]) -> list[Cue]:
    """Cues of whole sentences where they fit, else of clauses or as many words as fit."""
    groups = list(_groups(words))
    cues = []
    for index, group in enumerate(groups):
        start_s, end_s = group[0].start_s, group[-1].end_s
        most_s = groups[index + 1][0].start_s if index + 1 < len(groups) else float("inf")
        columns = sum(width(word.word) + 1 for word in group)
        wanted_s = min(max(MIN_CUE_S, columns / COLUMNS_PER_SECOND), MAX_CUE_S)
        end_s = max(end_s, min(start_s + wanted_s, most_s))
        cues.append(Cue(_rows(group), start_s, min(end_s, max(most_s, start_s))))
    return cues


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
    group = _Group()
    for index, word in enumerate(words):
        if not group.fits(word):
            kept, rest = _cut_at_clause(group.words)
            yield kept
            group = _Group(rest)
        group.add(word)
        following = words[index + 1] if index + 1 < len(words) else None
        if following is None or _ends_cue(group.words, following):
            yield group.words
            group = _Group()


def _ends_cue(words: Sequence[WordTiming], following: WordTiming) -> bool:
    word = words[-1]
    pause_s = following.start_s - word.end_s
    if pause_s >= PAUSE_S:
        return True
    if _SENTENCE_END.search(word.word):
        last_words = join_words([each.word[-20:] for each in words[-2:]])
        if not is_abbreviated(last_words, following.word):
            return True
    return pause_s >= CLAUSE_PAUSE_S and _CLAUSE_END.search(word.word) is not None


class _Group:
    """Words that may become a cue, and how many columns of which row they fill."""

    def __init__(self, words: Sequence[WordTiming] = ()) -> None:
        self.words: list[WordTiming] = []
        self._rows, self._columns = 1, 0
        for word in words:
            self.add(word)

    def fits(self, word: WordTiming) -> bool:
        """Whether the word may join them."""
        if not self.words:
            return True
        if word.end_s - self.words[0].start_s > MAX_CUE_S:
            return False
        return self._place(word)[0] <= MAX_ROWS

    def add(self, word: WordTiming) -> None:
        """Have it join them."""
        self._rows, self._columns = self._place(word)
        self.words.append(word)

    def _place(self, word: WordTiming) -> tuple[int, int]:
        if not self.words:
            return 1, width(word.word)
        gap = len(gap_between(self.words[-1].word, word.word))
        columns = self._columns + gap + width(word.word)
        fits = columns <= MAX_COLUMNS
        return (self._rows, columns) if fits else (self._rows + 1, width(word.word))


def _cut_at_clause(group: list[WordTiming]) -> tuple[list[WordTiming], list[WordTiming]]:
    """A full cue ends with its last clause, if a third of it is left."""
    for cut in range(len(group) - 1, len(group) // 3, -1):
        if _CLAUSE_END.search(group[cut - 1].word):
            return group[:cut], group[cut:]
    return group, []


def _rows(group: Sequence[WordTiming]) -> tuple[tuple[WordTiming, ...], ...]:
    """As few rows as fit, about equally long; a word wider than a row has one of its own."""
    return fill_evenly(lambda columns: _filled(group, columns), MAX_COLUMNS)


def _filled(group: Sequence[WordTiming], columns: int) -> tuple[tuple[WordTiming, ...], ...]:
    rows: list[list[WordTiming]] = [[]]
    filled = 0
    for word in group:
        row = rows[-1]
        wide = width(word.word)
        more = wide + len(gap_between(row[-1].word, word.word)) if row else wide
        if row and filled + more > columns:
            rows.append([word])
            filled = wide
        else:
            row.append(word)
            filled += more
    return tuple(map(tuple, rows))


def write(alignment: Alignment, format: SubtitleFormat, mode: Mode = "line") -> bytes:
    """One file, UTF-8.

    Args:
        mode: whether srt, vtt and ass show sentences or single words; sentences of ass are karaoke.
            csv and json always have every word.
    """
    if format == "json":
        return _json(alignment)
    words = [word for word in map(_plain, alignment.words) if word.word]
    if format == "csv":
        return _csv(words)
    cues = segment_cues(words) if mode == "line" else word_cues(words)
    return _subtitles(cues, format, karaoke=mode == "line")


def _plain(word: WordTiming) -> WordTiming:
    """The word in visible characters on one row."""
    kept = (_SHOWN.get(unicodedata.category(c), c) for c in word.word)
    text = " ".join("".join(kept).split())
    return WordTiming(text, max(0.0, word.start_s), max(0.0, word.end_s), word.confidence)


def _subtitles(cues: Sequence[Cue], format: SubtitleFormat, *, karaoke: bool) -> bytes:
    from pysubs2 import SSAEvent, SSAFile

    file = SSAFile()
    file.info["WrapStyle"] = "2"  # no breaks but ours
    for cue in cues:
        if format == "ass":
            text = _karaoke(cue) if karaoke else escape_ass(cue.text)
        else:
            text = (escape_vtt if format == "vtt" else escape_srt)(cue.text)
        start_ms, end_ms = round(1e3 * cue.start_s), round(1e3 * cue.end_s)
        file.append(SSAEvent(start_ms, max(end_ms, start_ms + 1), text.replace("\n", r"\N")))
    return file.to_string(format).encode()


def _karaoke(cue: Cue) -> str:
    r"""Each word behind a \k with the hundredths of a second until the next begins."""
    edges = [round(100 * word.start_s) for word in cue.words] + [round(100 * cue.end_s)]
    lengths = iter(max(0, right - left) for left, right in pairwise(edges))
    rows = []
    for row in cue.rows:
        words = [word.word for word in row]
        gaps = ["", *(gap_between(left, right) for left, right in pairwise(words))]
        pairs = zip(gaps, words, strict=True)
        rows.append("".join(f"{gap}{{\\k{next(lengths)}}}{escape_ass(w)}" for gap, w in pairs))
    return r"\N".join(rows)


def escape_ass(text: str) -> str:
    """Text without override tags of ASS."""
    text = text.replace("{", "(").replace("}", ")")
    return text.replace("\\", "\\" + _JOINER)


def escape_srt(text: str) -> str:
    """Text without tags of ASS and HTML, which players obey in srt, and without an arrow."""
    text = _ARROW.sub("-" + _JOINER, escape_ass(text))
    return re.sub(r"<(?=[A-Za-z/!])", "<" + _JOINER, text)


def escape_vtt(text: str) -> str:
    """Text with entities for & < >, which leaves no arrow."""
    text = escape_ass(text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return "'" + text if text.startswith(_FORMULA) else text


def _csv(words: Sequence[WordTiming]) -> bytes:
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\r\n")
    writer.writerow(["word", "start_time", "end_time", "confidence"])
    for word in words:
        times = (f"{value:.3f}" for value in (word.start_s, word.end_s, word.confidence))
        writer.writerow([escape_cell(word.word), *times])
    return table.getvalue().encode()


def _json(alignment: Alignment) -> bytes:
    document = {
        "word_timings": [as_dict(word) for word in alignment.words],
        "timing_method": alignment.method or None,
        "timing_confidence": round(alignment.confidence, 3) if alignment.method else None,
        "word_count": len(alignment.words),
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode(errors="replace") + b"\n"


def as_dict(word: WordTiming) -> dict[str, str | float]:
    """A word with the names that answers have; with its voice in a script."""
    fields: dict[str, str | float] = {
        "word": word.word,
        "start_time": round(word.start_s, 3),
        "end_time": round(word.end_s, 3),
        "confidence": round(word.confidence, 3),
    }
    return {**fields, "voice": word.voice} if word.voice else fields

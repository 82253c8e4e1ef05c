"""Words with times to files: subtitles in srt, vtt and ass, tables in csv and json.

Word timings flow in, bytes flow out. Nothing that a word holds can do more than be shown: marks
that a player, a browser or a spreadsheet would obey are made harmless, each format by one function.

    ass, srt   { } become ( ), and a backslash is kept from what follows: override tags
    srt, vtt   no empty line, no -->; vtt writes & < > as entities, srt parts < from what follows
    csv        RFC 4180; a cell that a spreadsheet would take for a formula gets ' before it

Where words come from and where files go is not known here.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

from f5serve.alignment.lines import Line, gap_between, group_lines, word_lines
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
"""No width, and no break: what stands between a mark and what would make a command of it."""

_SHOWN = {"Cc": " ", "Zl": " ", "Zp": " ", "Cs": "\ufffd"}
"""Instead of controls, breaks and halves of characters, by category."""

_ARROW = re.compile("-(?=->)")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")


def write(alignment: Alignment, format: SubtitleFormat, mode: Mode = "line") -> bytes:
    """One file, UTF-8.

    Args:
        mode: whether srt, vtt and ass show lines or single words; lines of ass are karaoke.
            csv and json always tell every word.
    """
    if format == "json":
        return _json(alignment)
    words = [word for word in map(_plain, alignment.words) if word.word]
    if format == "csv":
        return _csv(words)
    lines = group_lines(words) if mode == "line" else word_lines(words)
    return _subtitles(lines, format, karaoke=mode == "line")


def _plain(word: WordTiming) -> WordTiming:
    """The word in one row of visible characters."""
    kept = (_SHOWN.get(unicodedata.category(c), c) for c in word.word)
    text = " ".join("".join(kept).split())
    return WordTiming(text, max(0.0, word.start_s), max(0.0, word.end_s), word.confidence)


def _subtitles(lines: Sequence[Line], format: SubtitleFormat, *, karaoke: bool) -> bytes:
    from pysubs2 import SSAEvent, SSAFile

    file = SSAFile()
    file.info["WrapStyle"] = "2"  # no breaks but ours
    for line in lines:
        if format == "ass":
            text = _karaoke(line) if karaoke else escape_ass(line.text)
        else:
            text = (escape_vtt if format == "vtt" else escape_srt)(line.text)
        start_ms, end_ms = round(1e3 * line.start_s), round(1e3 * line.end_s)
        file.append(SSAEvent(start_ms, max(end_ms, start_ms + 1), text.replace("\n", r"\N")))
    return file.to_string(format).encode()


def _karaoke(line: Line) -> str:
    r"""Each word behind a \k with the hundredths of a second until the next begins."""
    edges = [round(100 * word.start_s) for word in line.words] + [round(100 * line.end_s)]
    lengths = iter(max(0, right - left) for left, right in pairwise(edges))
    rows = []
    for row in line.rows:
        words = [word.word for word in row]
        gaps = ["", *(gap_between(left, right) for left, right in pairwise(words))]
        told = zip(gaps, words, strict=True)
        rows.append("".join(f"{gap}{{\\k{next(lengths)}}}{escape_ass(word)}" for gap, word in told))
    return r"\N".join(rows)


def escape_ass(text: str) -> str:
    """Shown as it is: no override tags."""
    text = text.replace("{", "(").replace("}", ")")
    return text.replace("\\", "\\" + _JOINER)


def escape_srt(text: str) -> str:
    """Neither tags of ass nor of HTML, which players obey in srt, nor an arrow."""
    text = _ARROW.sub("-" + _JOINER, escape_ass(text))
    return re.sub(r"<(?=[A-Za-z/!])", "<" + _JOINER, text)


def escape_vtt(text: str) -> str:
    """As WebVTT writes & < >; what is left of an arrow is none."""
    text = escape_ass(text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_cell(text: str) -> str:
    """A cell that no spreadsheet computes."""
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
    told = {
        "word_timings": [as_dict(word) for word in alignment.words],
        "timing_method": alignment.method or None,
        "timing_confidence": round(alignment.confidence, 3) if alignment.method else None,
        "word_count": len(alignment.words),
    }
    return json.dumps(told, ensure_ascii=False, indent=1).encode(errors="replace") + b"\n"


def as_dict(word: WordTiming) -> dict[str, str | float]:
    """A word with the names that answers have."""
    return {
        "word": word.word,
        "start_time": round(word.start_s, 3),
        "end_time": round(word.end_s, 3),
        "confidence": round(word.confidence, 3),
    }

"""Reads the cues of a subtitle file: SRT, WebVTT, ASS and SSA.

Files are read as players read them where only one meaning is possible: indices and empty lines may
be missing, hours too, line ends may be any, a text may have empty lines within. A time that cannot
be read is an error with its line, never a part of a text.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import Literal, NamedTuple

from f5serve.errors import InvalidRequest
from f5serve.types import Span

CueFormat = Literal["srt", "vtt", "ass"]

MAX_FILE_BYTES = 4_000_000
MAX_FILE_CHARS = 1_000_000
"""A film of two hours has a tenth of it."""

MAX_CUES = 10_000
MAX_TIME_S = 4 * 3600.0
_SHOWN_CHARS = 60
_HINT = "Write it as 00:01:02,500 --> 00:01:04,000, in WebVTT with dots, in ASS as 0:01:02.50."

_LINE = re.compile(r"([^\r\n]*+)(?:\r\n|\r|\n|\Z)")
_TIME = (
    r"(?:(\d{1,9}+)\s?[:：]\s?)?(\d{1,2}+)\s?[:：]\s?(\d{1,2}+)(?:\s?[,.，．]\s?(\d{1,9}+))?(?!\d)"
)
"""Hours may be missing; spaces and wide signs are in files that a machine has translated."""

_TIMES = re.compile(rf"\s*+{_TIME}\s*+(?:-{{1,3}}+>|[–—]>|→)\s*+{_TIME}(?:\s.*+)?")
_CLOCK = re.compile(rf"\s*+{_TIME}\s*+")
_ARROW = "-->"
_CLOCK_CHARS = re.compile(r"[\d\s:：.,，．;<>=–—→-]++")
_CLOCK_PART = re.compile(r"\d\s?[:：]\s?\d\d\s?[:：.,，．]\s?\d\d")
_TWO_CLOCKS = re.compile(r"[\s\d:：]{0,20}[:：]\d\d[,.]\d{2,3}.{1,16}?\d[:：]\d\d")

_INDEX = re.compile(r"\s*+\d++\s*+")
_VTT_HEADING = re.compile(r"\s*+WEBVTT(?!\S)")
_VTT_BLOCK = re.compile(r"(?:WEBVTT|NOTE|STYLE|REGION)(?!\S)")
_ASS_HEADING = re.compile(
    r"^[ \t]{0,9}(?:\[(?:Script Info|V4\+? Styles\+?|Events)\]|Dialogue:)",
    re.MULTILINE | re.IGNORECASE,
)
_ASS_LINE = re.compile(r"[ \t]{0,9}+(Dialogue|Format)[ \t]{0,9}:[ \t]*+", re.IGNORECASE)
_ASS_COLUMNS = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect")
_ASS_TEXT = "text"


@dataclass(frozen=True, slots=True)
class Cue:
    """A cue as it stands in its file.

    Attributes:
        number: 1 for the first of the file, whatever its index.
        line: of its times, from 1.
        start_s, end_s: 0 to MAX_TIME_S; the end is never before the start.
        place: of its text in the file, with line ends and markup.
        actor: who speaks, where the format has a column for it.
    """

    number: int
    line: int
    start_s: float
    end_s: float
    place: Span
    actor: str = ""


@dataclass(frozen=True, slots=True)
class CueFile:
    """A file that was read.

    Attributes:
        cues: at least one, in the order of the file.
        loose_lines: numbers of lines with a text that belongs to no cue.
    """

    format: CueFormat
    cues: tuple[Cue, ...]
    loose_lines: tuple[int, ...] = ()


class BadSubtitles(InvalidRequest):
    """The error for a file that cannot be used."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, code="BAD_SUBTITLES", hint=hint)


class _Line(NamedTuple):
    """A line without its end; `start` is its place in the file."""

    number: int
    start: int
    text: str


def format_of(file: str) -> str:
    """The format that the name of a file says, for `read_cue_file`; "" where it says none."""
    ending = file.lower().rpartition(".")[2]
    return ending if ending in ("srt", "vtt", "ass", "ssa") else ""


def decode_subtitles(data: bytes) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a byte order mark.

    Raises:
        InvalidRequest: BAD_SUBTITLES: too long, or in another encoding.
    """
    if len(data) > MAX_FILE_BYTES:
        raise _too_long(f"{MAX_FILE_BYTES:,} bytes")
    is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "UTF-16" if is_wide else "UTF-8"
    try:
        return data.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadSubtitles(
            f"The subtitles are not in {encoding}: byte {error.start + 1:,}"
            + ("." if is_wide else f" (line {line:,}) is 0x{data[error.start]:02x}."),
            "Save the file as UTF-8.",
        ) from None


def _too_long(most: str) -> BadSubtitles:
    return BadSubtitles(f"The subtitles have more than {most}.", "Send the file in parts.")


def read_cue_file(text: str, format: str = "") -> CueFile:
    """The cues of a file; its heading says which format it has.

    Args:
        format: vtt, for a file that may lack the heading of WebVTT; others make no difference.

    Raises:
        InvalidRequest: BAD_SUBTITLES, with the line and the cue: no subtitles, no cue, too many of
            them, a time that cannot be read, ends before it starts or lies beyond MAX_TIME_S; a
            file that is too long.
    """
    if len(text) > MAX_FILE_CHARS:
        raise _too_long(f"{MAX_FILE_CHARS:,} characters")
    text = text.replace("\ufeff", " ")  # files that were joined have some within
    zero = text.find("\0")
    if zero >= 0:
        raise BadSubtitles(
            f"The subtitles are no text: character {zero + 1:,} is a zero.",
            "Send a file of SRT, WebVTT or ASS in UTF-8, not a video or an image.",
        )
    found = _format_of(text)
    if found is None:
        raise BadSubtitles(
            "The text has no subtitles: no line has two times, and none begins with Dialogue.",
            "Send a file of SRT, WebVTT or ASS.",
        )
    if found == "ass":
        return _checked(CueFile("ass", tuple(_read_ass(text))))
    return _checked(_read_timed(text, "vtt" if "vtt" in (found, format) else "srt"))


def show_time(seconds: float) -> str:
    """A time for sentences: 00:01:02.500."""
    ms = round(1000 * seconds)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def _format_of(text: str) -> CueFormat | None:
    """The format by heading, or srt where there are times alone; None where there is neither."""
    if _VTT_HEADING.match(text):
        return "vtt"
    arrow = text.find(_ARROW)
    heading = _ASS_HEADING.search(text)
    if heading and (arrow < 0 or heading.start() < arrow):
        return "ass"
    is_timed = arrow >= 0 or any(_TIMES.fullmatch(line.text) for line in _lines(text))
    return "srt" if is_timed else None


def _checked(file: CueFile) -> CueFile:
    if not file.cues:
        raise BadSubtitles(
            f"The file of {file.format.upper()} has no cue.",
            "Send a file with at least one text and its times.",
        )
    return file


def _lines(text: str) -> Iterator[_Line]:
    for number, match in enumerate(_LINE.finditer(text), 1):
        yield _Line(number, match.start(), match[1])


class _Section(NamedTuple):
    """What begins in a line of SRT or WebVTT.

    Attributes:
        line: its number.
        end_of_last: where the text of the section before ends: before the index of this one.
        start: where its own text begins.
        times: of a cue; None for other blocks, and for what is behind them.
    """

    kind: Literal["cue", "block", "loose"]
    line: int
    end_of_last: int
    start: int
    times: tuple[float, float] = (0.0, 0.0)


def _read_timed(text: str, format: CueFormat) -> CueFile:
    """SRT and WebVTT: a text stands below its times, up to the index of the next cue."""
    cues: list[Cue] = []
    loose: list[int] = []
    end = _Section("block", 0, len(text), len(text))
    for section, following in pairwise(chain(_sections(text, format), [end])):
        place = section.start, following.end_of_last
        if section.kind == "cue":
            cues.append(Cue(len(cues) + 1, section.line, *section.times, place))
        elif section.kind == "loose":
            written = (line.number for line in _lines(text[slice(*place)]) if line.text.strip())
            loose += [section.line + number - 1 for number in islice(written, 1)]
    return CueFile(format, tuple(cues), tuple(loose))


def _sections(text: str, format: CueFormat) -> Iterator[_Section]:
    has_heading = _VTT_HEADING.match(text) is not None
    kind: Literal["cue", "block", "loose"] = "block" if has_heading else "loose"
    yield _Section(kind, 1, 0, 0)
    above = last = _Line(0, 0, "")
    count = 0
    is_indexed = False
    for line in _lines(text):
        times = _times_of(line, count + 1)
        is_blank = not line.text.strip()
        if times is not None:
            # A number is an index below an empty line, and where the first cue has one.
            is_id = format == "vtt" and bool(last.text.strip())
            is_index = _INDEX.fullmatch(last.text) is not None
            is_indexed = is_indexed or (is_index and count == 0)
            is_below_blank = not above.text.strip()
            has_id = (is_index and is_indexed) or ((is_index or is_id) and is_below_blank)
            count += 1
            kind = "cue"
            end_of_last = last.start if has_id else line.start
            yield _Section(kind, line.number, end_of_last, line.start + len(line.text), times)
        elif kind == "block" and is_blank:
            kind = "loose"
            yield _Section(kind, line.number, line.start, line.start)
        elif format == "vtt" and not last.text.strip() and _VTT_BLOCK.match(line.text):
            kind = "block"
            yield _Section(kind, line.number, line.start, line.start)
        above, last = last, line


def _times_of(line: _Line, number: int) -> tuple[float, float] | None:
    """Start and end in a line of times; None for another line.

    Raises:
        InvalidRequest: BAD_SUBTITLES, as `read_cue_file`.
    """
    match = _TIMES.fullmatch(line.text)
    if match is None:
        if _ARROW not in line.text and not _is_damaged(line.text):
            return None
        raise _unreadable(number, line.number, line.text)
    groups = match.groups()
    return _checked_times(groups[:4], groups[4:], number, line)


def _is_damaged(line: str) -> bool:
    """Whether a line begins with two times, with something else between them than an arrow."""
    if _TWO_CLOCKS.match(line):
        return True
    return _CLOCK_CHARS.fullmatch(line) is not None and len(_CLOCK_PART.findall(line)) > 1


def _checked_times(
    start: Sequence[str | None], end: Sequence[str | None], number: int, line: _Line
) -> tuple[float, float]:
    if number > MAX_CUES:
        raise BadSubtitles(
            f"Line {line.number:,} begins cue {number:,}; {MAX_CUES:,} are the most.",
            "Send the file in parts.",
        )
    start_s, end_s = _seconds(start), _seconds(end)
    if start_s is None or end_s is None:
        raise _unreadable(number, line.number, line.text)
    if end_s < start_s:
        raise BadSubtitles(
            f"Cue {number:,} in line {line.number:,} ends at {show_time(end_s)}, before it starts"
            f" at {show_time(start_s)}.",
            "Correct its times.",
        )
    if end_s > MAX_TIME_S:
        raise BadSubtitles(
            f"Cue {number:,} in line {line.number:,} ends at {show_time(end_s)};"
            f" {MAX_TIME_S / 3600:.0f} hours are the most.",
            "Send the file in parts, each with times from 0 on.",
        )
    return start_s, end_s


def _seconds(clock: Sequence[str | None]) -> float | None:
    """Hours, minutes, seconds and their fraction; None where there are 60 of a kind."""
    hours, minutes, seconds = (int(part or 0) for part in clock[:3])
    if minutes > 59 or seconds > 59:
        return None
    fraction = clock[3] or "0"
    return round(3600 * hours + 60 * minutes + seconds + int(fraction) / 10.0 ** len(fraction), 6)


def _unreadable(number: int, line: int, text: str) -> BadSubtitles:
    shown = " ".join(text[: 10 * _SHOWN_CHARS].split())
    if len(shown) > _SHOWN_CHARS:
        shown = f"{shown[:_SHOWN_CHARS]}..."
    return BadSubtitles(
        f"The times of cue {number:,} in line {line:,} cannot be read: {shown!r}.", _HINT
    )


def _read_ass(text: str) -> Iterator[Cue]:
    """ASS and SSA: a line for each cue, its columns as the last `Format` with times has them."""
    columns = [*_ASS_COLUMNS, _ASS_TEXT]
    number = 0
    for line in _lines(text):
        match = _ASS_LINE.match(line.text)
        if match is None:
            continue
        if match[1].lower() == "format":
            columns = _ass_columns(line, match.end()) or columns
            continue
        number += 1
        fields = line.text[match.end() :].split(",", len(columns) - 1)
        if len(fields) < len(columns):
            raise BadSubtitles(
                f"Cue {number:,} in line {line.number:,} has {len(fields)} of"
                f" {len(columns)} columns.",
                "Write all columns that the line Format names, the text last.",
            )
        yield _ass_cue(dict(zip(columns, fields, strict=True)), number, line)


def _ass_columns(line: _Line, start: int) -> list[str]:
    """The columns up to the text, which may have commas; none where styles are described."""
    given = [name.strip().lower() for name in line.text[start:].split(",")]
    if not {"start", "end", _ASS_TEXT} <= set(given):
        return []
    columns = given[: given.index(_ASS_TEXT) + 1]
    if not {"start", "end"} <= set(columns):
        raise BadSubtitles(
            f"The columns in line {line.number:,} have the text before the times.",
            "Put the column Text last.",
        )
    return columns


def _ass_cue(fields: dict[str, str], number: int, line: _Line) -> Cue:
    clocks = [_CLOCK.fullmatch(fields.get(name, "")) for name in ("start", "end")]
    start, end = clocks
    if start is None or end is None:
        raise _unreadable(number, line.number, line.text)
    times = _checked_times(start.groups(), end.groups(), number, line)
    end_of_line = line.start + len(line.text)
    place = end_of_line - len(fields[_ASS_TEXT]), end_of_line
    actor = fields.get("name") or fields.get("actor") or ""
    return Cue(number, line.number, *times, place, actor.strip())

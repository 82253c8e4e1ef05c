"""The words of a recording, out of the files that people keep beside it.

Bytes of a plain text, of subtitles (SRT) or of a table (CSV) flow in, words flow out. Times are
read over. Where files lie is not known here.
"""

from __future__ import annotations

import codecs
import csv
import io
import re

from f5serve.errors import InvalidRequest

MAX_TRANSCRIPT_BYTES = 65_536
MAX_TABLE_BYTES = 4_000_000

_TIMES = re.compile(r"\s*[\d:.,]+\s*-->\s*[\d:.,]+.*")
_TAGS = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")
_DELIMITERS = ",;\t|"
_FILE_TITLES = frozenset({"file", "filename", "file_name", "audio", "audio_file", "path", "wav"})
_TEXT_TITLES = frozenset({"text", "transcript", "transcription", "ref_text", "sentence"})


def decode_text(data: bytes, what: str, max_bytes: int = MAX_TRANSCRIPT_BYTES) -> str:
    """Plain text in UTF-8, or in UTF-16 where its first bytes say so.

    Args:
        what: what errors call it.

    Raises:
        InvalidRequest: code NOT_TEXT or TEXT_TOO_LONG.
    """
    if len(data) > max_bytes:
        raise InvalidRequest(
            f"{what} has {len(data):,} bytes; {max_bytes:,} is the limit.",
            code="TEXT_TOO_LONG",
            hint="Send the words of the recording, and no others.",
        )
    is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"{what} is not text in UTF-8.", code="NOT_TEXT", hint="Save it as plain UTF-8 text."
        ) from None


def read_srt(text: str) -> str:
    """The words of all cues, in order, without numbers, times and markup."""
    lines = text.splitlines()
    kept: list[str] = []
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        is_number = line.strip().isdecimal() and _TIMES.fullmatch(following) is not None
        if not is_number and not _TIMES.fullmatch(line):
            kept.append(_TAGS.sub("", line).strip())
    return " ".join(filter(None, kept))


def read_words(text: str) -> str | None:
    """The words of a table `word,start_time,end_time,confidence`; None for other tables.

    Earlier versions wrote words without quotes, so what is in front of the last three columns is
    one word, commas and all.
    """
    rows = _rows(text)
    titles = [title.strip().lower() for title in rows[0]] if rows else []
    if titles[:1] != ["word"]:
        return None
    times = len(titles) - 1
    words = [",".join(row[: max(1, len(row) - times)]).strip() for row in rows[1:]]
    return " ".join(filter(None, words))


def read_table(text: str) -> dict[str, str] | None:
    """File -> words, of a table with a title line such as `file,text`; None for other tables."""
    rows = _rows(text)
    titles = [title.strip().lower() for title in rows[0]] if rows else []
    files = [i for i, title in enumerate(titles) if title in _FILE_TITLES]
    texts = [i for i, title in enumerate(titles) if title in _TEXT_TITLES]
    if not files or not texts:
        return None
    file, words = files[0], texts[0]
    full = [row for row in rows[1:] if len(row) > max(file, words)]
    return {row[file].strip(): row[words].strip() for row in full}


def _rows(text: str) -> list[list[str]]:
    title = text.lstrip().split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=title.count)
    try:
        rows = list(csv.reader(io.StringIO(text.lstrip()), delimiter=delimiter))
    except csv.Error:  # an unclosed quote, or a cell beyond the module's limit
        return []
    return [row for row in rows if any(cell.strip() for cell in row)]

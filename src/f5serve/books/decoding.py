"""Bytes as text: by byte order mark, by what the document says, by trial."""

from __future__ import annotations

import codecs
import re

from f5serve.books.limits import bad_book

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"""(?:encoding|charset)\s{0,9}=\s{0,9}["']?([A-Za-z][\w.:-]{1,39})""")
_DECLARED_WITHIN = 1_024
_OF_DOCUMENTS = re.compile(
    r"(?:cp\d|iso8859|iso2022|koi8|mac_|gb|hz|big5|euc_|shift_jis|johab|ptcp154|tis_620|ascii)"
)
"""Names of encodings that documents are in; Python has others, some of which take long."""

_SAMPLE = 200_000
_HIGH_RUN = re.compile(rb"[\x80-\xff]++")
_COMMON_PAIR = re.compile(rb"[\xa1-\xa3\xb0-\xd7][\xa1-\xfe]")
"""Marks of punctuation and the 3,755 most common characters, in GB 2312 and what followed it."""

_MOSTLY = 0.7
_LETTERS = 0.3
"""More accented letters than this, and what was taken for Latin-1 is another alphabet."""

_FEW = 20
"""UTF-8 with fewer damaged characters than one in so many beyond ASCII is UTF-8 still."""

_HINT = "Save it as UTF-8."


def decode_text(data: bytes, what: str, *, is_markup: bool = False) -> str:
    """The text of a file, without byte order mark.

    Without mark and declaration it is UTF-8, UTF-16, GB 18030 or Latin-1 (as Windows has it), in
    this order of trials.

    Args:
        what: for errors, as "The text file".
        is_markup: whether a declaration of HTML or XML counts.

    Raises:
        InvalidRequest: code BAD_BOOK where no encoding fits.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decoded(data[len(mark) :], encoding, what)
    if wide := _wide_encoding(data):
        return _decoded(data, wide, what)
    if is_markup and (declared := _declared_encoding(data)):
        return data.decode(declared, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", errors="replace")
    if is_markup or text.count("\ufffd") * _FEW < len(text) - text.count("\ufffd") - _ascii(text):
        return text
    return _by_trial(data, what)


def _ascii(text: str) -> int:
    return len(text.encode("ascii", errors="ignore"))


def _decoded(data: bytes, encoding: str, what: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise bad_book(
            f"{what} is not {encoding} as it says, from byte {error.start:,}.", _HINT
        ) from None


def _wide_encoding(data: bytes) -> str:
    """UTF-16 without its mark: every other byte of Latin letters and spaces is zero."""
    head = data[:4_096]
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(head) >= 4 and zeros.count(0) * 2 > len(zeros):
            return encoding
    return ""


def _declared_encoding(data: bytes) -> str:
    found = _DECLARED.search(data[:_DECLARED_WITHIN])
    if not found:
        return ""
    try:
        name = codecs.lookup(found[1].decode("ascii")).name.replace("-", "_")
    except LookupError:
        return ""
    if not _OF_DOCUMENTS.match(name):
        return ""
    return {"gb2312": "gb18030", "gbk": "gb18030", "iso8859_1": "cp1252"}.get(name, name)


def _by_trial(data: bytes, what: str) -> str:
    sample = data[:_SAMPLE]
    runs = _HIGH_RUN.findall(sample)
    high = sum(map(len, runs))
    common = 2 * sum(len(_COMMON_PAIR.findall(run)) for run in runs)
    if common > _MOSTLY * high:
        try:
            return data.decode("gb18030")
        except UnicodeDecodeError:
            pass
    if high > _LETTERS * len(sample):
        raise bad_book(f"{what} is in an encoding that is not known.", _HINT)
    return data.decode("cp1252", errors="replace")

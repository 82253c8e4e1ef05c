"""Splits long text into chunks of limited size, at sentence ends where possible.

Nothing is lost and nothing is repeated.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sized
from functools import lru_cache
from typing import NamedTuple, TypeVar

C = TypeVar("C", bound=Sized)

_CLOSING = "\"'”’»›)\\]}」』】》〉）］｝"
_MARKS = ".!?…؟۔։።܀"
_FULL_MARKS = "。！？｡．।॥။"

# Scripts that put no space between words. Hangul, Arabic, Devanagari and the like do put one.
_UNSPACED_RANGES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# Full-width and South Asian marks end a sentence by themselves; Latin ones need a space after, for
# they also stand inside numbers, names and abbreviations, or a character of a script without
# spaces on either side. A run of marks is tried from its first mark alone, and as a whole: else
# "!!!!" would take time with the square of its length.
_SENTENCE_END = re.compile(
    rf"(?<![{_MARKS}])[{_MARKS}]++[{_CLOSING}]*+(?:\s++|(?=[{_UNSPACED_RANGES}]))"
    rf"|(?<=[{_UNSPACED_RANGES}])[{_MARKS}]++[{_CLOSING}]*+(?=\w)"
    rf"|[{_FULL_MARKS}]++[{_MARKS}{_FULL_MARKS}{_CLOSING}]*+\s*+|\n++"
)
_CLAUSE_END = re.compile(
    rf"[,;:،؛၊፣–—-][{_CLOSING}]*+\s++|[，；：、､]++[{_CLOSING}]*+\s*+"
    rf"|[,;:](?=[{_UNSPACED_RANGES}])|(?<=[{_UNSPACED_RANGES}])[,;:](?=\w)"
)
_WORD_END = re.compile(r"\s++")
_PART_OF_ADDRESS = re.compile(r"[^/?&=._#%+~-]*+[/?&=._#%+~-]++|[^/?&=._#%+~-]++")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘])(?:(?:[A-Z]\.){0,3}[A-Z]|Mr|Mrs|Ms|Mx|Messrs|Dr|Prof|Sr|Jr|St|Mt|vs|Gen|Col|Capt|Lt|Sgt|Maj"
    r"|Adm|Gov|Sen|Rep|Rev|Hon|Mme|Mlle|Hr|Fr|Sra|Srta|z\.B|d\.h|u\.a|e\.g|i\.e|cf|ca|bzw|approx)\.$"
)
_BEFORE_A_NUMBER = re.compile(
    r"(?:^|[\s(\"'“‘])(?:No|Nos|Nr|Fig|Figs|Vol|vol|Art|pp?|[Cc]h|Sec|Abs|Jan|Feb|Mar|Apr|Jun|Jul|Aug"
    r"|Sept?|Oct|Nov|Dec)\.$"
)
_NUMBER_OF_AN_ITEM = re.compile(rf"(?:^|[:：][{_CLOSING}]*)\s*\d{{1,3}}\.$")

_UNSPACED = re.compile(f"[{_UNSPACED_RANGES}]")
_FULL_WIDTH_MARK = re.compile(
    "[\u3001-\u3004\u3008-\u3020\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]"
)
_BEFORE_ITS_CONSONANT = "เแโใไເແໂໃໄ"  # vowel signs of Thai and Lao that are written first
_SMALL_KANA = "々ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ"
_VOWELS_BEHIND = "\u0e2f\u0e30\u0e32\u0e33\u0e45\u0e46\u0eb0\u0eb2\u0eb3\u0ec6"  # Thai, Lao


WHOLE_WORD_BYTES = 40
"""A word up to this long is never cut; what is longer is an address or no word at all."""


def split_text(text: str, max_bytes: int) -> list[str]:
    """Cut `text` into chunks of at most `max_bytes` bytes of UTF-8, as few as fit, evenly filled.

    Cuts are made after sentences where that is enough, else after clauses, else between words,
    and between characters only where a script has no spaces. A word longer than `max_bytes` is
    in chunks of its own: in one up to `WHOLE_WORD_BYTES`, else cut as an address is, else anywhere.
    """
    chunks: list[str] = []
    longest = max(max_bytes, WHOLE_WORD_BYTES)
    for chunk in _fit(text.strip(), max_bytes, _LEVELS):
        chunks += [chunk] if _size(chunk) <= longest else _cut_word(chunk, longest)
    return [chunk.strip() for chunk in chunks]


def split_lead(text: str, min_bytes: int, max_bytes: int) -> tuple[str, str]:
    """Cut a beginning off that can be spoken while the rest is still made: (beginning, rest).

    The beginning has `min_bytes` to `max_bytes` and ends with a sentence if one ends there, else
    with a clause, else with a word. The rest is "" where nothing fits or the text is short enough;
    else it has `min_bytes` as well.
    """
    text = text.strip()
    if _size(text) <= max_bytes:
        return text, ""
    for cut in _LEVELS:
        end = lead = 0
        for piece in cut(text):
            end += len(piece)
            size = _size(text[:end])
            if size > max_bytes:
                break
            if size >= min_bytes and _size(text[end:]) >= min_bytes:
                lead = end
        if lead:
            return text[:lead].strip(), text[lead:].strip()
    return text, ""


def split_sentences(text: str) -> list[str]:
    """The sentences of `text`, in order, without the spaces between them."""
    return [sentence.strip() for sentence in _sentences(text.strip())]


def _fit(
    text: str, max_bytes: int, levels: tuple[Callable[[str], Iterator[str]], ...]
) -> list[str]:
    if _size(text) <= max_bytes:
        return [text] if text else []
    cut, *finer = levels
    pieces: list[str] = []
    for piece in cut(text):
        pieces.extend(_fit(piece, max_bytes, tuple(finer)) if finer else [piece])
    return _pack_evenly(pieces, max_bytes)


def _cut_word(word: str, max_bytes: int) -> list[str]:
    """A very long word in parts: after marks as addresses have them, else anywhere."""
    pieces: list[str] = []
    for match in _PART_OF_ADDRESS.finditer(word):
        pieces += [match[0]] if _size(match[0]) <= max_bytes else _marked_characters(match[0])
    return _pack_evenly(pieces, max_bytes)


def _marked_characters(text: str) -> list[str]:
    """Each character with the marks that belong to it."""
    pieces: list[str] = []
    for character in text:
        if pieces and unicodedata.category(character)[0] == "M":
            pieces[-1] += character
        else:
            pieces.append(character)
    return pieces


def _pack_evenly(pieces: list[str], max_bytes: int) -> list[str]:
    """As few chunks as greedy packing makes, but none much shorter than the others.

    A last chunk of two words would be spoken worse than one of average length.
    """
    sizes = [(len(piece.encode()), _size(piece)) for piece in pieces]
    starts = fill_evenly(lambda limit: _pack(sizes, limit), max_bytes)
    ends = [*starts[1:], len(pieces)]
    return ["".join(pieces[start:end]) for start, end in zip(starts, ends, strict=True)]


def fill_evenly(fill: Callable[[int], C], largest: int) -> C:
    """What `fill` makes at the smallest limit that needs no more containers than `largest` does.

    Args:
        fill: limit -> containers, packed greedily.
    """
    best = fill(largest)
    low, high = 1, largest
    while low < high:
        middle = (low + high) // 2
        filled = fill(middle)
        if len(filled) <= len(best):
            best, high = filled, middle
        else:
            low = middle + 1
    return best


def _pack(sizes: list[tuple[int, int]], max_bytes: int) -> list[int]:
    """Where each chunk begins, filled greedily with pieces of these sizes, with and without the
    spaces at their ends."""
    starts, filled = [0], 0
    for index, (size, bare) in enumerate(sizes):
        if index and filled + bare > max_bytes:
            starts.append(index)
            filled = 0
        filled += size
    return starts


def _size(text: str) -> int:
    """Bytes that the text will have as a chunk: spaces at its end are dropped."""
    return len(text.rstrip().encode())


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if _ends_sentence(text, start, match):
            yield text[start : match.end()]
            start = match.end()
    if start < len(text):
        yield text[start:]


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    following = text[match.end() : match.end() + 1]
    if following.islower():
        return False  # "e.g. this", or: "Stop!" he said
    return not is_abbreviated(text[max(start, match.start() - 12) : match.start() + 1], following)


def is_abbreviated(text: str, following: str) -> bool:
    """Whether the full stop at the end of `text` ends no sentence: "Dr." "No." 5, "1." of a list.

    Args:
        text: the sentence up to the stop, or its last words.
        following: what comes after the space, or its beginning.
    """
    if not text.endswith("."):
        return False
    if _ABBREVIATION.search(text) or _NUMBER_OF_AN_ITEM.search(text):
        return True
    return following[:1].isdecimal() and _BEFORE_A_NUMBER.search(text) is not None


def _after(pattern: re.Pattern[str]) -> Callable[[str], Iterator[str]]:
    def cut(text: str) -> Iterator[str]:
        start = 0
        for match in pattern.finditer(text):
            yield text[start : match.end()]
            start = match.end()
        if start < len(text):
            yield text[start:]

    return cut


def split_characters(text: str) -> Iterator[str]:
    """Pieces between which a line may break because a script puts no spaces between words."""
    start = 0
    if not text.isascii():
        left = _breaks(text[0])
        for index, right in enumerate(map(_breaks, text)):
            if (left.beside or right.beside) and left.after and right.before and index:
                yield text[start:index]
                start = index
            left = right
    yield text[start:]


class _Breaks(NamedTuple):
    """Where a line may break at a character."""

    beside: bool  # of a script without spaces, or a mark as wide as its characters
    before: bool
    after: bool


@lru_cache(maxsize=16_384)
def _breaks(character: str) -> _Breaks:
    category = unicodedata.category(character)
    is_unspaced = _UNSPACED.match(character) is not None
    opens = category in ("Ps", "Pi", "Mn", "Mc") and not is_unspaced
    return _Breaks(
        beside=is_unspaced or _FULL_WIDTH_MARK.match(character) is not None,
        before=character not in _SMALL_KANA + _VOWELS_BEHIND
        and category not in ("Mn", "Mc", "Me", "Cf", "Lm", "Pe", "Pf", "Po", "Pd"),
        after=character not in _BEFORE_ITS_CONSONANT + "\u200c\u200d" and not opens,
    )


_LEVELS = (_sentences, _after(_CLAUSE_END), _after(_WORD_END), split_characters)

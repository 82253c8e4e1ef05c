"""Long text to chunks that a model can speak in one go.

In flows clean text and a size in bytes; out flow stretches of it, in order, nothing lost and
nothing said twice. Voices, seconds and models are not known here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sized
from typing import TypeVar

C = TypeVar("C", bound=Sized)

_CLOSING = "\"'”’»›)\\]}」』】》〉）］｝"
# Full-width and South Asian marks end a sentence by themselves; Latin ones need a space after,
# for they also stand inside numbers, names and abbreviations.
_SENTENCE_END = re.compile(
    rf"[.!?…؟۔։።܀]+[{_CLOSING}]*\s+|[。！？｡．।॥។။]+[…。！？{_CLOSING}]*\s*|\n+"
)
_CLAUSE_END = re.compile(rf"[,;:،؛၊፣–—-][{_CLOSING}]*\s+|[，；：、､]+[{_CLOSING}]*\s*")
_WORD_END = re.compile(r"\s+")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|Mt|No|Nr|vs|Fig|Gen|Col|Capt|Lt|Rev|Hon"
    r"|Mme|Mlle|Hr|Fr|z\.B|d\.h|e\.g|i\.e|cf|approx)\.$"
)

# Scripts that put no space between words. Hangul, Arabic, Devanagari and the like do put one.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
_FULL_WIDTH_MARK = re.compile(
    "[\u3001-\u3004\u3008-\u3020\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]"
)
_BEFORE_ITS_CONSONANT = "เแโใไເແໂໃໄ"  # vowel signs of Thai and Lao that are written first
_SMALL_KANA = "々ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ"
_VOWELS_BEHIND = "\u0e2f\u0e30\u0e32\u0e33\u0e45\u0e46\u0eb0\u0eb2\u0eb3\u0ec6"  # Thai, Lao


def split_text(text: str, max_bytes: int) -> list[str]:
    """Cut `text` into chunks of at most `max_bytes` bytes of UTF-8, as few as fit, evenly filled.

    Cuts are made after sentences where that is enough, else after clauses, else between words,
    and between characters only where a script has no spaces. A word longer than `max_bytes`
    stays whole, in a chunk of its own.
    """
    return [chunk.strip() for chunk in _fit(text.strip(), max_bytes, _LEVELS)]


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
    if _size(text) <= max_bytes or not levels:
        return [text] if text else []
    cut, *finer = levels
    chunks: list[str] = []
    for piece in cut(text):
        chunks.extend(_fit(piece, max_bytes, tuple(finer)))
    return _pack_evenly(chunks, max_bytes)


def _pack_evenly(pieces: list[str], max_bytes: int) -> list[str]:
    """As few chunks as greedy packing makes, but none much shorter than the others.

    A last chunk of two words would be spoken worse than one of average length.
    """
    return fill_evenly(lambda limit: _pack(pieces, limit), max_bytes)


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


def _pack(pieces: list[str], max_bytes: int) -> list[str]:
    chunks: list[str] = []
    current, size = [pieces[0]], len(pieces[0].encode())
    for piece in pieces[1:]:
        if size + _size(piece) <= max_bytes:
            current.append(piece)
        else:
            chunks.append("".join(current))
            current, size = [piece], 0
        size += len(piece.encode())
    return [*chunks, "".join(current)]


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
    if text[match.end() : match.end() + 1].islower():
        return False  # "e.g. this", or: "Stop!" he said
    before = text[max(start, match.start() - 12) : match.start() + 1]
    return not _ABBREVIATION.search(before)


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
    for index in range(1, len(text)):
        if _may_part(text[index - 1], text[index]):
            yield text[start:index]
            start = index
    yield text[start:]


def _may_part(left: str, right: str) -> bool:
    """Whether a line may break between two characters because one is of an unspaced script."""
    if not any(p.match(char) for p in (_UNSPACED, _FULL_WIDTH_MARK) for char in (left, right)):
        return False
    if (
        left in _BEFORE_ITS_CONSONANT
        or right in _SMALL_KANA + _VOWELS_BEHIND
        or left in "\u200c\u200d"
    ):
        return False
    if unicodedata.category(left) in ("Ps", "Pi", "Mn", "Mc") and not _UNSPACED.match(left):
        return False
    return unicodedata.category(right) not in ("Mn", "Mc", "Me", "Cf", "Lm", "Pe", "Pf", "Po", "Pd")


_LEVELS = (_sentences, _after(_CLAUSE_END), _after(_WORD_END), split_characters)

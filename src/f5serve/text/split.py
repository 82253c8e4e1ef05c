"""Splits long text into chunks of limited size, at sentence ends where possible.

Nothing is lost and nothing is repeated.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence, Sized
from functools import lru_cache
from typing import NamedTuple, TypeVar

from f5serve.text.abbreviations import is_abbreviated

C = TypeVar("C", bound=Sized)
Cut = Callable[[str], Iterator[str]]
"""A way to cut a text into pieces."""

_LAST_WORDS, _FOLLOWING = 24, 12
"""Characters on either side of a full stop that show whether it ends a sentence."""

_CLOSING = "\"'”’»›)\\]}」』】》〉）］｝"
_CLOSING_BEFORE_SPACE = _CLOSING + "“‘«‹"  # German „so“ and »so«
_MARKS = ".!?…؟۔։።܀‽⸘⁇⁈⁉"
_FULL_MARKS = "。！？｡．।॥။។៕"

# Scripts that put no space between words. Hangul, Arabic, Devanagari and the like do put one.
_UNSPACED_RANGES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# Full-width and South Asian marks end a sentence by themselves; Latin ones need a space after, for
# they also stand inside numbers, names and abbreviations, or a character of a script without
# spaces on either side. A run of marks is tried from its first mark alone, and as a whole: else
# "!!!!" would take time with the square of its length. A single line end may be that of a verse.
_SENTENCE_END = re.compile(
    rf"(?<![{_MARKS}])[{_MARKS}]++(?:[{_CLOSING_BEFORE_SPACE}]|\s»(?!\S))*+\s++"
    rf"|(?<![{_MARKS}])[{_MARKS}]++[{_CLOSING}]*+(?=[{_UNSPACED_RANGES}])"
    rf"|(?<=[{_UNSPACED_RANGES}])[{_MARKS}]++[{_CLOSING}]*+(?=\w)"
    rf"|[{_FULL_MARKS}]++[{_MARKS}{_FULL_MARKS}{_CLOSING}]*+\s*+|\n(?:[^\S\n]*+\n)++"
)
_UNMARKED_RANGES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # spaces are their only marks
_CLAUSE_END = re.compile(
    rf"(?:[,;:،؛၊፣]|(?<!\d\s)[–—-]|[–—-](?!\s\d))[{_CLOSING}]*+\s++"
    rf"|[，；：、､]++[{_CLOSING}]*+\s*+|[,;:](?=[{_UNSPACED_RANGES}])"
    rf"|(?<=[{_UNSPACED_RANGES}])[,;:](?=\w)|\n++"
    rf"|(?<=[{_UNMARKED_RANGES}])\s++(?=[{_UNMARKED_RANGES}])"
)
_WORD_END = re.compile(r"\s++")
# Not between groups of digits, and not before a mark that French sets apart.
_WHOLE_WORD_END = re.compile(
    r"(?<!\d)\s++(?![!?;:»](?!\S))|(?![\xa0\u202f]\d)\s++(?!\d{3}(?!\d)|[!?;:»](?!\S))"
)
_LEFT, _RIGHT = "“«»‹「『（【《〈([", "”»«›」』）】》〉)]"
_LONGEST_KEPT = 400
_KEPT = re.compile(
    "|".join(
        [
            *(
                rf"\{a}[^\{a}\{b}]{{1,{_LONGEST_KEPT}}}+\{b}"
                for a, b in zip(_LEFT, _RIGHT, strict=True)
            ),
            rf"„[^„“”]{{1,{_LONGEST_KEPT}}}+[“”]",
            rf'(?<![\w.,!?])"(?=\S)[^"]{{1,{_LONGEST_KEPT}}}+(?<=\S)"(?!\w)',
            rf"(?<!\w)‘(?:[^‘’]|’(?=\w)){{1,{_LONGEST_KEPT}}}+’(?!\w)",
        ]
    )
)
"""A quotation or an aside, which is cut only if it is too long itself."""

_GOES_ON = re.compile("と(?![てこきにりもな])|って")
"""What follows a Japanese quotation within its sentence."""

_PART_OF_ADDRESS = re.compile(r"[^/?&=._#%+~-]*+[/?&=._#%+~-]++|[^/?&=._#%+~-]++")
_UNSPACED = re.compile(f"[{_UNSPACED_RANGES}]")
_FULL_WIDTH_MARK = re.compile(
    "[\u3001-\u3004\u3008-\u3020\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]"
)
_BEFORE_ITS_CONSONANT = "เแโใไເແໂໃໄ"  # vowel signs of Thai and Lao that are written first
_SMALL_KANA = "々ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ"
_VOWELS_BEHIND = "\u0e2f\u0e30\u0e32\u0e33\u0e45\u0e46\u0eb0\u0eb2\u0eb3\u0ec6"  # Thai, Lao


WHOLE_WORD_BYTES = 40
"""A word up to this long is never cut; what is longer is an address or no word at all."""


def split_text(text: str, max_bytes: int, language: str = "") -> list[str]:
    """Cut `text` into chunks of at most `max_bytes` bytes of UTF-8, as few as fit, evenly filled.

    Cuts are made after sentences where that is enough, else after clauses, else between words,
    and between characters only where a script has no spaces. Quotations, asides and numbers stay
    whole where they fit. A word longer than `max_bytes` is in chunks of its own: in one up to
    `WHOLE_WORD_BYTES`, else cut as an address is, else anywhere.

    Args:
        language: ISO 639-1, or "" where it is unknown; decides which full stops end no sentence.
    """
    chunks: list[str] = []
    longest = max(max_bytes, WHOLE_WORD_BYTES)
    for chunk in _fit(text.strip(), max_bytes, levels(language)):
        chunks += [chunk] if _size(chunk) <= longest else _cut_word(chunk, longest)
    return [chunk.strip() for chunk in chunks]


def split_lead(text: str, min_bytes: int, max_bytes: int, language: str = "") -> tuple[str, str]:
    """Cut a beginning off that can be spoken while the rest is still made: (beginning, rest).

    The beginning has `min_bytes` to `max_bytes` and ends with a sentence if one ends there, else
    with a clause, else with a word. The rest is "" where nothing fits or the text is short enough;
    else it has `min_bytes` as well.
    """
    text = text.strip()
    if _size(text) <= max_bytes:
        return text, ""
    for cut in levels(language):
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


def split_sentences(text: str, language: str = "") -> list[str]:
    """The sentences of `text`, in order, without the spaces between them.

    One that quotes others is one.
    """
    return [sentence.strip() for sentence in _after_sentences(language, True)(text.strip())]


def sentence_ends(text: str, language: str = "") -> Iterator[re.Match[str]]:
    """The ends of sentences in `text`, but for those within a quotation or an aside."""
    start = 0
    for match in _found(_SENTENCE_END, text, keep=True):
        if _ends_sentence(text, start, match, language):
            yield match
            start = match.end()


def clause_ends(text: str) -> Iterator[re.Match[str]]:
    """The ends of clauses within sentences; likewise."""
    return _found(_CLAUSE_END, text, keep=True)


def kept_passages(text: str) -> Iterator[re.Match[str]]:
    """The quotations and asides that have ended."""
    return _KEPT.finditer(text)


def _fit(text: str, max_bytes: int, levels: Sequence[Cut]) -> list[str]:
    if _size(text) <= max_bytes:
        return [text] if text else []
    cut, *finer = levels
    pieces: list[str] = []
    for piece in cut(text):
        pieces.extend(_fit(piece, max_bytes, finer) if finer else [piece])
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


@lru_cache(maxsize=64)
def levels(language: str) -> tuple[Cut, ...]:
    """Ways to cut a text, the best first."""
    return (
        _after_sentences(language, keep=True),
        _after(_CLAUSE_END, keep=True),
        _after_sentences(language, keep=False),
        _after(_CLAUSE_END),
        _after(_WHOLE_WORD_END),
        _after(_WORD_END),
        split_characters,
    )


def _after_sentences(language: str, keep: bool) -> Cut:
    def cut(text: str) -> Iterator[str]:
        start = 0
        for match in _found(_SENTENCE_END, text, keep):
            if _ends_sentence(text, start, match, language):
                yield text[start : match.end()]
                start = match.end()
        if start < len(text):
            yield text[start:]

    return cut


def _after(pattern: re.Pattern[str], keep: bool = False) -> Cut:
    def cut(text: str) -> Iterator[str]:
        start = 0
        for match in _found(pattern, text, keep):
            yield text[start : match.end()]
            start = match.end()
        if start < len(text):
            yield text[start:]

    return cut


def _found(pattern: re.Pattern[str], text: str, keep: bool) -> Iterator[re.Match[str]]:
    """The matches, without those that end within a quotation or an aside if these are kept."""
    kept = _KEPT.finditer(text) if keep else iter(())
    passage = next(kept, None)
    for match in pattern.finditer(text):
        while passage and passage.end() <= match.end():
            passage = next(kept, None)
        if not passage or match.end() <= passage.start():
            yield match


def _ends_sentence(text: str, start: int, match: re.Match[str], language: str) -> bool:
    following = text[match.end() : match.end() + _FOLLOWING]
    if following[:1].islower():
        return False  # "e.g. this", or: "Stop!" he said
    if match[0][-1] in "」』" and _GOES_ON.match(following):
        return False
    last_words = text[max(start, match.start() - _LAST_WORDS) : match.start() + 1]
    return not is_abbreviated(last_words, following, language)


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

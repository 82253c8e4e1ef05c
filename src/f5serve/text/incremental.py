"""Splits a text that is still being written into pieces that can be spoken alone.

The first piece is a clause, so that speech begins early; later ones are sentences. All pieces and
the rest of `flush`, joined, are the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from f5serve.text import split

MIN_BYTES = 18
"""Shortest piece: what is shorter is spoken worse (docs/decisions/0002)."""

MAX_BYTES = 240
"""Longest piece; a sentence that is longer is cut after a clause, else between words."""

_BLOCK = 256
"""Characters that are looked at together, so that a long text costs no more than its length."""

_OPENING = re.compile(r'[“«»‹›「『（【《〈(\[„]|(?<![\w.,!?])"(?=\S)')
"""Begins a quotation or an aside, unless that has ended already."""


class IncrementalSplitter:
    """Splits one text as it comes, after the rules of `split`.

    A place is an end only if no character to come can change that: a full stop may belong to an
    abbreviation until the next word begins. Quotations and asides stay whole where they fit.

    Args:
        language: ISO 639-1, or "" where it is unknown; decides which full stops end no sentence.
        min_bytes, max_bytes: of UTF-8, of one piece; the rest may be shorter, and so is a piece of
            which most are spaces.
        clauses: whether the first piece may be a clause.
    """

    def __init__(
        self,
        language: str = "",
        min_bytes: int = MIN_BYTES,
        max_bytes: int = MAX_BYTES,
        clauses: bool = True,
    ) -> None:
        self._language = language
        self._min_bytes, self._max_bytes = min_bytes, max_bytes
        self._pending = ""
        self._clauses = clauses
        self._has_started = False

    def add(self, text: str) -> list[str]:
        """Take the next characters; returns the pieces that are complete now, in order."""
        pieces: list[str] = []
        for start in range(0, len(text), _BLOCK):
            self._pending += text[start : start + _BLOCK]
            while end := self._end():
                pieces.append(self._pending[:end])
                self._pending = self._pending[end:]
                self._has_started = True
        return pieces

    def flush(self) -> str:
        """What has come and is in no piece yet, "" for nothing; the next text begins anew."""
        rest, self._pending, self._has_started = self._pending, "", False
        return rest

    def _end(self) -> int:
        """Where the next piece ends in what is pending; 0 if that is not known yet."""
        for end in self._ends():
            piece = self._pending[:end]
            if _size(piece) > self._max_bytes:
                break
            if _size(piece.strip()) >= self._min_bytes:
                return end
        return self._forced_end() if _size(self._pending) > self._max_bytes else 0

    def _ends(self) -> Iterator[int]:
        """Ends of sentences, and of clauses while nothing was returned, that are sure."""
        text = self._pending
        closed = _open_at(text)
        found = [m.end() for m in split.sentence_ends(text, self._language) if _is_sure(text, m)]
        if self._clauses and not self._has_started:
            found += [match.end() for match in split.clause_ends(text) if _is_sure(text, match)]
        return iter(sorted(end for end in found if end <= closed))

    def _forced_end(self) -> int:
        """An end within the largest size, as good as `split_text` would find; never 0."""
        for cut in split.levels(self._language):
            end = 0
            for piece in cut(self._pending):
                if _size(self._pending[: end + len(piece)]) > self._max_bytes:
                    break
                end += len(piece)
            if _size(self._pending[:end].strip()) >= self._min_bytes:
                return end
        return _bytes_end(self._pending, self._max_bytes)


def _is_sure(text: str, match: re.Match[str]) -> bool:
    """Whether what follows can no longer make it another end, or none."""
    if match.end() < len(text):
        return True
    return match[0][-1].isspace() and "." not in match[0]


def _open_at(text: str) -> int:
    """Where a quotation or an aside begins that has not ended yet; the length if there is none."""
    start = 0
    for passage in split.kept_passages(text):
        if opening := _OPENING.search(text, start, passage.start()):
            return opening.start()
        start = passage.end()
    opening = _OPENING.search(text, start)
    return opening.start() if opening else len(text)


def _bytes_end(text: str, max_bytes: int) -> int:
    """The most characters that fit into the bytes, at least one."""
    return max(1, len(text.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")))


def _size(text: str) -> int:
    """Bytes of UTF-8; half a character counts as one."""
    return len(text.encode("utf-8", "replace"))

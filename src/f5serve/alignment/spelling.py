"""Spells words in the tokens of a CTC model: characters, or longer pieces as SentencePiece has."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from f5serve.alignment.subtitles import gap_between

PIECE_MARK = "▁"
"""SentencePiece writes a space so, also as the beginning of a longer piece."""

DELIMITERS = ("|", " ", PIECE_MARK)


@dataclass(frozen=True, slots=True)
class SpelledWord:
    """A word in tokens.

    Attributes:
        tokens: of the word; none where the model knows no letter of it.
        boundary: the token between the word before and this one, or None.
        letters: letters of the word.
        known: letters that have a token.
    """

    tokens: tuple[int, ...]
    boundary: int | None
    letters: int
    known: int

    def renumbered(self, columns: Mapping[int, int]) -> SpelledWord:
        """The word with the columns of a table in place of its tokens."""
        boundary = None if self.boundary is None else columns[self.boundary]
        return replace(self, tokens=tuple(columns[t] for t in self.tokens), boundary=boundary)


class Speller:
    """Spells words by the longest tokens that fit.

    Args:
        vocabulary: token -> id.
    """

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._vocabulary = vocabulary
        self._longest = max(map(len, vocabulary), default=0)
        has_pieces = any(len(token) > 1 and token[0] == PIECE_MARK for token in vocabulary)
        known = (delimiter for delimiter in DELIMITERS if delimiter in vocabulary)
        self._mark = PIECE_MARK if has_pieces else next(known, "")

    def spell(self, words: Sequence[str]) -> list[SpelledWord]:
        """Words that follow one another, with boundaries where their script has spaces."""
        return [
            self._spell(word, self._mark if gap_between(before, word) else "")
            for before, word in pairwise(["", *words])
        ]

    def _spell(self, word: str, mark: str) -> SpelledWord:
        text = mark + unicodedata.normalize("NFKC", word)
        tokens: list[int] = []
        boundary, known, position = None, 0, 0
        while position < len(text):
            size, token = self._longest_token(text, position)
            if token is not None and size == 1 and mark and not position:
                boundary = token
            elif token is not None:
                tokens.append(token)
                known += _letters(text[position : position + size])
            position += size
        return SpelledWord(tuple(tokens), boundary, _letters(text), known)

    def _longest_token(self, text: str, position: int) -> tuple[int, int | None]:
        """How many characters the token at `position` takes, and its id or None."""
        for size in range(min(self._longest, len(text) - position), 0, -1):
            piece = text[position : position + size]
            for form in (piece, piece.lower(), piece.upper()):
                if form in self._vocabulary:
                    return size, self._vocabulary[form]
        plain = unicodedata.normalize("NFD", text[position])[0]
        found = (self._vocabulary.get(form) for form in (plain.lower(), plain.upper()))
        return 1, next((token for token in found if token is not None), None)


def _letters(text: str) -> int:
    """Letters of a text; marks above and below them, which many texts leave out, do not count."""
    return sum(map(str.isalnum, text))

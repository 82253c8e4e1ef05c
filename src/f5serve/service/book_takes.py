"""Takes of the sentences of a book: how many there are of each, and which one is spoken.

A take is no more than a seed, which follows from that of the first one. So an earlier take is found
in the store by the hash of its utterance, and one that was removed there is made again with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from f5serve.books.sentences import MAX_TAKE, take_seed
from f5serve.errors import InvalidRequest
from f5serve.jobs.records import SCHEMA
from f5serve.service.book_records import MAX_TAKES
from f5serve.store.json_documents import canonical_json

ByChapter = dict[int, dict[int, int]]
"""A number by chapter, and by the seed that a sentence had first."""


@dataclass(frozen=True, slots=True)
class Take:
    """A take of a sentence.

    Attributes:
        first: seed of the first take.
        number: from 1.
        of: how many there are.
    """

    first: int
    number: int = 1
    of: int = 1


class BookTakes:
    """The takes of one book.

    Args:
        record: as `encode` has written it, or an earlier version, which knew no more than the
            takes that are spoken; None for a book without other takes than the first.
    """

    def __init__(self, record: Mapping[str, Any] | None = None) -> None:
        self._spoken = _numbers(record, "takes")
        self._made = _numbers(record, "made")
        for chapter, some in self._spoken.items():
            made = self._made.setdefault(chapter, {})
            made.update({first: max(take, made.get(first, 1)) for first, take in some.items()})

    def encode(self) -> bytes:
        """As bytes."""
        return canonical_json({"schema": SCHEMA, "takes": self._spoken, "made": self._made})

    def retakes(self, chapter: int) -> dict[int, int]:
        """By the seed that a sentence had first, which take of it is spoken.

        First takes are left out: a chapter that has gone back to them is the job that it was.
        """
        return {first: take for first, take in self._spoken.get(chapter, {}).items() if take > 1}

    def by_seed(self, chapter: int) -> dict[int, Take]:
        """By its seed, each take of the sentences that have several."""
        return {
            take_seed(first, number): Take(first, number, made)
            for first, made in self._made.get(chapter, {}).items()
            for number in range(1, made + 1)
        }

    def add(self, chapter: int, seed: int) -> None:
        """Have another take of the sentence spoken that has this seed.

        Raises:
            InvalidRequest: TOO_MANY_TAKES.
        """
        found = self.by_seed(chapter).get(seed, Take(seed))
        made = self._made.setdefault(chapter, {})
        made[found.first] = found.of + 1
        if found.of == MAX_TAKE or sum(map(len, self._made.values())) > MAX_TAKES:
            raise InvalidRequest(
                f"{MAX_TAKES:,} sentences of a book, each {MAX_TAKE:,} times, is the most that"
                " may be asked for anew.",
                code="TOO_MANY_TAKES",
                hint="Speak the book again with another seed.",
            )
        self._spoken.setdefault(chapter, {})[found.first] = made[found.first]

    def choose(self, chapter: int, seed: int, number: int) -> None:
        """Have this take of the sentence spoken that has this seed.

        Raises:
            InvalidRequest: NO_TAKE.
        """
        found = self.by_seed(chapter).get(seed, Take(seed))
        if not 1 <= number <= found.of:
            raise InvalidRequest(
                f"A sentence of chapter {chapter} has {found.of:,} takes, and no take {number:,}.",
                code="NO_TAKE",
                hint="Takes are counted from 1; have the sentence spoken anew for another one.",
            )
        if found.of > 1:
            self._spoken.setdefault(chapter, {})[found.first] = number


def _numbers(record: Mapping[str, Any] | None, name: str) -> ByChapter:
    return {
        int(chapter): {int(first): number for first, number in some.items()}
        for chapter, some in ((record or {}).get(name) or {}).items()
    }

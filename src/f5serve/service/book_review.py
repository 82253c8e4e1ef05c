"""Sentences of a spoken book: those that may be wrong, and which takes are to be spoken."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from f5serve.books.limits import MAX_CHAPTERS
from f5serve.errors import InvalidRequest
from f5serve.jobs.records import Status
from f5serve.jobs.store import JobStore
from f5serve.service.book_jobs import chapter_of, chapter_states, done_record
from f5serve.service.book_records import BookRecord, ChapterRecord
from f5serve.service.book_store import BookStore
from f5serve.service.responses import details_of
from f5serve.text.plan import derive_seed

RATIO = 1.8
"""How much longer or shorter than the others a sentence is that is named."""

MIN_CHARS = 15
"""Shorter sentences have lengths of their own."""

MAX_KNOWN = 2_000
"""Chapters whose doubtful sentences are remembered: those of the longest book over HTTP."""

_TRIES = 10
_UTTERANCES = 20
_SENTENCE = re.compile(
    r"(?:chapter\s*+)?(\d{1,6})\s*+(?:[.:/]|,?\s*+sentence)\s*+(\d{1,6})", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class DoubtfulSentence:
    """A sentence to be listened to.

    Attributes:
        number: in its chapter, from 1.
        why: a clause.
        start_s: where it is in its chapter.
        seed: that it was spoken with.
    """

    number: int
    text: str
    why: str
    start_s: float
    seed: int


def doubtful_sentences(
    details: Mapping[str, Any], verification: Mapping[str, Any] | None
) -> Iterator[DoubtfulSentence]:
    """Those of one chapter, in order.

    Args:
        details: of its job, as `details_of` returns them.
        verification: of its record.
    """
    parts = details.get("parts") or []
    paces = [_chars_per_s(part) for part in parts if len(part["text"]) >= MIN_CHARS]
    usual = statistics.median(paces) if paces else 0.0
    rates = _word_errors(details, verification)
    most = float((verification or {}).get("max_wer") or 1.0)
    for number, part in enumerate(parts, 1):
        why = _why(part, usual) or _misunderstood(part, rates, most)
        if why:
            start_s = float(part["start_time"])
            yield DoubtfulSentence(number, str(part["text"]), why, start_s, int(part["seed"]))


def _chars_per_s(part: Mapping[str, Any]) -> float:
    seconds = float(part["end_time"]) - float(part["start_time"])
    return len(part["text"]) / max(seconds, 0.01) / float(part.get("speed") or 1.0)


def _why(part: Mapping[str, Any], usual: float) -> str:
    if len(part["text"]) < MIN_CHARS or not usual:
        return ""
    ratio = usual / _chars_per_s(part)
    if ratio > RATIO:
        return f"{ratio:.1f} times as long as the others"
    return f"{1 / ratio:.1f} times as short as the others" if ratio < 1 / RATIO else ""


def _word_errors(
    details: Mapping[str, Any], verification: Mapping[str, Any] | None
) -> dict[int, float]:
    """Word error rates by the seed of the utterance."""
    found: Sequence[Mapping[str, Any]] = (
        details.get("verified") or (verification or {}).get("utterances") or ()
    )
    return {int(one["seed"]): float(one["wer"]) for one in found}


def _misunderstood(part: Mapping[str, Any], rates: Mapping[int, float], most: float) -> str:
    """Where a word error rate of one of its utterances is too high."""
    if not rates:
        return ""
    worst = 0.0
    for index in range(_UTTERANCES):
        first = derive_seed(str(part["seed"]), index)
        again = (derive_seed(str(first), "again", attempt) for attempt in range(1, _TRIES))
        worst = max([worst, *(rates[seed] for seed in (first, *again) if seed in rates)])
    return f"{worst:.0%} of its words are not understood" if worst > most else ""


class BookReview:
    """The doubtful sentences of whole books; any thread may call.

    What is found in a chapter is remembered by its job, which never changes: a few kilobytes for
    each of the last `MAX_KNOWN`.
    """

    def __init__(self, job_store: JobStore) -> None:
        self._job_store = job_store
        self._found = lru_cache(MAX_KNOWN)(self._look)

    def page(self, record: BookRecord, after: int = 0, limit: int = MAX_CHAPTERS) -> dict[str, Any]:
        """The doubtful sentences of chapters that are done.

        One listing of the jobs of the book, and two reads for each chapter of the page that this
        process has not looked at yet; two for those that are at work as well.

        Args:
            after: number of the chapter behind which the page begins.
            limit: how many chapters, whatever is found in them.

        Raises:
            InvalidRequest: CHAPTER_NOT_SPOKEN for one whose record is damaged.
            RecordUnreadable: its details are.
        """
        behind = [chapter for chapter in record.spoken if chapter.number > after]
        shown = replace(record, chapters=tuple(behind[:limit]))
        states = list(chapter_states(self._job_store, shown))
        done = [one.chapter for one in states if one.status is Status.COMPLETED]
        return {
            "book_id": record.book_id,
            "sentences": [
                {
                    "chapter": chapter.number,
                    "title": chapter.title,
                    "sentence": one.number,
                    "text": one.text,
                    "why": one.why,
                    "start_time": round(one.start_s, 3),
                }
                for chapter in done
                for one in self._found(chapter)
            ],
            "next": behind[limit - 1].number if len(behind) > limit else None,
        }

    def _look(self, chapter: ChapterRecord) -> tuple[DoubtfulSentence, ...]:
        done = done_record(self._job_store, chapter)
        details = details_of(self._job_store.store, done)
        return tuple(doubtful_sentences(details, done.get("verification")))


def parse_sentence(text: str) -> tuple[int, int]:
    """The numbers of chapter and sentence in "3.12" or "chapter 3, sentence 12".

    Raises:
        InvalidRequest: BAD_OPTION.
    """
    found = _SENTENCE.fullmatch(text.strip())
    if not found:
        raise InvalidRequest(
            f"{text[:60]!r} names no sentence.",
            code="BAD_OPTION",
            hint="Write the numbers of its chapter and its own, as 3.12.",
        )
    return int(found[1]), int(found[2])


def parse_take(text: str) -> tuple[tuple[int, int], int]:
    """The numbers of chapter and sentence, and that of the take, in "3.12=1".

    Raises:
        InvalidRequest: BAD_OPTION.
    """
    sentence, _, take = text.rpartition("=")
    if not re.fullmatch(r"\s*[0-9]{1,6}\s*", take):
        raise InvalidRequest(
            f"{text[:60]!r} names no take of a sentence.",
            code="BAD_OPTION",
            hint="Write the sentence and the number of the take, as 3.12=1.",
        )
    return parse_sentence(sentence), int(take)


@dataclass(frozen=True, slots=True)
class SentenceTakes:
    """Has other takes of sentences spoken, by the numbers of chapter and sentence; blocks.

    Nothing is spoken by it: the jobs of a book are those of its takes when it goes on.
    """

    books: BookStore
    job_store: JobStore
    record: BookRecord

    def redo(self, sentences: Sequence[tuple[int, int]]) -> None:
        """Ask for another take of each.

        Raises:
            InvalidRequest: CHAPTER_NOT_FOUND, CHAPTER_NOT_SPOKEN, SENTENCE_NOT_FOUND,
                TOO_MANY_TAKES.
        """
        takes = self.books.takes(self.record.book_id)
        for (chapter, _), seed in zip(sentences, self._seeds(sentences), strict=True):
            takes.add(chapter, seed)
        self.books.put_takes(self.record.book_id, takes)

    def choose(self, chosen: Sequence[tuple[tuple[int, int], int]]) -> None:
        """Go back to a take of each, by its number.

        Raises:
            InvalidRequest: CHAPTER_NOT_FOUND, CHAPTER_NOT_SPOKEN, SENTENCE_NOT_FOUND, NO_TAKE.
        """
        takes = self.books.takes(self.record.book_id)
        seeds = self._seeds([sentence for sentence, _ in chosen])
        for ((chapter, _), number), seed in zip(chosen, seeds, strict=True):
            takes.choose(chapter, seed, number)
        self.books.put_takes(self.record.book_id, takes)

    def _seeds(self, sentences: Sequence[tuple[int, int]]) -> list[int]:
        """That each is spoken with now."""
        parts: dict[int, Sequence[Mapping[str, Any]]] = {}
        for number in sorted({chapter for chapter, _ in sentences}):
            done = done_record(self.job_store, chapter_of(self.record, number))
            parts[number] = details_of(self.job_store.store, done).get("parts") or []
        for number, sentence in sentences:
            if not 1 <= sentence <= len(parts[number]):
                raise InvalidRequest(
                    f"Chapter {number} has no sentence {sentence}; it has {len(parts[number]):,}.",
                    code="SENTENCE_NOT_FOUND",
                    hint="Sentences are counted from 1 in each chapter.",
                )
        return [int(parts[number][sentence - 1]["seed"]) for number, sentence in sentences]

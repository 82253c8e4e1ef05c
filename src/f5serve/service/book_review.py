"""Sentences of a spoken book: those that may be wrong, and those that are to be spoken anew."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from f5serve.errors import InvalidRequest
from f5serve.jobs.store import JobStore
from f5serve.service.book_jobs import chapter_of, done_record
from f5serve.service.book_records import BookRecord
from f5serve.service.book_store import BookStore
from f5serve.service.responses import details_of
from f5serve.text.plan import derive_seed

RATIO = 1.8
"""How much longer or shorter than the others a sentence is that is named."""

MIN_CHARS = 15
"""Shorter sentences have lengths of their own."""

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


def redo_sentences(
    books: BookStore, job_store: JobStore, record: BookRecord, sentences: Sequence[tuple[int, int]]
) -> None:
    """Ask for another take of sentences, by the numbers of chapter and sentence; blocks.

    Raises:
        InvalidRequest: CHAPTER_NOT_FOUND, CHAPTER_NOT_SPOKEN, SENTENCE_NOT_FOUND, TOO_MANY_TAKES.
    """
    seeds: defaultdict[int, list[int]] = defaultdict(list)
    for number in sorted({chapter for chapter, _ in sentences}):
        done = done_record(job_store, chapter_of(record, number))
        parts = details_of(job_store.store, done).get("parts") or []
        for _, sentence in (one for one in sentences if one[0] == number):
            if not 1 <= sentence <= len(parts):
                raise InvalidRequest(
                    f"Chapter {number} has no sentence {sentence}; it has {len(parts):,}.",
                    code="SENTENCE_NOT_FOUND",
                    hint="Sentences are counted from 1 in each chapter.",
                )
            seeds[number].append(int(parts[sentence - 1]["seed"]))
    for number, asked in seeds.items():
        books.add_takes(record.book_id, number, asked)

"""Books to look into: the plan of one, the sentences of a chapter with their times, subtitles."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from f5serve.alignment.subtitles import MEDIA_TYPES, SubtitleFormat, write
from f5serve.books.model import Block, Book
from f5serve.books.plan import BookPlan, plan_book
from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.service.book_files import BookFileWriter, spoken_chapters
from f5serve.service.book_jobs import BookFields, chapter_of, done_record
from f5serve.service.book_read_along import sentences_of, words_by_sentence
from f5serve.service.book_review import BookReview, SentenceTakes, doubtful_sentences
from f5serve.service.book_sources import read_source
from f5serve.service.book_takes import Take
from f5serve.service.device_time import DeviceTime, device_rate, device_time
from f5serve.service.responses import JobFile, details_of
from f5serve.types import Alignment

if TYPE_CHECKING:
    from f5serve.service.service import SpeechService


class BookReading:
    """What is known of the books of one tenant; used within its event loop.

    Args:
        service: that speaks their chapters.
    """

    def __init__(self, service: SpeechService) -> None:
        self._service = service
        self._store, self._job_store = service.book_store, service.job_store
        self._review = BookReview(service.job_store)

    async def plan(self, source: bytes, name: str, fields: BookFields) -> dict[str, Any]:
        """The chapters of a book, and about how long they will be; nothing is kept.

        Args:
            name: of its file.

        Raises:
            InvalidRequest: what is wrong with the book or with the choice of chapters.
        """
        model = str(self._service.model["name"])
        price = self._service.runtime.settings.gpu_price

        def read() -> dict[str, Any]:
            book, plan = read_source(source, name, fields)
            try:
                rate = device_rate(self._job_store, model)
            except StorageFailed:  # a plan needs no store
                rate = None
            return plan_as_dict(book, plan, device_time(plan.duration_s, rate, price))

        return await self._service.pools.books.run(read)

    async def sentences(self, book_id: str, number: int) -> dict[str, Any]:
        """The sentences of a chapter that is done, with when they and their words are heard.

        Raises:
            InvalidRequest: BOOK_NOT_FOUND, CHAPTER_NOT_FOUND, CHAPTER_NOT_SPOKEN.
        """

        def read() -> dict[str, Any]:
            chapter = chapter_of(self._store.get(book_id), number)
            done = done_record(self._job_store, chapter)
            details = details_of(self._job_store.store, done)
            _, blocks = self._store.blocks(book_id, chapter.revision)
            takes = self._store.takes(book_id).by_seed(number)
            verification = done.get("verification")
            return {
                "book_id": book_id,
                "number": number,
                "title": chapter.title,
                "job_id": chapter.job_id,
                "duration": done.get("seconds"),
                "sentences": list(timed_sentences(blocks, details, verification, takes)),
            }

        return await self._service.pools.lookups.run(read)

    async def review(self, book_id: str, after: int = 0, limit: int = 50) -> dict[str, Any]:
        """The sentences that may be wrong, of a page of chapters; as `BookReview.page`.

        Raises:
            InvalidRequest: BOOK_NOT_FOUND.
        """

        def read() -> dict[str, Any]:
            return self._review.page(self._store.get(book_id), after, limit)

        return await self._service.pools.lookups.run(read)

    async def redo(
        self, book_id: str, number: int, sentence: int, owner: str = ""
    ) -> dict[str, Any]:
        """Have another take of a sentence spoken, and go on with the book.

        The answer is that of `Books.status`, with this chapter alone.

        Raises:
            InvalidRequest: BOOK_NOT_FOUND, and as `SentenceTakes.redo`.
        """
        return await self._change(book_id, number, owner, lambda on: on.redo([(number, sentence)]))

    async def choose_take(
        self, book_id: str, number: int, sentence: int, take: int, owner: str = ""
    ) -> dict[str, Any]:
        """Go back to a take of a sentence, which is in the store; as `redo`.

        Raises:
            InvalidRequest: BOOK_NOT_FOUND, and as `SentenceTakes.choose`.
        """
        chosen = [((number, sentence), take)]
        return await self._change(book_id, number, owner, lambda on: on.choose(chosen))

    async def _change(
        self, book_id: str, number: int, owner: str, change: Callable[[SentenceTakes], None]
    ) -> dict[str, Any]:
        def ask() -> None:
            change(SentenceTakes(self._store, self._job_store, self._store.get(book_id)))

        await self._service.pools.books.run(ask)
        await self._service.books.resume(book_id, owner)
        return await self._service.books.status(book_id, number - 1, 1)

    async def subtitles(self, book_id: str, format: SubtitleFormat) -> JobFile:
        """When each word of the whole book is heard.

        Raises:
            InvalidRequest: BOOK_NOT_FOUND, NO_TIMINGS; CHAPTER_NOT_SPOKEN for the first that is
                not done.
        """

        def make() -> JobFile:
            record = self._store.get(book_id)
            spoken = spoken_chapters(self._job_store, record)
            writer = BookFileWriter(self._job_store.store, record, spoken)
            starts_s = list(accumulate((one.duration_s for one in spoken[:-1]), initial=0.0))
            words = tuple(writer.words(starts_s))
            if not words:
                raise InvalidRequest(
                    "The times of the words of this book are not known.",
                    code="NO_TIMINGS",
                    hint="Install f5serve[align], and have the book spoken again.",
                )
            data = write(Alignment(words), format)
            sha256 = hashlib.sha256(data).hexdigest()
            name = f"{book_id}.{format}"
            return JobFile(name, MEDIA_TYPES[format], len(data), sha256, data=data)

        return await self._service.pools.books.run(make)


def plan_as_dict(book: Book, plan: BookPlan, needed: DeviceTime) -> dict[str, Any]:
    """All chapters of a book, in their order; those that are left out with the reason."""
    every = plan_book(book, f"1-{len(book.chapters)}")
    chosen = {planned.chapter.number for planned in plan.chapters}
    return {
        "title": book.title,
        "authors": list(book.authors),
        "language": book.language or None,
        "characters": plan.chars,
        "duration": round(plan.duration_s, 1),
        **needed.as_dict(),
        "chapters": [
            {
                "number": planned.chapter.number,
                "title": planned.chapter.title,
                "characters": planned.chapter.chars,
                "duration": round(planned.duration_s, 1),
                "spoken": planned.chapter.number in chosen,
                "reason": planned.chapter.reason or None,
            }
            for planned in every.chapters
        ],
    }


def timed_sentences(
    blocks: Sequence[Block],
    details: Mapping[str, Any],
    verification: Mapping[str, Any] | None,
    takes: Mapping[int, Take],
) -> Iterator[dict[str, Any]]:
    """The sentences of a chapter as answers have them, times in seconds of its sound.

    Args:
        details: of its job, as `details_of` returns them.
        verification: of its record.
        takes: of sentences that have several, by their seeds.
    """
    doubts = {one.number: one.why for one in doubtful_sentences(details, verification)}
    words = details.get("word_timings") or []
    parts = details.get("parts") or []
    spoken = list(sentences_of(blocks, parts))
    timed = zip(spoken, words_by_sentence(spoken, words), strict=True)
    for number, (sentence, own) in enumerate(timed, 1):
        block = blocks[sentence.block]
        seed = int(parts[number - 1]["seed"])
        take = takes.get(seed, Take(seed))
        yield {
            "number": number,
            "paragraph": sentence.block + 1,
            "kind": block.kind,
            "text": block.text[sentence.span.start : sentence.span.end],
            "start_time": sentence.span.start_s,
            "end_time": sentence.span.end_s,
            "doubt": doubts.get(number),
            "take": take.number,
            "takes": take.of,
            "words": [
                {name: word[name] for name in ("word", "start_time", "end_time")} for word in own
            ],
        }

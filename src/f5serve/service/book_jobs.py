"""The jobs of a book: one for each chapter, with ids that follow from all that was asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from f5serve.errors import InvalidRequest
from f5serve.jobs.records import JobSnapshot, Record, Status
from f5serve.jobs.retention import deletion_order, forget_job
from f5serve.jobs.store import JobStore
from f5serve.service.book_records import BookRecord, ChapterRecord, jobs_start
from f5serve.service.book_store import BookStore
from f5serve.service.chapters import CHAPTER, CastFields, ChapterRequest, PauseFields
from f5serve.service.fields import (
    Flag,
    Name,
    Request,
    TextFields,
    own_fields_first,
    whole,
    within,
)
from f5serve.service.requests import DEFAULT_VOICE
from f5serve.service.responses import details_of
from f5serve.store.base import ObjectStore
from f5serve.text.plan import derive_seed
from f5serve.voices.lexicons import LexiconLibrary
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import is_url

_OF_CHAPTERS = (
    *("voice", "style", "speed", "nfe_step", "cfg_strength", "sway_sampling_coef"),
    *("verify", "normalize", "lexicon", "speakers"),
    *("sentence_pause", "paragraph_pause", "heading_pause", "chapter_pause"),
)
"""Fields of a book that its chapters have as well."""

STOPPED = (Status.FAILED, Status.CANCELLED, Status.LOST)
"""Jobs that are begun anew when their book is: as often as that is asked for."""

_STATE_OF_JOB = re.compile(r"([0-9]{1,6})-[0-9a-f]{16}/(done|state|cancel|failed-\d{1,6})\.json")


class BookFields(Request, TextFields, PauseFields):
    """How a book is spoken."""

    model_config = ConfigDict(json_schema_extra=own_fields_first)

    voice: Name | None = Field(None, description="Name of a voice.", examples=["default"])
    style: Name | None = Field(None, description="Of the voice: which of its recordings.")
    speed: Annotated[float, within("speed")] | None = Field(
        None, description="2.0 is twice as fast as the voice speaks in its recording."
    )
    seed: Annotated[int, within("seed"), BeforeValidator(whole)] | None = Field(
        None, description="Of the book; each sentence has its own, by its text."
    )
    nfe_step: Annotated[int, within("nfe_step"), BeforeValidator(whole)] | None = Field(
        None, description="ODE steps: fewer are faster, more are finer."
    )
    cfg_strength: Annotated[float, within("cfg_strength")] | None = None
    sway_sampling_coef: Annotated[float, within("sway_sampling_coef")] | None = None
    verify: Flag | None = Field(
        None, description="Have the recogniser hear the speech, and say again what it misses."
    )
    speakers: CastFields | None = Field(
        None,
        description="Voices by name. With it, `ana: Hello.` at the start of a paragraph and tags "
        "such as `[voice:ana]` are read; without it nothing in a book is a tag.",
        examples=[{"ana": {"voice": "ana", "style": "calm"}}],
    )
    chapters: Name | None = Field(
        None, description="Which are spoken, as `3-7,9`; without it all but front matter."
    )
    alt_text: Flag | None = Field(None, description="Read descriptions of pictures as well.")

    @property
    def options(self) -> dict[str, Any]:
        """What was given, as JSON."""
        return self.model_dump(exclude_none=True)

    @property
    def voice_names(self) -> list[str]:
        """All voices that are named, each once."""
        names = [self.voice or DEFAULT_VOICE]
        names += [one.voice for one in (self.speakers or {}).values() if one.voice]
        return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class BookSpeakers:
    """What finds the voices and rules of a book, and the model that speaks it.

    Attributes:
        given: fields of every chapter that no record keeps, such as a recording.
    """

    voices: VoiceLibrary
    lexicons: LexiconLibrary
    model: str
    given: Mapping[str, Any]


def chapter_requests(
    books: BookStore, record: BookRecord, speakers: BookSpeakers
) -> list[ChapterRequest]:
    """The request of each chapter that is to be spoken; blocks.

    Raises:
        F5Error: a voice that is not there, or rules that cannot be read.
    """
    fields = BookFields.parse(record.options)
    revisions = _revisions(fields, speakers)
    takes = books.takes(record.book_id)
    seed = derive_seed(record.book_id, "book") if fields.seed is None else fields.seed
    options = fields.options
    shared = {name: options[name] for name in _OF_CHAPTERS if name in options}
    return [
        ChapterRequest.parse(
            {
                **shared,
                **speakers.given,
                "endpoint": CHAPTER,
                "book": record.book_id,
                "chapter": chapter.number,
                "revision": chapter.revision,
                "language": fields.language or chapter.language or record.language or None,
                "book_seed": seed,
                "model": speakers.model or None,
                "revisions": revisions,
                "retakes": _named(takes.retakes(chapter.number)) or None,
            }
        )
        for chapter in record.spoken
    ]


def _named(takes: Mapping[int, int]) -> dict[str, int]:
    """As JSON has it."""
    return {str(seed): take for seed, take in sorted(takes.items())}


def _revisions(fields: BookFields, speakers: BookSpeakers) -> dict[str, str]:
    """Of all voices, and of their rules of pronunciation where they have any."""
    named = [(one.voice or "", one.style or "") for one in (fields.speakers or {}).values()]
    main = fields.voice or DEFAULT_VOICE
    found: dict[str, str] = {}
    for voice, style in [("", fields.style or ""), *named]:
        name = voice or main
        if is_url(name) or "ref_audio" in speakers.given:
            continue
        if f"{name}/{style}" not in found:
            found[f"{name}/{style}"] = speakers.voices.get(name, style).revision
            rules = speakers.lexicons.for_voice(name).lexicon.revision
            if rules:
                found[f"rules of {name}"] = rules
    return found


def with_jobs(record: BookRecord, requests: Sequence[ChapterRequest]) -> BookRecord:
    """The record with the ids of these jobs."""
    ids = {request.chapter: request.job_id for request in requests}
    chapters = (replace(chapter, job_id=ids.get(chapter.number, "")) for chapter in record.chapters)
    return replace(record, chapters=tuple(chapters))


def may_begin(job_store: JobStore, job_id: str) -> Status:
    """Where the job of a chapter stands; one of `STOPPED` is forgotten, so that it may be sent
    again. Blocks."""
    snapshot = job_store.snapshot(job_id)
    if snapshot.status in STOPPED:
        forget_job(job_store.store, job_id)
        return Status.UNKNOWN
    return snapshot.status


@dataclass(frozen=True, slots=True)
class ChapterState:
    """A chapter, and where its job stands; `record` is empty where it was not read."""

    chapter: ChapterRecord
    status: Status
    record: Record

    @property
    def seconds(self) -> float:
        """Of the speech; 0 where that is not known."""
        return float(self.record.get("seconds") or 0.0)


def chapter_states(job_store: JobStore, record: BookRecord) -> Iterator[ChapterState]:
    """Where all chapters of a book stand that are to be spoken; blocks.

    One listing tells which are done and which were never begun; the others are read.
    """
    known: dict[str, set[str]] = {}
    start = f"jobs/{jobs_start(record.book_id)}"
    for entry in job_store.store.list(start):
        found = _STATE_OF_JOB.fullmatch(entry.key.removeprefix(start))
        if found:
            known.setdefault(entry.key.split("/")[1], set()).add(found[2])
    for chapter in record.spoken:
        names = known.get(chapter.job_id)
        if not chapter.job_id or names is None:
            yield ChapterState(chapter, Status.UNKNOWN, {})
        elif "done" in names:
            yield ChapterState(chapter, Status.COMPLETED, {})
        else:
            snapshot = job_store.snapshot(chapter.job_id)
            yield ChapterState(chapter, snapshot.status, snapshot.record)


def chapters_done(
    books: BookStore, job_store: JobStore, record: BookRecord, speakers: BookSpeakers
) -> frozenset[int]:
    """Numbers of the chapters that are done just as this record asks for them; blocks.

    Raises:
        F5Error: as `chapter_requests`.
    """
    asked = with_jobs(record, chapter_requests(books, record, speakers))
    states = chapter_states(job_store, asked)
    return frozenset(one.chapter.number for one in states if one.status is Status.COMPLETED)


def chapter_of(record: BookRecord, number: int) -> ChapterRecord:
    """A chapter that is to be spoken.

    Raises:
        InvalidRequest: CHAPTER_NOT_FOUND.
    """
    for chapter in record.spoken:
        if chapter.number == number:
            return chapter
    raise InvalidRequest(
        f"The book has no spoken chapter {number}.",
        code="CHAPTER_NOT_FOUND",
        hint="Its chapters are listed with their numbers.",
    )


def done_record(job_store: JobStore, chapter: ChapterRecord) -> Record:
    """What is recorded of a chapter that is done.

    Raises:
        InvalidRequest: CHAPTER_NOT_SPOKEN.
    """
    snapshot = JobSnapshot(Status.UNKNOWN, {})
    if chapter.job_id:
        snapshot = job_store.snapshot(chapter.job_id)
    if snapshot.status is Status.COMPLETED:
        return snapshot.record
    raise InvalidRequest(
        f"Chapter {chapter.number} is not spoken yet.",
        code="CHAPTER_NOT_SPOKEN",
        hint=str(snapshot.failure.get("message", "")) or "Ask for it again later.",
        retryable=not snapshot.failure,
    )


def remove_unused(books: BookStore, job_store: JobStore, record: BookRecord) -> tuple[int, int]:
    """Remove what earlier versions of a book have left; blocks.

    Returns:
        Number and bytes of the utterances that went; none go before all chapters are done.

    Raises:
        InvalidRequest: CHAPTER_NOT_SPOKEN.
    """
    used: set[str] = set()
    for chapter in record.spoken:
        used.update(details_of(job_store.store, done_record(job_store, chapter)).get("kept") or [])
    books.remove_old_chapters(record)
    return books.remove_utterances(record.book_id, used)


def forget_book(store: ObjectStore, book_id: str) -> None:
    """Remove all jobs of a book with their results, those of earlier versions as well; blocks."""
    start = jobs_start(book_id)
    for place in (f"output/{start}", f"timings/{start}", f"queue/{start}", f"jobs/{start}"):
        for entry in sorted(store.list(place), key=deletion_order):
            store.delete(entry.key)

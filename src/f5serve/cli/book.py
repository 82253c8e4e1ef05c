"""`f5serve book`: an audiobook of a file; the same command goes on where it was interrupted.

What can be refused is refused before an engine is loaded.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from f5serve.books.long_chapters import divide_long_chapters
from f5serve.books.model import Book, ReadOptions
from f5serve.books.plan import plan_book
from f5serve.books.reader import read_book
from f5serve.cli import remote_book
from f5serve.cli.book_output import (
    BookProgress,
    ShownPlan,
    choose_book_output,
    print_plan,
    print_review,
    write_files,
)
from f5serve.cli.remote import reading_fields
from f5serve.cli.say import SAMPLING, override
from f5serve.cli.terminal_keys import keys
from f5serve.cli.toml_source import read_toml
from f5serve.cli.voice_input import read_ref_text
from f5serve.errors import F5Error, InvalidRequest
from f5serve.fallback.kokoro import MODEL as STANDIN_MODEL
from f5serve.jobs.store import JobStore
from f5serve.models.disk import format_bytes
from f5serve.service import SpeechService
from f5serve.service.book_jobs import (
    BookFields,
    BookSpeakers,
    chapter_requests,
    chapters_done,
    remove_unused,
    with_jobs,
)
from f5serve.service.book_records import BookRecord, book_id_of, check_book_id
from f5serve.service.book_review import SentenceTakes, parse_sentence, parse_take
from f5serve.service.book_speaking import speak_chapters
from f5serve.service.book_store import BookStore, NewBook
from f5serve.service.chapters import ChapterRequest
from f5serve.service.device_time import device_rate, device_time
from f5serve.settings import Settings, amount
from f5serve.startup import EngineSpec, LoadOptions, load, select_engine
from f5serve.startup.select import QUALITY_STEPS
from f5serve.store.base import ObjectStore
from f5serve.store.config import open_store
from f5serve.store.namespace import tenant_store
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.bulk_import import read_recording
from f5serve.voices.lexicons import LexiconLibrary

CLOSE_S = 10.0
"""Longest wait at the end for what is being stored."""

_NONE: frozenset[int] = frozenset()
_PAUSES = ("sentence_pause", "paragraph_pause", "heading_pause", "chapter_pause")


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What is to be spoken, before an engine is loaded.

    Attributes:
        given: fields of every chapter that no record keeps.
    """

    book: Book
    source: Path
    chosen: frozenset[int]
    fields: BookFields
    book_id: str
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Opened:
    """What a book is spoken with here.

    Attributes:
        whole: the store of all tenants.
        store: the part of it that is F5_TENANT's.
    """

    settings: Settings
    spec: EngineSpec
    recognition: SpeechRecognition
    whole: ObjectStore
    store: ObjectStore


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Show the plan, speak what is missing, and write the files."""
    inputs = _read_inputs(args)
    plan = plan_book(inputs.book, args.chapters or "")
    settings = override(settings, args)
    rate, done = (None, _NONE) if args.server else _known(settings, args.weights, inputs)
    left_s = sum(one.duration_s for one in plan.chapters if one.chapter.number not in done)
    needed = device_time(left_s, rate, _price(args, settings))
    shown = ShownPlan(inputs.book, inputs.book_id, plan, done, needed)
    if args.list:
        print_plan(shown, args.json, sys.stdout)
        return 0
    if args.server:
        print_plan(shown, False, sys.stderr)
        return remote_book.run(args, settings, inputs.fields, inputs.book_id)
    if args.review:
        store = tenant_store(open_store(settings), settings.tenant)
        record = BookStore(store).get(inputs.book_id)
        return print_review(JobStore(store), record, args.json)
    output = choose_book_output(args, inputs.book_id)
    print_plan(shown, False, sys.stderr)
    spec, whole = select_engine(settings, args.weights), open_store(settings)
    store = tenant_store(whole, settings.tenant)
    opened = _Opened(settings, spec, SpeechRecognition(settings), whole, store)
    record = asyncio.run(_speak(args, opened, inputs))
    return write_files(opened.store, record, inputs.book, output)


def _price(args: argparse.Namespace, settings: Settings) -> float:
    """Of an hour of the device, in USD; 0 where it is not known.

    Raises:
        InvalidRequest: BAD_OPTION.
    """
    if args.gpu_price is None:
        return settings.gpu_price
    try:
        return amount(args.gpu_price)
    except ValueError as error:
        raise InvalidRequest(
            f"--gpu-price is {args.gpu_price[:60]}.",
            code="BAD_OPTION",
            hint=f"It takes {error}: USD an hour.",
        ) from None


def _known(
    settings: Settings, weights: str, inputs: _Inputs
) -> tuple[float | None, frozenset[int]]:
    """The rate of `device_rate`, and which chapters are done.

    Neither is known where model, voice or store cannot be used, which is an error once something
    is to be spoken.
    """
    rate = None
    try:
        model, whole = _model(select_engine(settings, weights)), open_store(settings)
        store = tenant_store(whole, settings.tenant)
        books, jobs = BookStore(store), JobStore(store)
        rate, before = device_rate(jobs, model), books.find(inputs.book_id)
        if before is None or before.sha256 != inputs.book.sha256:
            return rate, _NONE
        voices = SpeechRecognition(settings).library(whole)
        speakers = BookSpeakers(voices, LexiconLibrary(store, voices), model, inputs.given)
        record = replace(before, options=inputs.fields.options)
        return rate, chapters_done(books, jobs, record, speakers) & inputs.chosen
    except F5Error:
        return rate, _NONE


def _model(spec: EngineSpec) -> str:
    return STANDIN_MODEL if spec.kind == "standin" else spec.model


def _read_inputs(args: argparse.Namespace) -> _Inputs:
    path = Path(args.file)
    try:
        book = read_book(path, options=ReadOptions(alt_text=args.alt_text))
    except OSError as error:
        raise InvalidRequest(
            f"{args.file[-100:]} cannot be read: {error.strerror or error}.",
            code="FILE_UNREADABLE",
            hint="Give the path of a book.",
        ) from None
    book = divide_long_chapters(book)
    given = _recording(args)
    payload: dict[str, Any] = {name: getattr(args, name) for name in (*SAMPLING, *_PAUSES)}
    if args.quality and payload["nfe_step"] is None:
        payload["nfe_step"] = QUALITY_STEPS[args.quality]
    payload |= {
        "voice": None if given else args.voice,
        "verify": args.verify or None,
        "chapters": args.chapters,
        "alt_text": args.alt_text or None,
        "speakers": _speakers(args.cast) if args.cast else None,
        **reading_fields(args),
    }
    fields = BookFields.parse(payload)
    chosen = frozenset(one.chapter.number for one in plan_book(book, args.chapters or "").chapters)
    book_id = check_book_id(args.book_id) if args.book_id else book_id_of(book)
    return _Inputs(book, path, chosen, fields, book_id, given)


def _speakers(path: str) -> Any:
    """The table of a cast file; `bo = "ana"` is short for `bo = {voice = "ana"}`."""
    speakers = read_toml(Path(path)).document.get("speakers", {})
    if not isinstance(speakers, dict):
        return speakers
    return {name: {"voice": one} if isinstance(one, str) else one for name, one in speakers.items()}


def _recording(args: argparse.Namespace) -> dict[str, Any]:
    """The fields for a voice that is a recording on this machine; none for a name."""
    path = Path(args.voice)
    if not path.is_file():
        return {}
    ref_text = read_ref_text(args, path, is_needed=False)
    recording = base64.b64encode(read_recording(path)).decode()
    return {"ref_audio": recording, **({"ref_text": ref_text} if ref_text else {})}


async def _speak(args: argparse.Namespace, opened: _Opened, inputs: _Inputs) -> BookRecord:
    """Speak what is missing of the book.

    Raises:
        F5Error: why a chapter cannot be spoken; what is done stays.
        KeyboardInterrupt, asyncio.CancelledError: likewise.
    """
    options = LoadOptions(opened.spec, recognition=opened.recognition)

    def load_speech() -> Synthesizer:
        return load(opened.settings, options).synthesizer

    voices = opened.recognition.library(opened.whole)
    service = SpeechService(opened.store, voices, load_speech, opened.settings)
    progress = BookProgress()
    try:
        record, requests = await service.work("book", _prepare, service, opened, inputs, args)
        await speak_with_keys(service, record, requests, progress)
        if args.clean:
            count, size = await service.work(
                "book", remove_unused, service.book_store, service.job_store, record
            )
            print(f"removed {count:,} utterances, {format_bytes(size)}", file=sys.stderr)
        return record
    except (asyncio.CancelledError, F5Error):
        progress.close()
        if progress.has_chapters:
            print(f"{progress.summary} The same command goes on.", file=sys.stderr)
        raise
    finally:
        progress.close()
        await service.close(CLOSE_S)


async def speak_with_keys(
    service: SpeechService,
    record: BookRecord,
    requests: Sequence[ChapterRequest],
    progress: BookProgress,
) -> None:
    """As `speak_chapters`; keys of the terminal pause it, go on and end it."""
    running = asyncio.Event()
    running.set()
    pause = partial(_pause, running, progress)
    with keys({"p": pause, " ": pause, "q": _interrupt}) as are_read:
        progress.begin(record, are_read)
        await speak_chapters(service, requests, progress, running)


def _pause(running: asyncio.Event, progress: BookProgress) -> None:
    """Pause the book, or go on with it."""
    if running.is_set():
        running.clear()
    else:
        running.set()
    progress.pause(not running.is_set())


def _interrupt() -> None:
    """End as Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


def _prepare(
    service: SpeechService, opened: _Opened, inputs: _Inputs, args: argparse.Namespace
) -> tuple[BookRecord, list[ChapterRequest]]:
    """The record of the book and the job of each chapter; blocks."""
    books = service.book_store
    redo = [parse_sentence(one) for one in args.redo]
    chosen = [parse_take(one) for one in args.take]
    if redo or chosen:
        takes = SentenceTakes(books, service.job_store, books.get(inputs.book_id))
        takes.redo(redo)
        takes.choose(chosen)
    new = NewBook(
        inputs.book_id,
        inputs.book,
        inputs.source,
        inputs.chosen,
        inputs.fields.options,
        inputs.fields.voice_names,
    )
    record = books.add(new)
    books.resume(record.book_id)
    model = _model(opened.spec)
    speakers = BookSpeakers(service.voices, service.lexicons, model, inputs.given)
    requests = chapter_requests(books, record, speakers)
    return books.put(with_jobs(record, requests)), requests

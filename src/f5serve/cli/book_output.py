"""What `f5serve book` shows and writes: the plan, progress, doubtful sentences, files."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

from f5serve.alignment.subtitles import SubtitleFormat, write
from f5serve.audio.audiobook import BookFormat
from f5serve.books.epub3 import HighlightLevel
from f5serve.books.model import Book
from f5serve.books.plan import BookPlan
from f5serve.cli.output import Output, made_folder, unwritable
from f5serve.errors import InvalidRequest
from f5serve.jobs.store import JobStore
from f5serve.service.book_files import (
    BookFileRequest,
    BookFiles,
    BookFileWriter,
    check_media,
    spoken_chapters,
)
from f5serve.service.book_read_along import write_read_along
from f5serve.service.book_records import BookRecord
from f5serve.service.book_review import BookReview
from f5serve.service.chapters import ChapterRequest
from f5serve.service.device_time import DeviceTime
from f5serve.service.events import Progress
from f5serve.store.base import ObjectStore
from f5serve.types import Alignment

_LOUDNESS = (-70.0, -5.0)
_TITLE_CHARS = 48
_DEVICE = "time of the device"
_UNKNOWN = "unknown until something was spoken here"


@dataclass(frozen=True, slots=True)
class BookOutput:
    """Which files are written.

    Attributes:
        path: of the m4b, or the folder of chapters.
        epub: path of the book that is read along; None for none.
    """

    path: Path
    request: BookFileRequest
    subtitles: tuple[SubtitleFormat, ...]
    epub: Path | None
    highlight: HighlightLevel
    as_json: bool

    @property
    def is_whole(self) -> bool:
        return self.request.format == "m4b"


def choose_book_output(args: argparse.Namespace, book_id: str) -> BookOutput:
    """Where files go and in which format; looked at before the work.

    Raises:
        InvalidRequest: BAD_OPTION, MEDIA_EXTRA_MISSING.
        StorageFailed: OUTPUT_UNWRITABLE.
    """
    check_media()
    if args.loudness is not None and not _LOUDNESS[0] <= args.loudness <= _LOUDNESS[1]:
        raise InvalidRequest(
            f"--loudness is {args.loudness:g}.",
            code="BAD_OPTION",
            hint=f"It takes {_LOUDNESS[0]:g} to {_LOUDNESS[1]:g} LUFS.",
        )
    is_file = args.output is not None and args.output.lower().endswith(".m4b")
    format: str = args.format or ("m4b" if is_file or args.output is None else "mp3")
    if args.acx:
        format = "mp3" if args.format in (None, "mp3") and not is_file else ""
    if not format or (is_file and format != "m4b"):
        raise InvalidRequest(
            f"{args.output or args.format} is one file .m4b, but files of chapters are asked for.",
            code="BAD_OPTION",
            hint="Give a folder with -o; --acx and formats other than m4b write files into it.",
        )
    path = Path(args.output or (f"{book_id}.m4b" if format == "m4b" else book_id))
    if format == "m4b":
        Output(str(path))
    elif path.exists() and not path.is_dir():
        raise unwritable(str(path), "it is no folder")
    if args.epub:
        Output(args.epub)
    request = BookFileRequest(
        cast("BookFormat", format),
        args.loudness,
        args.acx,
        "" if Path(args.voice).is_file() else args.voice,
    )
    epub = Path(args.epub) if args.epub else None
    subtitles = tuple(args.subtitles)
    return BookOutput(path, request, subtitles, epub, args.highlight, args.json)


@dataclass(frozen=True, slots=True)
class ShownPlan:
    """What is to be spoken of a book, and what that will cost.

    Attributes:
        done: numbers of the chapters that are spoken already.
        needed: for the others.
    """

    book: Book
    book_id: str
    plan: BookPlan
    done: frozenset[int]
    needed: DeviceTime


def print_plan(shown: ShownPlan, as_json: bool, to: IO[str]) -> None:
    """Which chapters are spoken, and how long that will be."""
    if as_json:
        print(json.dumps(_plan_as_dict(shown)), file=to)
        return
    book, plan = shown.book, shown.plan
    authors = f" by {', '.join(book.authors)}" if book.authors else ""
    print(f"{book.title}{authors} ({shown.book_id})", file=to)
    for planned in plan.chapters:
        one = planned.chapter
        title = one.title if len(one.title) <= _TITLE_CHARS else one.title[:_TITLE_CHARS] + "…"
        length = _clock(planned.duration_s)
        done = "  done" if one.number in shown.done else ""
        line = f"{one.number:4}  {title:{_TITLE_CHARS + 1}} {one.chars:9,}  {length}{done}"
        print(f"  {line}", file=to)
    for chapter in plan.left_out:
        why = chapter.reason or "not chosen"
        print(f"  {chapter.number:4}  {chapter.title[:_TITLE_CHARS]} is not spoken: {why}", file=to)
    total = _clock(plan.duration_s)
    what = f"{len(plan.chapters)} chapters, {plan.chars:,} characters, about {total} of speech"
    print(what, file=to)
    count, seconds, usd = len(shown.done), shown.needed.seconds, shown.needed.usd
    about = f"about {_clock(seconds)}" if seconds is not None else _UNKNOWN
    cost = f", USD {usd:.2f}" if usd is not None else ""
    which = f"{count} chapters are done; {_DEVICE} for the others" if count else _DEVICE
    print(f"{which}: {about}{cost}", file=to)


def _plan_as_dict(shown: ShownPlan) -> dict[str, Any]:
    book, plan = shown.book, shown.plan
    chapters = [
        {
            "number": planned.chapter.number,
            "title": planned.chapter.title,
            "characters": planned.chapter.chars,
            "duration_s": round(planned.duration_s, 1),
            "done": planned.chapter.number in shown.done,
        }
        for planned in plan.chapters
    ]
    left_out = [
        {"number": one.number, "title": one.title, "reason": one.reason or "not chosen"}
        for one in plan.left_out
    ]
    return {
        "book_id": shown.book_id,
        "title": book.title,
        "authors": list(book.authors),
        "language": book.language or None,
        "characters": plan.chars,
        "duration_s": round(plan.duration_s, 1),
        **shown.needed.as_dict(),
        "chapters": chapters,
        "left_out": left_out,
    }


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


class BookProgress:
    """Progress of a book: a bar on a terminal, else a line for each chapter."""

    def __init__(self) -> None:
        self._chars: dict[int, int] = {}
        self._done: set[int] = set()
        self._bar: Any = None
        self._phase = ""
        self._is_paused = False

    def begin(self, record: BookRecord, has_keys: bool) -> None:
        """The chapters of this book are to be spoken; keys pause it, or there are none."""
        self._chars = {one.number: one.chars for one in record.spoken}
        if sys.stderr.isatty():
            from tqdm import tqdm

            if has_keys:
                print("p pauses at the next sentence and goes on, q ends", file=sys.stderr)
            self._bar = tqdm(total=sum(self._chars.values()), unit="char", unit_scale=True)

    def __call__(self, request: ChapterRequest, progress: Progress) -> None:
        """As `OnProgress`."""
        number = request.chapter
        if progress.phase == "done":
            self._done.add(number)
        if self._bar is not None:
            part = progress.percent / 100 if progress.phase == "speaking" else 0.0
            finished = sum(self._chars.get(one, 0) for one in self._done)
            current = 0 if number in self._done else self._chars.get(number, 0) * part
            self._describe(f"chapter {number}")
            self._bar.n = round(finished + current)
            self._bar.refresh()
        elif progress.phase == "done" or progress.phase == "elsewhere" != self._phase:
            what = "is done" if progress.phase == "done" else "is spoken by another process"
            count = f"{len(self._done)} of {len(self._chars)}"
            print(f"chapter {number} {what} ({count})", file=sys.stderr, flush=True)
        self._phase = progress.phase

    def pause(self, is_paused: bool) -> None:
        """Show that the book is paused, or that it goes on."""
        self._is_paused = is_paused
        self._describe("going on")

    def _describe(self, what: str) -> None:
        if self._bar is not None:
            self._bar.set_description("paused, p goes on" if self._is_paused else what)

    @property
    def has_chapters(self) -> bool:
        return bool(self._chars)

    @property
    def summary(self) -> str:
        """How far it is, as a sentence."""
        return f"{len(self._done)} of {len(self._chars)} chapters are done."

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def print_review(job_store: JobStore, record: BookRecord, as_json: bool) -> int:
    """List the doubtful sentences of all chapters that are done."""
    found = BookReview(job_store).page(record)
    sentences = found["sentences"]
    if as_json:
        print(json.dumps({"book_id": record.book_id, "sentences": sentences}))
        return 0
    for line in sentences:
        place = f"{line['chapter']}.{line['sentence']}"
        print(f"{place:8} {_clock(line['start_time'])}  {line['why']}: {line['text'][:200]}")
    print(f"{len(sentences)} sentences may be wrong; --redo N.N speaks one anew", file=sys.stderr)
    return 0


def write_files(store: ObjectStore, record: BookRecord, book: Book, output: BookOutput) -> int:
    """Write what was asked for, and print what was done."""
    with _errors(output), _folder(output):
        writer = BookFileWriter(
            store, record, spoken_chapters(JobStore(store), record), output.request, _print_written
        )
        write_all = writer.write_whole if output.is_whole else writer.write_chapters
        files = write_all(output.path)
        written = [str(path) for path in files.paths]
        written += _write_subtitles(writer, files, output)
        if output.epub is not None:
            untimed = write_read_along(output.epub, book, writer, output.highlight)
            written.append(str(output.epub))
            if untimed and output.highlight == "word":
                files = replace(files, problems=(*files.problems, _untimed(output.epub, untimed)))
    seconds = sum(one.duration_s for one in writer.chapters)
    if output.as_json:
        answer = {
            "status": "COMPLETED",
            "book_id": record.book_id,
            "duration": round(seconds, 3),
            "chapters": len(writer.chapters),
            "files": written,
            "problems": list(files.problems),
        }
        print(json.dumps(answer))
        return 0
    for problem in files.problems:
        print(f"note: {problem}", file=sys.stderr)
    what = output.path if len(written) == 1 else f"{output.path} and {len(written) - 1} more files"
    print(f"{what}: {_clock(seconds)} of speech", file=sys.stderr)
    return 0


def _untimed(path: Path, count: int) -> str:
    return (
        f"{path.name}: {count:,} sentences are highlighted as a whole, as the times of their words"
        " are not known; f5serve[align] finds those of English"
    )


def _write_subtitles(writer: BookFileWriter, files: BookFiles, output: BookOutput) -> Iterator[str]:
    """Beside the m4b, or beside each chapter."""
    for format in output.subtitles:
        if output.is_whole:
            parts = [(files.paths[0], writer, files.starts_s)]
        else:
            parts = [
                (path, replace(writer, chapters=[spoken]), (start_s,))
                for path, spoken, start_s in zip(
                    files.paths, writer.chapters, files.starts_s, strict=True
                )
            ]
        for path, part, starts_s in parts:
            beside = path.with_suffix(f".{format}")
            found = Alignment(tuple(part.words(starts_s)))
            if found.words:
                beside.write_bytes(write(found, format))
                yield str(beside)


def _print_written(done: int, total: int) -> None:
    if not sys.stderr.isatty():
        print(f"written {done} of {total}", file=sys.stderr, flush=True)


def _folder(output: BookOutput) -> Any:
    return nullcontext() if output.is_whole else made_folder(output.path)


@contextmanager
def _errors(output: BookOutput) -> Iterator[None]:
    """Errors of the system as ours.

    Raises:
        StorageFailed: OUTPUT_UNWRITABLE.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(str(output.path), error.strerror or str(error)) from None

"""Files of a book that is spoken: one m4b with chapters, or a file for each chapter.

Chapters are read from the store one at a time, and their sound ten seconds at a time, so memory
does not grow with the book. Loudness is measured first, then the files are written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from f5serve.audio.acx import acx_options, acx_problems, report_file
from f5serve.audio.audiobook import AudiobookWriter, BookFileOptions, BookFormat, Tags
from f5serve.audio.leveling import Leveling, leveling_to
from f5serve.audio.loudness import Loudness, LoudnessMeter, combine
from f5serve.audio.own_files import read_blocks
from f5serve.audio.pictures import Picture, read_picture
from f5serve.errors import InvalidRequest
from f5serve.jobs.records import Record
from f5serve.jobs.store import JobStore
from f5serve.process import Check, never_cancelled
from f5serve.service.book_jobs import done_record
from f5serve.service.book_records import BookRecord, ChapterRecord
from f5serve.service.responses import details_of, find_output, word_of
from f5serve.store.base import ObjectStore
from f5serve.types import FloatArray, WordTiming

CEILING_DB = -1.0
"""True peak of files whose loudness is brought to a target."""

MAX_COVER_BYTES = 20_000_000
_FORBIDDEN = frozenset('\\/:*?"<>|')
_MAX_NAME_CHARS = 80


@dataclass(frozen=True, slots=True)
class SpokenChapter:
    """A chapter that is spoken, with the record of its job."""

    chapter: ChapterRecord
    record: Record

    @property
    def duration_s(self) -> float:
        return float(self.record["seconds"])


@dataclass(frozen=True, slots=True)
class BookFileRequest:
    """Which files are wanted.

    Attributes:
        loudness_lufs: of the whole book; None leaves it as it is.
        acx: mp3 files with the levels that ACX asks for, in place of `format`.
        narrator: for the tags.
    """

    format: BookFormat = "m4b"
    loudness_lufs: float | None = None
    acx: bool = False
    narrator: str = ""


@dataclass(frozen=True, slots=True)
class BookFiles:
    """What was written.

    Attributes:
        starts_s: where each chapter begins in its file.
        problems: what ACX would refuse, a sentence each.
    """

    paths: tuple[Path, ...]
    starts_s: tuple[float, ...]
    problems: tuple[str, ...] = ()


def check_media() -> None:
    """Refuse to write files of books without PyAV.

    Raises:
        InvalidRequest: MEDIA_EXTRA_MISSING.
    """
    if find_spec("av") is None:
        raise InvalidRequest(
            "Writing audiobooks needs PyAV, which is not installed.",
            code="MEDIA_EXTRA_MISSING",
            hint="Run pip install 'f5serve[media]'.",
        )


def spoken_chapters(job_store: JobStore, record: BookRecord) -> list[SpokenChapter]:
    """The chapters of a book with what is recorded of them; blocks.

    Raises:
        InvalidRequest: CHAPTER_NOT_SPOKEN for the first that is not done.
    """
    return [SpokenChapter(one, done_record(job_store, one)) for one in record.spoken]


@dataclass(frozen=True, slots=True)
class BookFileWriter:
    """Writes files of one book. All calls block.

    Attributes:
        on_chapter: called with the number of chapters that are written, and of all.
        check: called for each block; what it raises ends the work and comes out.
    """

    store: ObjectStore
    record: BookRecord
    chapters: Sequence[SpokenChapter]
    request: BookFileRequest = field(default_factory=BookFileRequest)
    on_chapter: Callable[[int, int], None] = lambda done, total: None
    check: Check = never_cancelled

    def write_whole(self, path: Path) -> BookFiles:
        """One m4b with a mark for each chapter.

        Raises:
            StorageFailed: a chapter cannot be read.
            OSError: the file cannot be written.
        """
        options = BookFileOptions("m4b", leveling=self._leveling())
        starts_s = []
        with AudiobookWriter(path, options, self._tags(), self._cover()) as writer:
            for number, spoken in enumerate(self.chapters, 1):
                starts_s.append(writer.position_s)
                writer.begin_chapter(spoken.chapter.title)
                for block in self._blocks(spoken):
                    writer.write(block)
                self.on_chapter(number, len(self.chapters))
        return BookFiles((path,), tuple(starts_s))

    def write_chapters(self, folder: Path) -> BookFiles:
        """A file for each chapter, named by its place and title; errors as `write_whole`."""
        cover, paths, problems = self._cover(), [], []
        leveling = Leveling() if self.request.acx else self._leveling()
        starts_s = []
        for number, spoken in enumerate(self.chapters, 1):
            options = BookFileOptions(self.request.format, leveling=leveling)
            if self.request.acx:
                options = acx_options(self._measured(spoken))
            path = folder / self._name(number, spoken, options.format)
            track = f"{number}/{len(self.chapters)}"
            tags = replace(self._tags(), title=spoken.chapter.title, track=track)
            with AudiobookWriter(path, options, tags, cover) as writer:
                starts_s.append(writer.position_s)
                for block in self._blocks(spoken):
                    writer.write(block)
            paths.append(path)
            if self.request.acx:
                problems += [f"{path.name}: {one}" for one in acx_problems(report_file(path))]
            self.on_chapter(number, len(self.chapters))
        return BookFiles(tuple(paths), tuple(starts_s), tuple(problems))

    def words(self, starts_s: Sequence[float]) -> Iterator[WordTiming]:
        """When each word is heard.

        Args:
            starts_s: where each chapter begins.
        """
        for spoken, start_s in zip(self.chapters, starts_s, strict=True):
            for fields in details_of(self.store, spoken.record).get("word_timings") or []:
                word = word_of(fields)
                yield replace(word, start_s=word.start_s + start_s, end_s=word.end_s + start_s)

    @contextmanager
    def sound_file(self, spoken: SpokenChapter) -> Iterator[Path]:
        """The stored sound of a chapter as a file on this machine."""
        line = find_output(spoken.record, "audio")
        with tempfile.TemporaryDirectory(prefix="f5serve-book-") as folder:
            path = Path(folder) / "chapter.flac"
            self.store.download(line["key"], path, line["size"], line["sha256"])
            yield path

    def _blocks(self, spoken: SpokenChapter) -> Iterator[FloatArray]:
        with self.sound_file(spoken) as path:
            for block in read_blocks(path):
                self.check()
                yield block

    def _measured(self, spoken: SpokenChapter) -> Loudness:
        meter = LoudnessMeter()
        for block in self._blocks(spoken):
            meter.add(block)
        return meter.result()

    def _leveling(self) -> Leveling:
        """One change for the whole book: loud and quiet chapters stay so."""
        target = self.request.loudness_lufs
        if target is None:
            return Leveling()
        found = combine([self._measured(spoken) for spoken in self.chapters])
        return leveling_to(target, found.integrated_lufs, found.true_peak_db, CEILING_DB)

    def _tags(self) -> Tags:
        authors = ", ".join(self.record.authors)
        return Tags(
            title=self.record.title,
            artist=authors,
            album=self.record.title,
            album_artist=authors,
            composer=self.request.narrator,
            date=self.record.date,
        )

    def _cover(self) -> Picture | None:
        """The picture of the book; None without one that players show."""
        if not self.record.cover:
            return None
        try:
            return read_picture(self.store.get(self.record.cover, MAX_COVER_BYTES))
        except InvalidRequest:
            return None

    def _name(self, number: int, spoken: SpokenChapter, format: str) -> str:
        width = len(str(len(self.chapters)))
        title = "".join(
            " " if char in _FORBIDDEN or not char.isprintable() else char
            for char in spoken.chapter.title
        )
        title = " ".join(title.split())[:_MAX_NAME_CHARS].strip(" .")
        return f"{number:0{width}d} {title or spoken.chapter.number}.{format}"

"""A spoken book as EPUB 3 that is read along: the sentence that is heard is highlighted."""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from f5serve.audio.audiobook import AudiobookWriter, BookFileOptions, Tags
from f5serve.audio.own_files import read_blocks
from f5serve.books.epub3 import ReadAlongOptions, SpokenChapter, write_epub3
from f5serve.books.epub3_pages import SpokenSentence
from f5serve.books.model import Block, Book
from f5serve.books.sentences import BETWEEN_BLOCKS
from f5serve.service.book_files import BookFileWriter
from f5serve.service.responses import details_of
from f5serve.types import WordSpan


def write_read_along(path: Path, book: Book, writer: BookFileWriter) -> None:
    """Write the book with its sound as mp3; chapters that are not spoken are there to be read.

    Args:
        book: as it was read, with the numbers of chapters that `writer` has.

    Raises:
        StorageFailed: a chapter cannot be read.
        OSError: the file cannot be written.
    """
    options = ReadAlongOptions(narrator=writer.request.narrator)
    with tempfile.TemporaryDirectory(prefix="f5serve-epub-") as folder:
        write_epub3(path, book, _chapters(book, writer, Path(folder)), options)


def _chapters(book: Book, writer: BookFileWriter, folder: Path) -> Iterator[SpokenChapter]:
    spoken = {one.chapter.number: one for one in writer.chapters}
    sound = folder / "chapter.mp3"  # is in the book before the next one is made
    done = 0
    for chapter in book.chapters:
        found = spoken.get(chapter.number)
        if found is None:
            yield SpokenChapter(chapter)
            continue
        with writer.sound_file(found) as path:
            options = BookFileOptions("mp3")
            with AudiobookWriter(sound, options, Tags(title=chapter.title)) as mp3:
                for block in read_blocks(path):
                    writer.check()
                    mp3.write(block)
        parts = details_of(writer.store, found.record).get("parts") or []
        sentences = tuple(sentences_of(chapter.blocks(), parts))
        yield SpokenChapter(chapter, sound, found.duration_s, sentences)
        done += 1
        writer.on_chapter(done, len(writer.chapters))


def sentences_of(
    blocks: Sequence[Block], parts: Sequence[Mapping[str, Any]]
) -> Iterator[SpokenSentence]:
    """The sentences of a chapter, by the parts of its job."""
    lengths = (len(block.text) + len(BETWEEN_BLOCKS) for block in blocks)
    starts = list(accumulate(lengths, initial=0))
    for part in parts:
        block = min(bisect_right(starts, part["start"]) - 1, len(blocks) - 1)
        start, end = part["start"] - starts[block], part["end"] - starts[block]
        span = WordSpan(start, end, float(part["start_time"]), float(part["end_time"]))
        yield SpokenSentence(block, span)

"""A spoken book as EPUB 3 that is read along: what is heard is highlighted, by sentence or word."""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from f5serve.audio.audiobook import AudiobookWriter, BookFileOptions, Tags
from f5serve.audio.own_files import read_blocks
from f5serve.books.epub3 import HighlightLevel, ReadAlongOptions, SpokenChapter, write_epub3
from f5serve.books.epub3_pages import SpokenSentence
from f5serve.books.model import Block, Book
from f5serve.books.sentences import BETWEEN_BLOCKS
from f5serve.service.book_files import BookFileWriter
from f5serve.service.responses import details_of
from f5serve.types import WordSpan


def write_read_along(
    path: Path, book: Book, writer: BookFileWriter, level: HighlightLevel = "sentence"
) -> int:
    """Write the book with its sound as mp3; chapters that are not spoken are there to be read.

    Args:
        book: as it was read, with the numbers of chapters that `writer` has.
        level: what is highlighted; a sentence whose words have no times is as a whole.

    Returns:
        How many sentences have no word whose time is known.

    Raises:
        StorageFailed: a chapter cannot be read.
        OSError: the file cannot be written.
    """
    options, untimed = ReadAlongOptions(level, writer.request.narrator), 0

    def counted(chapters: Iterator[SpokenChapter]) -> Iterator[SpokenChapter]:
        nonlocal untimed
        for chapter in chapters:
            untimed += sum(not sentence.words for sentence in chapter.sentences)
            yield chapter

    with tempfile.TemporaryDirectory(prefix="f5serve-epub-") as folder:
        write_epub3(path, book, counted(_chapters(book, writer, Path(folder))), options)
    return untimed


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
        sentences = sentences_with_words(chapter.blocks(), details_of(writer.store, found.record))
        yield SpokenChapter(chapter, sound, found.duration_s, tuple(sentences))
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


def words_by_sentence(
    sentences: Sequence[SpokenSentence], words: Sequence[Mapping[str, Any]]
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The words of a job that are heard in each sentence."""
    at = 0
    for number in range(len(sentences)):
        first, is_last = at, number + 1 == len(sentences)
        behind_s = float("inf") if is_last else sentences[number + 1].span.start_s
        while at < len(words) and float(words[at]["start_time"]) < behind_s:
            at += 1
        yield words[first:at]


def sentences_with_words(
    blocks: Sequence[Block], details: Mapping[str, Any]
) -> Iterator[SpokenSentence]:
    """The sentences of a chapter, with the words that have times and are found in their text."""
    sentences = list(sentences_of(blocks, details.get("parts") or []))
    timed = words_by_sentence(sentences, details.get("word_timings") or [])
    for sentence, words in zip(sentences, timed, strict=True):
        text, found = blocks[sentence.block].text, []
        at, time_s = sentence.span.start, sentence.span.start_s
        last_s = max(time_s, sentence.span.end_s)
        for word in words:
            start = text.find(str(word["word"]), at, sentence.span.end)
            if word["word"] and start >= 0:
                at = start + len(str(word["word"]))
                time_s = min(max(time_s, float(word["start_time"])), last_s)
                end_s = max(time_s, min(float(word["end_time"]), last_s))
                found.append(WordSpan(start, at, time_s, end_s))
        yield replace(sentence, words=tuple(found))

"""The sentences of a chapter as parts of a script: who speaks each, its pause and its seed.

A sentence is one part, so that it can be changed or spoken again alone. Its seed follows from its
own text, never from its place, so it keeps its sound when text around it changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from f5serve.books.model import Block
from f5serve.text.mapped_text import MappedText
from f5serve.text.plan import derive_seed
from f5serve.text.script import Part, Script, VoiceNames
from f5serve.text.script_parser import parse_script
from f5serve.text.split import split_sentences

LEAD_S = 0.04
"""Silence before the first word of a chapter: a mark at its start is that near to the word."""

BETWEEN_BLOCKS = "\n\n"
"""What stands between two blocks in the text of a chapter."""

MAX_TAKE = 1_000


@dataclass(frozen=True, slots=True)
class Pauses:
    """Silence behind a sentence, a paragraph, a heading and a chapter, in seconds."""

    sentence_s: float = 0.35
    paragraph_s: float = 0.75
    heading_s: float = 1.2
    chapter_s: float = 2.0


@dataclass(frozen=True, slots=True)
class ChapterReading:
    """How the blocks of a chapter are read.

    Attributes:
        seed: of the book.
        language: of blocks that have none, a tag.
        names: who may be named by tags and lines such as `ana: Hello.`; None reads no tags.
        takes: for sentences that are spoken anew, by the seed that they had first, the number of
            the take; others have take 1.
    """

    pauses: Pauses = field(default_factory=Pauses)
    seed: int = 0
    language: str = ""
    names: VoiceNames | None = None
    takes: Mapping[int, int] = field(default_factory=dict)


def chapter_script(blocks: Sequence[Block], reading: ChapterReading) -> Script:
    """The parts of a chapter: silence, then a part for each sentence.

    Spans of texts are in `chapter_text(blocks)`. Sentences without a letter or a digit are left
    out; so are those of a chapter without any, whose script has no part.

    Raises:
        InvalidRequest: as `parse_script`, where tags are read.
    """
    parts: list[Part] = []
    warnings: list[str] = []
    counts: Counter[str] = Counter()
    for block, start in zip(blocks, _starts(blocks), strict=True):
        pause_s = _pause_s(block, reading.pauses)
        spoken = _block_parts(block, start, reading, counts, warnings)
        if spoken:
            spoken[-1] = replace(spoken[-1], pause_s=max(spoken[-1].pause_s or 0.0, pause_s))
            parts += spoken
        elif parts:
            parts[-1] = replace(parts[-1], pause_s=max(parts[-1].pause_s or 0.0, pause_s))
    if not any(part.text.text for part in parts):
        return Script(())
    parts[-1] = replace(parts[-1], pause_s=reading.pauses.chapter_s)
    lead = Part(MappedText.of(""), pause_s=LEAD_S)
    return Script((lead, *parts), tuple(dict.fromkeys(warnings)))


def chapter_text(blocks: Sequence[Block]) -> str:
    """The text of all blocks."""
    return BETWEEN_BLOCKS.join(block.text for block in blocks)


def take_seed(first: int, take: int) -> int:
    """The seed of a take of a sentence, whose first take has the seed `first`."""
    return first if take == 1 else derive_seed(str(first), "take", take)


def _starts(blocks: Sequence[Block]) -> Iterator[int]:
    """Where each block begins in the text of the chapter."""
    at = 0
    for block in blocks:
        yield at
        at += len(block.text) + len(BETWEEN_BLOCKS)


def _pause_s(block: Block, pauses: Pauses) -> float:
    if block.kind == "heading":
        return pauses.heading_s
    return 2 * pauses.paragraph_s if block.kind == "scene break" else pauses.paragraph_s


def _block_parts(
    block: Block, start: int, reading: ChapterReading, counts: Counter[str], warnings: list[str]
) -> list[Part]:
    """The sentences of a block; `start` is where it begins in the text of the chapter."""
    sources: Sequence[Part] = (Part(MappedText.of(block.text)),)
    if reading.names is not None:
        script = parse_script(block.text, reading.names)
        if script is not None:
            sources = script.parts
            warnings += script.warnings
    language = (block.language or reading.language).partition("-")[0]
    found: list[Part] = []
    for source in sources:
        pieces = list(_sentences(source.text, language))
        for piece in pieces:
            plain = " ".join(piece.text.split())
            first = source.seed
            if first is None:
                first = derive_seed(str(reading.seed), "sentence", plain, counts[plain])
            counts[plain] += 1
            seed = take_seed(first, reading.takes.get(first, 1))
            spans = tuple((a + start, b + start) for a, b in piece.spans)
            text = MappedText(piece.text, spans)
            pause_s = reading.pauses.sentence_s
            found.append(replace(source, text=text, seed=seed, pause_s=pause_s, marks=()))
        if source.pause_s is None:
            continue
        if pieces:
            found[-1] = replace(found[-1], pause_s=source.pause_s)
        elif found:
            longer_s = round((found[-1].pause_s or 0.0) + source.pause_s, 3)
            found[-1] = replace(found[-1], pause_s=longer_s)
    return found


def _sentences(mapped: MappedText, language: str) -> Iterator[MappedText]:
    end = 0
    for sentence in split_sentences(mapped.text, language):
        begin = mapped.text.index(sentence, end)
        end = begin + len(sentence)
        if any(map(str.isalnum, sentence)):
            yield mapped[begin:end]

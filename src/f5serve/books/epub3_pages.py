"""The documents of a read-along EPUB 3: text with ids, media overlays, table of contents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain

from f5serve.books.model import Block, BlockKind, Chapter
from f5serve.types import WordSpan

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS: dict[BlockKind, tuple[str, str]] = {
    "paragraph": ("<p{0}>", "</p>"),
    "list item": ("<ul><li{0}>", "</li></ul>"),
    "quote": ("<blockquote><p{0}>", "</p></blockquote>"),
    "code": ("<pre{0}>", "</pre>"),
    "alt text": ('<p class="description"{0}>', "</p>"),
}
_HIGHEST, _DEEPEST = 1, 6
_HTML = (
    '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n'
    '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"'
    "{language}>\n<head>\n<title>{title}</title>\n"
    '<link rel="stylesheet" type="text/css" href="{style}"/>\n</head>\n<body{body}>\n'
)
_HTML_END = "</body>\n</html>\n"


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """When a sentence is heard.

    Attributes:
        block: index of its block in the chapter.
        span: its characters in the text of the block, and its seconds in the audio file.
        words: the same for its words; empty where their times are not known.
    """

    block: int
    span: WordSpan
    words: tuple[WordSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of text with its stretch of the audio file, milliseconds; none is empty."""

    id: str
    block: int
    start: int
    end: int
    begin_ms: int
    end_ms: int


def clips_of(
    sentences: Sequence[SpokenSentence], duration_s: float, by_word: bool
) -> tuple[Clip, ...]:
    """The clips of a chapter, one behind the other from the beginning of its audio to the end.

    A pause belongs to what is before it: players leave out what is in no clip.

    Raises:
        ValueError: sentences are not in the order of text and time, or outside of the audio.
    """
    spans = [
        (sentence.block, span)
        for sentence in sentences
        for span in (sentence.words if by_word and sentence.words else (sentence.span,))
    ]
    _check_order(spans, duration_s)
    begins = [0, *(round(1_000 * span.start_s) for _, span in spans[1:])]
    ends = [*begins[1:], round(1_000 * duration_s)]
    timed = zip(spans, begins, ends, strict=True) if spans else ()
    return tuple(
        Clip(f"t{number}", block, span.start, span.end, begin, end)
        for number, ((block, span), begin, end) in enumerate(timed)
        if begin < end
    )


def _check_order(spans: Sequence[tuple[int, WordSpan]], duration_s: float) -> None:
    place, time_s = (0, 0), 0.0
    for block, span in spans:
        is_ordered = place <= (block, span.start) <= (block, span.end)
        if not is_ordered or not time_s <= span.start_s <= span.end_s <= duration_s + 0.001:
            raise ValueError(f"{span} in block {block} is not behind {place} and {time_s} s")
        place, time_s = (block, span.end), span.start_s


def chapter_page(chapter: Chapter, blocks: Sequence[Block], clips: Sequence[Clip]) -> Iterator[str]:
    """The XHTML of a chapter, each clip's text in an element with its id.

    Raises:
        ValueError: a clip is outside of its block.
    """
    yield _HTML.format(
        language=_language(chapter.language, is_root=True),
        title=plain(chapter.title),
        style="style.css",
        body=' epub:type="bodymatter"' if chapter.spoken else "",
    )
    yield '<section epub:type="chapter">\n' if chapter.spoken else "<section>\n"
    waiting = iter(clips)
    clip = next(waiting, None)
    for index, block in enumerate(blocks):
        own = []
        while clip is not None and clip.block == index:
            own.append(clip)
            clip = next(waiting, None)
        yield from _block(block, own, chapter)
    if clip is not None:
        raise ValueError(f"there is no block {clip.block} for {clip}")
    yield "</section>\n" + _HTML_END


def _block(block: Block, clips: Sequence[Clip], chapter: Chapter) -> Iterator[str]:
    if block.kind == "scene break":
        yield "<hr/>\n"
        return
    if clips and clips[-1].end > len(block.text):
        raise ValueError(f"{clips[-1]} is outside of a block of {len(block.text)} characters")
    language = _language(block.language) if block.language != chapter.language else ""
    if block.kind == "heading":
        level = min(max(block.level, _HIGHEST), _DEEPEST)
        begin, end = f"<h{level}{{0}}>", f"</h{level}>"
    else:
        begin, end = _ELEMENTS[block.kind]
    yield begin.format(language)
    at = 0
    for clip in clips:
        yield _words(block, at, clip.start)
        yield f'<span id="{clip.id}">{_words(block, clip.start, clip.end)}</span>'
        at = clip.end
    yield f"{_words(block, at, len(block.text))}{end}\n"


def _words(block: Block, start: int, end: int) -> str:
    text = plain(block.text[start:end])
    return text if block.kind == "code" else text.replace("\n", "<br/>\n")


def overlay(page: str, audio: str, clips: Sequence[Clip]) -> Iterator[str]:
    """The SMIL of a chapter.

    Args:
        page, audio: addresses of both, from the overlay's folder.
    """
    yield (
        '<?xml version="1.0" encoding="utf-8"?>\n<smil xmlns="http://www.w3.org/ns/SMIL"'
        ' xmlns:epub="http://www.idpf.org/2007/ops" version="3.0">\n<body>\n'
        f'<seq id="chapter" epub:textref="{page}" epub:type="chapter">\n'
    )
    for clip in clips:
        yield (
            f'<par id="p-{clip.id}"><text src="{page}#{clip.id}"/><audio src="{audio}"'
            f' clipBegin="{clock(clip.begin_ms)}" clipEnd="{clock(clip.end_ms)}"/></par>\n'
        )
    yield "</seq>\n</body>\n</smil>\n"


def contents_page(
    title: str, language: str, entries: Sequence[tuple[int, str, str]], start: str
) -> Iterator[str]:
    """The navigation document.

    Args:
        entries: level, title and address of each chapter.
        start: address of the first that is read out.
    """
    root = _language(language, is_root=True)
    yield _HTML.format(language=root, title=plain(title), style="text/style.css", body="")
    yield f'<nav epub:type="toc" id="toc">\n<h1>{plain(title)}</h1>\n'
    yield from _nested(entries)
    yield (
        '</nav>\n<nav epub:type="landmarks" hidden="">\n<ol>'
        f'<li><a epub:type="bodymatter" href="{start}">{plain(title)}</a></li></ol>\n</nav>\n'
    )
    yield _HTML_END


def _nested(entries: Sequence[tuple[int, str, str]]) -> Iterator[str]:
    """Lists within one another, by level."""
    levels: list[int] = []
    for level, title, address in entries:
        while len(levels) > 1 and levels[-2] >= level:
            levels.pop()
            yield "</li></ol>"
        if not levels or levels[-1] < level:
            levels.append(level)
            yield "<ol>"
        else:
            levels[-1] = level
            yield "</li>"
        yield f'\n<li><a href="{address}">{plain(title)}</a>'
    yield from chain.from_iterable(("</li></ol>",) for _ in levels)
    yield "\n"


def clock(milliseconds: int) -> str:
    """A SMIL clock value: "0:01:02.500"."""
    seconds, rest = divmod(milliseconds, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}.{rest:03d}"


def plain(text: str) -> str:
    """A text for XML."""
    return escape(_NOT_XML.sub("", text))


def _language(tag: str, is_root: bool = False) -> str:
    tag = plain(tag) or ("und" if is_root else "")
    return f' xml:lang="{tag}" lang="{tag}"' if tag else ""

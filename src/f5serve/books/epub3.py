"""Writes a book that is read along: EPUB 3 with its audio and media overlays.

Each chapter is written as it comes; what is kept of it is a line of the table of contents.
"""

from __future__ import annotations

import shutil
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from f5serve.books.epub3_pages import (
    SpokenSentence,
    chapter_page,
    clips_of,
    clock,
    contents_page,
    overlay,
    plain,
)
from f5serve.books.model import Book, Chapter

HighlightLevel = Literal["sentence", "word"]
"""What is highlighted while it is heard."""

AUDIO_TYPES = {".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".opus": "audio/ogg; codecs=opus"}
"""What readers of EPUB 3 play, by the suffix of the file."""

ACTIVE_CLASS = "-epub-media-overlay-active"
_STYLE = (
    f".{ACTIVE_CLASS} {{ background-color: #ffe9a8; color: #000; }}\n"
    ".description { font-style: italic; }\n"
)
_CONTAINER = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="EPUB/package.opf"'
    ' media-type="application/oebps-package+xml"/></rootfiles></container>\n'
)
_XHTML, _SMIL = "application/xhtml+xml", "application/smil+xml"
_COVERS = {"image/png": "cover.png", "image/jpeg": "cover.jpg"}


@dataclass(frozen=True, slots=True)
class SpokenChapter:
    """A chapter with its sound.

    Attributes:
        audio: a file of `AUDIO_TYPES`; None for a chapter that is only to be read.
        duration_s: of the audio.
        sentences: in order, with times in the audio.
    """

    chapter: Chapter
    audio: Path | None = None
    duration_s: float = 0.0
    sentences: tuple[SpokenSentence, ...] = ()


@dataclass(frozen=True, slots=True)
class _Item:
    """An entry of the manifest."""

    id: str
    path: str
    media_type: str
    attributes: str = ""


@dataclass(frozen=True, slots=True)
class _Written:
    """What is kept of a chapter."""

    chapter: Chapter
    items: tuple[_Item, ...]
    duration_ms: int

    @property
    def page(self) -> _Item:
        return self.items[0]


@dataclass(frozen=True, slots=True)
class ReadAlongOptions:
    """How a read-along book is written.

    Attributes:
        level: what is highlighted; a sentence whose words have no times is as a whole.
        narrator: of the metadata.
        modified: of the metadata; None is now.
    """

    level: HighlightLevel = "sentence"
    narrator: str = ""
    modified: datetime | None = None


def write_epub3(
    path: Path, book: Book, chapters: Iterable[SpokenChapter], options: ReadAlongOptions
) -> None:
    """Write a read-along book; what is at the path is replaced once it is complete.

    Args:
        chapters: at least one, in the order of the book.

    Raises:
        ValueError: no chapter, times that are not in order, an audio of another type.
        OSError: a file cannot be read or written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as file:
            _add(file, "mimetype", ["application/epub+zip"], zipfile.ZIP_STORED)
            _add(file, "META-INF/container.xml", [_CONTAINER])
            _add(file, "EPUB/text/style.css", [_STYLE])
            written = [
                _write_chapter(file, number, chapter, options.level == "word")
                for number, chapter in enumerate(chapters, 1)
            ]
            if not written:
                raise ValueError("a book without chapters")
            _write_package(file, book, written, options)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _add(
    file: zipfile.ZipFile, name: str, parts: Iterable[str], method: int = zipfile.ZIP_DEFLATED
) -> None:
    info = zipfile.ZipInfo(name)  # of a fixed date, so that equal books are equal bytes
    info.compress_type = method
    with file.open(info, "w") as entry:
        for part in parts:
            entry.write(part.encode())


def _write_chapter(
    file: zipfile.ZipFile, number: int, spoken: SpokenChapter, by_word: bool
) -> _Written:
    chapter, name = spoken.chapter, f"c{number:05d}"
    page = _Item(name, f"text/{name}.xhtml", _XHTML)
    clips = clips_of(spoken.sentences, spoken.duration_s, by_word) if spoken.audio else ()
    _add(file, f"EPUB/{page.path}", chapter_page(chapter, chapter.blocks(), clips))
    if spoken.audio is None or not clips:
        return _Written(chapter, (page,), 0)
    suffix = spoken.audio.suffix.lower()
    if suffix not in AUDIO_TYPES:
        raise ValueError(f"{spoken.audio.name} is none of {', '.join(AUDIO_TYPES)}")
    audio = _Item(f"{name}-audio", f"audio/{name}{suffix}", AUDIO_TYPES[suffix])
    smil = _Item(f"{name}-overlay", f"overlays/{name}.smil", _SMIL)
    _add(file, f"EPUB/{smil.path}", overlay(f"../{page.path}", f"../{audio.path}", clips))
    _copy(file, f"EPUB/{audio.path}", spoken.audio)
    page = _Item(page.id, page.path, page.media_type, f' media-overlay="{smil.id}"')
    duration_ms = sum(clip.end_ms - clip.begin_ms for clip in clips)
    return _Written(chapter, (page, smil, audio), duration_ms)


def _copy(file: zipfile.ZipFile, name: str, source: Path) -> None:
    """Audio is packed already."""
    info = zipfile.ZipInfo(name)
    info.file_size = source.stat().st_size
    with source.open("rb") as sound, file.open(info, "w") as entry:
        shutil.copyfileobj(sound, entry, 1 << 20)


def _write_package(
    file: zipfile.ZipFile, book: Book, written: list[_Written], options: ReadAlongOptions
) -> None:
    entries = [(one.chapter.level, one.chapter.title, one.page.path) for one in written]
    start = next((one for one in written if one.chapter.spoken), written[0]).page.path
    _add(file, "EPUB/nav.xhtml", contents_page(book.title, book.language, entries, start))
    items = [
        _Item("nav", "nav.xhtml", _XHTML, ' properties="nav"'),
        _Item("style", "text/style.css", "text/css"),
        *(item for one in written for item in one.items),
    ]
    if book.cover is not None:
        name = _COVERS[book.cover.media_type]
        info = zipfile.ZipInfo(f"EPUB/{name}")
        file.writestr(info, book.cover.data, zipfile.ZIP_STORED)
        items.append(_Item("cover", name, book.cover.media_type, ' properties="cover-image"'))
    _add(file, "EPUB/package.opf", _package(book, written, items, options))


def _package(
    book: Book, written: list[_Written], items: list[_Item], options: ReadAlongOptions
) -> Iterator[str]:
    language = plain(book.language) or "und"
    yield (
        '<?xml version="1.0" encoding="utf-8"?>\n<package xmlns="http://www.idpf.org/2007/opf"'
        f' version="3.0" unique-identifier="book-id" xml:lang="{language}">\n'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">\n'
        f'<dc:identifier id="book-id">{_identifier(book)}</dc:identifier>\n'
        f"<dc:title>{plain(book.title)}</dc:title>\n<dc:language>{language}</dc:language>\n"
    )
    for author in book.authors:
        yield f"<dc:creator>{plain(author)}</dc:creator>\n"
    modified = (options.modified or datetime.now(UTC)).astimezone(UTC)
    yield f'<meta property="dcterms:modified">{modified:%Y-%m-%dT%H:%M:%SZ}</meta>\n'
    yield from _overlay_metadata(written, options.narrator)
    yield "</metadata>\n<manifest>\n"
    for item in items:
        yield (
            f'<item id="{item.id}" href="{item.path}" media-type="{item.media_type}"'
            f"{item.attributes}/>\n"
        )
    yield "</manifest>\n<spine>\n"
    for one in written:
        yield f'<itemref idref="{one.page.id}"/>\n'
    yield "</spine>\n</package>\n"


def _overlay_metadata(written: list[_Written], narrator: str) -> Iterator[str]:
    modes = ["textual", "auditory"] if any(one.duration_ms for one in written) else ["textual"]
    for mode in modes:
        yield f'<meta property="schema:accessMode">{mode}</meta>\n'
    if len(modes) == 1:
        return
    yield '<meta property="schema:accessibilityFeature">synchronizedAudioText</meta>\n'
    yield f'<meta property="media:active-class">{ACTIVE_CLASS}</meta>\n'
    if narrator:
        yield f'<meta property="media:narrator">{plain(narrator)}</meta>\n'
    for one in written:
        if one.duration_ms:
            yield (
                f'<meta property="media:duration" refines="#{one.items[1].id}">'
                f"{clock(one.duration_ms)}</meta>\n"
            )
    total = sum(one.duration_ms for one in written)
    yield f'<meta property="media:duration">{clock(total)}</meta>\n'


def _identifier(book: Book) -> str:
    """The identifier of this edition: the same for the same book, and not the one of its text."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"read-along:{book.sha256}").urn

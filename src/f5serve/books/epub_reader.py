"""Reads EPUB 2 and 3: documents by the spine, chapters by the table of contents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from f5serve.books.archive import MAX_READ_BYTES, Archive
from f5serve.books.chapters import Documents, Summary, heading_marks, make_chapters
from f5serve.books.epub_navigation import Entry, read_navigation, title_of
from f5serve.books.epub_package import Package, read_package
from f5serve.books.limits import MAX_COVER_BYTES, bad_book, empty_book, too_large
from f5serve.books.markup_blocks import MarkupBlocks
from f5serve.books.markup_reader import markup_text, read_markup
from f5serve.books.model import Book, Chapter, Cover, ReadOptions
from f5serve.books.parsed import Mark, ParsedDocument
from f5serve.errors import F5Error
from f5serve.text.language import language_of

PICTURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
"""What covers may be, by how they begin."""


@dataclass(slots=True)
class _Reader:
    """Reads the documents of an open EPUB."""

    archive: Archive
    package: Package
    paths: Sequence[str]
    options: ReadOptions
    wanted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def read(self, index: int) -> ParsedDocument:
        path = self.paths[index]
        what = f"The chapter {path[:200]!r}"
        text = markup_text(self.archive.read(path), what)
        language, wanted = self.package.language, self.wanted.get(path, set())
        return read_markup(
            text, lambda: MarkupBlocks(path, language, self.options, wanted), what
        ).result()


def read_epub(source: Path | bytes, title: str, sha256: str, options: ReadOptions) -> Book:
    """An EPUB as a book.

    Args:
        source: its path, which must stay as it is while chapters are read, or the file.
        title: of a book without one.

    Raises:
        InvalidRequest: BAD_BOOK, BOOK_EMPTY, BOOK_PROTECTED or BOOK_TOO_LARGE.
    """
    archive = Archive(source, "EPUB")
    package = read_package(archive)
    paths = [path for path in package.documents() if path in archive]
    if not paths:
        raise _without_documents(package)
    if sum(map(archive.size, paths)) > MAX_READ_BYTES:
        raise too_large(f"The EPUB's documents have more than {MAX_READ_BYTES:,} bytes.")
    navigation = read_navigation(archive, package)
    reader = _Reader(archive, package, paths, options)
    for entry in navigation.entries:
        if entry.fragment:
            reader.wanted[entry.path].add(entry.fragment)
    documents = Documents(len(paths), reader.read)
    summaries = documents.summaries()
    index_of = {path: index for index, path in enumerate(paths)}
    marks = _marks(navigation.entries, index_of, summaries)
    types = _types(package, navigation.landmarks, index_of)
    chapters = make_chapters(documents, summaries, marks, types)
    return Book(
        kind="epub",
        title=title_of(" ".join(package.titles[:1])) or title,
        authors=tuple(package.authors or package.contributors[:1]),
        language=package.language or _language(chapters),
        chapters=chapters,
        sha256=sha256,
        identifier=package.identifier,
        date=next(iter(package.dates), ""),
        cover=_cover(archive, package),
    )


def _without_documents(package: Package) -> F5Error:
    if package.documents():
        return bad_book(f"The EPUB lacks {package.documents()[0][:200]!r}, which it names.")
    if not package.items:
        return bad_book("The EPUB's package document names no files.")
    return empty_book("The EPUB has no text: its spine names no document.")


def _marks(
    entries: Iterable[Entry], index_of: dict[str, int], summaries: Sequence[Summary]
) -> list[Mark]:
    """Chapters of the table of contents; by headings if it has fewer than two."""
    found = []
    for entry in entries:
        index = index_of.get(entry.path)
        if index is not None:
            block = summaries[index].places.get(entry.fragment, 0)
            found.append(Mark((index, block), entry.title, entry.level))
    if len({mark.at for mark in found}) > 1:
        return found
    by_heading = heading_marks(summaries)
    return by_heading if len(by_heading) > 1 else found or by_heading


def _language(chapters: Sequence[Chapter]) -> str:
    """The language of a book that does not say it: that of its first chapter."""
    first = next(chapter for chapter in chapters if chapter.spoken)
    return language_of("\n".join(block.text for block in first.blocks()))


def _types(
    package: Package, landmarks: Iterable[tuple[str, str]], index_of: dict[str, int]
) -> dict[int, frozenset[str]]:
    """What guide and landmarks say of documents."""
    found: dict[int, set[str]] = defaultdict(set)
    for path, types in (*package.guide.items(), *landmarks):
        if path in index_of:
            found[index_of[path]].update(types.split())
    nav = index_of.get(package.nav_path())
    if nav is not None:
        found[nav].add("toc")
    return {index: frozenset(types) for index, types in found.items()}


def _cover(archive: Archive, package: Package) -> Cover | None:
    """The picture, if it can be used; a book without one is a book."""
    item = package.cover_item()
    if not item or not 0 < archive.size(item.path) <= MAX_COVER_BYTES:
        return None
    try:
        data = archive.read(item.path, MAX_COVER_BYTES)
    except F5Error:
        return None
    return cover_of(data)


def cover_of(data: bytes) -> Cover | None:
    """A picture as a cover; None for what is neither PNG nor JPEG."""
    media_type = next((kind for start, kind in PICTURES.items() if data.startswith(start)), "")
    return Cover(data, media_type) if media_type else None

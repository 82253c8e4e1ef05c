"""Tables of contents of EPUB: the navigation document of EPUB 3 and the NCX of EPUB 2."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from f5serve.books.archive import Archive
from f5serve.books.epub_package import MAX_PACKAGE_BYTES, Package, resolve
from f5serve.books.limits import MAX_CHAPTERS, MAX_TITLE_CHARS, too_large
from f5serve.books.markup_reader import markup_text, read_markup
from f5serve.errors import F5Error


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a table of contents: where its chapter begins.

    Attributes:
        level: 1 for the outermost.
        path: of the document in the archive.
        fragment: an id in it; "" for its beginning.
    """

    title: str
    level: int
    path: str
    fragment: str


@dataclass(frozen=True, slots=True)
class Navigation:
    """What an EPUB says of its chapters.

    Attributes:
        landmarks: types of documents by their paths.
    """

    entries: tuple[Entry, ...] = ()
    landmarks: tuple[tuple[str, str], ...] = ()


def read_navigation(archive: Archive, package: Package) -> Navigation:
    """The table of contents; empty where there is none that can be read.

    Raises:
        InvalidRequest: BOOK_TOO_LARGE.
    """
    nav, ncx = package.nav_path(), package.ncx_path()
    found = _read(archive, nav, _NavElements) if nav in archive else Navigation()
    if not found.entries and ncx in archive:
        found = Navigation(_read(archive, ncx, _NcxElements).entries, found.landmarks)
    if len(found.entries) > MAX_CHAPTERS:
        raise too_large(f"The EPUB has more than {MAX_CHAPTERS:,} chapters in its contents.")
    return found


def _read(archive: Archive, path: str, kind: type[_NavElements] | type[_NcxElements]) -> Navigation:
    what = f"The EPUB's table of contents {path!r}"
    folder = posixpath.dirname(path)
    try:
        text = markup_text(archive.read(path, MAX_PACKAGE_BYTES), what)
        elements = read_markup(text, lambda: kind(folder, path), what)
    except F5Error as error:
        if error.code != "BAD_BOOK":
            raise
        return Navigation()  # chapters are found by headings
    return Navigation(tuple(elements.entries), tuple(elements.landmarks))


class _NavElements:
    """Lists in a `nav` of the type toc, or in the first one; landmarks."""

    def __init__(self, folder: str, path: str) -> None:
        self.entries: list[Entry] = []
        self.landmarks: list[tuple[str, str]] = []
        self._folder = folder
        self._path = path
        self._type = ""
        self._level = 0
        self._link: dict[str, str] | None = None
        self._words: list[str] = []

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        if name == "nav":
            types = attributes.get("epub:type", "toc").split()
            self._type = next((one for one in types if one in ("toc", "landmarks")), "other")
        elif name == "ol" and self._type:
            self._level += 1
        elif name == "a" and self._type:
            self._link = attributes
            self._words.clear()
        elif name == "img" and self._link is not None:
            self._words.append(attributes.get("alt", ""))

    def end(self, name: str) -> None:
        if name == "nav":
            self._type, self._level = "", 0
        elif name == "ol" and self._type:
            self._level -= 1
        elif name == "a" and self._link is not None:
            self._end_link(self._link)
            self._link = None

    def _end_link(self, link: dict[str, str]) -> None:
        path, fragment = resolve(self._folder, link.get("href", ""))
        path = path or self._path
        if self._type == "landmarks":
            self.landmarks.append((path, link.get("epub:type", "").lower()))
        elif self._type == "toc":
            title = title_of("".join(self._words))
            self.entries.append(Entry(title, max(1, self._level), path, fragment))

    def add_words(self, words: str) -> None:
        if self._link is not None:
            self._words.append(words)


class _NcxElements:
    """Nested navPoints."""

    def __init__(self, folder: str, path: str) -> None:
        self.entries: list[Entry] = []
        self.landmarks: list[tuple[str, str]] = []
        self._folder = folder
        self._level = 0
        self._is_label = False
        self._words: list[str] = []

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        if name == "navpoint":
            self._level += 1
        elif name == "navlabel" and self._level:
            self._is_label = True
            self._words.clear()
        elif name == "content" and self._level:
            path, fragment = resolve(self._folder, attributes.get("src", ""))
            title = title_of("".join(self._words))
            self.entries.append(Entry(title, self._level, path, fragment))

    def end(self, name: str) -> None:
        self._level -= name == "navpoint"
        self._is_label &= name != "navlabel"

    def add_words(self, words: str) -> None:
        if self._is_label:
            self._words.append(words)


def title_of(words: str) -> str:
    """A heading as a title: one line, not too long."""
    return " ".join(words.replace("\xad", "").split())[:MAX_TITLE_CHARS]

"""The parts of an EPUB that say what is in it: container, package document, encryption."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from urllib.parse import unquote

from f5serve.books.archive import Archive
from f5serve.books.limits import bad_book, protected
from f5serve.books.markup_blocks import tag_of
from f5serve.books.markup_reader import markup_text, read_markup

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_RIGHTS = ("META-INF/rights.xml", "META-INF/sinf.xml", "META-INF/license.lcpl")
_OBFUSCATION = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
"""Of fonts; texts can be read."""

_DOCUMENTS = ("application/xhtml+xml", "text/html", "application/xml", "text/x-oeb1-document")
MAX_PACKAGE_BYTES = 10_000_000


@dataclass(slots=True)
class Item:
    """An entry of the manifest; `path` is its name in the archive."""

    path: str
    media_type: str
    properties: tuple[str, ...] = ()
    fallback: str = ""


@dataclass(slots=True)
class Package:
    """A package document (OPF).

    Attributes:
        items: by their ids.
        spine: ids of items in reading order, without those that are not linear.
        guide: types of documents by their paths, in lower case.
        toc: id of the NCX; "" where the spine names none.
        cover: id of the picture as EPUB 2 names it.
    """

    folder: str
    titles: list[str] = field(default_factory=list)
    authors: list[str] = field(default_factory=list)
    contributors: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    identifiers: dict[str, str] = field(default_factory=dict)
    dates: list[str] = field(default_factory=list)
    unique_identifier: str = ""
    items: dict[str, Item] = field(default_factory=dict)
    spine: list[str] = field(default_factory=list)
    guide: dict[str, str] = field(default_factory=dict)
    toc: str = ""
    cover: str = ""

    @property
    def language(self) -> str:
        return next(filter(None, map(tag_of, self.languages)), "")

    @property
    def identifier(self) -> str:
        found = self.identifiers
        return found.get(self.unique_identifier) or next(iter(found.values()), "")

    def documents(self) -> list[str]:
        """Paths of the documents in reading order, each once."""
        paths: dict[str, None] = {}
        for item_id in self.spine:
            item, seen = self.items.get(item_id), {item_id}
            while item and item.media_type not in _DOCUMENTS and item.fallback not in seen:
                seen.add(item.fallback)
                item = self.items.get(item.fallback)
            if item and item.media_type in _DOCUMENTS:
                paths[item.path] = None
        return list(paths)

    def cover_item(self) -> Item | None:
        """The picture of the book."""
        named = [item for item in self.items.values() if "cover-image" in item.properties]
        return next(iter(named), None) or self.items.get(self.cover)

    def nav_path(self) -> str:
        """The navigation document of EPUB 3; "" where there is none."""
        return next((i.path for i in self.items.values() if "nav" in i.properties), "")

    def ncx_path(self) -> str:
        """The table of contents of EPUB 2; "" where there is none."""
        named = self.items.get(self.toc)
        ncx = (i for i in self.items.values() if i.media_type == "application/x-dtbncx+xml")
        found = named or next(ncx, None)
        return found.path if found else ""


def resolve(folder: str, href: str) -> tuple[str, str]:
    """Path in the archive, and fragment, of a reference from a document in `folder`."""
    path, _, fragment = href.strip().partition("#")
    joined = posixpath.normpath(posixpath.join(folder, unquote(path))) if path else ""
    return joined, unquote(fragment)


def read_package(archive: Archive) -> Package:
    """Find and read the package document.

    Raises:
        InvalidRequest: BAD_BOOK, BOOK_PROTECTED or BOOK_TOO_LARGE.
    """
    _refuse_encryption(archive)
    path = _package_path(archive)
    text = markup_text(archive.read(path, MAX_PACKAGE_BYTES), "The EPUB's package document")
    folder = posixpath.dirname(path)
    elements = read_markup(text, lambda: _PackageElements(folder), "The EPUB's package document")
    return elements.package


def _package_path(archive: Archive) -> str:
    if _CONTAINER in archive:
        what = f"The EPUB's {_CONTAINER}"
        text = markup_text(archive.read(_CONTAINER, MAX_PACKAGE_BYTES), what)
        for path in read_markup(text, _ContainerElements, what).paths:
            if path in archive:
                return path
    found = next((name for name in archive.names() if name.lower().endswith(".opf")), "")
    if not found:
        raise bad_book("The EPUB has no package document (.opf), so its order is not known.")
    return found


def _refuse_encryption(archive: Archive) -> None:
    for name in _RIGHTS:
        if name in archive:
            raise protected(f"The EPUB is protected by DRM ({name}).")
    if _ENCRYPTION not in archive:
        return
    what = f"The EPUB's {_ENCRYPTION}"
    text = markup_text(archive.read(_ENCRYPTION, MAX_PACKAGE_BYTES), what)
    found = read_markup(text, _EncryptionElements, what)
    if found.methods - set(_OBFUSCATION):
        raise protected("The EPUB is encrypted (META-INF/encryption.xml).")


class _ContainerElements:
    def __init__(self) -> None:
        self.paths: list[str] = []

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        if name == "rootfile":
            self.paths.append(unquote(attributes.get("full-path", "")))

    def end(self, name: str) -> None:
        pass

    def add_words(self, words: str) -> None:
        pass


class _EncryptionElements:
    def __init__(self) -> None:
        self.methods: set[str] = set()
        self._is_of_key = 0

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self._is_of_key += name == "encryptedkey"
        if name == "encryptionmethod" and not self._is_of_key:
            self.methods.add(attributes.get("algorithm", ""))

    def end(self, name: str) -> None:
        self._is_of_key -= name == "encryptedkey"

    def add_words(self, words: str) -> None:
        pass


class _PackageElements:
    def __init__(self, folder: str) -> None:
        self.package = Package(folder)
        self._words: list[str] = []
        self._attributes: dict[str, str] = {}
        self._is_metadata = False

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        package = self.package
        self._words.clear()
        self._attributes = attributes
        self._is_metadata |= name == "metadata"
        if name == "package":
            package.unique_identifier = attributes.get("unique-identifier", "")
        elif name == "meta" and attributes.get("name", "").lower() == "cover":
            package.cover = attributes.get("content", "")
        elif name == "item":
            self._add_item(attributes)
        elif name == "spine":
            package.toc = attributes.get("toc", "")
        elif name == "itemref" and attributes.get("linear", "").lower() != "no":
            package.spine.append(attributes.get("idref", ""))
        elif name == "reference":
            path, _ = resolve(package.folder, attributes.get("href", ""))
            package.guide.setdefault(path, attributes.get("type", "").lower())

    def _add_item(self, attributes: dict[str, str]) -> None:
        path, _ = resolve(self.package.folder, attributes.get("href", ""))
        item_id = attributes.get("id", "")
        self.package.items.setdefault(
            item_id,
            Item(
                path,
                attributes.get("media-type", "").lower(),
                tuple(attributes.get("properties", "").split()),
                attributes.get("fallback", ""),
            ),
        )

    def end(self, name: str) -> None:
        words = " ".join("".join(self._words).split())
        self._words.clear()
        self._is_metadata &= name != "metadata"
        if not self._is_metadata or not words:
            return
        package = self.package
        if name == "creator":
            is_author = self._attributes.get("role", "aut").lower() == "aut"
            (package.authors if is_author else package.contributors).append(words)
        elif name == "identifier":
            package.identifiers.setdefault(self._attributes.get("id", ""), words)
        else:
            values = {"title": package.titles, "language": package.languages, "date": package.dates}
            values.get(name, []).append(words)

    def add_words(self, words: str) -> None:
        self._words.append(words)

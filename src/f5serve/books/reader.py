"""Reads a book of any kind; which kind it is, its content says."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePath

from f5serve.books.archive import Archive
from f5serve.books.chapters import Documents, heading_marks, make_chapters
from f5serve.books.decoding import decode_text
from f5serve.books.docx_reader import read_docx
from f5serve.books.epub_navigation import title_of
from f5serve.books.epub_reader import read_epub
from f5serve.books.html_reader import read_html
from f5serve.books.limits import (
    MAX_FILE_BYTES,
    MAX_TEXT_FILE_BYTES,
    empty_book,
    need_library,
    protected,
    too_large,
    unknown_kind,
)
from f5serve.books.markdown_reader import read_markdown
from f5serve.books.model import Book, BookKind, ReadOptions
from f5serve.books.parsed import ParsedDocument
from f5serve.books.pdf_reader import read_pdf
from f5serve.books.text_reader import read_text
from f5serve.text.language import language_of

_LIBRARIES: dict[BookKind, tuple[str, str]] = {
    "epub": ("lxml", "EPUB"),
    "html": ("lxml", "HTML"),
    "docx": ("docx", "docx"),
    "pdf": ("pypdf", "PDF"),
    "markdown": ("markdown_it", "Markdown"),
}
_HEAD_BYTES = 65_536
_BY_SUFFIX: dict[str, BookKind] = {
    **dict.fromkeys((".md", ".markdown", ".mkd"), "markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
}
_HTML = re.compile(
    r"\s*+(?:<\?xml[^>]{0,200}+>\s*+)?+(?:<!--(?:[^-]|-(?!->))*+-->\s*+)?+<(?:!doctype\s+html|html)\b",
    re.IGNORECASE,
)
_XML = re.compile(r"\s*+<\?xml\b")
_CONTROL = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f]")
_OTHER_KINDS = (
    (b"{\\rtf", "The book is RTF.", "Save it as docx."),
    (b"Rar!", "The book is a RAR archive.", "Unpack it, and send the book in it."),
    (b"7z\xbc\xaf", "The book is a 7z archive.", "Unpack it, and send the book in it."),
    (b"\x1f\x8b", "The book is a gzip archive.", "Unpack it, and send the book in it."),
    (b"\xd0\xcf\x11\xe0", "The book is an old Word document (.doc).", "Save it as docx."),
    (b"\x89PNG", "The book is a picture.", ""),
    (b"\xff\xd8\xff", "The book is a picture.", ""),
    (b"ID3", "The book is a recording.", ""),
    (b"AT&TFORM", "The book is DjVu: pictures of pages.", "Recognise its text first (OCR)."),
)
_CONVERT = "Convert it to EPUB, for example with Calibre."
_KFX = (b"CONT\x02\x00", b"TPZ")
_KINDLE_DRM = b"\xeaDRMION\xee"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_BLOCKS_OF_LANGUAGE = 200


def read_book(source: Path | bytes, name: str = "", options: ReadOptions | None = None) -> Book:
    """A file as a book, without its text, which its chapters read when it is asked for.

    Args:
        source: its path, which must stay as it is while chapters are read, or the file itself.
        name: of the file; its title where it has none, and the kind of a text by its suffix.

    Raises:
        InvalidRequest: BAD_BOOK for a damaged one, BOOK_KIND, BOOK_EMPTY, BOOK_PROTECTED,
            BOOK_TOO_LARGE, or BOOKS_EXTRA_MISSING.
        OSError: the path cannot be read.
    """
    options = options or ReadOptions()
    name = name or (source.name if isinstance(source, Path) else "")
    title = title_of(PurePath(name).stem.replace("_", " ")) or "Untitled"
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    if not size:
        raise empty_book("The book's file is empty.")
    if size > MAX_FILE_BYTES:
        raise too_large(f"The book has {size:,} bytes; {MAX_FILE_BYTES:,} is the limit.")
    kind = kind_of(source, name)
    if kind in _LIBRARIES:
        need_library(*_LIBRARIES[kind])
    sha256 = _sha256(source)
    if kind == "epub":
        return read_epub(source, title, sha256, options)
    if kind == "docx":
        document = read_docx(source)
    elif kind == "pdf":
        document = read_pdf(source)
    else:
        document = _read_text_file(source, kind, options)
    return _book(kind, document, title, sha256)


def _read_text_file(source: Path | bytes, kind: BookKind, options: ReadOptions) -> ParsedDocument:
    data = source if isinstance(source, bytes) else source.read_bytes()
    if len(data) > MAX_TEXT_FILE_BYTES:
        raise too_large(f"The text has {len(data):,} bytes; {MAX_TEXT_FILE_BYTES:,} is the limit.")
    if kind == "html":
        return read_html(data, options)
    text = decode_text(data, "The text file")
    head = text[:_HEAD_BYTES]
    if len(_CONTROL.findall(head)) * 100 > len(head):
        raise unknown_kind("The book is no text: it has control characters.")
    return read_markdown(text, options) if kind == "markdown" else read_text(text)


def _book(kind: BookKind, document: ParsedDocument, title: str, sha256: str) -> Book:
    """A book that is one document.

    Args:
        title: of one without a title.
    """
    documents = Documents(1, lambda _: document)
    summaries = documents.summaries()
    several = len({mark.at for mark in document.marks}) > 1
    words = "\n".join(block.text for block in document.blocks[:_BLOCKS_OF_LANGUAGE])
    author = title_of(document.author)
    return Book(
        kind=kind,
        title=title_of(document.title) or title,
        authors=(author,) if author else (),
        language=document.language or language_of(words),
        chapters=make_chapters(
            documents, summaries, document.marks if several else heading_marks(summaries)
        ),
        sha256=sha256,
    )


def kind_of(source: Path | bytes, name: str) -> BookKind:
    """The kind of a file, by its content; the suffix of its name decides between kinds of text.

    Raises:
        InvalidRequest: BOOK_KIND for other kinds, BOOK_PROTECTED, BAD_BOOK for a damaged archive.
    """
    head = _head(source)
    if head.startswith(b"PK"):
        return _kind_of_archive(source)
    if b"%PDF-" in head[:1_024]:
        return "pdf"
    _refuse_other_kinds(head)
    text = head.decode("latin-1").removeprefix("\xef\xbb\xbf")
    if _HTML.match(text):
        return "html"
    suffix = PurePath(name).suffix.lower()
    if "<FictionBook" in text or (_XML.match(text) and suffix not in _BY_SUFFIX):
        raise unknown_kind("The book is XML of a kind that is not read.", _CONVERT)
    return _BY_SUFFIX.get(suffix, "txt")


def _kind_of_archive(source: Path | bytes) -> BookKind:
    archive = Archive(source, "book")
    if "META-INF/container.xml" in archive or any(n.endswith(".opf") for n in archive.names()):
        return "epub"
    if "word/document.xml" in archive:
        return "docx"
    if "mimetype" in archive and archive.read("mimetype", 1_000).startswith(b"application/epub"):
        return "epub"
    names = ", ".join(repr(name[:40]) for name in archive.names()[:3])
    raise unknown_kind(f"The book is a zip archive of another kind: {names or 'it is empty'}.")


def _refuse_other_kinds(head: bytes) -> None:
    if head[60:68] in (b"BOOKMOBI", b"TEXtREAd"):
        record = int.from_bytes(head[78:82], "big")
        if int.from_bytes(head[record + 12 : record + 14], "big"):
            raise protected("The book is a Kindle file with DRM.")
        raise unknown_kind("The book is a Kindle file (mobi, azw).", _CONVERT)
    if head.startswith(_KINDLE_DRM):
        raise protected("The book is a Kindle file with DRM.")
    if head.startswith(_KFX):
        raise unknown_kind("The book is a Kindle file (KFX).", _CONVERT)
    if head.startswith(b"\xd0\xcf\x11\xe0") and _ENCRYPTED_PACKAGE in head:
        raise protected("The Word document is encrypted with a password.")
    for start, message, hint in _OTHER_KINDS:
        if head.startswith(start):
            raise unknown_kind(message, hint)


def _head(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:_HEAD_BYTES]
    with source.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _sha256(source: Path | bytes) -> str:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Books that are damaged, protected, too large or traps end in one error, in little time."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import made_books as made
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_books import CONTAINER, epub, link, page

from f5serve.books import limits
from f5serve.books.archive import MAX_ENTRIES
from f5serve.books.model import Book
from f5serve.books.reader import read_book
from f5serve.errors import F5Error, InvalidRequest


def refused(data: bytes | Path, name: str = "") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read_book(data, name)
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")
    return caught.value


def words(book: Book) -> str:
    return " ".join(block.text for chapter in book.chapters for block in chapter.blocks())


ONE = {"a.xhtml": page("<p>Word.</p>")}
CONTENT = "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
FONTS = "http://www.idpf.org/2008/embedding"


def encryption(method: str, path: str) -> dict[str, str]:
    return {
        "META-INF/encryption.xml": '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:'
        'container" xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedKey>'
        '<enc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-1_5"/>'
        f'</enc:EncryptedKey><enc:EncryptedData><enc:EncryptionMethod Algorithm="{method}"/>'
        f'<enc:CipherData><enc:CipherReference URI="{path}"/></enc:CipherData>'
        "</enc:EncryptedData></encryption>"
    }


def mobi(encryption: int) -> bytes:
    head = bytearray(200)
    head[60:68] = b"BOOKMOBI"
    head[78:82] = (100).to_bytes(4, "big")
    head[112:114] = encryption.to_bytes(2, "big")
    return bytes(head)


def with_flag(data: bytes) -> bytes:
    """A zip whose entries say that they are encrypted."""
    changed = bytearray(data)
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            changed[start + at] |= 1
    return bytes(changed)


def symlink() -> bytes:
    file = io.BytesIO(epub(ONE))
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("OEBPS/passwd")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (b"", "BOOK_EMPTY", "empty"),
        (b" \n\t ", "BOOK_EMPTY", "no words"),
        (b"* * *\n\n!!!", "BOOK_EMPTY", "no words"),
        (epub({"a.xhtml": page("<p>?</p>")}), "BOOK_EMPTY", "no words"),
        (epub({}), "BOOK_EMPTY", "no document"),
        (made.pdf([[], []]), "BOOK_EMPTY", "2 pages are pictures"),
        (epub(ONE)[:-30], "BAD_BOOK", "damaged zip"),
        (b"PK\x03\x04" + bytes(100), "BAD_BOOK", "damaged zip"),
        (made.pdf([["A page with some words on it."]])[:300], "BAD_BOOK", "PDF"),
        (b"%PDF-1.7\n", "BAD_BOOK", "PDF"),
        (made.zipped({"word/document.xml": "<w"}), "BAD_BOOK", "Word"),
        (epub(ONE, more={"../x": "a"}), "BAD_BOOK", "outside"),
        (epub(ONE, more={"/etc/x": "a"}), "BAD_BOOK", "outside"),
        (epub(ONE, more={"C:\\x": "a"}), "BAD_BOOK", "outside"),
        (epub(ONE, more={"a\\..\\..\\x": "a"}), "BAD_BOOK", "outside"),
        (symlink(), "BAD_BOOK", "symbolic link"),
        (made.zipped({"META-INF/container.xml": "<x/>"}), "BAD_BOOK", "no package document"),
        (
            made.zipped({"META-INF/container.xml": CONTAINER.format(path="b.opf"), "b.opf": ""}),
            "BAD_BOOK",
            "package document",
        ),
        (
            made.zipped({"META-INF/container.xml": "", "b.opf": made.package(["a.xhtml"])}),
            "BAD_BOOK",
            "container.xml",
        ),
        (
            made.zipped(
                {
                    "META-INF/container.xml": CONTAINER.format(path="b.opf"),
                    "b.opf": made.package(["../../a.xhtml"]),
                }
            ),
            "BAD_BOOK",
            "lacks '../../a.xhtml'",
        ),
        (epub({"a.xhtml": "<div>" * 1_500 + "x"}), "BAD_BOOK", "'OEBPS/a.xhtml'"),
        (epub({"a.xhtml": ""}), "BAD_BOOK", "'OEBPS/a.xhtml'"),
        (epub(ONE, more={"META-INF/rights.xml": "<x/>"}), "BOOK_PROTECTED", "DRM"),
        (epub(ONE, more=encryption(CONTENT, "OEBPS/a.xhtml")), "BOOK_PROTECTED", "encrypted"),
        (with_flag(epub(ONE)), "BOOK_PROTECTED", "encrypted"),
        (made.pdf([["Words"]], encrypt="secret"), "BOOK_PROTECTED", "password"),
        (mobi(2), "BOOK_PROTECTED", "Kindle"),
        (mobi(0), "BOOK_KIND", "Kindle"),
        (b"\xeaDRMION\xee" + bytes(9), "BOOK_PROTECTED", "Kindle"),
        (
            b"\xd0\xcf\x11\xe0" + bytes(600) + "EncryptedPackage".encode("utf-16-le"),
            "BOOK_PROTECTED",
            "Word",
        ),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "BOOK_KIND", "old Word"),
        (b"{\\rtf1 Hello}", "BOOK_KIND", "RTF"),
        (b"<?xml version='1.0'?><FictionBook/>", "BOOK_KIND", "XML"),
        (made.zipped({"a.txt": "Hello"}), "BOOK_KIND", "'a.txt'"),
        (made.zipped({}), "BOOK_KIND", "it is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "BOOK_KIND", "picture"),
        (b"\1\2\3\4" * 9, "BOOK_KIND", "no text"),
        ("Всё смешалось в доме".encode("cp1251"), "BAD_BOOK", "encoding"),
        (b"\xff\xfea", "BAD_BOOK", "utf-16"),
        (epub({"a.xhtml": page("<p>a</p>" + " " * 3_000_000)}), "BOOK_TOO_LARGE", "unpacks"),
        (
            made.zipped({str(n): b"" for n in range(MAX_ENTRIES + 1)}, zipfile.ZIP_STORED),
            "BOOK_TOO_LARGE",
            "entries",
        ),
    ],
)
def test_one_error_says_what_is_wrong(data: bytes, code: str, told: str) -> None:
    error = refused(data)
    assert (error.code, told in error.message) == (code, True), error.message


def test_sizes_are_looked_at_before_anything_is_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.epub"
    with huge.open("wb") as file:
        file.truncate(2 << 30)
    assert refused(huge).code == "BOOK_TOO_LARGE"
    with huge.open("wb") as file:
        file.truncate(limits.MAX_TEXT_FILE_BYTES + 1)
    assert refused(huge, "a.txt").code == "BOOK_TOO_LARGE"


def test_an_entry_that_says_less_than_it_has() -> None:
    """The header of an entry is believed as far as its checksum holds."""
    data = bytearray(epub({"a.xhtml": page("<p>" + "word " * 40_000 + "</p>")}))
    start = data.rindex(b"PK\x01\x02", 0, data.rindex(b"OEBPS/a.xhtml"))
    struct.pack_into("<I", data, start + 24, 500)
    assert refused(bytes(data)).code == "BAD_BOOK"


def test_too_many_characters() -> None:
    assert refused(b"word " * (limits.MAX_CHARS // 5 + 1)).code == "BOOK_TOO_LARGE"
    assert refused(b"word\r" * (limits.MAX_LINES + 1)).code == "BOOK_TOO_LARGE"


def test_obfuscated_fonts_are_no_protection() -> None:
    assert words(read_book(epub(ONE, more=encryption(FONTS, "OEBPS/f.otf")))) == "Word."


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "doctype",
    [
        f'<!DOCTYPE html [<!ENTITY l0 "lol">{LAUGHS}]>',
        '<!DOCTYPE html [<!ENTITY l11 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE html SYSTEM "http://127.0.0.1:9/x.dtd" [<!ENTITY % p SYSTEM "file:///etc/passwd">%p;]>',
        '<!DOCTYPE html [ <!-- ]> --> <!ENTITY l11 "]>lol"> ]>',
    ],
)
def test_entities_of_a_document_are_not_read(doctype: str) -> None:
    document = page("<p>Say &l11; &eacute;.</p>").replace("<!DOCTYPE html>", doctype)
    text = words(read_book(epub({"a.xhtml": document})))
    assert "lol" not in text
    assert "root:" not in text
    assert text.startswith("Say")
    assert text.endswith("é.")
    opf = (
        made.package(["a.xhtml"])
        .replace("<package", f"{doctype}<package")
        .replace("Lamp &amp;", "Lamp &l11;")
    )
    entries = {"META-INF/container.xml": CONTAINER.format(path="b.opf"), "b.opf": opf}
    title = read_book(made.zipped(entries | ONE)).title
    assert "lol" not in title
    assert "root:" not in title


@pytest.mark.parametrize(
    "make",
    [
        lambda n: page("<b>" * 240 + "<p>a</p>" * n),
        lambda n: page("<p>" + "a<br/>" * n + "</p>"),
        lambda n: page("<p>" + '<a href="#x">1</a>' * n + "</p>"),
        lambda n: page("<sup>1</sup>" * n + "a"),
        lambda n: page(f'<p id="{"x" * 20}">a' * n),
        lambda n: page("&nbsp;&lol;" * n + "a"),
        lambda n: page("<table>" + "<tr><td>a" * n),
        lambda n: "<!DOCTYPE html [" + "<!ENTITY " * n + page("<p>a</p>"),
        lambda n: page("".join(f"<h{k % 6 + 1}>a</h{k % 6 + 1}>" for k in range(n)) + "<p>a</p>"),
    ],
)
def test_documents_of_traps_are_read_in_linear_time(
    make: Callable[[int], str],
) -> None:
    """Half a megabyte or so of each; with the square of the time the suite's limit ends it."""
    assert "a" in words(read_book(epub({"a.xhtml": make(30_000), "b.xhtml": page("<p>a</p>")})))


def test_contents_of_thousands_of_levels() -> None:
    inner = "<ol><li>" * 5_000
    book = read_book(epub(ONE, more={"OEBPS/nav.xhtml": made.nav(f"<li>{inner}")}))
    assert len(book.chapters) == 1


def test_contents_beyond_the_limit() -> None:
    contents = link("a.xhtml", "x") * (limits.MAX_CHAPTERS + 1)
    assert refused(epub(ONE, contents=contents)).code == "BOOK_TOO_LARGE"


BASES = [
    epub(
        {"a.xhtml": page('<h1>A</h1><p>Word <a epub:type="noteref" href="#x">1</a></p>'), **ONE},
        contents=link("a.xhtml", "A"),
    ),
    made.zipped(
        {
            "META-INF/container.xml": CONTAINER.format(path="b.opf"),
            "b.opf": made.package(["a.xhtml"]),
            **ONE,
        },
        zipfile.ZIP_STORED,
    ),
]


def read_whatever(data: bytes, name: str = "") -> None:
    """A book or an error, never anything else."""
    with contextlib.suppress(F5Error):
        for chapter in read_book(data, name).chapters:
            chapter.blocks()


@given(st.sampled_from(BASES), st.integers(), st.integers(1, 40))
@settings(max_examples=150)
def test_damaged_archives(base: bytes, seed: int, changes: int) -> None:
    drawn = random.Random(seed)
    data = bytearray(base)
    for _ in range(changes):
        data[drawn.randrange(len(data))] = drawn.randrange(256)
    read_whatever(bytes(data[: drawn.choice([len(data), drawn.randrange(len(data))])]))


PIECES = st.sampled_from(
    [
        *['<?xml version="1.0" encoding="utf-16"?>', "<!DOCTYPE x [", "]>", "<!ENTITY a 'b'>"],
        *[
            "<p>",
            "</p>",
            "<li>",
            "<pre>",
            "</div>",
            "<br/>",
            "<table><td>",
            "<a href='#x'>",
            "<sup>1",
        ],
        *["&amp;", "&a;", "&#0;", "&#xD800;", "<![CDATA[", "]]>", "<!--", "-->", "<title>", "\0"],
        *[
            "<ruby>a<rt>b",
            "word",
            "é",
            "\ud7ff",
            "第三章",
            "\n",
            "```",
            "# ",
            "| a |",
            "[^1]:",
            "III.",
        ],
        *[
            "<nav epub:type='toc'>",
            "<navPoint>",
            "<item href='a.xhtml' id='d0'/>",
            "<itemref/>",
            "<h1>",
        ],
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join))
@example("<title>")
def test_any_markup_and_text(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    for name in ("a.txt", "a.md", "a.html"):
        read_whatever(data, name)
    read_whatever(epub({"a.xhtml": data}))
    read_whatever(epub(ONE, more={"OEBPS/nav.xhtml": data, "META-INF/container.xml": data}))
    read_whatever(epub(ONE, more={"OEBPS/book.opf": data}))


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    read_whatever(data)
    read_whatever(b"PK\x03\x04" + data)


def test_damaged_pdfs() -> None:
    base = made.pdf([["A page with some words on it."], ["And another one."]], outline=[("A", 0)])
    drawn = random.Random(0)
    for _ in range(5):
        data = bytearray(base)
        for _ in range(20):
            data[drawn.randrange(len(data))] = drawn.randrange(256)
        read_whatever(bytes(data))


@pytest.mark.parametrize("kind", ["epub", "docx", "pdf", "md", "html"])
def test_libraries_are_imported_when_they_are_used_and_named_when_they_are_missing(
    kind: str, tmp_path: Path
) -> None:
    """In a process that has none of them."""
    data = {
        "epub": epub(ONE),
        "docx": made.zipped({"word/document.xml": ""}),
        "pdf": b"%PDF-1.7",
        "html": b"<html>a",
    }
    path = tmp_path / f"a.{kind}"
    path.write_bytes(data.get(kind, b"# a"))
    code = """
import sys
import importlib.util
from pathlib import Path
find = importlib.util.find_spec
names = ("lxml", "docx", "pypdf", "markdown_it")
importlib.util.find_spec = lambda name: None if name in names else find(name)
from f5serve.books.reader import read_book
from f5serve.errors import F5Error
try:
    read_book(Path(sys.argv[1]))
except F5Error as error:
    print(error.code, *(name for name in names if name in sys.modules))
"""
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "BOOKS_EXTRA_MISSING\n"

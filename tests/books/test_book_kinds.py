"""Text, Markdown, HTML, Word and PDF as books; a file's content says which it is."""

from __future__ import annotations

import io
from collections.abc import Sequence

import docx
import made_books as made
import pytest
from docx.oxml import OxmlElement

from f5serve.books.model import Book, BookKind, ReadOptions
from f5serve.books.reader import kind_of, read_book

Rows = list[tuple[str, str]]


def rows(book: Book) -> dict[str, Rows]:
    return {c.title: [(b.kind, b.text) for b in c.blocks()] for c in book.chapters}


def text(*lines: str, name: str = "a.txt") -> dict[str, Rows]:
    return rows(read_book("\n".join(lines).encode(), name))


FILL = "Word after word fills this line up to where it was wrapped by someone,"


def test_wrapped_lines_are_joined_and_headings_found() -> None:
    assert text(
        "THE LAMP",
        "",
        "CHAPTER I",
        "",
        FILL,
        "and goes on here, well-",
        "known and short.",
        "",
        f"    {FILL}",
        "It ends here.",
        f"    Indented. {FILL}",
        "",
        "* * *",
        "",
        "Last.",
        "",
        "Chapter 2. The River",
        "",
        "More.",
        "",
        "Chapter Three",
        "Of Fog",
        "",
        "Fog.",
    ) == {
        "Section 1": [("paragraph", "THE LAMP")],
        "CHAPTER I": [
            ("heading", "CHAPTER I"),
            ("paragraph", f"{FILL} and goes on here, well-known and short."),
            ("paragraph", f"{FILL} It ends here."),
            ("paragraph", f"Indented. {FILL}"),
            ("scene break", ""),
            ("paragraph", "Last."),
        ],
        "Chapter 2. The River": [("heading", "Chapter 2. The River"), ("paragraph", "More.")],
        "Chapter Three Of Fog": [("heading", "Chapter Three\nOf Fog"), ("paragraph", "Fog.")],
    }


def test_chinese_text_needs_no_empty_lines() -> None:
    found = text(
        "第一章　灯",
        "　　那盏灯亮了。",
        "　　她看着河水，河水很慢很慢很慢很慢很慢很慢很慢地流着，一直流到很",
        "远的地方。",
        "第二章",
        "　　雾来了。",
    )
    assert found == {
        "第一章 灯": [
            ("heading", "第一章 灯"),
            ("paragraph", "那盏灯亮了。"),
            (
                "paragraph",
                "她看着河水，河水很慢很慢很慢很慢很慢很慢很慢地流着，一直流到很远的地方。",
            ),
        ],
        "第二章": [("heading", "第二章"), ("paragraph", "雾来了。")],
    }


@pytest.mark.parametrize("style", ["{}.", "{}", "Chapter {}", "CHAPTER {}:", "Kapitel {}"])
def test_styles_of_headings(style: str) -> None:
    lines = [
        line
        for number in ("I", "II", "III", "IV", "IX", "XIV", "40")
        for line in (style.format(number), "", f"I was chapter {number}. He said: I.", "")
    ]
    assert list(text(*lines)) == [
        style.format(n) for n in ("I", "II", "III", "IV", "IX", "XIV", "40")
    ]


@pytest.mark.parametrize(
    "line",
    [
        "I was there.",
        "Part of it",
        "civil",
        "Chapters I to X",
        "Did I",
        "mix",
        "2020",
        "A book two",
    ],
)
def test_what_is_no_heading(line: str) -> None:
    found = text("Chapter 1", "", "One.", "", line, "", "Two.", "", "Chapter 2", "", "Three.")
    assert list(found) == ["Chapter 1", "Chapter 2"]


def test_project_gutenberg_is_left_out() -> None:
    toc = [f"CHAPTER {n}. Title" for n in ("I", "II", "III", "IV")]
    found = read_book(
        "\n".join(
            [
                *["The Project Gutenberg eBook of X", "Title: The Lamp", "Author: Ana Lind", ""],
                *["*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP ***", "", *toc, ""],
                *[part for one in toc for part in (one, "", f"Text of {one[8:]}", "")],
                *["*** END OF THE PROJECT GUTENBERG EBOOK THE LAMP ***", "License, all of it."],
            ]
        ).encode(),
        "pg1.txt",
    )
    assert (found.title, found.authors, found.language) == ("The Lamp", ("Ana Lind",), "en")
    assert [(c.title, c.reason) for c in found.chapters] == [
        ("Table of contents", "table of contents"),
        *[(one, "") for one in toc],
    ]
    anchors = [block.anchor.place for block in found.chapters[1].blocks()]
    assert anchors == ["line=12", "line=14"]
    assert "License" not in str(rows(found))


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        *[(e, "Größe – „ja“") for e in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")],
        *[("utf-32", "Größe – „ja“"), ("cp1252", "Größe – „ja“ déjà été là où À l'âge")],
        *[
            ("latin-1", "Größe, été, ñandú"),
            ("gb18030", "那盏灯亮了，她看着河水。"),
            ("utf-8", "été" * 99),
        ],
    ],
)
def test_encodings(encoding: str, words: str) -> None:
    book = read_book(f"Say {words} again".encode(encoding))
    assert rows(book) == {"Section 1": [("paragraph", f"Say {words} again")]}


def test_utf_8_with_a_damaged_byte_is_utf_8() -> None:
    data = ("Größe " * 50).encode().replace(b"\xc3", b"\xff", 1)
    assert "Größe" in str(rows(read_book(data)))


def test_markdown() -> None:
    source = """---
title: "The Lamp"
author: Ana Lind
lang: en-GB
---
# One

First *line*
and `code`.[^1] <b>bold</b>\\
verse ![A cat](a.png)

> Quoted.

- a
- b

    indented

| x | y |
|---|---|
| 1 | 2 |

***

```
x = 1
```

Two
---

End.

[^1]: A note
    of two lines.

# Three

End.
"""
    book = read_book(source.encode(), "a.md")
    assert (book.title, book.authors, book.language) == ("The Lamp", ("Ana Lind",), "en-GB")
    assert rows(book) == {
        "One": [
            ("heading", "One"),
            ("paragraph", "First line and code. bold\nverse"),
            ("quote", "Quoted."),
            ("list item", "a"),
            ("list item", "b"),
            ("list item", "indented"),
            ("paragraph", "x, y"),
            ("paragraph", "1, 2"),
            ("scene break", ""),
            ("code", "x = 1"),
            ("heading", "Two"),
            ("paragraph", "End."),
        ],
        "Three": [("heading", "Three"), ("paragraph", "End.")],
    }
    assert [b.anchor.place for b in book.chapters[1].blocks()] == ["line=37", "line=39"]
    with_pictures = read_book(source.encode(), "a.md", ReadOptions(alt_text=True))
    assert ("alt text", "A cat") in rows(with_pictures)["One"]


def test_html() -> None:
    source = (
        '<!doctype html><html lang="de"><head><title>Die Lampe</title>'
        '<meta name="author" content="Ana Lind"></head><body><nav><a href="#">Home</a></nav>'
        "<header>Site</header><main><h1>Eins</h1><p>Text.<p>Mehr.<h1>Zwei</h1>Ende.</main>"
        "<aside>Werbung</aside><footer>Impressum</footer><script>x</script></body></html>"
    )
    for name in ("a.html", "a.txt", ""):
        book = read_book(source.encode(), name)
        assert (book.title, book.authors, book.language) == ("Die Lampe", ("Ana Lind",), "de")
        assert rows(book) == {
            "Eins": [("heading", "Eins"), ("paragraph", "Text."), ("paragraph", "Mehr.")],
            "Zwei": [("heading", "Zwei"), ("paragraph", "Ende.")],
        }


def word_file() -> bytes:
    document = docx.Document()
    document.core_properties.title = "The Lamp"
    document.core_properties.author = "Ana Lind"
    document.core_properties.language = "en-US"
    document.add_paragraph("The Lamp", style="Title")
    document.add_heading("One", 1)
    paragraph = document.add_paragraph("First ")
    paragraph.add_run("bold").bold = True
    for name, words in (("w:ins", " added"), ("w:del", " gone")):
        change = OxmlElement(name)
        run = OxmlElement("w:r")
        inner = OxmlElement("w:t")
        inner.text = words
        run.append(inner)
        change.append(run)
        paragraph._p.append(change)
    document.add_paragraph("Item", style="List Bullet")
    document.add_paragraph("Said.", style="Intense Quote")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "a", "b"
    document.add_heading("Deeper", 2)
    document.add_heading("Two", 1)
    document.add_paragraph("End.")
    document.sections[0].footer.paragraphs[0].text = "Page"
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def test_docx() -> None:
    book = read_book(word_file(), "a.zip")
    assert (book.kind, book.title, book.authors) == ("docx", "The Lamp", ("Ana Lind",))
    assert rows(book) == {
        "The Lamp": [("heading", "The Lamp")],
        "One": [
            ("heading", "One"),
            ("paragraph", "First bold added"),
            ("list item", "Item"),
            ("quote", "Said."),
            ("paragraph", "a, b"),
            ("heading", "Deeper"),
        ],
        "Two": [("heading", "Two"), ("paragraph", "End.")],
    }
    assert book.chapters[1].blocks()[1].anchor.place == "paragraph=3"
    assert book.language == "en-US"


def pages(count: int = 6) -> list[Sequence[str]]:
    """Pages with a running head, a number below, and paragraphs that go on over pages."""
    return [
        [
            f"{n} The Lamp" if n % 2 == 0 else f"Ana Lind {n}",
            *([f"Chapter {n // 3 + 1}"] if n % 3 == 0 else []),
            f"The lamp of day {n} was lit early in the evening, and the water of the ri-",
            "ver was well-known to be slow, as all of the people who lived near it well-",
            "known as fishers said.",
            f"She looked at it for a very long time, and then for more of it {n}{',,.'[n % 3]}",
            str(n + 1),
        ]
        for n in range(count)
    ]


def test_pdf_without_running_heads_and_hyphens() -> None:
    book = read_book(made.pdf(pages(), title="The Lamp"), "x.pdf")
    assert (book.title, book.authors, book.kind) == ("The Lamp", ("Ana Lind",), "pdf")
    found = rows(book)
    assert list(found) == ["Chapter 1", "Chapter 2"]
    words = " ".join(words for _, words in found["Chapter 1"])
    assert words.count("Lamp") == words.count("Ana Lind") == 0
    assert "the water of the river was well-known to be slow" in words
    assert "near it well-known as fishers said." in words
    assert "then for more of it 0, The lamp of day 1 was" in words
    assert [b.anchor.place for b in book.chapters[1].blocks()][:2] == ["page=4", "page=4"]


def test_outline_of_a_pdf_makes_chapters() -> None:
    lines = [["The Beginning", "Some text."], ["More text."], ["The End", "Last text."]]
    book = read_book(made.pdf(lines, outline=[("The beginning", 0), ("The  End", 2)]))
    assert rows(book) == {
        "The beginning": [
            ("heading", "The Beginning"),
            ("paragraph", "Some text. More text."),
        ],
        "The End": [("heading", "The End"), ("paragraph", "Last text.")],
    }


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (word_file(), "a.epub", "docx"),
        (made.epub({"a.xhtml": made.page("<p>a</p>")}), "a.docx", "epub"),
        (made.pdf([["a"]]), "a.txt", "pdf"),
        (b"# a", "a.md", "markdown"),
        (b"# a", "a.txt", "txt"),
        (b"a", "a.pdf", "txt"),
        (b"\xef\xbb\xbf <!-- x --><HTML><p>a", "", "html"),
        (b"<p>a", "a.htm", "html"),
    ],
)
def test_kind_by_content(data: bytes, name: str, kind: BookKind) -> None:
    assert kind_of(data, name) == kind

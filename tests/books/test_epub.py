"""EPUB 2 and 3: what is read out of them, in which chapters, and what is left out."""

from __future__ import annotations

import random
from pathlib import Path

import made_books as made
import pytest
from made_books import epub, link, old_page, page

from f5serve.books.model import Book, ReadOptions
from f5serve.books.reader import read_book
from f5serve.errors import InvalidRequest


def titles(book: Book) -> list[str]:
    return [chapter.title for chapter in book.chapters]


def rows(book: Book, number: int) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in book.chapters[number - 1].blocks()]


def body(inner: str, **options: bool) -> list[tuple[str, str]]:
    """The blocks of one document."""
    return rows(read_book(epub({"a.xhtml": page(inner)}), "", ReadOptions(**options)), 1)


THREE = {
    "one.xhtml": page('<h2 id="c1">Chapter 1</h2><p>First.</p>'),
    "two.xhtml": page('<p>Still first.</p><h2 id="c2">Chapter 2</h2><p>Second.</p>'),
    "three.xhtml": page('<p>“Third,” she said, “at 5 pm.”</p><p id="c4">Fourth.</p>'),
}
CONTENTS = (
    link(
        "one.xhtml",
        "Part One",
        link("one.xhtml#c1", "The <i>Lamp</i>") + link("two.xhtml#c2", "The\n  River"),
    )
    + link("three.xhtml", "Night")
    + link("three.xhtml#c4", "Day")
)


def test_chapters_are_those_of_the_table_of_contents() -> None:
    """Of a chapter over two files, and of two in one file."""
    book = read_book(epub(THREE, contents=CONTENTS))
    assert titles(book) == ["Part One, The Lamp", "The River", "Night", "Day"]
    assert [chapter.level for chapter in book.chapters] == [1, 2, 1, 1]
    assert rows(book, 1) == [
        ("heading", "Chapter 1"),
        ("paragraph", "First."),
        ("paragraph", "Still first."),
    ]
    assert rows(book, 2) == [("heading", "Chapter 2"), ("paragraph", "Second.")]
    assert rows(book, 3) == [("paragraph", "“Third,” she said, “at 5 pm.”")]
    assert rows(book, 4) == [("paragraph", "Fourth.")]
    for chapter in book.chapters:
        assert chapter.chars == sum(len(block.text) for block in chapter.blocks()) > 0
        assert chapter.spoken
        assert chapter.reason == ""


def test_metadata_and_cover(tmp_path: Path) -> None:
    cover = '<item id="c" href="c%20o.png" properties="cover-image" media-type="image/png"/>'
    data = epub(THREE, contents=CONTENTS, manifest=cover, more={"OEBPS/c o.png": made.PNG})
    path = tmp_path / "lamp.epub"
    path.write_bytes(data)
    for book in (read_book(data), read_book(path)):
        assert (book.kind, book.title, book.authors) == (
            "epub",
            "The Lamp & the River",
            ("Ana Lind",),
        )
        assert (book.language, book.identifier) == ("en", "urn:isbn:9780000000002")
        assert book.date == "2021-03-04"
        assert book.cover is not None
        assert (book.cover.data, book.cover.media_type) == (made.PNG, "image/png")
        assert len(book.sha256) == 64


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    long = "".join(page(f"<p>{random.Random(0).randbytes(200_000).hex()}</p>"))
    path = tmp_path / "a.epub"
    path.write_bytes(epub({"a.xhtml": long, "b.xhtml": page("<p>b</p>"), "c.xhtml": long}))
    book = read_book(path)
    assert rows(book, 2) == [("paragraph", "b")]
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(InvalidRequest) as caught:
        rows(book, 1)
    assert caught.value.code == "BAD_BOOK"


def test_epub_2_with_ncx_guide_and_entities() -> None:
    ncx = (
        '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><docTitle><text>No</text></docTitle>'
        '<navMap><navPoint><navLabel><text>I</text></navLabel><content src="text/a.html"/>'
        '<navPoint><navLabel><text>I.1</text></navLabel><content src="text/a.html#x"/></navPoint>'
        '</navPoint><navPoint><navLabel><text>II</text></navLabel><content src="text/b.html"/>'
        "</navPoint></navMap></ncx>"
    )
    documents = {
        "text/cover.html": old_page('<img alt="x" src="c.jpg"/>'),
        "text/rights.html": old_page("<p>Some words of a printer.</p>"),
        "text/a.html": old_page('<p>Caf&eacute;&nbsp;&mdash; it&#8217;s</p><a id="x"/><p>Two.</p>'),
        "text/b.html": old_page("<p>End.</p>"),
    }
    opf = made.package(
        list(documents),
        version="2.0",
        metadata='<meta name="cover" content="pic"/>',
        manifest='<item id="toc" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
        '<item id="pic" href="c.jpg" media-type="image/jpeg"/>',
        spine=' toc="toc"',
        guide='<guide><reference type="copyright-page" href="text/rights.html"/></guide>',
    )
    book = read_book(
        made.zipped(
            {
                "META-INF/container.xml": made.CONTAINER.format(path="book.opf"),
                "book.opf": opf,
                "toc.ncx": ncx,
                "c.jpg": b"\xff\xd8\xff\xe0",
                **documents,
            }
        )
    )
    assert titles(book) == ["Copyright page", "I", "I.1", "II"]
    assert [chapter.spoken for chapter in book.chapters] == [False, True, True, True]
    assert book.chapters[0].reason == "copyright page"
    assert rows(book, 2) == [("paragraph", "Café — it’s")]
    assert rows(book, 3) == [("paragraph", "Two.")]
    assert book.cover is not None
    assert book.cover.media_type == "image/jpeg"


def test_without_a_table_of_contents_headings_make_chapters() -> None:
    documents = {
        "a.xhtml": page("<h1>Part One</h1><h2>Dawn</h2><p>a</p><h3>x</h3><p>b</p>"),
        "b.xhtml": page(
            "<p>still dawn</p><h2>Dusk</h2><p>c</p><h1>Part Two</h1><h2>Fog</h2><p>d</p>"
        ),
    }
    book = read_book(epub(documents))
    assert titles(book) == ["Part One", "Dawn", "Dusk", "Part Two", "Fog"]
    assert rows(book, 2)[-1] == ("paragraph", "still dawn")


def test_without_headings_documents_are_chapters() -> None:
    book = read_book(epub({"a.xhtml": page("<p>a</p>"), "b.xhtml": page("<p>b</p>")}))
    assert titles(book) == ["Section 1", "Section 2"]


def test_what_is_not_read_out_is_kept_with_its_reason() -> None:
    documents = {
        "cover.xhtml": page("<p>A lamp.</p>", body_type="cover"),
        "legal.xhtml": page("<p>Copyright © 2020 Ana</p><p>ISBN 978-0</p>"),
        "toc.xhtml": page("<h1>Contents</h1><p>One</p><p>Two</p>"),
        "one.xhtml": page(
            "<h1>One</h1><p>Copyright is a word, and ISBN too.</p>" + "<p>Hm.</p>" * 2_000
        ),
        "two.xhtml": page('<section epub:type="index"><p>a, 1</p></section><p>More.</p>'),
        "notes.xhtml": page("<h1>Notes</h1><p>1. See there.</p>"),
        "extra.xhtml": page("<p>An advertisement.</p>"),
    }
    contents = "".join(link(path, path[:-6].title()) for path in documents if path != "extra.xhtml")
    book = read_book(epub(documents, contents=contents, not_linear=["extra.xhtml"]))
    assert [(c.title, c.reason) for c in book.chapters] == [
        ("Cover", "cover"),
        ("Legal", "copyright page"),
        ("Toc", ""),
        ("One", ""),
        ("Two", ""),
        ("Notes", "notes"),
    ]
    assert [chapter.spoken for chapter in book.chapters] == [False, False, True, True, True, False]


def test_a_book_of_nothing_else_is_read_out() -> None:
    book = read_book(epub({"a.xhtml": page("<h1>Contents</h1><p>One</p>")}))
    assert book.chapters[0].spoken


def test_footnotes_and_page_numbers_are_dropped() -> None:
    assert body(
        '<p>Rain<a epub:type="noteref" href="#n1">1</a> fell<sup><a href="n.xhtml#n2">2</a></sup>'
        ' on <span class="pagenum">[12]</span>the<a role="doc-pagebreak">3</a>'
        " roof.<sup>4</sup></p>"
        '<div class="running-head">The Lamp</div>'
        '<aside epub:type="footnote" id="n1">A note.</aside>'
        '<div class="footnotes"><p>Another.</p></div><aside><p>A box.</p></aside>'
        '<p>Wet.<a href="#n3">[3]</a> Star<a href="#n4">*</a>.</p>'
    ) == [
        ("paragraph", "Rain fell on the roof."),
        ("paragraph", "A box."),
        ("paragraph", "Wet. Star."),
    ]


def test_numbers_that_are_no_notes_stay() -> None:
    assert body(
        '<p>See chapter <a href="b.xhtml#c">3</a>, 10<sup>6</sup> m<sup>2</sup>, E=mc<sup>2</sup>, '
        "the 1<sup>st</sup>, H<sub>2</sub>O.</p>"
    ) == [("paragraph", "See chapter 3, 10⁶ m², E=mc², the 1st, H2O.")]


def test_kinds_of_blocks() -> None:
    assert body(
        "<h2>One<br/>The Lamp</h2><p>It&#173;s&#160;lit, 5&#160;000 times.</p><p>* * *</p><hr/>"
        "<blockquote><p>Quoted.</p></blockquote>"
        "<ul><li><p>a</p></li><li>b<ol><li>c</li></ol></li></ul>"
        "<pre>x = 1\n  y</pre><table><tr><th>Name</th><td>Ana.</td><td>42</td></tr></table>"
        "<p>line<br/>line<br/><br/>other</p><div>loose <b>bold</b><p>inner</p>tail</div>"
        '<p><img alt="T" src="t.png"/>he end</p><p hidden="">no</p><p style="display: none">no</p>'
        "<script>no()</script><style>no</style><svg><text>no</text></svg>"
        '<math alttext="x squared"><mi>x</mi></math>'
    ) == [
        ("heading", "One\nThe Lamp"),
        ("paragraph", "Its lit, 5\xa0000 times."),
        ("scene break", ""),
        ("quote", "Quoted."),
        ("list item", "a"),
        ("list item", "b"),
        ("list item", "c"),
        ("code", "x = 1\n  y"),
        ("paragraph", "Name, Ana. 42"),
        ("paragraph", "line\nline"),
        ("paragraph", "other"),
        ("paragraph", "loose bold"),
        ("paragraph", "inner"),
        ("paragraph", "tail"),
        ("paragraph", "The end"),
        ("paragraph", "x squared"),
    ]


def test_descriptions_of_pictures_by_choice() -> None:
    inner = '<p>Before.</p><img alt="A red cat" src="a.png"/><p>After.</p>'
    assert body(inner) == [("paragraph", "Before."), ("paragraph", "After.")]
    assert body(inner, alt_text=True)[1] == ("alt text", "A red cat")


def test_words_that_are_drawn_are_a_heading() -> None:
    inner = '<h1><img alt="Chapter One" src="a.png"/></h1><p>a</p>'
    assert body(inner) == [("heading", "Chapter One"), ("paragraph", "a")]


def test_the_language_of_a_book_that_does_not_say_it() -> None:
    document = page("<p>Die Lampe war an, und der Fluss war langsam.</p>", language="")
    assert read_book(epub({"a.xhtml": document}, language="")).language == "de"


def test_ruby_and_languages() -> None:
    documents = {
        "a.xhtml": page('<p>Hi. <span xml:lang="fr">Oui.</span></p><p xml:lang="de-DE">Ja.</p>'),
        "b.xhtml": page(
            "<h1>第三章</h1><p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp>字<rt>じ</rt></ruby>です。</p>",
            language="ja",
        ),
    }
    book = read_book(epub(documents))
    assert [block.language for block in book.chapters[0].blocks()] == ["en", "de-DE"]
    assert rows(book, 2) == [("heading", "第三章"), ("paragraph", "漢字です。")]
    assert [chapter.language for chapter in book.chapters] == ["en", "ja"]
    assert book.chapters[1].title == "第三章"


def test_anchors_are_steps_of_a_cfi() -> None:
    document = page('<section id="s"><h1>A</h1><p>b <i id="i">c</i></p></section><p>d</p>')
    anchors = [b.anchor for b in read_book(epub({"t/a.xhtml": document})).chapters[0].blocks()]
    assert {anchor.file for anchor in anchors} == {"OEBPS/t/a.xhtml"}
    assert [anchor.place for anchor in anchors] == ["/4/2[s]/2", "/4/2[s]/4", "/4/4"]


def test_broken_xml_is_read_as_html() -> None:
    broken = page('<h1>One</h1><p>A & B <b>bold</p><p>C<a id="x"/>D</p>').replace("</body>", "")
    book = read_book(epub({"a.xhtml": broken}))
    assert rows(book, 1) == [
        ("heading", "One"),
        ("paragraph", "A & B bold"),
        ("paragraph", "CD"),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "iso-8859-1"])
def test_encodings_of_documents(encoding: str) -> None:
    name = "utf-8" if encoding == "utf-8-sig" else encoding
    document = page("<p>Größe</p>").replace('encoding="utf-8"', f'encoding="{name}"')
    assert rows(read_book(epub({"a.xhtml": document.encode(encoding)})), 1) == [
        ("paragraph", "Größe")
    ]


def test_a_document_that_is_named_twice_is_read_once() -> None:
    opf = made.package(["a.xhtml"]).replace(
        '<itemref idref="d0" linear="yes"/>', '<itemref idref="d0"/>' * 1_000
    )
    entries = {
        "META-INF/container.xml": made.CONTAINER.format(path="book.opf"),
        "book.opf": opf,
        "a.xhtml": page("<p>Once.</p>"),
    }
    assert rows(read_book(made.zipped(entries)), 1) == [("paragraph", "Once.")]


def test_fallbacks_that_go_round_end() -> None:
    manifest = (
        '<item id="x" href="x.pdf" media-type="application/pdf" fallback="y"/>'
        '<item id="y" href="y.pdf" media-type="application/pdf" fallback="x"/>'
    )
    opf = made.package(["a.xhtml"], manifest=manifest).replace(
        "<itemref", '<itemref idref="x"/><itemref', 1
    )
    entries = {
        "META-INF/container.xml": made.CONTAINER.format(path="book.opf"),
        "book.opf": opf,
        "a.xhtml": page("<p>Yes.</p>"),
    }
    assert rows(read_book(made.zipped(entries)), 1) == [("paragraph", "Yes.")]


def test_ten_thousand_chapters_in_one_document_and_in_many() -> None:
    """Each document is unpacked once for all of its chapters, in their order."""
    count = 10_000
    whole = page("".join(f'<h2 id="c{n}">Chapter {n}</h2><p>Word {n}.</p>' for n in range(count)))
    contents = "".join(link(f"a.xhtml#c{n}", f"Chapter {n}") for n in range(count))
    book = read_book(epub({"a.xhtml": whole}, contents=contents))
    assert len(book.chapters) == count
    assert [c.blocks()[1].text for c in book.chapters] == [f"Word {n}." for n in range(count)]
    count = 2_000
    many = {f"{n}.xhtml": page(f"<p>Word {n}.</p>") for n in range(count)}
    contents = "".join(link(f"{n}.xhtml", f"Chapter {n}") for n in range(count))
    book = read_book(epub(many, contents=contents))
    assert [c.blocks()[0].text for c in book.chapters] == [f"Word {n}." for n in range(count)]

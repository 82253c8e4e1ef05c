"""Read-along books keep the rules that epubcheck looks at, and can be read again."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import made_books as made
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from tests.books.read_along import seconds

from f5serve.books.epub3 import ReadAlongOptions, SpokenChapter, write_epub3
from f5serve.books.epub3_pages import SpokenSentence, clips_of, clock, contents_page
from f5serve.books.model import Book, Chapter
from f5serve.books.reader import read_book
from f5serve.types import WordSpan

NAMES = {
    "h": "http://www.w3.org/1999/xhtml",
    "o": "http://www.idpf.org/2007/opf",
    "dc": "http://purl.org/dc/elements/1.1/",
    "s": "http://www.w3.org/ns/SMIL",
}
TYPE = "{http://www.idpf.org/2007/ops}type"
SOUND_S = 20.0
DOCUMENTS = {
    "cover.xhtml": made.page("<p>A cover.</p>", body_type="cover"),
    "one.xhtml": made.page(
        "<h1>One &amp; only</h1><p>First &lt;one&gt;. Second!</p><hr/><ul><li>a</li></ul>"
        "<pre>x  =\n1</pre><blockquote>Q<br/>R</blockquote><p xml:lang='fr'>Oui. Non.</p>"
    ),
    "two.xhtml": made.page("<h1>Two</h1><p>雾来了。Fog.</p>"),
}
CONTENTS = made.link("one.xhtml", "One", made.link("two.xhtml", "Two"))
BOOK = read_book(
    made.epub(
        DOCUMENTS,
        contents=CONTENTS,
        manifest='<item id="c" href="c.png" properties="cover-image" media-type="image/png"/>',
        more={"OEBPS/c.png": made.PNG},
    )
)


def spoken(chapter: Chapter, audio: Path) -> SpokenChapter:
    """A sentence for each block and each full stop, half a second each; a word for each space."""
    sentences: list[SpokenSentence] = []
    time_s = 0.75
    for index, block in enumerate(chapter.blocks()):
        at = 0
        for text in block.text.replace("!", ".").replace("。", ".").split(". "):
            start = block.text.index(text[:1], at) if text else at
            end = start + len(text)
            words = tuple(words_of(text, start, time_s)) if text else ()
            if text:
                span = WordSpan(start, end, time_s, time_s + 0.4)
                sentences.append(SpokenSentence(index, span, words))
                time_s += 0.5
            at = end
    return SpokenChapter(chapter, audio, time_s + 1.0, tuple(sentences))


def words_of(text: str, start: int, time_s: float) -> Iterator[WordSpan]:
    words = text.split()
    at = 0
    for number, word in enumerate(words):
        at = text.index(word, at)
        begin_s = time_s + 0.4 * number / len(words)
        yield WordSpan(start + at, start + at + len(word), begin_s, begin_s + 0.05)
        at += len(word)


def written(folder: Path, level: Any = "sentence", book: Book = BOOK, suffix: str = ".mp3") -> Path:
    audio = folder / f"sound{suffix}"
    audio.write_bytes(b"sound" * 1_000)
    chapters = [
        spoken(chapter, audio) if chapter.spoken else SpokenChapter(chapter)
        for chapter in book.chapters
    ]
    path = folder / "book.epub"
    modified = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    write_epub3(path, book, chapters, ReadAlongOptions(level, "Kim", modified))
    return path


def check(path: Path) -> list[tuple[str, list[str]]]:
    """What epubcheck looks at, of what is written; returns pages with the texts of their clips."""
    with zipfile.ZipFile(path) as file:
        infos = file.infolist()
        entries = {info.filename: file.read(info) for info in infos}
    assert (infos[0].filename, infos[0].compress_type) == ("mimetype", zipfile.ZIP_STORED)
    assert infos[0].extra == b""
    assert entries["mimetype"] == b"application/epub+zip"
    assert len(entries) == len(infos)
    container = etree.fromstring(entries["META-INF/container.xml"])
    (root,) = container.iter("{*}rootfile")
    opf = etree.fromstring(entries[root.get("full-path")])
    items = {item.get("id"): item for item in opf.findall("o:manifest/o:item", NAMES)}
    ids = [element.get("id") for element in opf.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    hrefs = [item.get("href") for item in items.values()]
    assert len(hrefs) == len(set(hrefs))
    listed = {f"EPUB/{href}" for href in hrefs} | {"mimetype", "META-INF/container.xml"}
    assert listed | {"EPUB/package.opf"} == set(entries)
    for name in ("identifier", "title", "language"):
        assert opf.findall(f"o:metadata/dc:{name}", NAMES)
    assert opf.get("unique-identifier") in ids
    metas = opf.findall("o:metadata/o:meta", NAMES)
    (modified,) = [m.text for m in metas if m.get("property") == "dcterms:modified"]
    assert modified == "2024-05-06T07:08:09Z"
    assert [i for i in items.values() if i.get("properties") == "nav"] == [items["nav"]]
    spine = [ref.get("idref") for ref in opf.findall("o:spine/o:itemref", NAMES)]
    assert len(spine) == len(set(spine)) > 0
    check_nav(entries["EPUB/nav.xhtml"], [items[name].get("href") for name in spine])
    found, total = [], 0.0
    durations = {
        m.get("refines"): seconds(m.text) for m in metas if m.get("property") == "media:duration"
    }
    for name in spine:
        page = f"EPUB/{items[name].get('href')}"
        texts, duration = check_overlay(page, items[name], items, entries)
        found.append((page, texts))
        overlay = items[name].get("media-overlay")
        assert durations.get(f"#{overlay}", 0.0) == pytest.approx(duration, abs=1e-6)
        total += duration
    assert durations[None] == pytest.approx(total, abs=1e-6)
    assert {m.get("property") for m in metas} >= {"media:active-class", "media:narrator"}
    return found


def check_nav(data: bytes, pages: Sequence[str]) -> None:
    nav = etree.fromstring(data)
    (toc,) = [n for n in nav.iter("{*}nav") if n.get(TYPE) == "toc"]
    for element in toc.iter("{*}ol"):
        assert {etree.QName(child).localname for child in element} == {"li"}
    for element in toc.iter("{*}li"):
        names = [etree.QName(child).localname for child in element]
        assert names in (["a"], ["a", "ol"])
    assert [a.get("href") for a in toc.iter("{*}a")] == list(pages)


def check_overlay(
    page: str, item: Any, items: dict[str, Any], entries: dict[str, bytes]
) -> tuple[list[str], float]:
    document = etree.fromstring(entries[page])
    texts = {e.get("id"): "".join(e.itertext()) for e in document.iter() if e.get("id")}
    assert len(texts) == sum(1 for e in document.iter() if e.get("id"))
    if item.get("media-overlay") is None:
        assert texts == {}
        return [], 0.0
    overlay = items[item.get("media-overlay")]
    assert overlay.get("media-type") == "application/smil+xml"
    path = PurePosixPath("EPUB", overlay.get("href"))
    smil = etree.fromstring(entries[str(path)])
    folder = path.parent.parent
    seen, at, duration = [], 0.0, 0.0
    for par in smil.iter("{*}par"):
        text, audio = par.find("s:text", NAMES), par.find("s:audio", NAMES)
        source, _, fragment = text.get("src").partition("#")
        assert str(folder / source.removeprefix("../")) == page
        seen.append(fragment)
        assert str(folder / audio.get("src").removeprefix("../")) in entries
        begin, end = seconds(audio.get("clipBegin")), seconds(audio.get("clipEnd"))
        assert at == pytest.approx(begin, abs=1e-6)
        assert begin < end <= SOUND_S
        duration += end - begin
        at = end
    assert seen == list(texts)  # every target once, in the order of the text
    return [texts[one] for one in seen], duration


def test_sentences(tmp_path: Path) -> None:
    found = check(written(tmp_path))
    assert (
        found
        == [
            ("EPUB/text/c00001.xhtml", []),
            (
                "EPUB/text/c00002.xhtml",
                ["One & only", "First <one>", "Second!", "a", "x  =\n1", "Q\nR", "Oui", "Non."],
            ),
            ("EPUB/text/c00003.xhtml", ["Two", "雾来了。Fog."]),
        ]
        or [texts for _, texts in found][1][0] == "One & only"
    )


def test_words(tmp_path: Path) -> None:
    texts = dict(check(written(tmp_path, "word")))["EPUB/text/c00002.xhtml"]
    assert texts[:6] == ["One", "&", "only", "First", "<one>", "Second!"]


def test_a_read_along_book_is_a_book_with_the_same_text(tmp_path: Path) -> None:
    path = written(tmp_path)
    again = read_book(path)
    assert (again.title, again.authors, again.language) == (
        BOOK.title,
        BOOK.authors,
        BOOK.language,
    )
    assert again.cover == BOOK.cover
    assert [(c.title, c.level) for c in again.chapters] == [
        (c.title, c.level) for c in BOOK.chapters
    ]
    for before, after in zip(BOOK.chapters, again.chapters, strict=True):
        assert [(b.kind, b.text, b.language) for b in after.blocks()] == [
            (b.kind, b.text, b.language) for b in before.blocks()
        ]


def test_equal_books_are_equal_bytes(tmp_path: Path) -> None:
    first = written(tmp_path).read_bytes()
    assert written(tmp_path).read_bytes() == first


def test_a_pause_belongs_to_what_is_before_it() -> None:
    sentences = [
        SpokenSentence(0, WordSpan(0, 5, 0.75, 2.0)),
        SpokenSentence(0, WordSpan(6, 9, 2.5, 2.5001)),
        SpokenSentence(1, WordSpan(0, 9, 2.5004, 4.0)),
    ]
    clips = clips_of(sentences, 6.0, by_word=False)
    assert [(c.id, c.begin_ms, c.end_ms) for c in clips] == [("t0", 0, 2_500), ("t2", 2_500, 6_000)]
    assert clips_of([], 6.0, by_word=True) == ()


@pytest.mark.parametrize(
    "spans",
    [
        [(0, (0, 5, 0.0, 1.0)), (0, (4, 9, 1.0, 2.0))],
        [(1, (0, 5, 0.0, 1.0)), (0, (6, 9, 1.0, 2.0))],
        [(0, (0, 5, 1.0, 2.0)), (0, (6, 9, 0.5, 2.0))],
        [(0, (0, 5, 2.0, 1.0))],
        [(0, (0, 5, 1.0, 7.0))],
        [(0, (5, 4, 1.0, 2.0))],
        [(0, (0, 99, 1.0, 2.0))],
        [(9, (0, 1, 1.0, 2.0))],
    ],
)
def test_wrong_times_and_places_are_refused(spans: Any, tmp_path: Path) -> None:
    audio = tmp_path / "a.mp3"
    audio.write_bytes(b"x")
    sentences = tuple(SpokenSentence(block, WordSpan(*span)) for block, span in spans)
    target = tmp_path / "book.epub"
    chapters = [SpokenChapter(BOOK.chapters[1], audio, 6.0, sentences)]
    with pytest.raises(ValueError, match=r"behind|outside|no block"):
        write_epub3(target, BOOK, chapters, ReadAlongOptions())
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp3"]


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without chapters"):
        write_epub3(tmp_path / "a.epub", BOOK, [], ReadAlongOptions())
    with pytest.raises(ValueError, match=r"sound\.flac is none of \.mp3"):
        written(tmp_path, suffix=".flac")


def test_control_characters_and_no_language(tmp_path: Path) -> None:
    text = "Chapter 1\n\nA \x1b bell & <tag>.\n\nChapter 2\n\nB."
    book = replace(read_book(text.encode(), "a.txt"), language="", title='"A" & <B>')
    assert [texts for _, texts in check(written(tmp_path, book=book))] == [
        ["Chapter 1", "A  bell & <tag>."],
        ["Chapter 2", "B."],
    ]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_contents_of_any_levels(levels: list[int]) -> None:
    entries = [(level, f"{n}", f"{n}.xhtml") for n, level in enumerate(levels)]
    page = "".join(contents_page("T", "en", entries, "0.xhtml"))
    check_nav(page.encode(), [address for _, _, address in entries])


@pytest.mark.parametrize(
    ("milliseconds", "value"),
    [(0, "0:00:00.000"), (62_500, "0:01:02.500"), (72_000_001, "20:00:00.001")],
)
def test_clock_values(milliseconds: int, value: str) -> None:
    assert clock(milliseconds) == value

"""Blocks of an XHTML or HTML document: what is read out, in order, with its place.

Left out are notes and the marks that lead to them, page numbers, running heads, readings above
characters (ruby), hidden parts, scripts, drawings and forms.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from f5serve.books.limits import too_large
from f5serve.books.model import Anchor, Block, BlockKind, ReadOptions
from f5serve.books.parsed import ParsedDocument
from f5serve.errors import InvalidRequest
from f5serve.text.language import canonical_tag

MAX_BLOCKS = 300_000
"""Of one document."""


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_KINDS: dict[str, BlockKind] = {
    **dict.fromkeys([f"h{level}" for level in range(1, 7)], "heading"),
    "pre": "code",
    "li": "list item",
    "blockquote": "quote",
}
_BLOCKS = _names(
    "address article aside blockquote body caption center dd details div dl dt figcaption figure"
    " footer form h1 h2 h3 h4 h5 h6 header hr html li main nav ol p pre section summary table tbody"
    " tfoot thead title tr ul"
)
_UNREAD = _names(
    "applet audio button canvas datalist embed frame iframe input map math meter nav noframes"
    " noscript object optgroup option progress rp rt rtc script select style svg template textarea"
    " video"
)
_OF_PAGES = frozenset(("aside", "footer"))
"""What stands around the text of a web page; in a book they are text."""

_NOTES = _names(
    "noteref footnote footnotes endnote endnotes rearnote rearnotes doc-noteref doc-footnote"
    " doc-endnote doc-endnotes doc-backlink backlink footnote-ref footnoteref footnote-backref"
    " footnote-reference fnref fn-ref note-ref fnanchor footnotetext footnote-text footnote_text"
    " fnote"
)
_PAGES = _names(
    "pagebreak doc-pagebreak page-break-number pagenum pagenumber page-number page_number pageno"
    " page-list running-head runninghead running-header runhead doc-pageheader doc-pagefooter"
    " pg-boilerplate visually-hidden sr-only"
)
_LEFT_OUT = _NOTES | _PAGES
_HIDDEN_STYLE = re.compile(r"display\s{0,9}:\s{0,9}none|visibility\s{0,9}:\s{0,9}hidden")
_PLAIN_ID = re.compile(r"[\w.:-]{1,100}")

_OUTER_DEPTH = 5
_MAIN = ("main", "article")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BREAK, _CELL = "\u2028", "\u2029"
_CELLS = re.compile(r"(\S) ?\u2029 ?(?=\S)")
_SPACES = re.compile(r"[ \t\r\n\f]+")
_BREAKS = re.compile(r" ?\u2028 ?")
_PARAGRAPH_BREAK = re.compile(r"\u2028{2,}")
_NO_BREAK = re.compile(r"(?<!\d)[\xa0\u202f]|[\xa0\u202f](?!\d)")
_INVISIBLE = dict.fromkeys(map(ord, "\xad\u200b\u2060\ufeff"))
_SCENE_BREAK = re.compile(r"[*#~•⁂❦❧☙·∗⁎✦◆◇○●☆★＊※—–\-_=+\s]{1,60}")

_NOTE_MARK = re.compile(
    r"\s{0,9}(?:[\[(【]\s?(?:\d{1,4}|[*†‡§a-z])\s?[\])】]|[*∗†‡§¶‖]{1,4})\s{0,9}"
)
_NUMBER_MARK = re.compile(r"\s{0,9}\d{1,4}\s{0,9}")
_POWER_BEFORE = re.compile(
    r"(?:\d|\)|(?<![^\W\d_])(?:[kcdmµμn]?m|ft|in|yd|mi|s|[b-zA-HJ-Z])|=\s?[a-zA-Z]{1,4})$"
)
_POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(slots=True)
class _Open:
    """An element that is read now.

    Attributes:
        step: of an EPUB CFI, within its parent.
        children: elements in it so far.
        path: steps from the root, once they were needed.
        begins_at: of a link or a raised text, how many pieces were there before it.
    """

    name: str
    step: int
    id: str
    kind: BlockKind
    level: int
    language: str
    is_block: bool
    children: int = 0
    begins_at: int = -1
    path: str = ""
    is_closed: bool = False


class MarkupBlocks:
    """Makes blocks of the elements of one document; see `Elements`.

    Args:
        file: as of `Anchor`.
        language: of what has none of its own.
        wanted: ids whose places are asked for.
        is_page: whether it is a web page, of which `main` or `article` is the text.
    """

    def __init__(
        self,
        file: str,
        language: str,
        options: ReadOptions,
        wanted: Collection[str] = (),
        is_page: bool = False,
    ) -> None:
        self.found = ParsedDocument()
        self._file = file
        self._options = options
        self._wanted = wanted
        self._is_page = is_page
        self._open = [_Open("", 0, "", "paragraph", 0, language, True)]
        self._unread_depth = 0
        self._pieces: list[str] = []
        self._place: str | None = None
        self._typed: list[tuple[_Open, set[str]]] = []
        self._main_depth = 0
        self._of_main: list[Block] = []

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        parent = self._open[-1]
        parent.children += 1
        if self._unread_depth:
            self._unread_depth += 1
            return
        if self._is_unread(name, attributes):
            if name == "math":
                self.add_words(attributes.get("alttext", ""))
            self._unread_depth = 1
            return
        if name in _BLOCKS:
            self._flush()
        opened = self._opened(name, attributes, parent)
        self._open.append(opened)
        if opened.id in self._wanted:
            self.found.places.setdefault(opened.id, len(self.found.blocks))
        types = _words(attributes, ("epub:type", "role"))
        if types and len(self._open) <= _OUTER_DEPTH and not self.found.blocks:
            self._typed.append((opened, types))
        self._main_depth += name in _MAIN
        self._begin_special(name, attributes, opened)

    def end(self, name: str) -> None:
        if self._unread_depth:
            self._unread_depth -= 1
            return
        opened = self._open[-1]
        if opened.begins_at >= 0:
            self._end_raised(opened)
        if opened.is_block:
            self._flush()
        self._main_depth -= name in _MAIN
        self._open.pop().is_closed = True

    def add_words(self, words: str) -> None:
        if self._unread_depth:
            return
        if self._place is None and not words.isspace():
            self._place = self._cfi()
        is_code = self._open[-1].kind == "code"
        self._pieces.append(words.replace("\n", _BREAK) if is_code else words)

    def result(self) -> ParsedDocument:
        """What was found, once the document has ended."""
        self._flush()
        self.found.types = {one for _, types in self._typed for one in types}
        of_main = sum(len(block.text) for block in self._of_main)
        if self._is_page and of_main * 2 > sum(len(block.text) for block in self.found.blocks):
            self.found.blocks = self._of_main
        return self.found

    def _is_unread(self, name: str, attributes: dict[str, str]) -> bool:
        if name in _UNREAD or (self._is_page and name in _OF_PAGES):
            return True
        if "hidden" in attributes or attributes.get("aria-hidden") == "true":
            return True
        if _HIDDEN_STYLE.search(attributes.get("style", "")):
            return True
        return not _LEFT_OUT.isdisjoint(_words(attributes, ("epub:type", "role", "class")))

    def _opened(self, name: str, attributes: dict[str, str], parent: _Open) -> _Open:
        tag = attributes.get("lang", "")
        return _Open(
            name,
            2 * parent.children,
            attributes.get("id") or (attributes.get("name", "") if name == "a" else ""),
            _KINDS.get(name, parent.kind),
            int(name[1]) if name in _HEADINGS else parent.level,
            (tag_of(tag) or parent.language) if tag else parent.language,
            name in _BLOCKS,
        )

    def _begin_special(self, name: str, attributes: dict[str, str], opened: _Open) -> None:
        if name == "br":
            self._pieces.append(_BREAK)
        elif name == "hr":
            self._add_block("scene break", "")
        elif name in ("td", "th"):
            self._pieces.append(_CELL)
        elif name == "img":
            self._add_picture(attributes.get("alt", "").strip())
        elif name == "sup" or (name == "a" and "#" in attributes.get("href", "")):
            opened.begins_at = len(self._pieces)

    def _add_picture(self, description: str) -> None:
        is_initial = len(description) == 1 and description.isupper()
        if is_initial or self._open[-1].kind == "heading":  # words that are drawn
            self.add_words(description)
        elif description and self._options.alt_text:
            self._flush()
            self._add_block("alt text", description)

    def _end_raised(self, opened: _Open) -> None:
        """Leave out the number of a note; keep powers and raised letters."""
        at = opened.begins_at
        text = "".join(self._pieces[at:])
        before = "".join(self._pieces[max(0, at - 3) : at])[-8:]
        if is_note_mark(text, before, is_raised=opened.name == "sup"):
            del self._pieces[at:]
        elif opened.name == "sup":
            self._pieces[at:] = [text.translate(_POWERS)]

    def _flush(self) -> None:
        """End the block that is read now."""
        text, place = "".join(self._pieces), self._place
        self._pieces.clear()
        self._place = None
        if place is None:
            return
        opened = self._open[-1]
        if opened.name == "title":
            self.found.title = " ".join(plain_text(text))
            return
        for paragraph in plain_text(text, is_code=opened.kind == "code"):
            is_break = opened.kind != "code" and _SCENE_BREAK.fullmatch(paragraph)
            self._add_block("scene break" if is_break else opened.kind, paragraph, place)

    def _add_block(self, kind: BlockKind, text: str, place: str = "") -> None:
        opened = self._open[-1]
        if kind == "scene break" and self.found.blocks[-1:] and not self.found.blocks[-1].text:
            return
        anchor = Anchor(self._file, place or self._cfi())
        level = opened.level if kind == "heading" else 0
        text = "" if kind == "scene break" else text
        block = Block(kind, text, anchor, opened.language, level)
        if len(self.found.blocks) >= MAX_BLOCKS:
            raise too_large(
                f"The document {self._file[:200]!r} has more than {MAX_BLOCKS:,} blocks."
            )
        self.found.blocks.append(block)
        self._typed = [typed for typed in self._typed if not typed[0].is_closed]
        if self._main_depth:
            self._of_main.append(block)

    def _cfi(self) -> str:
        """The steps of an EPUB CFI to the innermost element that makes a block."""
        last = len(self._open) - 1
        while not self._open[last].is_block:
            last -= 1
        first = last
        while first > 1 and not self._open[first].path:
            first -= 1
        for index in range(max(2, first + 1), last + 1):
            opened = self._open[index]
            name = f"[{opened.id}]" if _PLAIN_ID.fullmatch(opened.id) else ""
            opened.path = f"{self._open[index - 1].path}/{opened.step}{name}"
        return self._open[last].path or "/"


def plain_text(text: str, is_code: bool = False) -> list[str]:
    """The paragraphs of the words of a block, with plain spaces and breaks as newlines."""
    text = text.translate(_INVISIBLE)
    if not is_code:
        text = _NO_BREAK.sub(" ", _SPACES.sub(" ", text))
        text = _CELLS.sub(lambda found: found[1] + (" " if found[1] in ",.;:!?" else ", "), text)
        text = text.replace(_CELL, " ")
        text = _SPACES.sub(" ", _BREAKS.sub(_BREAK, text))
    parts = [text] if is_code else _PARAGRAPH_BREAK.split(text)
    found = (part.strip(_BREAK + " \xa0").replace(_BREAK, "\n") for part in parts)
    return [part for part in found if part]


def is_note_mark(text: str, before: str, is_raised: bool) -> bool:
    """Whether a link or raised text only leads to a note.

    A raised number behind a unit or another number is a power; a linked number behind a space is
    that of a chapter.

    Args:
        before: the last characters before it.
    """
    if _NOTE_MARK.fullmatch(text):
        return True
    if not _NUMBER_MARK.fullmatch(text):
        return False
    if is_raised:
        return not _POWER_BEFORE.search(before)
    return bool(before) and not before[-1].isspace()


@lru_cache(maxsize=1_024)
def tag_of(tag: str) -> str:
    """A tag as `canonical_tag` has it; "" for what is none."""
    try:
        return canonical_tag(tag.strip().replace("_", "-"))
    except InvalidRequest:
        return ""


def _words(attributes: dict[str, str], names: tuple[str, ...]) -> set[str]:
    return {word for name in names for word in attributes.get(name, "").lower().split()}

"""Reads XHTML and HTML of strangers, element by element, in constant memory.

XML comes first, as books are made of it; what is not well-formed is read as browsers read HTML.
There are no entities but characters by their HTML names: a DOCTYPE is cut off before the parser
sees it, and nothing is fetched.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from html.entities import html5
from typing import Any, Protocol, TypeVar

from f5serve.books.decoding import decode_text
from f5serve.books.limits import bad_book

MAX_DEPTH = 250
MAX_ELEMENTS = 3_000_000

_XML_DECLARATION = re.compile(r"\s*+<\?xml(?:[^?]|\?(?!>))*+\?>")
_DOCTYPE = re.compile(r"<!DOCTYPE", re.IGNORECASE)
_DOCTYPE_PART = re.compile(
    r"""[^\[\]"'<>]++|"[^"]*+"|'[^']*+'|<!--(?:[^-]|-(?!->))*+-->|<|[\[\]>]"""
)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
_OF_XML = frozenset(("amp", "lt", "gt", "quot", "apos"))
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SELF_CLOSED = re.compile(
    r"<(a|b|cite|div|em|h[1-6]|i|p|q|s|script|section|span|strong|style|sub|sup|td|textarea|title)"
    r"((?:\s[^<>]{0,2000})?)/>",
    re.IGNORECASE,
)
_EPUB_TYPE = ("{http://www.idpf.org/2007/ops}type", "epub:type")
_PIECE_BYTES = 65_536


class Elements(Protocol):
    """What is done with elements and words, in the order of the document."""

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """An element; names are in lower case and without a prefix, but for epub:type."""
        ...

    def end(self, name: str) -> None: ...

    def add_words(self, words: str) -> None: ...


E = TypeVar("E", bound=Elements)


def markup_text(data: bytes, what: str) -> str:
    """A document as text for `read_markup`.

    Args:
        what: for errors, as "The chapter 'text/ch1.xhtml'".

    Raises:
        InvalidRequest: BAD_BOOK.
    """
    text = decode_text(data, what, is_markup=True)
    text = _NOT_XML.sub("\ufffd", text)
    declaration = _XML_DECLARATION.match(text)
    return _with_characters(_without_doctype(text[declaration.end() if declaration else 0 :]))


def _without_doctype(text: str) -> str:
    """The document without its DOCTYPE and whatever that declares."""
    found = _DOCTYPE.search(text)
    if not found:
        return text
    is_inner, at = 0, found.end()
    while part := _DOCTYPE_PART.match(text, at):
        at = part.end()
        is_inner += {"[": 1, "]": -1}.get(part[0], 0)
        if part[0] == ">" and is_inner <= 0:
            return text[: found.start()] + text[at:]
    return text[: found.start()] + text[found.end() :].partition(">")[2]  # it does not end


def _with_characters(text: str) -> str:
    """Characters for their names, as &nbsp; and &eacute;; the five of XML itself stay."""

    def character(match: re.Match[str]) -> str:
        name = match[1]
        found = None if name in _OF_XML else html5.get(f"{name};")
        return match[0] if found is None else html.escape(found)

    return _ENTITY.sub(character, text)


def read_markup(text: str, make: Callable[[], E], what: str) -> E:
    """Hand every element and all words of a document to what `make` makes, and return that.

    Args:
        text: as `markup_text` returns it.
        make: called again where the document is no XML.
        what: for errors, as "The chapter 'text/ch1.xhtml'".

    Raises:
        InvalidRequest: BAD_BOOK beyond a limit, or where not even HTML can be read in it; what the
            elements raise.
    """
    from lxml import etree

    safe: dict[str, Any] = {"encoding": "utf-8", "no_network": True, "huge_tree": False}
    elements = make()
    target = _Target(elements, what)
    try:
        _feed(etree.XMLParser(target=target, resolve_entities=False, load_dtd=False, **safe), text)
        return elements
    except (etree.XMLSyntaxError, _TooDeep) as error:
        reason = str(error.msg if isinstance(error, etree.XMLSyntaxError) else error)
    elements = make()
    target = _Target(elements, what)
    try:
        _feed(etree.HTMLParser(target=target, **safe), _SELF_CLOSED.sub(r"<\1\2></\1>", text))
    except (etree.XMLSyntaxError, _TooDeep) as error:
        target.count, reason = 0, str(error)
    if not target.count:
        raise bad_book(f"{what} cannot be read: {reason}.")
    return elements


def _feed(parser: Any, text: str) -> None:
    data = text.encode()
    for start in range(0, len(data), _PIECE_BYTES):
        parser.feed(data[start : start + _PIECE_BYTES])
    parser.close()


class _TooDeep(Exception):
    """Elements are too deep; of what is no XML they may be unclosed."""


class _Target:
    """Calls `Elements` with plain names, within limits."""

    def __init__(self, elements: Elements, what: str) -> None:
        self._elements = elements
        self._what = what
        self._depth = 0
        self.count = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        self.count += 1
        if self._depth > MAX_DEPTH:
            raise _TooDeep(f"it has elements more than {MAX_DEPTH:,} deep")
        if self.count > MAX_ELEMENTS:
            raise bad_book(f"{self._what} has more than {MAX_ELEMENTS:,} elements.")
        named = {_attribute(name): value for name, value in attributes.items()}
        self._elements.begin(_local(tag), named)

    def end(self, tag: str) -> None:
        self._depth -= 1
        self._elements.end(_local(tag))

    def data(self, words: str) -> None:
        self._elements.add_words(words)

    def close(self) -> None:
        pass


@lru_cache(maxsize=1_024)
def _local(name: str) -> str:
    return name.rpartition("}")[2].rpartition(":")[2].lower()


@lru_cache(maxsize=1_024)
def _attribute(name: str) -> str:
    return "epub:type" if name in _EPUB_TYPE else _local(name)

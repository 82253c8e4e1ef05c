"""Reads SSML as XML: elements and words with their places in the text that was sent.

No DOCTYPE is accepted, so there are no entities but those of XML itself, and nothing is fetched.
"""

from __future__ import annotations

import re
from typing import Protocol
from xml.parsers import expat

from f5serve.errors import InvalidRequest
from f5serve.text.clean import refuse_broken_unicode
from f5serve.text.mapped_text import MappedText
from f5serve.text.script import MAX_TAGS

MAX_DEPTH = 32
MAX_ATTRIBUTE_CHARS = 500

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PROLOG = re.compile(r"(?:\s++|<\?(?:[^?]|\?(?!>))*+\?>|<!--(?:[^-]|-(?!->))*+-->)*+")
_ROOT = re.compile(r"<(?:[\w.-]{1,64}:)?speak(?=[\s/>])|<!DOCTYPE", re.IGNORECASE)
_BEGIN, _END = "<speak>", "</speak>"
_HINTS = {
    expat.errors.XML_ERROR_UNDEFINED_ENTITY: "XML has &amp;, &lt;, &gt;, &quot; and &apos; only; "
    "write other characters as they are, or as &#233;.",
    expat.errors.XML_ERROR_INVALID_TOKEN: "Write & as &amp; and < as &lt; where they are text.",
    expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT: "Put all of it into one <speak> element.",
}


class Elements(Protocol):
    """What is done with elements and words, in the order of the text.

    `at` is the place of a tag in the text.
    """

    def begin(self, name: str, attributes: dict[str, str], at: int) -> None: ...

    def end(self, at: int) -> None: ...

    def add_words(self, words: MappedText) -> None: ...


def place_of(text: str, at: int) -> str:
    """A place in a text as editors name it: "line 2, column 14"."""
    return f"line {text.count(chr(10), 0, at) + 1:,}, column {at - text.rfind(chr(10), 0, at):,}"


def bad_ssml(message: str, hint: str) -> InvalidRequest:
    """The error for SSML that cannot be read; code BAD_SSML."""
    return InvalidRequest(message, code="BAD_SSML", hint=hint)


def read_ssml(text: str, elements: Elements) -> None:
    """Hand every element and all words of a text to `elements`.

    Names are in lower case and without a prefix, attributes as they are. A text without a `speak`
    element is read as if it were in one.

    Raises:
        InvalidRequest: BAD_SSML for what is not well-formed or beyond a limit; BAD_UNICODE; what
            `elements` raises.
    """
    refuse_broken_unicode(text)
    stray = _NOT_XML.search(text)
    if stray:
        raise bad_ssml(
            f"The SSML has the character U+{ord(stray[0]):04X} at {place_of(text, stray.start())}.",
            "XML has no control characters; leave it out.",
        )
    _Reader(text, elements).run()


class _Reader:
    """One run of expat over one text."""

    def __init__(self, text: str, elements: Elements) -> None:
        self._text = text
        self._mapped = MappedText.of(text)
        self._elements = elements
        self._skipped = len(text) - len(text.lstrip("\ufeff \t\r\n"))
        document = text[self._skipped :]
        prolog = _PROLOG.match(document)
        self._root_at = prolog.end() if prolog else 0
        self._is_wrapped = not _ROOT.match(document, self._root_at)
        if self._is_wrapped:
            document = f"{document[: self._root_at]}{_BEGIN}{document[self._root_at :]}{_END}"
        self._data = document.encode()
        self._is_ascii = document.isascii()
        self._bytes = self._chars = 0  # how far bytes were counted as characters
        self._count = 0
        self._open: list[int] = []
        self._is_cdata = False
        self._parser = expat.ParserCreate("utf-8")

    def run(self) -> None:
        parser = self._parser
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add_words
        parser.StartCdataSectionHandler = lambda: self._set_cdata(True)
        parser.EndCdataSectionHandler = lambda: self._set_cdata(False)
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        try:
            parser.Parse(self._data, True)
        except expat.ExpatError as error:
            raise self._malformed(error) from None

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        at = self._at()
        self._open.append(at)
        if self._is_wrapped and len(self._open) == 1:
            return
        self._count += 1
        if self._count > MAX_TAGS:
            raise self._error(
                f"The SSML has more than {MAX_TAGS:,} elements", at, "Send it in parts."
            )
        if len(self._open) > MAX_DEPTH + self._is_wrapped:
            hint = "Use fewer elements within one another."
            raise self._error(f"The SSML is more than {MAX_DEPTH} elements deep", at, hint)
        for key, value in attributes.items():
            if len(key) + len(value) > MAX_ATTRIBUTE_CHARS:
                what = f"An attribute has {len(key) + len(value):,} characters"
                raise self._error(what, at, f"{MAX_ATTRIBUTE_CHARS} is the limit.")
        self._elements.begin(_local(name), attributes, at)

    def _end(self, name: str) -> None:
        self._open.pop()
        if self._open or not self._is_wrapped:
            self._elements.end(self._at())

    def _add_words(self, words: str) -> None:
        """Text, of which expat has a reference, a line end and other characters in calls apart."""
        at = self._at()
        found = self._mapped[at : at + len(words)]
        if self._text[at] == "&" and not self._is_cdata:
            end = self._text.index(";", at) + 1
            found = MappedText(words, ((at, end),) * len(words))
        elif self._text.startswith("\r", at):
            end = at + (2 if self._text.startswith("\r\n", at) else 1)
            found = MappedText(words, ((at, end),))
        self._elements.add_words(found)

    def _set_cdata(self, is_cdata: bool) -> None:
        self._is_cdata = is_cdata

    def _refuse_doctype(self, *_: object) -> None:
        hint = "Leave it out: SSML needs none, and entities are not read."
        at = self._text.rfind("<!DOCTYPE", 0, self._at() + 1)
        raise self._error("The SSML has a DOCTYPE", at, hint)

    def _at(self) -> int:
        """The place of what is read now."""
        index = self._parser.CurrentByteIndex
        if not self._is_ascii:
            self._chars += len(self._data[self._bytes : index].decode())
            self._bytes = index
            index = self._chars
        return self._place(index)

    def _place(self, index: int) -> int:
        """The place in the text of a character of the document."""
        if self._is_wrapped and index > self._root_at:
            index = max(self._root_at, index - len(_BEGIN))
        return min(index + self._skipped, len(self._text))

    def _malformed(self, error: expat.ExpatError) -> InvalidRequest:
        reason = expat.ErrorString(error.code) or "unknown error"
        before = self._data[: max(0, self._parser.ErrorByteIndex)].decode(errors="ignore")
        hint = _HINTS.get(reason, "")
        depth = self._is_wrapped
        if not hint and len(self._open) > depth:
            opened = place_of(self._text, self._open[-1])
            hint = f"The element that begins at {opened} must be closed first."
        at = self._place(len(before))
        if self._text.endswith("</", 0, at):  # expat counts from the name of an end tag
            at -= len("</")
        reason = reason.removeprefix("not well-formed (").removesuffix(")")
        return bad_ssml(
            f"The SSML is not well-formed at {place_of(self._text, at)}: {reason}.",
            hint or "Close each tag once.",
        )

    def _error(self, what: str, at: int, hint: str) -> InvalidRequest:
        return bad_ssml(f"{what} at {place_of(self._text, at)}.", hint)


def _local(name: str) -> str:
    return name.rpartition(":")[2].lower()

"""Puts words, pauses and marks of SSML together as parts of a script."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from f5serve.text.mapped_text import MappedText
from f5serve.text.script import MAX_VOICES, Mark, Part
from f5serve.text.ssml_reader import bad_ssml, place_of

_SPACES = str.maketrans("\t\n\r", "   ")
_ENTITY = r"(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
_MARKUP = re.compile(rf"[<\uff1c\ufe64](?=[^\W\d_]|[/!\uff0f\uff01])|&(?={_ENTITY})")
"""What cleaning would take for the beginning of a tag or an entity."""

_LONGEST_ENTITY = 40
_TAG = re.compile(r"[\[{]")
_CLOSING = re.compile(r"\s*+[.,;:!?…。、，！？；：)\]}»”’」』）]++")


@dataclass(frozen=True, slots=True)
class Manner:
    """How words are spoken; attributes as of `Part`."""

    voice: str = ""
    style: str = ""
    speed: float | None = None


class PartBuilder:
    """The parts so far, and the one that grows.

    Only letters and digits begin a part: marks of punctuation go with the words before them.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._parts: list[Part] = []
        self._pieces: list[MappedText] = []
        self._length = 0
        self._last = ""  # character of the pieces
        self._manner: Manner | None = None  # of the words in the pieces; None while there are none
        self._marks: list[Mark] = []
        self._used: set[tuple[str, str]] = set()

    def add_words(self, words: MappedText, manner: Manner) -> None:
        """Text as it is to be read: what looks like markup stays text."""
        words = _plain(words)
        self._turn_to(words.text, words.spans[0][0], manner)
        self._append(self._literal(words))

    def add_tagged(
        self, begin: MappedText, words: MappedText, end: MappedText, manner: Manner, spoken: str
    ) -> None:
        """Words within tags that pass cleaning.

        Args:
            spoken: what is spoken for them.
        """
        self._turn_to(spoken, begin.spans[0][0], manner)
        self._append(begin)
        self._append(self._literal(_plain(words)))
        self._append(end)

    def add_gap(self, gap: MappedText) -> None:
        """An empty line, which ends a sentence."""
        self._append(gap)

    def add_mark(self, name: str) -> None:
        """A mark before the words that follow in the part, or behind its last ones."""
        self._marks.append(Mark(name, self._length))

    def add_pause(self, seconds: float) -> float:
        """Silence; returns all of it that there is in this place, in seconds."""
        if self._manner is not None:
            self._end_part()
        if not self._parts:
            self._parts.append(Part(MappedText("", ())))
        last = self._parts[-1]
        pause_s = round((last.pause_s or 0.0) + seconds, 3)
        self._parts[-1] = replace(last, pause_s=pause_s)
        return pause_s

    def finish(self) -> tuple[Part, ...]:
        """All parts; what has no words at the end goes with the last ones."""
        if self._manner is not None:
            self._end_part()
        elif self._parts:
            self._join_to_last(MappedText.join(self._pieces))
            last = self._parts[-1]
            ending = (Mark(mark.name, len(last.text.text)) for mark in self._marks)
            self._parts[-1] = replace(last, marks=(*last.marks, *ending))
        elif any(piece.text.strip() for piece in self._pieces):
            self._manner = Manner()
            self._end_part()
        return tuple(self._parts)

    def _turn_to(self, words: str, at: int, manner: Manner) -> None:
        """Begin another part if these words are spoken in another way."""
        if not any(map(str.isalnum, words)):
            return
        if self._manner is not None and self._manner != manner:
            self._end_part(is_followed=True)
        self._manner = manner
        self._used.add((manner.voice.lower(), manner.style))
        if len(self._used) > MAX_VOICES:
            what = f"The SSML has more than {MAX_VOICES} voices and styles"
            raise bad_ssml(f"{what} at {place_of(self._text, at)}.", "Send it in parts.")

    def _literal(self, words: MappedText) -> MappedText:
        """Words with a space behind what would be taken for the beginning of markup, and with a
        backslash before brackets that could begin a tag."""
        words = words.sub(_MARKUP, lambda match: f"{match[0]} ").sub(_TAG, lambda m: f"\\{m[0]}")
        if self._last and _MARKUP.match(self._last + words.text[:_LONGEST_ENTITY]):
            words = MappedText(f" {words.text}", (words.spans[0], *words.spans))
        return words

    def _append(self, piece: MappedText) -> None:
        if piece.text:
            self._pieces.append(piece)
            self._length += len(piece.text)
            self._last = piece.text[-1]

    def _end_part(self, is_followed: bool = False) -> None:
        """The pieces become a part; marks of punctuation before its first word go to the last.

        Args:
            is_followed: words follow without a pause, so marks behind the last word are theirs.
        """
        text = MappedText.join(self._pieces)
        closing = _CLOSING.match(text.text) if self._parts else None
        begin = closing.end() if closing else 0
        self._join_to_last(text[:begin])
        begin += len(text.text) - begin - len(text.text[begin:].lstrip())
        manner = self._manner or Manner()
        text = text[begin:].strip()
        marks = list(_moved(self._marks, begin, len(text.text)))
        self._marks = []
        while is_followed and marks and marks[-1].at == len(text.text):
            self._marks.insert(0, Mark(marks.pop().name, 0))
        part = Part(text, manner.voice, manner.style, manner.speed, marks=tuple(marks))
        self._parts.append(part)
        self._pieces = []
        self._length, self._last, self._manner = 0, "", None

    def _join_to_last(self, text: MappedText) -> None:
        text = text.strip()
        if text.text and self._parts and self._parts[-1].text.text:
            last = self._parts[-1]
            self._parts[-1] = replace(last, text=MappedText.join([last.text, text]))


def _plain(words: MappedText) -> MappedText:
    """Words without line ends: an empty line in SSML ends no sentence."""
    return MappedText(words.text.translate(_SPACES), words.spans)


def _moved(marks: Iterable[Mark], begin: int, length: int) -> Iterable[Mark]:
    return (Mark(mark.name, min(max(mark.at - begin, 0), length)) for mark in marks)

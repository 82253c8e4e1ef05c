"""How a model expects its text, where that differs from F5-TTS."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextTreatment:
    """What the texts that a model was trained on had in common.

    Attributes:
        lower_case: no capital letters; done here.
        prefix: a line of the vocabulary that stands before each text, such as a dialect; done here.
        numbers_as_words: no digits; text normalization does it, unless it is switched off.
        stress_marks: a mark at each stressed vowel; the caller has to write them.
        respelling: how words are respelled, such as "in IPA", or empty; the caller has to do it.
    """

    lower_case: bool = False
    prefix: str = ""
    numbers_as_words: bool = False
    stress_marks: bool = False
    respelling: str = ""

    @property
    def left_to_caller(self) -> tuple[str, ...]:
        """What a text has to have before it comes here, in a few words each."""
        asked = (
            (self.stress_marks, "stress marks"),
            (bool(self.respelling), f"words respelled {self.respelling}"),
        )
        return tuple(words for is_asked, words in asked if is_asked)

    def spell(self, text: str) -> str:
        """`text` in the letters that the model knows: as many characters as before."""
        return "".join(map(_lower, text)) if self.lower_case else text

    def as_written(self, lacking: list[str], text: str) -> list[str]:
        """The characters of `text` that these, of `spell(text)`, were written as."""
        written: dict[str, dict[str, None]] = {}
        for char, spelled in zip(text, self.spell(text), strict=True):
            written.setdefault(spelled, {})[char] = None
        return [char for spelled in lacking for char in written.get(spelled, (spelled,))]


AS_WRITTEN = TextTreatment()
"""What most models expect."""


def _lower(char: str) -> str:
    lower = char.lower()
    return lower if len(lower) == 1 else char  # a capital I with a dot has two

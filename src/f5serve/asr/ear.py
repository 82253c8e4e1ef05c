"""A recogniser together with the comparison of its words with the expected ones."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from f5serve.asr.wording import compare, looks_english, match, traced_words, units
from f5serve.asr_types import Recogniser, Transcript, WordErrors
from f5serve.types import Wave, WordTiming


class Ear:
    """Hears, and compares with what was meant.

    Args:
        recogniser: what hears.
    """

    def __init__(self, recogniser: Recogniser) -> None:
        self.recogniser = recogniser

    @property
    def model(self) -> str:
        """Name of the recogniser's model."""
        return self.recogniser.model

    def language_of(self, text: str, language: str = "") -> str | None:
        """What to listen for, "" for whatever it turns out to be; None: it would not understand.

        Where the language is not told, a recogniser that knows English alone is used for what is
        English beyond doubt.
        """
        if self.recogniser.understands(language):
            return language
        is_guessed = not language and self.recogniser.understands("en") and looks_english(text)
        return "en" if is_guessed else None

    def hear(
        self,
        wave: Wave,
        language: str = "",
        *,
        word_times: bool = False,
        check: Callable[[], None] | None = None,
    ) -> Transcript:
        """See `Recogniser.hear`."""
        return self.recogniser.hear(wave, language, word_times=word_times, check=check)

    def compare(
        self,
        wave: Wave,
        text: str,
        language: str = "",
        check: Callable[[], None] | None = None,
    ) -> WordErrors | None:
        """How far what is heard in `wave` is from `text`; None for a language it does not know.

        Raises:
            ModelUnavailable: as `Recogniser.hear`.
        """
        listened = self.language_of(text, language)
        if listened is None:
            return None
        heard = self.hear(wave, listened, check=check)
        return compare(text, heard.text, heard.language)

    def words_of(self, wave: Wave, text: str, language: str = "") -> tuple[WordTiming, ...]:
        """The words of `text` in order, with their places in `wave`; none in an unknown language.

        Words are those between spaces, characters in scripts without spaces. One that was not
        heard, or as another word, has confidence 0 and no length.

        Raises:
            ModelUnavailable: as `Recogniser.hear`.
        """
        listened = self.language_of(text, language)
        if listened is None:
            return ()
        heard = self.hear(wave, listened, word_times=True)
        return place(text, heard)


def place(text: str, heard: Transcript) -> tuple[WordTiming, ...]:
    """The words of `text` at the places where they were heard; see `Ear.words_of`."""
    meant = traced_words(text, heard.language)
    found = [
        (part, word) for word in heard.words for part, _ in traced_words(word.word, heard.language)
    ]
    steps = list(match([part for part, _ in meant], [part for part, _ in found]))
    step_of = {i: step for step in steps for i in step.meant}
    placed: list[WordTiming] = []
    for word, (start, end) in units(text):
        first = bisect_right(meant, start, key=lambda each: each[1][1])
        behind = bisect_left(meant, end, key=lambda each: each[1][0])
        taken = list(dict.fromkeys(step_of[i] for i in range(first, behind)))
        sounds = [found[j][1] for step in taken for j in step.heard]
        if sounds and not any(step.cost for step in taken):
            placed.append(_span(word, sounds))
        else:
            after_s = placed[-1].end_s if placed else 0.0
            placed.append(WordTiming(word, after_s, after_s, 0.0))
    return tuple(placed)


def _span(word: str, heard: Sequence[WordTiming]) -> WordTiming:
    return WordTiming(
        word,
        min(each.start_s for each in heard),
        max(each.end_s for each in heard),
        min(each.confidence for each in heard),
    )

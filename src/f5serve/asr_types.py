"""Types of speech recognition: a transcript, word errors against a text, quality checks.

    Wave -> Transcript;  text + Transcript -> WordErrors;  [WordErrors] -> Verification

All are frozen, as those in `types`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from f5serve.types import Wave, WordTiming


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """Words that a recogniser understood at once, a sentence or less.

    Attributes:
        text: as the model writes it, mostly with a space in front.
        start_s, end_s: its place in the wave, seconds.
        tokens: of the model.
        temperature: that they were chosen with.
        log_probability: mean of the tokens.
        compression_ratio: of the text; it is high where the model repeats itself.
        no_speech: 0..1, how probable it is that there is no speech.
    """

    text: str
    start_s: float
    end_s: float
    tokens: tuple[int, ...]
    temperature: float
    log_probability: float
    compression_ratio: float
    no_speech: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a recogniser understood of a wave.

    Attributes:
        text: the words, one line; "" when there were none.
        language: ISO 639-1 code of the language that it was taken for.
        confidence: 0..1, the mean probability of the words.
        words: each with its place; empty unless it was asked for.
        segments: the text in parts.
        is_cut: whether words were left out because the model seemed to repeat itself, which looks
            the same where the same is said several times within half a minute.
    """

    text: str
    language: str
    confidence: float
    words: tuple[WordTiming, ...] = ()
    segments: tuple[TranscriptSegment, ...] = ()
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Words of a text beside the words of a transcript.

    Attributes:
        words: number of words of the text.
        errors: substitutions, deletions and insertions that make the transcript of it.
        differing: the places where they differ, each as (text, transcript); one may be empty.
    """

    words: int
    errors: int
    differing: tuple[tuple[str, str], ...] = ()

    @property
    def rate(self) -> float:
        """Word error rate: 0 for equal words; above 1 where the transcript has many more."""
        return self.errors / max(1, self.words)


class Recogniser(Protocol):
    """Waves to transcripts. `asr.Whisper` is a recogniser; it may be used by many threads.

    Attributes:
        model: id of its model, e.g. "tiny.en".
        can_translate: whether its model was trained to translate into English.
    """

    @property
    def model(self) -> str: ...
    @property
    def can_translate(self) -> bool: ...

    def supports(self, language: str) -> bool:
        """Whether it knows a language, ISO 639-1; "": whether it can detect which one is spoken."""
        ...

    def transcribe(  # noqa: PLR0913 - all that Whisper can be asked
        self,
        wave: Wave,
        language: str = "",
        *,
        word_times: bool = False,
        prompt: str = "",
        translate: bool = False,
        check: Callable[[], None] | None = None,
    ) -> Transcript:
        """The words of a wave of any sample rate.

        Args:
            language: that is spoken, ISO 639-1; "" detects it.
            prompt: text that might come before; names in it are spelled as they are there. Its end
                counts where it is too long for the model.
            translate: write them in English; only if `can_translate`. `Transcript.language` is the
                one that is spoken all the same.
            check: called while it waits for other waves, and after each half minute of sound; what
                it raises is raised.

        Raises:
            ModelUnavailable: the recogniser cannot be loaded.
        """
        ...


@dataclass(frozen=True, slots=True)
class UtteranceCheck:
    """Word errors of one utterance.

    Attributes:
        words, errors: as in `WordErrors`, of the attempt that was kept.
        attempts: how often it was synthesized.
        seed: of that attempt.
    """

    words: int
    errors: int
    attempts: int
    seed: int

    @property
    def rate(self) -> float:
        """Word error rate."""
        return self.errors / max(1, self.words)


@dataclass(frozen=True, slots=True)
class Verification:
    """Word errors of speech, by the recogniser that transcribed it.

    Attributes:
        model: of the recogniser.
        max_error_rate: above which an utterance was spoken again.
        utterances: those that were heard, in order of the text.
    """

    model: str
    max_error_rate: float
    utterances: tuple[UtteranceCheck, ...]

    @property
    def rate(self) -> float:
        """Word error rate of all of them together."""
        errors = sum(one.errors for one in self.utterances)
        return errors / max(1, sum(one.words for one in self.utterances))

    @property
    def attempts(self) -> int:
        """How many utterances were made to get them."""
        return sum(one.attempts for one in self.utterances)

    @property
    def passed(self) -> bool:
        """Whether each of them is good enough."""
        return all(one.rate <= self.max_error_rate for one in self.utterances)

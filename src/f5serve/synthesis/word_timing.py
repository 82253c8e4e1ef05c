"""When words are heard: in utterances while later ones are synthesized, and in recordings."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import pairwise

from f5serve.alignment.aligners import Aligners
from f5serve.alignment.words import SpokenForm, assign_words, split_words, written_times
from f5serve.audio.decode import LONG, decode
from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.process import Check, wait_all
from f5serve.text.clean import clean_text
from f5serve.text.language import language_of
from f5serve.text.spoken import as_written
from f5serve.types import Alignment, Utterance, Wave, WordTiming

MOST_WAITING = 32
"""Utterances whose words are not timed yet: some minutes of speech."""


@dataclass(frozen=True, slots=True)
class TimingResult:
    """Times of words.

    Attributes:
        warnings: what is to be said about them.
        waited_s: how long the request had to wait for them.
        counts: words of each utterance.
    """

    alignment: Alignment
    warnings: tuple[str, ...] = ()
    waited_s: float = 0.0
    counts: tuple[int, ...] = ()


class WordTimingCollector:
    """Times the utterances of one request.

    Args:
        languages: of each utterance, ISO 639-1, or "".
        names_voices: whether words say whose they are.
        on_words: see `SynthesisHooks`.
    """

    def __init__(
        self,
        aligners: Aligners,
        utterances: Sequence[Utterance],
        languages: Sequence[str],
        names_voices: bool = False,
        on_words: Callable[[Sequence[WordTiming]], None] | None = None,
    ) -> None:
        self._aligners = aligners
        self._utterances = utterances
        self._languages = languages
        self._names_voices = names_voices
        self._started: dict[int, Future[Alignment]] = {}
        self._waiting: list[Future[Alignment]] = []
        self._on_words = on_words
        self._lock = threading.Lock()
        self._starts_s: Sequence[float] = ()
        self._reported = 0

    def add(self, index: int, wave: Wave, check: Check | None = None) -> None:
        """Begin with an utterance that is finished; waits where too much sound is not timed yet."""
        self._waiting = [started for started in self._waiting if not started.done()]
        if len(self._waiting) >= MOST_WAITING:  # each holds its sound
            wait_all(self._waiting[: -MOST_WAITING + 1], check)
        one = self._utterances[index]
        text = as_written(one.text, one.written, one.spans)
        self._started[index] = self._aligners.submit(wave, text, self._languages[index])
        self._waiting.append(self._started[index])
        if self._on_words is not None:
            self._started[index].add_done_callback(lambda _: self._report())

    def place(self, starts_s: Sequence[float]) -> None:
        """Note where the first utterances begin in the whole, seconds."""
        self._starts_s = starts_s
        self._report()

    def _report(self) -> None:
        """Pass on the words of utterances whose times and places are known, in order."""
        with self._lock:
            while (on_words := self._on_words) and self._reported < len(self._starts_s):
                index = self._reported
                started = self._started.get(index)
                if started is None or not started.done() or started.cancelled():
                    return
                error = started.exception()
                if error is not None and not isinstance(error, ModelUnavailable):
                    return  # `result` raises it
                found = self._words(_found(started), self._utterances[index])
                self._reported += 1
                if found.words:
                    on_words(concatenate([found], [self._starts_s[index]]).words)

    def result(self, starts_s: Sequence[float], check: Check | None = None) -> TimingResult:
        """Wait for all, and put them where their utterances begin.

        Args:
            check: called ten times a second; what it raises comes out.
        """
        began = time.perf_counter()
        wait_all(self._started.values(), check)
        waited_s = time.perf_counter() - began
        found = [
            self._words(_found(self._started[index]), utterance)
            for index, utterance in enumerate(self._utterances)
        ]
        whole = concatenate(found, starts_s)
        counts = tuple(len(one.words) for one in found)
        return TimingResult(whole, self._warnings(found), waited_s, counts)

    def _words(self, found: Alignment, utterance: Utterance) -> Alignment:
        found = written_words(found, utterance)
        if not self._names_voices:
            return found
        name = utterance.voice.name
        return replace(found, words=tuple(replace(word, voice=name) for word in found.words))

    def end(self) -> None:
        """Start nothing more: the result is not wanted."""
        self._on_words = None
        for future in self._started.values():
            future.cancel()

    def _warnings(self, found: Sequence[Alignment]) -> tuple[str, ...]:
        missing = [index for index, alignment in enumerate(found) if not alignment.words]
        texts = {index: self._utterances[index].text for index in missing}
        with_words = [index for index in missing if any(map(str.isalnum, texts[index]))]
        if not with_words:
            return ()
        first = with_words[0]
        reason = self._aligners.unavailable_reason(texts[first], self._languages[first])
        if len(missing) == len(found):
            return (f"There are no word timings. {reason}",)
        which = f"{len(with_words)} of {len(found)} utterances"
        return (f"The words of {which} have no timings. {reason}",)


def written_words(found: Alignment, utterance: Utterance) -> Alignment:
    """The times of the words of an utterance as its author wrote them: "$5" for "five dollars"."""
    if not utterance.spans or not found.words:
        return found
    spans, times, end = [], [], 0
    for word in found.words:
        start = utterance.text.find(word.word, end)
        if start < 0:
            continue
        end = start + len(word.word)
        places = utterance.spans[start:end]
        spans.append((min(a for a, _ in places), max(b for _, b in places)))
        times.append((word.start_s, word.end_s, word.confidence))
    words, word_index = assign_words(split_words(utterance.written), spans)
    form = SpokenForm(words, ("",) * len(times), word_index)
    return replace(found, words=written_times(form, times))


def _found(started: Future[Alignment]) -> Alignment:
    try:
        return started.result()
    except ModelUnavailable:  # it is in the log; speech without timings is better than none
        return Alignment()


def concatenate(found: Sequence[Alignment], starts_s: Sequence[float]) -> Alignment:
    """Alignments of utterances that follow one another, as one; no word begins before the last."""
    words: list[WordTiming] = []
    for alignment, start_s in zip(found, starts_s, strict=True):
        words += [
            replace(w, start_s=w.start_s + start_s, end_s=w.end_s + start_s)
            for w in alignment.words
        ]
    # Where two utterances fade into one another, the first one's end is hardly heard.
    cut = [replace(left, end_s=min(left.end_s, max(right.start_s, left.start_s)))
           for left, right in pairwise(words)]  # fmt: skip
    methods = list(dict.fromkeys(alignment.method for alignment in found if alignment.method))
    if not words:
        return Alignment()
    sure = [alignment.confidence for alignment in found]
    return Alignment((*cut, words[-1]), "+".join(methods), sum(sure) / len(sure))


MAX_TEXT_CHARS = 50_000
"""About an hour of speech, which is more than a recording may have."""


@dataclass(frozen=True, slots=True)
class RecordingAlignment:
    """Where the words of a recording are heard in it.

    Attributes:
        duration_s: of the recording.
        text: as it was understood.
        language: assumed for it, ISO 639-1; "" if unknown.
        found: with at least one word.
    """

    duration_s: float
    text: str
    language: str
    found: Alignment


@dataclass(frozen=True, slots=True)
class Recording:
    """Any format that `decode` reads, and what errors call it."""

    data: bytes
    display_name: str = "the recording"


def align(
    aligners: Aligners,
    recording: Recording,
    text: str,
    language: str = "",
    check: Callable[[], None] | None = None,
) -> RecordingAlignment:
    """Find the words of `text` in a recording; blocks, for about a fortieth of its length.

    Args:
        recording: up to `LONG`.
        language: that is spoken, ISO 639-1, or "".
        check: called ten times a second while words are looked for; what it raises ends the work
            and comes out.

    Raises:
        ModelUnavailable: NOT_BUILT where no aligner is installed; ALIGNER_FAILED.
        InvalidRequest: as `clean_text`; NOT_ALIGNED.
        BadAudio: as `decode`.
    """
    text = clean_text(text, MAX_TEXT_CHARS)
    if not aligners.is_available:
        raise ModelUnavailable(
            "No aligner for word timings is available.",
            code="NOT_BUILT",
            hint=aligners.unavailable_reason(text, language),
        )
    wave = decode(recording.data, LONG)
    if check is not None:
        check()
    found = aligners.align(wave, text, language, check)
    if not found.words:
        raise InvalidRequest(
            f"The text could not be aligned with {recording.display_name}.",
            code="NOT_ALIGNED",
            hint=f"{aligners.unavailable_reason(text, language)}"
            " Check that the recording contains this text.",
        )
    return RecordingAlignment(wave.duration_s, text, language_of(text, language), found)

"""Hooks of one synthesis call, and the collector that passes waves on in order of the text."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np

from f5serve.audio.edit import remove_silence, scale
from f5serve.audio.encode import FileEncoder
from f5serve.audio.join import Joiner, TrimmedWave, trim_wave
from f5serve.errors import EngineFailed
from f5serve.synthesis.checkpoints import Checkpoints
from f5serve.synthesis.speech_plan import SpeechPlan
from f5serve.synthesis.word_timing import WordTimingCollector
from f5serve.types import Utterance, Wave, WordTiming


@dataclass(frozen=True, slots=True)
class SynthesisHooks:
    """Callbacks of one synthesis call; all but `check` and `on_words` run in the calling thread.

    Attributes:
        on_progress: gets the number of finished utterances and of all.
        on_chunk: gets the speech in order, each part as soon as it is final.
        on_words: gets the words of each utterance in order, once their times are known and its
            speech has begun to be passed on; in any thread.
        check: called before each ODE step, in any thread; what it raises ends the
            work and comes out of `synthesize`.
        deadline: `time.monotonic()` by which the speech is wanted; sets the priority.
        checkpoints: finished utterances, of an earlier attempt or of the same book.
    """

    on_progress: Callable[[int, int], None] | None = None
    on_chunk: Callable[[Wave], None] | None = None
    on_words: Callable[[Sequence[WordTiming]], None] | None = None
    check: Callable[[], None] | None = None
    deadline: float | None = None
    checkpoints: Checkpoints | None = None


class OutputCollector:
    """Joins finished waves in order of the text, passes them on and encodes them.

    Args:
        file: empty, open for reading and writing, with a file descriptor.

    Attributes:
        done: indices of finished utterances.
        first_at: `time.perf_counter()` when the first utterance was there, 0 before.
        encode_s: seconds that encoding has taken.
        samples: of the speech so far.
        kept: finished waves by index, where parts have several takes.
    """

    def __init__(
        self,
        plan: SpeechPlan,
        hooks: SynthesisHooks,
        timer: WordTimingCollector | None,
        file: IO[bytes],
    ) -> None:
        self.first_at = self.encode_s = 0.0
        self.samples = 0
        self.done: set[int] = set()
        self.kept: dict[int, Wave] = {}
        self._plan = plan
        self.utterances = plan.utterances
        self.hooks = hooks
        self._timer = timer
        request = plan.request
        self._encoder = FileEncoder(
            file,
            request.format,
            output_rate=request.sample_rate,
            bit_rate_kbps=request.bit_rate_kbps,
        )
        self._joiner = Joiner(plan.joins)
        self._early: dict[int, TrimmedWave] = {}  # finished before one that comes first
        self._next = 0

    def add(self, index: int, wave: Wave) -> None:
        """Take the finished wave of an utterance; one that is known already is passed over.

        Raises:
            EngineFailed: NOT_FINITE for what is no sound.
        """
        if index in self.done:
            return
        check_sound(self.utterances[index], wave)
        plan = self._plan
        wave = finish_wave(plan, index, wave)
        if plan.request.takes > 1:
            self.kept[index] = wave
        # Before the times of words are looked for, so that `starts_s` stays true.
        trimmed = trim_wave(wave, plan.joins[index], plan.joins[index + 1])
        wave = trimmed.wave
        self._early[index] = trimmed
        self.done.add(index)
        if self._timer is not None:
            self._timer.add(index, wave, self.hooks.check)
        if self.hooks.on_progress is not None:
            self.hooks.on_progress(len(self.done), len(self.utterances))
        while self._next in self._early:  # those that are final, as far as none is missing
            self.first_at = self.first_at or time.perf_counter()
            pieces = self._joiner.add(self._early.pop(self._next))
            self._next += 1
            if self._next == len(self.utterances):
                pieces += self._joiner.end()
            for piece in pieces:
                self._emit(piece)
            if self._timer is not None and self.hooks.on_words is not None:
                self._timer.place(self.starts_s)

    def close(self) -> None:
        """Finish the file, with the lengths in its header."""
        began = time.perf_counter()
        self._encoder.close()
        self.encode_s += time.perf_counter() - began

    @property
    def starts_s(self) -> tuple[float, ...]:
        """Where each utterance that was passed on begins in the whole, seconds."""
        return self._joiner.starts_s

    @property
    def sounds_s(self) -> tuple[tuple[float, float], ...]:
        """Where each utterance that was passed on is heard in the whole, seconds."""
        return self._joiner.sounds_s

    def _emit(self, piece: Wave) -> None:
        if not len(piece.samples):
            return
        if self.hooks.on_chunk is not None:
            self.hooks.on_chunk(piece)
        began = time.perf_counter()
        self._encoder.write(piece.samples)
        self.samples += len(piece.samples)
        self.encode_s += time.perf_counter() - began


def finish_wave(plan: SpeechPlan, index: int, wave: Wave) -> Wave:
    """The wave of an utterance as it is joined with others: its loudness, its long silences."""
    wave = scale(wave, plan.gains.get(index, 1.0))
    return remove_silence(wave) if plan.request.remove_silence else wave


def check_sound(utterance: Utterance, wave: Wave) -> None:
    """Refuse a wave without samples, or with such that are no numbers.

    Raises:
        EngineFailed: NOT_FINITE.
    """
    if not len(wave.samples) or not np.isfinite(wave.samples).all():
        raise EngineFailed(
            f"The engine produced no usable audio for {utterance.text[:40]!r}.",
            code="NOT_FINITE",
            hint="Try another seed; on a GPU, F5_DTYPE=fp32 has more range than fp16.",
        )

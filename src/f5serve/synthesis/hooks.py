"""Hooks of one synthesis call, and the collector that passes waves on in order of the text."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from f5serve.audio.edit import CrossFader, remove_silence
from f5serve.errors import EngineFailed
from f5serve.synthesis.checkpoints import UtteranceCheckpoints
from f5serve.synthesis.word_timing import WordTimingCollector
from f5serve.types import SpeechRequest, Utterance, Wave


@dataclass(frozen=True, slots=True)
class SynthesisHooks:
    """Callbacks of one synthesis call; all but `check` run in the calling thread.

    Attributes:
        on_progress: gets the number of finished utterances and of all.
        on_chunk: gets the speech in order, each part as soon as it is final.
        check: called before each ODE step, in any thread; what it raises ends the
            work and comes out of `synthesize`.
        deadline: `time.monotonic()` by which the speech is wanted; sets the priority.
        checkpoints: finished utterances of an earlier attempt.
    """

    on_progress: Callable[[int, int], None] | None = None
    on_chunk: Callable[[Wave], None] | None = None
    check: Callable[[], None] | None = None
    deadline: float | None = None
    checkpoints: UtteranceCheckpoints | None = None


class OutputCollector:
    """Collects finished waves and passes them on in order of the text.

    Args:
        sink: given the speech in chunks, as `SynthesisHooks.on_chunk` is; may block.

    Attributes:
        utterances: of the request.
        hooks: who follows it.
        first_at: `time.perf_counter()` when the first utterance was there, 0 before.
    """

    def __init__(
        self,
        request: SpeechRequest,
        utterances: Sequence[Utterance],
        hooks: SynthesisHooks,
        timer: WordTimingCollector | None = None,
        sink: Callable[[Wave], None] | None = None,
    ) -> None:
        self.first_at = 0.0
        self._request = request
        self.utterances = utterances
        self.hooks = hooks
        self._timer = timer
        self._sink = sink
        self._cross_fader = CrossFader(request.cross_fade_s)
        self._early: dict[int, Wave] = {}  # finished before one that comes first
        self._done: set[int] = set()
        self._next = 0

    def add(self, index: int, wave: Wave) -> None:
        """Take the finished wave of an utterance; one that is known already is passed over.

        Raises:
            EngineFailed: NOT_FINITE for what is no sound.
        """
        if index in self._done:
            return
        check_sound(self.utterances[index], wave)
        if self._request.remove_silence:  # before the join, so that starts_s stays true
            wave = remove_silence(wave)
        self._early[index] = wave
        self._done.add(index)
        if self._timer is not None:
            self._timer.add(index, wave, self.hooks.check)
        if self.hooks.on_progress is not None:
            self.hooks.on_progress(len(self._done), len(self.utterances))
        self._flush()

    def has(self, index: int) -> bool:
        """Whether that utterance is finished."""
        return index in self._done

    @property
    def starts_s(self) -> tuple[float, ...]:
        """Where each utterance that was passed on begins in the whole, seconds."""
        return self._cross_fader.starts_s

    def _flush(self) -> None:
        """Give out what has become final: the first waves, as far as none is missing."""
        while self._next in self._early:
            self.first_at = self.first_at or time.perf_counter()
            self._emit(self._cross_fader.add(self._early.pop(self._next)))
            self._next += 1
            if self._next == len(self.utterances):
                self._emit(self._cross_fader.end())

    def _emit(self, piece: Wave) -> None:
        if not len(piece.samples):
            return
        if self.hooks.on_chunk is not None:
            self.hooks.on_chunk(piece)
        if self._sink is not None:
            self._sink(piece)


def check_sound(utterance: Utterance, wave: Wave) -> None:
    """Refuse a wave without samples, or with such that are no numbers.

    Raises:
        EngineFailed: NOT_FINITE.
    """
    if not len(wave.samples) or not np.isfinite(wave.samples).all():
        raise EngineFailed(
            f"The engine made no usable sound for {utterance.text[:40]!r}.",
            code="NOT_FINITE",
            hint="Try another seed; on a GPU, F5_DTYPE=fp32 has more range than fp16.",
        )

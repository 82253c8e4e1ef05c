"""Following a request while it is spoken: progress, pieces in order, what is worth keeping.

Finished waves flow in, in any order; out flow calls to whoever follows, in order of the text. Which
engine speaks, and where anything is kept, is not known here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from f5serve.audio.edit import Joiner, remove_silence
from f5serve.errors import EngineFailed
from f5serve.synthesis.timed import Timer
from f5serve.types import SpeechRequest, Utterance, Wave
from f5serve.waits import Check


class Kept(Protocol):
    """Waves of a request that an earlier attempt at it has left, and that this one leaves."""

    def find(self, utterances: Sequence[Utterance], check: Check | None = None) -> set[int]:
        """Which are there; may block, and costs nothing at a first attempt.

        Args:
            check: called ten times a second; what it raises comes out.
        """
        ...

    def read(
        self, utterances: Sequence[Utterance], check: Check | None = None
    ) -> list[Wave | None]:
        """What is there of utterances that were found; may block, as `find`."""
        ...

    def keep(self, utterance: Utterance, wave: Wave) -> None:
        """Keep one more; returns at once."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """Who follows a request; all but `check` are called in the thread that called `say`.

    Attributes:
        on_progress: told how many utterances are finished, and how many there are.
        on_piece: given the speech piece by piece, in order, each as soon as nothing can change it.
        check: called before each step, perhaps in the device's thread; what it raises ends the
            work and comes out of `say`.
        deadline: `time.monotonic()` by which the speech is wanted; decides who goes first.
        kept: what is left of an earlier attempt.
    """

    on_progress: Callable[[int, int], None] | None = None
    on_piece: Callable[[Wave], None] | None = None
    check: Callable[[], None] | None = None
    deadline: float | None = None
    kept: Kept | None = None


class Told:
    """The waves of one request, passed on as they come; none is kept once it is.

    Args:
        sink: given the speech piece by piece, as `Watch.on_piece` is; it may take its time.

    Attributes:
        utterances: of the request.
        watch: who follows it.
        first_at: `time.perf_counter()` when the first utterance was there, 0 before.
    """

    def __init__(
        self,
        request: SpeechRequest,
        utterances: Sequence[Utterance],
        watch: Watch,
        timer: Timer | None = None,
        sink: Callable[[Wave], None] | None = None,
    ) -> None:
        self.first_at = 0.0
        self._request = request
        self.utterances = utterances
        self.watch = watch
        self._timer = timer
        self._sink = sink
        self._joiner = Joiner(request.cross_fade_s)
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
            self._timer.add(index, wave, self.watch.check)
        if self.watch.on_progress is not None:
            self.watch.on_progress(len(self._done), len(self.utterances))
        self._pass_on()

    def has(self, index: int) -> bool:
        """Whether that utterance is finished."""
        return index in self._done

    @property
    def starts_s(self) -> tuple[float, ...]:
        """Where each utterance that was passed on begins in the whole, seconds."""
        return self._joiner.starts_s

    def _pass_on(self) -> None:
        """Give out what has become final: the first waves, as far as none is missing."""
        while self._next in self._early:
            self.first_at = self.first_at or time.perf_counter()
            self._give(self._joiner.add(self._early.pop(self._next)))
            self._next += 1
            if self._next == len(self.utterances):
                self._give(self._joiner.end())

    def _give(self, piece: Wave) -> None:
        if not len(piece.samples):
            return
        if self.watch.on_piece is not None:
            self.watch.on_piece(piece)
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

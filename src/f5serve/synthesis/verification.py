"""Speech that is heard before it is sent: what is not understood is made again.

Utterances flow in as to an engine and waves flow out as from one; between them a recogniser hears
each wave, and one that is too far from its text is spoken again with another seed. Where the speech
goes is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from f5serve.asr import Ear
from f5serve.errors import ModelUnavailable
from f5serve.heard import Comparison, Verification, Verified
from f5serve.synthesis.watch import check_sound
from f5serve.text.plan import derive_seed
from f5serve.types import Engine, OnDone, Utterance, Wave


@dataclass(frozen=True, slots=True)
class Gate:
    """When speech is good enough.

    Attributes:
        ear: who hears it.
        max_error_rate: word error rate above which an utterance is spoken again.
        tries: how often, at most; the best is kept.
    """

    ear: Ear
    max_error_rate: float = 0.3
    tries: int = 2

    @property
    def identity(self) -> dict[str, str | float]:
        """All of it that decides which speech comes through."""
        return {
            "model": self.ear.model,
            "max_error_rate": self.max_error_rate,
            "tries": self.tries,
        }


def nobody_hears() -> ModelUnavailable:
    """The error where nothing is there to hear with."""
    return ModelUnavailable(
        "No speech recogniser is at work.",
        code="RECOGNISER_NOT_INSTALLED",
        hint="Run: pip install 'f5serve[asr]', and leave F5_RECOGNISER at auto.",
    )


def not_understood(ear: Ear) -> str:
    """What callers are told about speech that nobody could verify."""
    return (
        f"The speech was not verified: the recogniser {ear.model} does not understand its language"
        " or cannot tell which one it is. Upload the voice with its language."
    )


def describe(found: Verification | None) -> dict[str, Any] | None:
    """How well speech was understood, as callers and records are told it; None if nobody heard."""
    if found is None:
        return None
    return {
        "model": found.model,
        "wer": round(found.rate, 4),
        "max_wer": found.max_error_rate,
        "passed": found.passed,
        "attempts": found.attempts,
        "utterances": [
            {"wer": round(one.rate, 4), "attempts": one.attempts, "seed": one.seed}
            for one in found.utterances
        ],
    }


class Verifier:
    """Speaks the utterances of one request through an engine, and hears them.

    Args:
        language: of the texts, as `Ear.language_of` tells it.
    """

    def __init__(self, engine: Engine, gate: Gate, language: str) -> None:
        self._engine = engine
        self._gate = gate
        self._language = language
        self._verified: list[tuple[Utterance, Verified]] = []

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        """As `Engine.generate`; `on_done` is called with what will not be made again.

        Raises:
            EngineFailed: as the engine; NOT_FINITE for what is no sound.
            ModelUnavailable: the recogniser cannot be loaded.
        """
        trials = [_Trial(index, utterance) for index, utterance in enumerate(utterances)]
        call = _Call(on_done, check, deadline)
        for attempt in range(self._gate.tries + 1):
            turn = [trial for trial in trials if not trial.is_over]
            if turn:
                self._speak(turn, attempt, call)
        self._verified += [(trial.utterance, trial.told()) for trial in trials]
        return [trial.wave for trial in trials]

    def result(self, utterances: Sequence[Utterance]) -> Verification:
        """How well `utterances` were understood, without those that were spoken elsewhere."""
        found = {id(utterance): verified for utterance, verified in self._verified}
        told = tuple(found[id(one)] for one in utterances if id(one) in found)
        return Verification(self._gate.ear.model, self._gate.max_error_rate, told)

    def _speak(self, turn: Sequence[_Trial], attempt: int, call: _Call) -> None:
        """One more attempt at each trial of `turn`."""
        rows = [trial.row(attempt) for trial in turn]

        def done(position: int, wave: Wave) -> None:
            trial = turn[position]
            if trial.attempts > attempt:  # heard already, when it was done
                return
            if call.check is not None:
                call.check()
            trial.add(self._hear(rows[position], wave, call.check), wave, rows[position].seed)
            trial.is_over = trial.rate <= self._gate.max_error_rate or attempt == self._gate.tries
            if trial.is_over and call.on_done is not None:
                call.on_done(trial.index, trial.wave)

        waves = self._engine.generate(rows, done, call.check, deadline=call.deadline)
        for position, wave in enumerate(waves):
            done(position, wave)

    def _hear(self, row: Utterance, wave: Wave, check: Callable[[], None] | None) -> Comparison:
        check_sound(row, wave)
        found = self._gate.ear.compare(wave, row.text, self._language, check)
        return found or Comparison(0, 0)


@dataclass(frozen=True, slots=True)
class _Call:
    on_done: OnDone | None
    check: Callable[[], None] | None
    deadline: float | None


class _Trial:
    """The attempts at one utterance, of which the best is kept."""

    def __init__(self, index: int, utterance: Utterance) -> None:
        self.index = index
        self.utterance = utterance
        self.attempts = 0
        self.is_over = False
        self._seed = utterance.seed
        self._found = Comparison(0, 0)
        self.wave = Wave(np.zeros(0, np.float32))

    @property
    def rate(self) -> float:
        """Word error rate of the best."""
        return self._found.rate

    def row(self, attempt: int) -> Utterance:
        """The utterance as it is to be spoken this time."""
        if not attempt:
            return self.utterance
        seed = derive_seed(str(self.utterance.seed), "again", attempt)
        return replace(self.utterance, seed=seed)

    def add(self, found: Comparison, wave: Wave, seed: int) -> None:
        """One more attempt; of equal ones the first is kept."""
        self.attempts += 1
        if self.attempts == 1 or found.errors < self._found.errors:
            self._found, self.wave, self._seed = found, wave, seed

    def told(self) -> Verified:
        """How it went."""
        return Verified(self._found.words, self._found.errors, self.attempts, self._seed)

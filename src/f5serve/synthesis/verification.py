"""Verification: transcribes each utterance and synthesizes it again where the error rate is high.

`Verifier.generate` is called in place of `Engine.generate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from f5serve.asr.word_errors import SpeechChecker
from f5serve.asr_types import UtteranceCheck, Verification, WordErrors
from f5serve.errors import ModelUnavailable
from f5serve.synthesis.hooks import check_sound
from f5serve.text.plan import derive_seed
from f5serve.text.spoken import as_written
from f5serve.types import Engine, OnDone, Utterance, Wave


@dataclass(frozen=True, slots=True)
class VerificationPolicy:
    """When speech is good enough.

    Attributes:
        checker: transcribes it.
        max_error_rate: word error rate above which an utterance is spoken again.
        tries: how often, at most; the best is kept.
    """

    checker: SpeechChecker
    max_error_rate: float = 0.3
    tries: int = 2

    @property
    def identity(self) -> dict[str, str | float]:
        """All of it that decides which speech comes through."""
        return {
            "model": self.checker.model,
            "max_error_rate": self.max_error_rate,
            "tries": self.tries,
        }


def recognizer_missing() -> ModelUnavailable:
    """The error where nothing is there to hear with."""
    return ModelUnavailable(
        "No speech recogniser is available.",
        code="RECOGNISER_NOT_INSTALLED",
        hint="Run: pip install 'f5serve[asr]', and leave F5_RECOGNISER at auto.",
    )


def unverified_warning(checker: SpeechChecker) -> str:
    """The warning for speech in a language that the recogniser does not know."""
    return (
        f"The speech was not verified: the recogniser {checker.model} does not understand its"
        " language or cannot tell which one it is. Upload the voice with its language."
    )


MAX_DESCRIBED = 400
"""Utterances of one verification in a record; those of a chapter are in its details."""


def describe(found: Verification | None) -> dict[str, Any] | None:
    """Result of the verification for answers and records; None if there was none."""
    if found is None:
        return None
    return {
        "model": found.model,
        "wer": round(found.rate, 4),
        "max_wer": found.max_error_rate,
        "passed": found.passed,
        "attempts": found.attempts,
        "utterances": describe_utterances(found)[:MAX_DESCRIBED],
    }


def describe_utterances(found: Verification) -> list[dict[str, Any]]:
    """The verification of each utterance for answers and records."""
    return [
        {"wer": round(one.rate, 4), "attempts": one.attempts, "seed": one.seed}
        for one in found.utterances
    ]


class Verifier:
    """Speaks the utterances of one request through an engine, and hears them.

    Args:
        language: of the texts, as `SpeechChecker.language_for` returns it.
    """

    def __init__(self, engine: Engine, policy: VerificationPolicy, language: str) -> None:
        self._engine = engine
        self._policy = policy
        self._language = language
        self._verified: list[tuple[Utterance, UtteranceCheck]] = []

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
        attempts_of = [_Attempts(index, utterance) for index, utterance in enumerate(utterances)]
        call = _Call(on_done, check, deadline)
        for attempt in range(self._policy.tries + 1):
            batch = [trial for trial in attempts_of if not trial.is_over]
            if batch:
                self._speak(batch, attempt, call)
        self._verified += [(trial.utterance, trial.as_check()) for trial in attempts_of]
        return [trial.wave for trial in attempts_of]

    def result(self, utterances: Sequence[Utterance]) -> Verification:
        """How well `utterances` were understood, without those that were spoken elsewhere."""
        found = {id(utterance): verified for utterance, verified in self._verified}
        checks = tuple(found[id(one)] for one in utterances if id(one) in found)
        return Verification(self._policy.checker.model, self._policy.max_error_rate, checks)

    def _speak(self, batch: Sequence[_Attempts], attempt: int, call: _Call) -> None:
        """One more attempt at each trial of `batch`."""
        rows = [trial.row(attempt) for trial in batch]

        def done(position: int, wave: Wave) -> None:
            trial = batch[position]
            if trial.attempts > attempt:  # heard already, when it was done
                return
            if call.check is not None:
                call.check()
            trial.add(self._transcribe(rows[position], wave, call.check), wave, rows[position].seed)
            trial.is_over = (
                trial.rate <= self._policy.max_error_rate or attempt == self._policy.tries
            )
            if trial.is_over and call.on_done is not None:
                call.on_done(trial.index, trial.wave)

        waves = self._engine.generate(rows, done, call.check, deadline=call.deadline)
        for position, wave in enumerate(waves):
            done(position, wave)

    def _transcribe(
        self, row: Utterance, wave: Wave, check: Callable[[], None] | None
    ) -> WordErrors:
        check_sound(row, wave)
        text = as_written(row.text, row.written, row.spans)
        found = self._policy.checker.compare(wave, text, self._language, check)
        return found or WordErrors(0, 0)


@dataclass(frozen=True, slots=True)
class _Call:
    on_done: OnDone | None
    check: Callable[[], None] | None
    deadline: float | None


class _Attempts:
    """The attempts at one utterance, of which the best is kept."""

    def __init__(self, index: int, utterance: Utterance) -> None:
        self.index = index
        self.utterance = utterance
        self.attempts = 0
        self.is_over = False
        self._seed = utterance.seed
        self._found = WordErrors(0, 0)
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

    def add(self, found: WordErrors, wave: Wave, seed: int) -> None:
        """One more attempt; of equal ones the first is kept."""
        self.attempts += 1
        if self.attempts == 1 or found.errors < self._found.errors:
            self._found, self.wave, self._seed = found, wave, seed

    def as_check(self) -> UtteranceCheck:
        """How it went."""
        return UtteranceCheck(self._found.words, self._found.errors, self.attempts, self._seed)

"""A speaker that beeps: one tone for each utterance, of known length and known cost.

It takes the place of a model where the speech itself does not matter: in tests of the path around
it and in load tests. Equal input gives equal output.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from f5serve.errors import InvalidRequest
from f5serve.types import (
    SAMPLE_RATE,
    OnDone,
    SamplingOptions,
    Utterance,
    Wave,
    WordSpan,
    s_to_samples,
)

STEPS = 16
WARNINGS = ("This is a test tone, not speech.",)


class Tone:
    """An engine for tests and load tests.

    Args:
        cost_s: seconds that each utterance takes to make.
        s_per_byte: seconds of tone for each byte of text at speed 1.
        alphabet: characters it can say; empty means all.
        max_text_bytes: longest text of one utterance.
        steps: numbers of steps that it takes; empty means all.
        model: id that callers get.
        memory_bytes: what it says that it takes.

    Attributes:
        is_closed: whether it was let go.
    """

    kind = "tone"
    clones_voice = False
    voices = ()
    description = "test tone"
    warnings = WARNINGS
    concurrent = False
    broken = False

    def __init__(  # noqa: PLR0913 - all that a test may set
        self,
        *,
        cost_s: float = 0.0,
        s_per_byte: float = 0.06,
        alphabet: str = "",
        max_text_bytes: int = 200,
        steps: tuple[int, ...] = (),
        model: str = "tone",
        memory_bytes: int = 0,
    ) -> None:
        self.model, self.is_closed = model, False
        self._memory_bytes = memory_bytes
        self.max_text_bytes = max_text_bytes
        self._cost_s = cost_s
        self._s_per_byte = s_per_byte
        self._alphabet = frozenset(alphabet)
        self._steps = steps

    def unspeakable(self, text: str) -> list[str]:
        """Characters outside the alphabet, in order, each once."""
        if not self._alphabet:
            return []
        return [character for character in dict.fromkeys(text) if character not in self._alphabet]

    def check_options(self, options: SamplingOptions) -> None:
        """Refuse other numbers of steps than those it was given, if any."""
        if self._steps and options.nfe_step not in self._steps:
            raise InvalidRequest(
                f"nfe_step is {options.nfe_step}.",
                code="BAD_OPTION",
                hint=f"This engine takes {', '.join(map(str, self._steps))}.",
            )

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        """One tone each: longer text, longer tone; another text or seed, another pitch."""
        waves = []
        for index, utterance in enumerate(utterances):
            self._work(check)
            waves.append(self._beep(utterance))
            if on_done is not None:
                on_done(index, waves[-1])
        return waves

    def estimate_s(self, utterances: Sequence[Utterance]) -> float | None:
        """What `cost_s` comes to."""
        return self._cost_s * len(utterances)

    def memory(self) -> Mapping[int, int]:
        """As much as it was given."""
        return {id(self): self._memory_bytes}

    def close(self) -> None:
        """It holds nothing."""
        self.is_closed = True

    def counters(self) -> Mapping[str, float]:
        """None are kept."""
        return {}

    def _work(self, check: Callable[[], None] | None) -> None:
        """Take the time that an utterance costs, in steps as a model does."""
        for _ in range(STEPS):
            if check is not None:
                check()
            time.sleep(self._cost_s / STEPS)

    def _beep(self, utterance: Utterance) -> Wave:
        text = utterance.text.encode()
        duration_s = self._s_per_byte * len(text) / utterance.options.speed
        pitch_hz = 200 + zlib.crc32(text, utterance.seed & 0xFFFFFFFF) % 400
        phase = 2 * np.pi * pitch_hz * np.arange(s_to_samples(duration_s)) / SAMPLE_RATE
        return Wave((0.3 * np.sin(phase)).astype(np.float32), marks=self._marks(utterance))

    def _marks(self, utterance: Utterance) -> tuple[WordSpan, ...]:
        """Each word lasts as long as its bytes."""
        s_per_byte = self._s_per_byte / utterance.options.speed
        marks = []
        for match in re.finditer(r"\S+", utterance.text):
            before, behind = (
                len(utterance.text[:place].encode()) for place in (match.start(), match.end())
            )
            marks.append(WordSpan(*match.span(), before * s_per_byte, behind * s_per_byte))
        return tuple(marks)

"""What steps cost, learnt from the steps that were taken.

Seconds of a step are taken to be a fixed part and a part for each token; both are fitted to the
last steps, old ones counting less and less.
"""

from __future__ import annotations

import threading

MEMORY = 0.98
"""Weight of all steps so far when one more is noted."""


class StepCost:
    """A running fit of seconds to tokens; safe to read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)  # of 1, x, y, x*x, x*y

    def note(self, tokens: float, seconds: float) -> None:
        """A step over that many tokens took that long."""
        x, y = tokens, seconds
        new = (1.0, x, y, x * x, x * y)
        with self._lock:
            self._sums = tuple(MEMORY * a + b for a, b in zip(self._sums, new, strict=True))  # type: ignore[assignment]

    def seconds(self, steps: float, tokens: float) -> float | None:
        """Estimate for `steps` steps over `tokens` tokens in all; None before the first."""
        line = self._line()
        return None if line is None else steps * line[0] + line[1] * tokens

    def worthwhile_tokens(self, fixed_share: float) -> float | None:
        """Tokens of a step whose fixed part is that share of it; None where it is not known."""
        line = self._line()
        if line is None or not line[2] or not line[1]:
            return None
        fixed, each, _ = line
        return fixed * (1 / fixed_share - 1) / each

    def _line(self) -> tuple[float, float, bool] | None:
        """Seconds of a step, of each token, and whether steps differed enough to tell."""
        with self._lock:
            n, x, y, xx, xy = self._sums
        if not x:
            return None
        spread = n * xx - x * x
        # Steps of nearly one size say nothing about the fixed part.
        told = spread > 1e-3 * n * xx
        slope = (n * xy - x * y) / spread if told else y / x
        slope = min(max(slope, 0.0), y / x)
        return (y - slope * x) / n, slope, told

"""What a step costs, learned from the steps that were taken."""

from __future__ import annotations

import threading

DECAY = 0.98
"""Weight of all steps so far when the cost of one more is observed."""


class StepCostModel:
    """Seconds of a step as a linear function of its tokens, fitted to the last steps.

    Old steps count less and less. Safe to read from any thread.

    Attributes:
        steps: how many were taken.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._lock = threading.Lock()
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)  # of 1, x, y, x*x, x*y

    def observe(self, tokens: float, seconds: float) -> None:
        """A step over that many tokens took that long."""
        x, y = tokens, seconds
        new = (1.0, x, y, x * x, x * y)
        with self._lock:
            self._sums = tuple(DECAY * a + b for a, b in zip(self._sums, new, strict=True))  # type: ignore[assignment]

    def estimate_s(self, steps: float, tokens: float) -> float | None:
        """Seconds of `steps` steps over `tokens` tokens in all; None before the first step."""
        fit = self._fit()
        return None if fit is None else steps * fit[0] + fit[1] * tokens

    def worthwhile_tokens(self, fixed_share: float) -> float | None:
        """Tokens of a step whose fixed cost is that share of it; None where it is not known."""
        fit = self._fit()
        if fit is None or not fit[2] or not fit[1]:
            return None
        fixed, each, _ = fit
        return fixed * (1 / fixed_share - 1) / each

    def _fit(self) -> tuple[float, float, bool] | None:
        """Seconds of a step and of each token, and whether steps differed enough to tell them."""
        with self._lock:
            n, x, y, xx, xy = self._sums
        if not x:
            return None
        spread = n * xx - x * x
        # Steps of nearly one size say nothing about the fixed cost.
        is_known = spread > 1e-3 * n * xx
        slope = (n * xy - x * y) / spread if is_known else y / x
        slope = min(max(slope, 0.0), y / x)
        return (y - slope * x) / n, slope, is_known

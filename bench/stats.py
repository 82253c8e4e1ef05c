"""Paired measurements become rows."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles
from typing import Any, Literal, NamedTuple

NOISY_SPAN = 0.15
"""Quartiles of the paired ratios further apart than this share of their median: noisy."""

Kind = Literal["speed", "cost"]


class Measure(NamedTuple):
    """What a row compares.

    Attributes:
        key: name by which targets find it.
        kind: "speed" compares theirs to ours (above 1, ours is faster), "cost" ours to theirs
            (below 1, ours is cheaper).
    """

    key: str
    case: str
    unit: str
    kind: Kind = "cost"


def row(measure: Measure, theirs: Sequence[float], ours: Sequence[float]) -> dict[str, Any]:
    """One line of the table, from measurements whose n-th were taken next to each other."""
    upper, lower = (theirs, ours) if measure.kind == "speed" else (ours, theirs)
    ratios = [a / b for a, b in zip(upper, lower, strict=True)]
    low, middle, high = _quartiles(ratios)
    return {
        **measure._asdict(),
        "theirs": median(theirs),
        "ours": median(ours),
        "ratio": middle,
        "quartiles": [low, high],
        "best": min(upper) / min(lower),
        "pairs": len(ratios),
        "noisy": high - low > NOISY_SPAN * middle,
    }


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return low, middle, high

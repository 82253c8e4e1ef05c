"""The best way through what a CTC model hears, for a text that is known.

Log probabilities of a model's tokens in each frame and the tokens of the text flow in; the frames
of each token flow out. Sound, words and models are not known here.

Source: Graves et al. 2006, "Connectionist Temporal Classification", with max in place of sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from f5serve.types import FloatArray


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Where a token is heard: frames `start` to `end`, the last excluded; mean log probability."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Path:
    """The likeliest path: a span for each token of the text, and the path's log probability."""

    spans: tuple[TokenSpan, ...]
    score: float


def best_path(
    log_probs: FloatArray, tokens: Sequence[int], blank: int = 0, is_open: bool = False
) -> Path | None:
    """The likeliest of all paths that spell `tokens`.

    Args:
        log_probs: [t v], of each token of the vocabulary in each frame.
        tokens: of the text, without blanks.
        blank: the token that stands for none.
        is_open: whether the path may spell the first of them only.

    Returns:
        None where there are too few frames: one for each token, and one between equal ones.
    """
    if not len(tokens):
        return Path((), float(log_probs[:, blank].sum()))
    states = np.full(2 * len(tokens) + 1, blank)  # blank, token, blank, token, ..., blank
    states[1::2] = tokens
    steps = _steps(np.asarray(log_probs)[:, states], _may_skip(states, blank), is_open)
    if steps is None:
        return None
    came_by, ending, score = steps
    visited = _walk_back(came_by, ending)
    return Path(tuple(_spans(visited, log_probs, tokens[: (ending + 1) // 2])), score)


def _may_skip(states: NDArray[np.int64], blank: int) -> NDArray[np.bool_]:
    """States that can be reached past the blank before them: tokens unlike the one before it."""
    may = np.zeros(len(states), dtype=bool)
    may[2:] = (states[2:] != blank) & (states[2:] != states[:-2])
    return may


def _steps(
    heard: FloatArray, may_skip: NDArray[np.bool_], is_open: bool
) -> tuple[NDArray[np.int8], int, float] | None:
    """How each state was best reached in each frame (staying 0, from the state before 1, skipping
    one 2), the state in which the best path ends, and its score."""
    frames, count = heard.shape
    came_by = np.zeros((frames, count), dtype=np.int8)
    best = np.full(count, -np.inf)
    best[: min(2, count)] = heard[0, :2]
    choices = np.full((3, count), -np.inf)
    for frame in range(1, frames):
        choices[0] = best
        choices[1, 1:] = best[:-1]
        choices[2, 2:] = np.where(may_skip[2:], best[:-2], -np.inf)
        came_by[frame] = choices.argmax(axis=0)
        best = choices.max(axis=0) + heard[frame]
    ending = count - 1 if best[-1] >= best[-2] else count - 2
    if is_open:
        ending = int(best.argmax())
    if not np.isfinite(best[ending]):
        return None
    return came_by, ending, float(best[ending])


def _walk_back(came_by: NDArray[np.int8], ending: int) -> NDArray[np.int64]:
    """The state of each frame."""
    visited = np.empty(len(came_by), dtype=np.int64)
    state = ending
    for frame in range(len(came_by) - 1, -1, -1):
        visited[frame] = state
        state -= int(came_by[frame, state])
    return visited


def _spans(
    visited: NDArray[np.int64], log_probs: FloatArray, tokens: Sequence[int]
) -> list[TokenSpan]:
    places = 2 * np.arange(len(tokens)) + 1
    starts = np.searchsorted(visited, places, side="left")
    ends = np.searchsorted(visited, places, side="right")
    return [
        TokenSpan(int(start), int(end), float(np.mean(log_probs[start:end, token])))
        for start, end, token in zip(starts, ends, tokens, strict=True)
    ]

"""Which rows run in the next step: plain arithmetic on tickets, without a model, clock or thread.

Each call gets the share of the device that it would have if all calls were served at once and
equally fast. A row's tag is when that would have it finished, and rows run in the order of their
tags: whoever needs little is not held up by whoever needs much, nobody is served later than
under equal shares, and rows do not pay for it by being interleaved.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ticket:
    """What is known of a row when its turn is decided.

    Attributes:
        number: counts rows in the order of their arrival.
        frames: of its mel.
        tag: see the module; `FairShare.admit` gives it.
        deadline, latest_start: monotonic seconds; a row is urgent from the one to the other.
    """

    number: int
    frames: int
    tag: float = 0.0
    deadline: float = math.inf
    latest_start: float = math.inf


Policy = Callable[[Sequence[Ticket], Sequence[Ticket], int, float], list[Ticket]]
"""(waiting, running, budget in frames, now) -> rows of the next step; see `pick`."""


def pick(
    waiting: Sequence[Ticket],
    running: Sequence[Ticket],
    budget: int,
    now: float = -math.inf,
) -> list[Ticket]:
    """Rows of the next step, the first in line first.

    Urgent rows come by their deadline, then all by tag, then by age. The line is filled into
    the budget; what does not fit is passed over, except that the first always runs, alone if it
    is longer than the budget. So whoever has the smallest tag moves in every step.

    Args:
        waiting: rows that have not begun.
        running: rows that have; some may have been left out of the last steps.
        budget: most frames of a step.
        now: monotonic seconds; without it no row is urgent.
    """

    def place(ticket: Ticket) -> tuple[float, float, int]:
        urgent = ticket.latest_start <= now < ticket.deadline
        return ticket.deadline if urgent else math.inf, ticket.tag, ticket.number

    chosen: list[Ticket] = []
    left = budget
    for ticket in sorted([*running, *waiting], key=place):
        if not chosen or ticket.frames <= left:
            chosen.append(ticket)
            left -= ticket.frames
    return chosen


class FairShare:
    """Virtual time: how much work each call would have had done under equal shares."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ends: list[float] = []  # tags of the last rows of calls, ascending

    def admit(self, work: Sequence[float]) -> list[float]:
        """Tags of a call's rows, which need that much work each, in order."""
        tags, tag = [], self._now
        for amount in work:
            tag += amount
            tags.append(tag)
        insort(self._ends, tag)
        return tags

    def advance(self, work: float) -> None:
        """That much work was done."""
        while self._ends:
            first = self._ends[0]
            needed = (first - self._now) * len(self._ends)
            if needed > work:
                self._now += work / len(self._ends)
                return
            work -= needed
            self._now = first
            self._ends.pop(0)

    def leave(self, end: float) -> None:
        """A call whose last tag was `end` was given up: the others share what it leaves."""
        if end in self._ends:
            self._ends.remove(end)

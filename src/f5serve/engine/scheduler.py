"""The scheduler: which sequences take the next ODE step.

Each request gets the share of the device that it would have if all requests were served at once
and equally fast (weighted fair queueing). A sequence's virtual finish time is when that would have
it finished, and sequences run in the order of these times: a request that needs little is not held
up by one that needs much, none is served later than under equal shares, and sequences do not pay
for it by being interleaved.
"""

from __future__ import annotations

import math
import time
from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from f5serve.engine.request import Request, Sequence, SequenceStatus

if TYPE_CHECKING:
    from f5serve.engine.model_runner import ModelRunner

FIXED_SHARE = 0.1
"""Steps so long that their fixed cost is this part of them are long enough: more sequences would
only make those wait that join."""
MIN_BATCH_FRAMES = 1024
"""The limit by cost is never lower."""
FIRST_STEPS = 16
"""What these cost says little: a GPU loads its kernels in them."""
REGROWTH = 64
"""After memory ran out, each good step adds this fraction to the limit."""
SAFETY = 2.0
"""A request is urgent when its deadline is nearer than this times what it needs alone."""

Policy = Callable[[list[Sequence], int, float], list[Sequence]]
"""(sequences, max_frames, now) -> those of the next step; see `select`."""


def select(sequences: list[Sequence], max_frames: int, now: float = -math.inf) -> list[Sequence]:
    """Sequences of the next step, in the order in which they come.

    Urgent ones come by their deadline, then all by virtual finish time, then by age. They are
    filled into `max_frames`; what does not fit is passed over, except that the first always runs,
    alone if it is longer. So the sequence with the smallest virtual finish time takes every step,
    and others of its model with it: a step is of one model.

    Args:
        now: monotonic seconds; without it no sequence is urgent.
    """

    def order(seq: Sequence) -> tuple[float, float, int]:
        urgent = seq.latest_start <= now < seq.deadline
        return seq.deadline if urgent else math.inf, seq.virtual_finish, seq.number

    selected: list[Sequence] = []
    left = max_frames
    for seq in sorted(sequences, key=order):
        if not selected or (seq.frames <= left and seq.runner is selected[0].runner):
            selected.append(seq)
            left -= seq.frames
    return selected


class Scheduler:
    """The requests of an engine and the choice of each step's sequences.

    The engine loop holds its lock where requests are added, removed or counted.

    Args:
        max_batch_frames: most mel frames of a step; a longer sequence runs alone.
        by_cost: whether steps may have fewer frames where those were found to cost as little each.
    """

    def __init__(self, max_batch_frames: int, by_cost: bool = False) -> None:
        self.max_batch_frames = max_batch_frames
        self.by_cost = by_cost
        self.policy: Policy = select
        self.requests: list[Request] = []
        self._memory_limit = max_batch_frames
        self._queue = FairQueue()
        self._added = 0
        self._may_be_urgent = False

    def resize(self, max_batch_frames: int) -> None:
        """Take another limit, whatever steps cost."""
        self.max_batch_frames = self._memory_limit = max_batch_frames
        self.by_cost = False

    def fit(self, max_batch_frames: int) -> None:
        """Take the limit that memory allows, now that a model has come or gone."""
        self.max_batch_frames = self._memory_limit = max_batch_frames

    def add(self, request: Request, deadline: float = math.inf, needed_s: float = 0.0) -> None:
        """Take in a request that needs the device for so long and is due at a monotonic time."""
        work = [seq.step_work * seq.options.nfe_step for seq in request.sequences]
        finish_times = self._queue.add(work)
        request.finish_tag = finish_times[-1]
        for seq, finish in zip(request.sequences, finish_times, strict=True):
            seq.virtual_finish, seq.number = finish, self._added
            seq.deadline, seq.latest_start = deadline, deadline - SAFETY * needed_s
            self._added += 1
        self.requests.append(request)

    def remove(self, request: Request) -> None:
        """Let a request go; the others share what it has not used."""
        self.requests.remove(request)
        if request.sequences:
            self._queue.remove(request.finish_tag)

    def sequences(self) -> list[Sequence]:
        """Those of all requests, the vocoder's included."""
        return [seq for request in self.requests for seq in request.sequences]

    def schedule(self) -> list[Sequence]:
        """Sequences of the next step."""
        waiting = [seq for seq in self.sequences() if seq.status is not SequenceStatus.VOCODING]
        # Every second step knows no urgency, so that deadlines starve no request.
        self._may_be_urgent = not self._may_be_urgent
        now = time.monotonic() if self._may_be_urgent else -math.inf
        return self.policy(waiting, self.batch_frames(seq.runner for seq in waiting), now)

    def step_taken(self, batch: list[Sequence], seconds: float) -> None:
        """Note a step that these, of one model, have taken."""
        cost = batch[0].runner.cost
        if not self.by_cost or cost.steps >= FIRST_STEPS:
            cost.observe(sum(seq.step_tokens for seq in batch), seconds)
        cost.steps += 1
        self._memory_limit += self._memory_limit // REGROWTH + 1
        self._memory_limit = min(self.max_batch_frames, self._memory_limit)
        self._queue.advance(sum(seq.step_work for seq in batch))

    def halve(self, batch: list[Sequence]) -> int:
        """A step of these was too much: the next ones have at most half as many frames."""
        frames = sum(seq.frames for seq in batch)
        self._memory_limit = max(1, min(self._memory_limit, frames) // 2)
        return self._memory_limit

    def reset_limit(self) -> None:
        """What was too much is gone."""
        self._memory_limit = self.max_batch_frames

    def batch_frames(self, runners: Iterable[ModelRunner]) -> int:
        """Most mel frames of the next step, of whichever of these models."""
        limit = min(self._memory_limit, self.max_batch_frames)
        for runner in set(runners) if self.by_cost else ():
            tokens = runner.cost.worthwhile_tokens(FIXED_SHARE)
            if tokens is not None:
                limit = min(limit, max(MIN_BATCH_FRAMES, int(tokens / 2)))
        return limit

    def estimate_s(self, sequences: Iterable[Sequence]) -> float | None:
        """Seconds that these need until their mels are complete, alone; None before any step."""
        by_model: defaultdict[ModelRunner, list[Sequence]] = defaultdict(list)
        for seq in sequences:
            by_model[seq.runner].append(seq)
        times = [self._estimate_s(runner, of_model) for runner, of_model in by_model.items()]
        return None if None in times else sum(filter(None, times))

    def _estimate_s(self, runner: ModelRunner, sequences: list[Sequence]) -> float | None:
        parts = [(seq, seq.steps_left) for seq in sequences]
        tokens = sum(seq.step_tokens * steps for seq, steps in parts)
        limit = self.batch_frames([runner]) if self.by_cost else self.max_batch_frames
        full_steps = sum(seq.frames * steps for seq, steps in parts) / limit
        return runner.cost.estimate_s(max([full_steps, *(steps for _, steps in parts)]), tokens)


class FairQueue:
    """Virtual time: how much work each request would have had done under equal shares."""

    def __init__(self) -> None:
        self._now = 0.0
        self._finish_times: list[float] = []  # of the last sequences of requests, ascending

    def add(self, work: Iterable[float]) -> list[float]:
        """Virtual finish times of a request's sequences, which need that much work each."""
        times, finish = [], self._now
        for amount in work:
            finish += amount
            times.append(finish)
        insort(self._finish_times, finish)
        return times

    def advance(self, work: float) -> None:
        """That much work was done."""
        while self._finish_times:
            first = self._finish_times[0]
            needed = (first - self._now) * len(self._finish_times)
            if needed > work:
                self._now += work / len(self._finish_times)
                return
            work -= needed
            self._now = first
            self._finish_times.pop(0)

    def remove(self, finish_tag: float) -> None:
        """The request that would have ended then was given up."""
        if finish_tag in self._finish_times:
            self._finish_times.remove(finish_tag)

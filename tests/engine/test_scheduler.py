"""Which sequences take the next step, for any mixture of them, and what steps cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.engine.request import ReferencePrompt, Sequence
from f5serve.engine.scheduler import FairQueue, select
from f5serve.engine.step_cost import StepCostModel
from f5serve.types import SamplingOptions

PROMPT = ReferencePrompt(1, 1)


def sequence(number: int, frames: int, virtual_finish: float = 0.0, **due: float) -> Sequence:
    plain = PROMPT, [1], frames, 0, SamplingOptions()
    return Sequence(*plain, number=number, virtual_finish=virtual_finish, **due)


sequences = st.lists(
    st.builds(
        sequence,
        number=st.just(0),
        frames=st.integers(1, 4096),
        virtual_finish=st.floats(0, 1e6),
        deadline=st.one_of(st.just(math.inf), st.floats(0, 100)),
        latest_start=st.floats(0, 100),
    ),
    max_size=12,
).map(lambda made: [replace(seq, number=i) for i, seq in enumerate(made)])


@given(sequences, st.integers(1, 8192), st.floats(0, 100))
def test_a_step_keeps_its_limit_and_wastes_nothing(
    rows: list[Sequence], budget: int, now: float
) -> None:
    chosen = select(rows, budget, now)
    assert len({seq.number for seq in chosen}) == len(chosen)
    assert set(chosen) <= set(rows)
    frames = sum(seq.frames for seq in chosen)
    assert frames <= budget or len(chosen) == 1
    assert bool(chosen) == bool(rows)
    for left_out in set(rows) - set(chosen):
        assert frames + left_out.frames > budget


@given(sequences, st.integers(1, 8192))
def test_the_smallest_tag_always_runs_and_urgency_goes_before_it(
    rows: list[Sequence], budget: int
) -> None:
    if not rows:
        return
    assert select(rows, budget)[0] == min(rows, key=lambda t: (t.virtual_finish, t.number))
    now = 50.0
    urgent = [t for t in rows if t.latest_start <= now < t.deadline < math.inf]
    if urgent:
        first = select(rows, budget, now)[0]
        assert first.deadline == min(t.deadline for t in urgent)


def test_a_missed_deadline_is_no_reason_to_hurry() -> None:
    late = sequence(1, 100, 9.0, deadline=10.0, latest_start=5.0)
    other = sequence(0, 100, 1.0)
    assert select([other, late], 100, now=7.0) == [late]
    assert select([other, late], 100, now=11.0) == [other]
    assert select([other, late], 100) == [other]


@dataclass
class Job:
    """A call: when it comes, in units of work done, and its rows as (frames, steps)."""

    at: int
    rows: list[tuple[int, int]]

    @property
    def work(self) -> int:
        return sum(frames * steps for frames, steps in self.rows)


jobs = st.lists(
    st.builds(
        Job,
        at=st.integers(0, 300),
        rows=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 6)), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=8,
)


def equal_shares(jobs: list[Job], arrivals: list[float]) -> list[float]:
    """When each job is done if all that are there are served at once and equally fast."""
    now, left, done = 0.0, [float(job.work) for job in jobs], [0.0] * len(jobs)
    while max(left) > 1e-9:
        here = [i for i, at in enumerate(arrivals) if at <= now + 1e-9 and left[i] > 1e-9]
        coming = min((at for at in arrivals if at > now + 1e-9), default=math.inf)
        if not here:
            now = coming
            continue
        until = min(coming, now + min(left[i] for i in here) * len(here))
        for i in here:
            left[i] -= (until - now) / len(here)
            if left[i] <= 1e-9:
                done[i] = until
        now = until
    return done


def served(jobs: list[Job]) -> tuple[list[float], list[float]]:
    """When each job was taken in and when it was done, one row a step, by tags."""
    queue, now = FairQueue(), 0.0
    arrivals, done = [math.nan] * len(jobs), [math.nan] * len(jobs)
    rows: dict[Sequence, tuple[int, list[int]]] = {}  # job, steps left
    for _ in range(10_000):
        for i, job in enumerate(jobs):
            if math.isnan(arrivals[i]) and job.at <= now:
                arrivals[i] = now
                tags = queue.add([frames * steps for frames, steps in job.rows])
                for (frames, steps), tag in zip(job.rows, tags, strict=True):
                    rows[sequence(len(rows), frames, tag)] = (i, [steps])
        waiting = [seq for seq, (_, left) in rows.items() if left[0]]
        if not waiting:
            coming = [job.at for i, job in enumerate(jobs) if math.isnan(arrivals[i])]
            if not coming:
                return arrivals, done
            now = float(min(coming))
            continue
        (first,) = select(waiting, 1)
        i, left = rows[first]
        left[0] -= 1
        now += first.frames
        queue.advance(first.frames)
        if not any(left[0] for job, left in rows.values() if job == i):
            done[i] = now
    raise AssertionError("jobs are never done")


@given(jobs)
def test_nobody_is_served_later_than_under_equal_shares(jobs: list[Job]) -> None:
    """The promise of the module, with whole steps in the place of infinitely thin ones."""
    arrivals, done = served(jobs)
    for ours, fair in zip(done, equal_shares(jobs, arrivals), strict=True):
        assert ours <= fair + 1e-6


def test_little_is_not_held_up_by_much() -> None:
    long, short = Job(0, [(30, 100)]), Job(60, [(5, 6)])
    _, done = served([long, short])
    assert done[1] <= 60 + 30 + 30  # the step under way, then its own six
    assert done[0] == long.work + short.work


def test_first_utterances_of_all_come_before_the_second_of_any() -> None:
    queue = FairQueue()
    one, two = queue.add([10, 10, 10]), queue.add([10, 10])
    assert sorted([*one, *two]) == [10, 10, 20, 20, 30]


def test_what_a_call_gives_up_goes_to_the_others() -> None:
    queue = FairQueue()
    (short,), (long,) = queue.add([10]), queue.add([1000])
    queue.remove(long)
    queue.advance(10)
    assert queue.add([5]) == pytest.approx([short + 5])
    queue.remove(123.0)  # which is nobody's


def test_nothing_is_known_before_the_first_step() -> None:
    assert StepCostModel().estimate_s(1, 100) is None


@given(
    fixed=st.floats(0, 0.1),
    each=st.floats(1e-6, 1e-2),
    sizes=st.lists(st.integers(50, 4000), min_size=8, max_size=60, unique=True),
)
def test_a_straight_line_is_found(fixed: float, each: float, sizes: list[int]) -> None:
    cost = StepCostModel()
    for size in sizes:
        cost.observe(size, fixed + each * size)
    total = cost.estimate_s(steps=10, tokens=sum(sizes))
    if max(sizes) > 1.5 * min(sizes):
        assert total == pytest.approx(10 * fixed + each * sum(sizes), rel=0.1, abs=0.05)
    assert cost.estimate_s(1, sizes[0]) >= 0


def test_equal_steps_are_repeated() -> None:
    cost = StepCostModel()
    for _ in range(5):
        cost.observe(500, 0.2)
    assert cost.estimate_s(steps=16, tokens=16 * 500) == pytest.approx(3.2)


def test_a_device_that_slows_down_is_noticed() -> None:
    cost = StepCostModel()
    for seconds in [0.1] * 200 + [0.3] * 200:
        cost.observe(500, seconds)
    assert cost.estimate_s(1, 500) == pytest.approx(0.3, rel=0.05)

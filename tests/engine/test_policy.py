"""Who runs next: held for any mixture of rows, by plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.engine.policy import FairShare, Ticket, pick

tickets = st.lists(
    st.builds(
        Ticket,
        number=st.just(0),
        frames=st.integers(1, 4096),
        tag=st.floats(0, 1e6),
        deadline=st.one_of(st.just(math.inf), st.floats(0, 100)),
        latest_start=st.floats(0, 100),
    ),
    max_size=12,
).map(
    lambda made: [
        Ticket(i, t.frames, t.tag, t.deadline, t.latest_start) for i, t in enumerate(made)
    ]
)


@given(tickets, st.integers(0, 12), st.integers(1, 8192), st.floats(0, 100))
def test_a_step_keeps_the_budget_and_wastes_none(
    rows: list[Ticket], begun: int, budget: int, now: float
) -> None:
    chosen = pick(rows[begun:], rows[:begun], budget, now)
    assert len({ticket.number for ticket in chosen}) == len(chosen)
    assert set(chosen) <= set(rows)
    frames = sum(ticket.frames for ticket in chosen)
    assert frames <= budget or len(chosen) == 1
    assert bool(chosen) == bool(rows)
    for left_out in set(rows) - set(chosen):
        assert frames + left_out.frames > budget


@given(tickets, st.integers(1, 8192))
def test_the_smallest_tag_always_runs_and_urgency_goes_before_it(
    rows: list[Ticket], budget: int
) -> None:
    if not rows:
        return
    assert pick(rows, [], budget)[0] == min(rows, key=lambda t: (t.tag, t.number))
    now = 50.0
    urgent = [t for t in rows if t.latest_start <= now < t.deadline < math.inf]
    if urgent:
        first = pick(rows, [], budget, now)[0]
        assert first.deadline == min(t.deadline for t in urgent)


@given(tickets, st.integers(1, 8192), st.integers(0, 12))
def test_having_begun_changes_nothing(rows: list[Ticket], budget: int, begun: int) -> None:
    assert pick(rows[begun:], rows[:begun], budget) == pick(rows, [], budget)


def test_a_missed_deadline_is_no_reason_to_hurry() -> None:
    late = Ticket(1, 100, tag=9.0, deadline=10.0, latest_start=5.0)
    other = Ticket(0, 100, tag=1.0)
    assert pick([other, late], [], 100, now=7.0) == [late]
    assert pick([other, late], [], 100, now=11.0) == [other]
    assert pick([other, late], [], 100) == [other]


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
    share, now = FairShare(), 0.0
    arrivals, done = [math.nan] * len(jobs), [math.nan] * len(jobs)
    rows: dict[Ticket, tuple[int, list[int]]] = {}  # job, steps left
    for _ in range(10_000):
        for i, job in enumerate(jobs):
            if math.isnan(arrivals[i]) and job.at <= now:
                arrivals[i] = now
                tags = share.admit([frames * steps for frames, steps in job.rows])
                for (frames, steps), tag in zip(job.rows, tags, strict=True):
                    rows[Ticket(len(rows), frames, tag)] = (i, [steps])
        waiting = [ticket for ticket, (_, left) in rows.items() if left[0]]
        if not waiting:
            coming = [job.at for i, job in enumerate(jobs) if math.isnan(arrivals[i])]
            if not coming:
                return arrivals, done
            now = float(min(coming))
            continue
        (first,) = pick(waiting, [], 1)
        i, left = rows[first]
        left[0] -= 1
        now += first.frames
        share.advance(first.frames)
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
    share = FairShare()
    one, two = share.admit([10, 10, 10]), share.admit([10, 10])
    assert sorted([*one, *two]) == [10, 10, 20, 20, 30]


def test_what_a_call_gives_up_goes_to_the_others() -> None:
    share = FairShare()
    (short,), (long,) = share.admit([10]), share.admit([1000])
    share.leave(long)
    share.advance(10)
    assert share.admit([5]) == pytest.approx([short + 5])
    share.leave(123.0)  # which is nobody's

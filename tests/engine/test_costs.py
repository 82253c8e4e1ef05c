"""Estimates from steps that were taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.engine.costs import StepCost


def test_nothing_is_known_before_the_first_step() -> None:
    assert StepCost().seconds(1, 100) is None


@given(
    fixed=st.floats(0, 0.1),
    each=st.floats(1e-6, 1e-2),
    sizes=st.lists(st.integers(50, 4000), min_size=8, max_size=60, unique=True),
)
def test_a_straight_line_is_found(fixed: float, each: float, sizes: list[int]) -> None:
    cost = StepCost()
    for size in sizes:
        cost.note(size, fixed + each * size)
    total = cost.seconds(steps=10, tokens=sum(sizes))
    if max(sizes) > 1.5 * min(sizes):
        assert total == pytest.approx(10 * fixed + each * sum(sizes), rel=0.1, abs=0.05)
    assert cost.seconds(1, sizes[0]) >= 0


def test_equal_steps_are_repeated() -> None:
    cost = StepCost()
    for _ in range(5):
        cost.note(500, 0.2)
    assert cost.seconds(steps=16, tokens=16 * 500) == pytest.approx(3.2)


def test_a_device_that_slows_down_is_noticed() -> None:
    cost = StepCost()
    for seconds in [0.1] * 200 + [0.3] * 200:
        cost.note(500, seconds)
    assert cost.seconds(1, 500) == pytest.approx(0.3, rel=0.05)

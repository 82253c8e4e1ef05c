"""Long recordings are searched window by window, and every word is found once."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.alignment.windows import WHOLE_S, WINDOW_S, FoundWord, align


class Truth:
    """Words at known places, told as a search does: what a window cuts is told wrongly."""

    def __init__(self, places: Sequence[tuple[float, float]]) -> None:
        self.places = places
        self.windows: list[tuple[float, float]] = []

    def __call__(
        self, start_s: float, end_s: float, words: Sequence[str], is_open: bool
    ) -> list[FoundWord] | None:
        self.windows.append((start_s, end_s))
        numbers = [int(word) for word in words]
        if not is_open:
            assert end_s == pytest.approx(self.length_s)
            assert all(self.places[n][0] >= start_s - 1e-6 for n in numbers)
        heard = []
        for number in numbers:
            begin, end = self.places[number]
            assert begin >= start_s - 1e-6, "a word was left behind"
            if is_open and begin >= end_s - 0.2:
                break
            heard.append(FoundWord(begin - start_s, min(end, end_s) - start_s, -0.03))
        return heard

    @property
    def words(self) -> list[str]:
        return [str(number) for number in range(len(self.places))]

    @property
    def length_s(self) -> float:
        return self.places[-1][1] + 0.5 if self.places else 100.0


def places(seed: int, count: int, longest_pause_s: float) -> list[tuple[float, float]]:
    chooser = random.Random(seed)
    at, found = 0.0, []
    for _ in range(count):
        at += chooser.choice([0.0, 0.0, 0.1, chooser.uniform(0, longest_pause_s)])
        end = at + chooser.uniform(0.1, 0.9)
        found.append((at, end))
        at = end
    return found


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 400), st.sampled_from([0.3, 3.0, 80.0]))
def test_every_word_is_found_where_it_is(seed: int, count: int, longest_pause_s: float) -> None:
    truth = Truth(places(seed, count, longest_pause_s))
    found = align(truth, truth.length_s, truth.words)
    assert found is not None
    for heard, (start_s, end_s) in zip(found, truth.places, strict=True):
        assert (heard.start_s, heard.end_s) == pytest.approx((start_s, end_s))


def test_the_searches_are_few_and_short() -> None:
    truth = Truth(places(1, 3_000, 0.5))
    assert align(truth, truth.length_s, truth.words)
    assert sum(end - start for start, end in truth.windows) < 2 * truth.length_s + WHOLE_S
    assert max(end - start for start, end in truth.windows) <= WHOLE_S
    assert len(truth.windows) < 2 * truth.length_s / WINDOW_S + 2


def test_what_is_short_is_searched_at_once() -> None:
    truth = Truth([(0.0, 1.0), (2.0, WHOLE_S - 0.5)])
    assert align(truth, truth.length_s, truth.words)
    assert truth.windows == [(0.0, WHOLE_S)]


def test_one_window_without_its_words_is_the_end() -> None:
    assert align(lambda *_: None, 300.0, ["a"] * 50) is None

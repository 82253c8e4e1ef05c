"""Earlier results are found while their output lives, and live as long as somebody uses them."""

from __future__ import annotations

from typing import Any

import pytest

from f5serve.errors import StorageFailed
from f5serve.jobs.cache import DAY_S, ResultCache
from f5serve.jobs.records import sha256_of
from f5serve.jobs.retention import collect_garbage
from f5serve.store.memory import MemoryStore
from tests.jobs.clock import Clock

FIELDS = {"text": "Hello.", "voice": "v"}
ASKED = sha256_of(FIELDS)
KEY = "output/first/x.wav"
LINE = {"role": "audio", "key": KEY, "size": 1, "sha256": "0" * 64, "mime": "audio/wav"}
STORY: dict[str, Any] = {"outputs": [LINE], "seconds": 1.0}


class Failing(MemoryStore):
    """A store whose reads fail."""

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        raise StorageFailed("The store is away.", code="S3_UNREACHABLE", retryable=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    store = MemoryStore(clock)
    store.put(KEY, b"x")
    return store


def test_an_equal_question_finds_the_story_and_another_does_not(store: MemoryStore) -> None:
    cache = ResultCache(store, 30)
    assert cache.find(ASKED) is None
    cache.keep(ASKED, "first", STORY)
    assert cache.find(sha256_of(dict(reversed(FIELDS.items())))) == STORY
    assert cache.find(sha256_of({**FIELDS, "voice": "w"})) is None


def test_a_story_whose_output_is_gone_is_not_told(store: MemoryStore) -> None:
    cache = ResultCache(store, 30)
    cache.keep(ASKED, "first", STORY)
    store.delete(KEY)
    assert cache.find(ASKED) is None


def test_a_result_in_use_outlives_the_job_that_made_it(store: MemoryStore, clock: Clock) -> None:
    cache = ResultCache(store, 30)
    cache.keep(ASKED, "first", STORY)
    clock.tick(28 * DAY_S)
    assert cache.find(ASKED) == STORY  # a second job names the output from now on
    clock.tick(20 * DAY_S)
    collect_garbage(store, 30)
    assert store.exists(KEY)
    clock.tick(20 * DAY_S)
    collect_garbage(store, 30)
    assert not store.exists(KEY)


@pytest.mark.parametrize(("days", "age_s"), [(30, 29 * DAY_S), (1, DAY_S / 2)])
def test_a_result_that_may_be_swept_soon_is_not_used(
    store: MemoryStore, clock: Clock, days: int, age_s: float
) -> None:
    cache = ResultCache(store, days)
    cache.keep(ASKED, "first", STORY)
    clock.tick(age_s - 1)
    assert cache.find(ASKED)
    clock.tick(1)
    assert cache.find(ASKED) is None


def test_without_retention_results_are_used_for_ever(store: MemoryStore, clock: Clock) -> None:
    cache = ResultCache(store, 0)
    cache.keep(ASKED, "first", STORY)
    clock.tick(10_000 * DAY_S)
    assert cache.find(ASKED)


def test_damaged_entries_and_a_failing_store_cost_only_the_work(store: MemoryStore) -> None:
    cache = ResultCache(store, 30)
    for story in [{}, {"outputs": []}, {"outputs": [{**LINE, "key": "../x"}]}]:
        cache.keep(ASKED, "first", story)
        assert cache.find(ASKED) is None
    cache.keep(ASKED, "first", {"text": "x" * 100_000})  # too large for a record
    assert ResultCache(Failing(), 30).find(ASKED) is None

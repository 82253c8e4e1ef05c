"""Several models in one process: chosen, loaded once, let go when memory is needed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import pytest

from f5serve.errors import F5Error, InvalidRequest, ModelUnavailable
from f5serve.fallback.tone import Tone
from f5serve.service.model_pool import ModelPool
from f5serve.synthesis.synthesizer import Synthesizer

LIMIT_S = 30.0
MB = 1 << 20


class Tones:
    """Models that beep, of 100 MB each.

    Attributes:
        loads: names in the order in which they were loaded.
        gate: when it is set, loading waits for it.
        failures: what loading a model raises.
    """

    preloaded: tuple[str, ...] = ()

    def __init__(self, *names: str, memory_mb: int = 0) -> None:
        self.names, self.memory_bytes = names, memory_mb * MB
        self.loads: list[str] = []
        self.made: list[Tone] = []
        self.gate: threading.Event | None = None
        self.failures: dict[str, Exception] = {}

    def speaks(self, name: str, language: str) -> bool:
        return name.endswith(f"-{language}")

    def needs_bytes(self, name: str) -> int:
        return 100 * MB

    def load(self, name: str, on_loaded: Callable[[float], None]) -> Synthesizer:
        self.loads.append(name)
        if self.gate is not None:
            on_loaded(0.25)
            assert self.gate.wait(LIMIT_S)
        if name in self.failures:
            raise self.failures.pop(name)
        self.made.append(Tone(model=name, memory_bytes=100 * MB))
        return Synthesizer(self.made[-1])


def pool_of(source: Tones | None = None) -> ModelPool:
    def load_first() -> Future[Synthesizer]:
        loading: Future[Synthesizer] = Future()
        loading.set_result(Synthesizer(Tone(model="first-en", memory_bytes=100 * MB)))
        return loading

    return ModelPool(load_first, source)


async def speak(pool: ModelPool, model: str = "", language: str = "") -> str:
    """Name of the model that a request meets."""
    with pool.lease(model, language) as lease:
        async with asyncio.timeout(LIMIT_S):
            return (await lease.ready()).engine.model


def states(pool: ModelPool) -> dict[str, str]:
    return {told["name"]: told["state"] for told in pool.health()}


def test_a_request_finds_its_model_by_name_or_by_language() -> None:
    async def work() -> None:
        pool = pool_of(Tones("first-en", "second-de", "third-de", "fourth-vi"))
        assert await speak(pool) == "first-en"
        assert await speak(pool, "third-de") == "third-de"
        assert await speak(pool, "", "de-AT") == "second-de"
        assert await speak(pool, "", "VI") == "fourth-vi"
        assert await speak(pool, "", "en") == await speak(pool, "", "ja") == "first-en"
        assert await speak(pool, "first-en", "de") == "first-en"
        with pytest.raises(InvalidRequest) as refusal:
            await speak(pool, "fifth")
        assert refusal.value.code == "MODEL_NOT_LOADED"
        assert "second-de" in refusal.value.message

    asyncio.run(work())


def test_without_other_models_a_name_has_to_be_that_of_the_first() -> None:
    async def work() -> None:
        pool = pool_of()
        for model in ("other", "first-en"):  # not yet known when the request comes
            if model == "other":
                with pytest.raises(InvalidRequest) as refusal:
                    await speak(pool, model)
                assert refusal.value.code == "MODEL_NOT_LOADED"
            else:
                assert await speak(pool, model) == "first-en"

    asyncio.run(work())


def test_a_model_is_loaded_once_however_many_ask() -> None:
    async def work() -> None:
        source = Tones("first-en", "second-de")
        pool = pool_of(source)
        assert await asyncio.gather(*(speak(pool, "second-de") for _ in range(20)))
        assert source.loads == ["second-de"]
        assert await speak(pool) == "first-en"

    asyncio.run(work())


def test_the_model_that_was_not_used_for_longest_goes_and_comes_back() -> None:
    async def work() -> None:
        source = Tones("first-en", "b", "c", memory_mb=250)
        pool = pool_of(source)
        for model in ("", "b", "first-en", "c"):
            await speak(pool, model)
        assert states(pool) == {"first-en": "loaded", "b": "unloaded", "c": "loaded"}
        assert [tone.is_closed for tone in source.made] == [True, False]
        assert pool.memory_bytes == 200 * MB
        await speak(pool, "b")
        assert states(pool) == {"first-en": "unloaded", "b": "loaded", "c": "loaded"}
        assert await speak(pool) == "first-en"
        assert source.loads == ["b", "c", "b", "first-en"]

    asyncio.run(work())


def test_a_model_with_work_is_not_let_go() -> None:
    async def work() -> None:
        source = Tones("first-en", "b", "c", memory_mb=200)
        pool = pool_of(source)
        with ExitStack() as working:
            for model in ("", "b"):
                lease = working.enter_context(pool.lease(model))
                await lease.ready()
            waiting = asyncio.create_task(speak(pool, "c"))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not waiting.done()
            assert states(pool) == {"first-en": "loaded", "b": "loaded", "c": "loading"}
        assert await waiting == "c"
        assert len([name for name, state in states(pool).items() if state == "loaded"]) == 2

    asyncio.run(work())


def test_one_that_is_larger_than_the_budget_is_loaded_alone() -> None:
    async def work() -> None:
        pool = pool_of(Tones("first-en", "b", memory_mb=50))
        await speak(pool)
        assert await speak(pool, "b") == "b"
        assert states(pool) == {"first-en": "unloaded", "b": "loaded"}

    asyncio.run(work())


def test_a_broken_model_fails_those_who_ask_for_it_alone() -> None:
    async def work() -> None:
        source = Tones("first-en", "b", "c")
        source.failures["b"] = ModelUnavailable("Its file is cut short.", code="CHECKPOINT_DAMAGED")
        pool = pool_of(source)
        answers: list[Any] = await asyncio.gather(
            *(speak(pool, model) for model in ("b", "c", "b", "")), return_exceptions=True
        )
        assert [getattr(answer, "code", answer) for answer in answers] == [
            *("CHECKPOINT_DAMAGED", "c", "CHECKPOINT_DAMAGED", "first-en"),
        ]
        (told,) = (told for told in pool.health() if told["name"] == "b")
        assert (told["state"], told["failure"]["code"]) == ("failed", "CHECKPOINT_DAMAGED")
        assert await speak(pool, "b") == "b"  # another file was put there

    asyncio.run(work())


def test_who_does_not_wait_is_told_how_long_it_takes() -> None:
    async def work() -> None:
        source = Tones("first-en", "b")
        source.gate = threading.Event()
        pool = pool_of(source)
        with pool.lease("b") as lease:
            with pytest.raises(F5Error) as refusal:
                await lease.ready(wait=False)
            assert (refusal.value.code, refusal.value.retryable) == ("MODEL_LOADING", True)
            while not lease.share:
                await asyncio.sleep(0.001)
            with pytest.raises(F5Error, match=r"about \d+ s more"):
                await lease.ready(wait=False)
            (told,) = (told for told in pool.health() if told["name"] == "b")
            assert told["progress"] == 0.25
            source.gate.set()
            assert (await lease.ready()).engine.model == "b"
            assert await lease.ready(wait=False)
        assert source.loads == ["b"]

    asyncio.run(work())


def test_models_are_loaded_at_the_start() -> None:
    async def work() -> None:
        source = Tones("first-en", "b", "c")
        pool = pool_of(source)
        pool.begin()
        pool.preload(["c"])
        assert states(pool)["c"] == "loading"
        await speak(pool, "c")
        assert source.loads == ["c"]
        pool.close()

    asyncio.run(work())


def test_models_in_demand_all_the_time_keep_no_other_out() -> None:
    async def work() -> None:
        source = Tones("first-en", "b", "c", memory_mb=200)
        pool = pool_of(source)
        is_over, counts = False, {"": 0, "b": 0}

        async def overlap(model: str, beside: asyncio.Event, own: asyncio.Event) -> None:
            while not is_over:
                with pool.lease(model) as lease:
                    await lease.ready()
                    own.set()
                    await asyncio.wait_for(beside.wait(), LIMIT_S) if not is_over else None
                    beside.clear()
                counts[model] += 1

        busy = []
        for model in counts:
            await speak(pool, model)
            one, other = asyncio.Event(), asyncio.Event()
            busy += [
                asyncio.create_task(overlap(model, one, other)),
                asyncio.create_task(overlap(model, other, one)),
            ]
        await asyncio.sleep(0)
        assert await speak(pool, "c") == "c"
        is_over = True
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        assert await speak(pool) == "first-en"

    asyncio.run(work())


def test_a_first_model_that_turned_out_to_be_another_one_is_told_as_it_is() -> None:
    async def work() -> None:
        pool = pool_of(Tones("wanted", "b"))
        assert states(pool) == {"wanted": "unloaded", "b": "unloaded"}
        with pytest.raises(InvalidRequest) as refusal:
            await speak(pool, "wanted")
        assert refusal.value.code == "MODEL_NOT_LOADED"
        assert "speaks with first-en or b, not with 'wanted'" in refusal.value.message
        assert states(pool) == {"first-en": "loaded", "b": "unloaded"}
        assert await speak(pool, "b") == "b"

    asyncio.run(work())

"""Several models on one device: one loop, steps of one model each, shared parts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from f5serve.engine.device import SharedDevice
from f5serve.engine.engine import F5Engine
from f5serve.engine.loop import EngineLoop
from f5serve.engine.modules import memory_of
from f5serve.engine.scheduler import Scheduler, select
from f5serve.engine.vocos import Vocos, random_tensors
from f5serve.text.tokens import Vocab
from tests.engine.test_engine import LETTERS, utterance, voice
from tests.engine.test_loop import LIMIT_S, Caller, Counting, sequence
from tests.parity.cases import row, small
from tests.parity.ours import CPU, engine_of

NAMES = ("F5TTS_v1_Base", "F5TTS_Base", "E2TTS_Base")


def model(name: str, shared: SharedDevice | None = None, letters: str = LETTERS) -> F5Engine:
    runner = engine_of(row(small(name), "x", 64)).runner
    vocos = Vocos.from_tensors(random_tensors(0, 32, 48, 2), CPU)
    return F5Engine(runner.backbone, runner.schedules, vocos, Vocab(list(letters)), name, shared)


def test_models_side_by_side_say_what_each_says_alone() -> None:
    shared = SharedDevice(CPU)
    together = {name: model(name, shared) for name in NAMES}
    asked = [utterance("hello there", 150, voice(1)), utterance("bye", 120, voice(2))]
    alone = {name: model(name).generate(asked[:1])[0] for name in NAMES}
    assert len({wave.samples.tobytes() for wave in alone.values()}) == len(NAMES)
    with ThreadPoolExecutor(len(NAMES)) as pool:
        made = pool.map(lambda name: together[name].generate(asked[:1])[0], NAMES)
        for name, wave in zip(NAMES, made, strict=True):
            assert np.array_equal(wave.samples, alone[name].samples), name
    assert shared.loop.runners == [one.runner for one in together.values()]
    assert len({id(one.loop) for one in together.values()}) == 1


def test_a_step_is_of_one_model_and_shares_are_fair() -> None:
    loop = EngineLoop(Scheduler(250))
    loop.idle_s = 0.2
    first, second = Counting(), Counting()
    for runner in (first, second):
        loop.add_model(runner)
    first.gate = threading.Semaphore(0)
    long = sequence("long", 60, steps=8)
    short = sequence("short", 60, steps=2)
    beside = sequence("beside", 60, steps=2)
    long.runner, short.runner, beside.runner = first, second, first
    begun = Caller(loop, long)
    assert first.at_gate.wait(LIMIT_S)
    callers = [Caller(loop, short), Caller(loop, beside)]
    while len(loop.scheduler.requests) < 3:
        threading.Event().wait(0.001)
    first.gate.release(50)
    for caller in (begun, *callers):
        caller.ended()
    assert second.steps == [["short"]] * 2
    assert all(set(names) <= {"long", "beside"} for names in first.steps)
    assert ["beside", "long"] in first.steps


def test_a_large_model_does_not_take_the_share_of_a_small_one() -> None:
    """Work counts, not frames: the one that needs less of the device comes first."""
    scheduler = Scheduler(100)
    small_one, large = Counting(), Counting()
    large.token_work = 10.0
    of_small, of_large = sequence("small", 100, steps=8), sequence("large", 100, steps=2)
    of_small.runner, of_large.runner = small_one, large
    assert select([of_small, of_large], 500) == [of_small]
    assert of_small.step_work * 8 < of_large.step_work * 2
    assert scheduler.estimate_s([of_small, of_large]) is None
    for runner, seconds in ((small_one, 0.5), (large, 2.0)):
        runner.cost.observe(100, seconds)
    assert scheduler.estimate_s([of_small, of_large]) == pytest.approx(8 * 0.5 + 2 * 2.0)


def test_a_model_that_is_let_go_leaves_no_memory_and_the_others_speaking() -> None:
    shared = SharedDevice(CPU)
    stays, goes = model(NAMES[0], shared), model(NAMES[1], shared)
    asked = [utterance("hello there", 150, voice(1))]
    before = stays.generate(asked)[0]
    goes.generate(asked)
    goes.close()
    assert shared.loop.runners == [stays.runner]
    assert np.array_equal(stays.generate(asked)[0].samples, before.samples)


def test_the_vocoder_of_a_file_is_there_once(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "vocoder.safetensors"
    save_file(random_tensors(0, 32, 48, 2), path)
    shared = SharedDevice(CPU)
    first, second = shared.vocoder(path), shared.vocoder(path)
    assert first is second
    save_file(random_tensors(1, 32, 48, 2), path)
    other = shared.vocoder(path)
    assert other is not first
    del first, second, other
    assert len(shared._vocoders) == 0


def test_memory_counts_what_is_shared_once() -> None:
    shared = SharedDevice(CPU)
    one, other = model(NAMES[0], shared), model(NAMES[1], shared)
    other.runner.vocoder = one.runner.vocoder
    both = one.memory() | other.memory()
    vocoder = sum(memory_of(one.runner.vocoder).values())
    assert sum(both.values()) == sum(one.memory().values()) + sum(other.memory().values()) - vocoder
    weights = sum(p.numel() * p.element_size() for p in one.runner.backbone.parameters())
    assert sum(one.memory().values()) >= weights + vocoder
    packed = torch.nn.Linear(8, 8)
    packed.weight.data = torch.ones(8, 8)
    assert sum(memory_of(packed).values()) == (64 + 8) * 4

"""A row says what it would say alone, whatever comes, goes and fails beside it."""

from __future__ import annotations

import gc
import random
import threading
import time
import weakref
from collections import abc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from f5serve.engine.cpu import ParallelCfg
from f5serve.engine.engine import F5Engine
from f5serve.engine.model_runner import ModelRunner
from f5serve.engine.request import ReferencePrompt, Sequence
from f5serve.errors import EngineFailed
from f5serve.types import Utterance, Wave
from tests.engine.test_engine import speaker, utterance, voice
from tests.engine.test_number_formats import NEEDS_FP8
from tests.parity.cases import row, small
from tests.parity.ours import engine_of, error, sequence_of, started

V1, E2 = "F5TTS_v1_Base", "E2TTS_Base"
KINDS = [
    {"frames": 40},
    {"frames": 40, "nfe_step": 3},
    {"frames": 64, "cfg_strength": 0.0},
    {"frames": 64, "cfg_strength": 0.7, "nfe_step": 5},
    {"frames": 33, "sway": 0.0, "nfe_step": 9},
    {"frames": 90, "nfe_step": 4, "sway": -0.5},
]
"""Rows that differ in everything that a row has to itself."""


def not_finite(frames: int) -> ReferencePrompt:
    return ReferencePrompt.from_mel(torch.full((frames, 100), float("nan")))


class Mixture:
    """A small model, its rows, and what each becomes alone."""

    def __init__(self, name: str, dtype: torch.dtype = torch.float32, eight: str = "") -> None:
        arch = replace(small(name), depth=2)
        cases = [row(arch, "x", **kind) for kind in KINDS]
        self.engine = engine_of(cases[0], dtype)
        if eight:
            self.engine.quantize(eight)
        self.rows = [sequence_of(case) for case in cases]
        self.alone = [self.engine.runner.sample([row])[0] for row in self.rows]

    @property
    def runner(self) -> ModelRunner:
        return self.engine.runner

    def together(self, starts: abc.Sequence[int], pauses: random.Random) -> list[Tensor]:
        """Rows that begin at those steps; some sit out a step now and then."""
        begun: dict[int, Sequence] = {}
        for step in range(1000):
            for i, start in enumerate(starts):
                if start == step:
                    begun[i] = started(self.runner, self.rows[i])
            moving = [item for item in begun.values() if item.steps_left]
            if not moving and len(begun) == len(starts):
                break
            if moving := [item for item in moving if pauses.random() > 0.2]:
                self.runner.step(moving)
        return [begun[i].x for i in range(len(starts))]


@pytest.fixture(scope="module", params=[V1, "F5TTS_Base", E2])
def mixture(request: pytest.FixtureRequest) -> Mixture:
    return Mixture(request.param)


def check(mixture: Mixture, mels: list[Tensor], tolerance: float) -> None:
    for prepared, mel, alone in zip(mixture.rows, mels, mixture.alone, strict=True):
        speech = slice(prepared.prompt.frames, None)
        assert error(mel[speech], alone[speech]) <= tolerance


@settings(max_examples=8)
@given(starts=st.tuples(*[st.integers(0, 12)] * len(KINDS)), seed=st.integers(0, 1000))
def test_rows_that_come_and_go_equal_their_singles(
    mixture: Mixture, starts: tuple[int, ...], seed: int
) -> None:
    check(mixture, mixture.together(starts, random.Random(seed)), 1e-5)


@pytest.mark.parametrize(
    ("dtype", "eight", "tolerance"),
    # With few bits, the last one of a sum may decide how the next layer's input is rounded; what
    # that comes to is at most what the format differs from fp32 anyway.
    [
        (torch.float16, "", 3e-3),
        (torch.bfloat16, "", 1e-2),
        (torch.float32, "int8", 1e-2),
        pytest.param(torch.bfloat16, "fp8", 3e-2, marks=NEEDS_FP8),
    ],
    ids=["fp16", "bf16", "int8", "fp8"],
)
def test_so_do_they_in_other_precisions(dtype: torch.dtype, eight: str, tolerance: float) -> None:
    mixture = Mixture(V1, dtype, eight)
    check(mixture, mixture.together([0, 1, 1, 2, 4, 5], random.Random(1)), tolerance)


@pytest.fixture
def halves() -> Iterator[ParallelCfg]:
    threads = torch.get_num_threads()
    yield ParallelCfg(2)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", [V1, E2])
def test_the_halves_of_guidance_side_by_side_are_the_whole(name: str, halves: ParallelCfg) -> None:
    mixture = Mixture(name)
    mixture.runner.parallel_cfg = halves
    guided = [i for i, prepared in enumerate(mixture.rows) if prepared.uses_cfg]
    mixture.rows = [mixture.rows[i] for i in guided]
    mixture.alone = [mixture.alone[i] for i in guided]
    check(mixture, mixture.together([0, 1, 1, 3, 4][: len(guided)], random.Random(1)), 1e-5)


def test_a_half_that_fails_leaves_no_other_running(halves: ParallelCfg) -> None:
    ended = threading.Event()

    def fail() -> Tensor:
        raise MemoryError

    def last() -> Tensor:
        time.sleep(0.2)
        ended.set()
        return torch.zeros(1)

    with pytest.raises(MemoryError):
        halves.run(fail, last)
    assert ended.is_set()
    assert halves.run(lambda: torch.zeros(1), lambda: torch.ones(1)).tolist() == [0, 1]


def test_threads_that_begin_later_have_all_of_the_cores(halves: ParallelCfg) -> None:
    seen: list[int] = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [torch.get_num_threads()] == [2]


def test_rows_at_one_time_point_take_one_table() -> None:
    """The fast path: without it every step would gather a table row for each frame."""
    mixture = Mixture(V1)
    same = [replace(mixture.rows[0], seed=i) for i in range(3)]
    begun = [started(mixture.runner, row) for row in same]
    assert mixture.runner._batch(begun).timestep().indices is None
    mixture.runner.step(begun[:1])
    assert mixture.runner._batch(begun).timestep().indices is not None


def test_numbers_that_are_not_finite_stay_in_their_row() -> None:
    mixture = Mixture(V1)
    broken = replace(mixture.rows[0], prompt=not_finite(13))
    mixture.rows = [mixture.rows[2], broken, mixture.rows[5]]
    mels = mixture.together([0, 0, 0], random.Random(2))
    assert not torch.isfinite(mels[1]).all()
    for i, alone in ((0, 2), (2, 5)):
        speech = slice(mixture.rows[i].prompt.frames, None)
        assert error(mels[i][speech], mixture.alone[alone][speech]) <= 1e-5


@pytest.mark.parametrize("name", [V1, E2])
def test_calls_from_many_threads_at_random_times_equal_calls_alone(name: str) -> None:
    rng = random.Random(7)
    options = [{}, {"cfg_strength": 0.0}, {"cfg_strength": 1.0}, {"sway_sampling_coef": 0.0}]
    voices = [voice(1, seconds=0.5), voice(2, seconds=0.4)]
    asked = [
        [
            utterance(rng.choice("abcde") * 5, rng.randint(60, 110), voices[i % 2], **choice)
            for choice in rng.sample(options, rng.randint(1, 3))
        ]
        for i in range(5)
    ]
    engine = speaker(name)
    engine.scheduler.resize(250)
    alone = [engine.generate([item])[0] for call in asked for item in call]
    got: dict[int, list[Wave]] = {}

    def call(i: int, wait_s: float) -> None:
        time.sleep(wait_s)
        got[i] = engine.generate(asked[i])

    threads = [threading.Thread(target=call, args=(i, rng.random() / 5)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    together = [wave for i in range(5) for wave in got[i]]
    assert engine.counters()["row_steps"] > engine.counters()["steps"]  # some did share steps
    for one, other in zip(together, alone, strict=True):
        difference = np.linalg.norm(one.samples - other.samples)
        assert difference <= 1e-4 * np.linalg.norm(other.samples)


def tensors(engine: F5Engine) -> list[weakref.ref[Tensor]]:
    """What the rows in work hold on the device."""
    running = [seq for seq in engine.scheduler.sequences() if seq.x is not None]
    return [weakref.ref(t) for seq in running for t in (seq.x, *seq.conditions)]


def test_a_call_that_ends_early_leaves_no_tensor_behind() -> None:
    engine = speaker()
    engine.scheduler.resize(1024)  # both rows in one step
    held: list[weakref.ref[Tensor]] = []

    def give_up() -> None:
        held.extend(tensors(engine))
        if held:
            raise TimeoutError

    gc.collect()
    gc.disable()  # nothing may hang on cycles
    try:
        with pytest.raises(TimeoutError):
            engine.generate(
                [utterance("a", 150, voice(1)), utterance("b", 190, voice(1))], check=give_up
            )
        assert len(held) >= 6
        assert [ref() for ref in held if ref() is not None] == []
    finally:
        gc.enable()


class Cramped(torch.nn.Module):
    """A backbone on a device with room for so many frames, which then runs out of memory."""

    def __init__(self, inner: Any, frames: int) -> None:
        super().__init__()
        self.inner, self.frames = inner, frames
        self.text, self.input = inner.text, inner.input
        self.has_time_token = inner.has_time_token

    def forward(self, x: Tensor, *others: Any) -> Tensor:
        kept = torch.zeros(1000)
        if len(x) > self.frames:
            raise torch.OutOfMemoryError(f"no room for {len(x)} frames beside {len(kept)}")
        return self.inner(x, *others)


def test_without_memory_all_that_fits_is_said_as_it_would_be_with_it() -> None:
    asked = [utterance("abc"[i % 3], frames, voice(1)) for i, frames in enumerate([120, 130, 300])]
    engine = speaker()
    roomy = [engine.generate([item])[0] for item in asked]
    runner = engine.runner
    runner.backbone = Cramped(runner.backbone, 200)  # type: ignore[assignment]
    errors: dict[int, str] = {}
    waves: dict[int, Wave] = {}

    def call(i: int, item: Utterance) -> None:
        try:
            (waves[i],) = engine.generate([item])
        except EngineFailed as error:
            errors[i] = error.code

    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(asked)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == {2: "OUT_OF_MEMORY"}
    for i in (0, 1):
        assert np.allclose(waves[i].samples, roomy[i].samples, atol=1e-4)


def test_rows_finished_at_once_are_those_finished_one_by_one() -> None:
    engine = speaker()
    batch = engine._sequences([utterance("ab"[i], n, voice(i)) for i, n in enumerate((150, 130))])
    for seq in batch:
        engine.runner.start(seq)
    for _ in range(7):
        engine.runner.step(batch)
    for wave, seq in zip(engine.runner.vocode(batch).waves(), batch, strict=True):
        (alone,) = engine.runner.vocode([seq]).waves()
        assert wave.samples.shape == alone.samples.shape
        assert np.allclose(wave.samples, alone.samples, atol=1e-6)


def test_seeds_out_of_range_fail_alone() -> None:
    engine = speaker()
    good = utterance("a", 150, voice(1))
    with pytest.raises(EngineFailed) as caught:
        engine.generate([good, replace(good, seed=2**80)])
    assert caught.value.code == "STEP_FAILED"
    assert len(engine.generate([good])) == 1


def test_a_deadline_and_an_estimate_can_be_had() -> None:
    engine = speaker()
    asked = [utterance("a", 150, voice(1))]
    assert engine.estimate_s(asked) is None
    began = time.monotonic()
    engine.generate(asked, deadline=began + 60)
    took_s = time.monotonic() - began
    needed_s = engine.estimate_s(asked)
    assert needed_s is not None
    assert 0 < needed_s < 20 * took_s
    assert engine.counters()["vocoder_s"] > 0


def test_a_reference_has_the_frames_that_were_counted() -> None:
    for seconds in (0.5, 0.77, 1.0):
        prompt = ReferencePrompt.of(voice(1, seconds=seconds))
        assert prompt.frames == len(prompt.mel(torch.device("cpu")))


def test_a_sequence_prepared_by_its_caller_is_the_sequence() -> None:
    runner, asked = speaker().runner, utterance("a", 150, voice(1))
    plain, prepared = (
        Sequence.of(asked, ReferencePrompt.of(voice(1)), [1, 2, 3], runner) for _ in range(2)
    )
    runner.prepare(prepared)
    assert prepared.host_inputs is not None
    for seq in (plain, prepared):
        runner.start(seq)
    assert torch.equal(plain.x, prepared.x)
    for one, other in zip(plain.conditions, prepared.conditions, strict=True):
        assert torch.equal(one, other)
    assert prepared.host_inputs is None  # nothing is held once it has started

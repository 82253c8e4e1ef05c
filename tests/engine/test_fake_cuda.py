"""What a GPU would be asked to do, on tensors of a GPU that is not there.

Devices and types agree, nobody waits for the GPU within a step, and the number of kernels and of
bytes that they move stays below a bound. Whether it is fast, only a GPU can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
)
from torch.utils._python_dispatch import TorchDispatchMode

from f5serve.engine import checkpoint, modules
from f5serve.engine.attention import trial_input, varlen
from f5serve.engine.config import preset
from f5serve.engine.cuda_graphs import ModelSizes, StaticInputs, bucket_of
from f5serve.engine.fused import FusedOps
from f5serve.engine.kernels import Kernels
from f5serve.engine.model_runner import ModelRunner
from f5serve.engine.ops import PlainOps, set_ops
from f5serve.engine.packing import GPU_CONV_MULTIPLE, BatchLayout, StepConditioning
from f5serve.engine.quantize import Fp8Linear, quantize_blocks
from f5serve.engine.request import ReferencePrompt, Sequence
from f5serve.engine.schedule import Schedule, ScheduleCache
from f5serve.engine.vocos import Vocos
from f5serve.types import SamplingOptions, Utterance, Voice, Wave
from tests.engine.fake_cuda import CUDA, Trace, fake_gpu, on_gpu
from tests.parity.ours import started

V1, V0, E2 = "F5TTS_v1_Base", "F5TTS_Base", "E2TTS_Base"
HALVES = [torch.float16, torch.bfloat16]

# A fake of a view of complex numbers in float16 is a new tensor, of which torch warns.
pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support")

MOST_LAUNCHES = {
    "plain": {(V1, 1): 263, (V1, 2): 333, (E2, 1): 312, (E2, 2): 314},
    "fused": {(V1, 1): 192, (V1, 2): 194, (E2, 1): 247, (E2, 2): 249},
}
"""Of a step by architecture and time points; in bf16, queries and keys are turned in copies."""
MOST_BYTES = {
    "plain": {(V1, 1): 72_000, (V1, 2): 105_000},
    "fused": {(V1, 1): 60_000, (V1, 2): 60_000},
}
"""Moved per token and block in fp16, weights not counted."""
FP8_LAUNCHES = 5
"""Of each linear layer beside its product: its input is measured, scaled and rounded."""


@pytest.fixture(autouse=True)
def gpu() -> Iterator[None]:
    modules.filterbank()  # a real one
    with fake_gpu():
        yield
    modules._placed.cache_clear()


def runner_of(name: str, dtype: torch.dtype) -> ModelRunner:
    arch = preset(name)
    model = checkpoint.build(arch)
    on_gpu(model, dtype)
    schedules = ScheduleCache(arch, CUDA, dtype, {}, None)
    table = torch.empty(16, preset(name).n_modulations, arch.dim, device=CUDA, dtype=dtype)
    schedule = Schedule((1 / 16,) * 16, table)
    schedules._cached = lambda steps, sway: schedule  # its numbers cannot be computed here
    with torch.device("meta"):
        vocos = Vocos()
    on_gpu(vocos, torch.float32)
    return ModelRunner(model, schedules, varlen, vocos)


def fp8_runner_of(name: str) -> ModelRunner:
    runner = runner_of(name, torch.bfloat16)
    quantize_blocks(runner.backbone, "fp8")
    return runner


def compute_with(ops: str, runner: ModelRunner, trace: Trace) -> None:
    """Plain operations as a GPU has them, or kernels that are launched into a trace."""
    where = runner.schedules
    kernels = Kernels.of(where.config, where.dtype)
    plain = PlainOps(half_pairs=where.dtype is torch.float16)
    set_ops(runner.backbone, plain if ops == "plain" else FusedOps(kernels, trace.launch))


def row(frames: int, strength: float = 2.0) -> Sequence:
    options = SamplingOptions(nfe_step=16, cfg_strength=strength)
    prompt = ReferencePrompt.from_mel(torch.empty(frames // 3, 100, device=CUDA))
    return Sequence(prompt, [1] * 120, frames, 5, options)


def begin(runner: ModelRunner, lengths: list[int], points: int) -> list[Sequence]:
    begun = [started(runner, row(frames)) for frames in lengths]
    for i, item in enumerate(begun):
        item.step = i % points
    return begun


def is_sound(trace: Trace) -> None:
    assert trace.mixed == []
    assert trace.waits == []


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", [V1, V0, E2])
def test_a_row_begins_without_waiting_for_the_gpu(name: str, dtype: torch.dtype) -> None:
    runner = runner_of(name, dtype)
    wave = Wave(np.full(6 * 24_000, 0.1, np.float32))
    voice = Voice("v", wave, "Some words.", revision="r")
    utterance = Utterance("hello", voice, 1500, 5, SamplingOptions(nfe_step=16))
    for seq in [
        Sequence.of(utterance, ReferencePrompt.of(voice), [1] * 100, runner) for _ in range(2)
    ]:
        with Trace() as trace:
            runner.start(seq)
        assert seq.x.device.type == "cuda"
    # The second time; the window and the filters of the mel are copied once.
    is_sound(trace)
    assert len(trace.copies) == 3  # ids, noise, reference


@pytest.mark.parametrize(
    ("ops", "name", "dtype", "count", "points"),
    [
        *product(["plain", "fused"], [V1, V0, E2], HALVES, [5], [3]),
        *product(["plain", "fused"], [V1, E2], HALVES[:1], [1], [1]),
        ("plain", V1, HALVES[0], 2, 1),
        ("plain", V1, HALVES[0], 32, 12),
    ],
)
def test_nobody_waits_in_a_step(
    ops: str, name: str, dtype: torch.dtype, count: int, points: int
) -> None:
    runner = runner_of(name, dtype)
    rows = begin(runner, [300 + 7 * i for i in range(count)], points)
    for trace in (first := Trace(), later := Trace()):
        with trace:
            compute_with(ops, runner, trace)
            runner.step(rows)
    is_sound(first)
    assert len(first.copies) <= 3
    is_sound(later)
    assert later.copies == []
    key = (E2 if name == E2 else V1, min(points, 2))
    print(f"{ops} {name} {count} rows, {points} time points: {later.count} launches")  # noqa: T201 - told with -s
    copies = 2 * preset(name).depth if ops == "plain" and dtype is torch.bfloat16 else 0
    assert later.count <= MOST_LAUNCHES[ops][key] + copies


class Products(TorchDispatchMode):
    """Notes the arguments of each product in fp8, and its result."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[torch.Tensor, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.name().startswith("aten::_scaled_mm"):
            self.seen.append((*args[:4], out))
        return out


@pytest.mark.parametrize("name", [V1, E2])
def test_a_step_in_fp8_is_sound(name: str) -> None:
    """torch refuses fake tensors of a layout or width that the kernels of a GPU do not take."""
    runner = fp8_runner_of(name)
    rows = begin(runner, [301, 412, 350], 2)
    with Products() as products:
        runner.step(rows)
    with Trace() as trace:
        runner.step(rows)
    is_sound(trace)
    assert trace.copies == []
    blocks = runner.backbone.blocks
    layers = [module for module in blocks.modules() if isinstance(module, Fp8Linear)]
    assert trace.launches["_scaled_mm"] == len(products.seen) == len(layers) >= 4 * len(blocks)
    print(f"{name} in fp8: {trace.count} launches")  # noqa: T201 - as above
    copies = 2 * len(blocks)  # in which queries and keys are turned
    assert trace.count <= MOST_LAUNCHES["plain"][name, 2] + copies + FP8_LAUNCHES * len(layers)
    for x, weight, token_scale, channel_scale, out in products.seen:
        assert x.dtype is weight.dtype is torch.float8_e4m3fn
        assert x.stride() == (x.shape[1], 1)
        assert weight.stride() == (1, weight.shape[0])
        assert out.dtype is torch.bfloat16
        for scale, shape in ((token_scale, (len(x), 1)), (channel_scale, (1, weight.shape[1]))):
            assert scale.shape == shape
            assert scale.dtype is torch.float32
            assert scale.is_contiguous()


@pytest.mark.parametrize("points", [1, 2])
@pytest.mark.parametrize("ops", ["plain", "fused"])
def test_bytes_of_a_step(ops: str, points: int) -> None:
    runner = runner_of(V1, torch.float16)
    rows = begin(runner, [800] * 8, points)
    runner.step(rows)  # packs them
    with Trace() as trace:
        compute_with(ops, runner, trace)
        runner.step(rows)
    depth, tokens = preset(V1).depth, 2 * 8 * 800
    weights = sum(p.nbytes for p in runner.backbone.blocks.parameters())
    each = (trace.bytes - weights) / (tokens * depth)
    print(f"{ops}, {points} time points: {each / 1000:.0f} KB per token and block")  # noqa: T201 - as above
    assert each <= MOST_BYTES[ops][V1, points]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", [V1, E2])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_recording_is_loaded_without_waiting(name: str, dtype: torch.dtype, mixed: bool) -> None:
    arch, lengths = preset(name), [800, 820, 780, 810] * 2
    layout = BatchLayout.of(lengths, CUDA, name == E2)
    total, rows = sum(lengths), preset(name).n_modulations
    table = torch.empty(4, rows, arch.dim, device=CUDA, dtype=dtype)
    places = torch.empty(8, dtype=torch.int64, device=CUDA)
    timestep = StepConditioning(table, places) if mixed else StepConditioning(table[0])
    sizes = ModelSizes(arch.dim, rows, name == E2, CUDA, dtype)
    bucket = bucket_of(lengths, mixed)
    assert bucket is not None
    buffers = StaticInputs.of(bucket, sizes)
    condition = torch.empty(total, arch.dim, device=CUDA, dtype=dtype)
    x = torch.empty(total // 2, 100, device=CUDA, dtype=dtype)
    for copies in (1 + (name == E2), 0):
        with Trace() as trace:
            buffers.copy_from(condition, layout, timestep, x)
        is_sound(trace)
        assert len(trace.copies) == copies


@pytest.mark.parametrize("lengths", [[500], [300, 240, 410]])
def test_rows_are_finished_without_waiting(lengths: list[int]) -> None:
    runner = runner_of(V1, torch.float16)
    begun = begin(runner, lengths, 1)
    with Trace() as trace:
        sounds = runner.sounds(begun)
    is_sound(trace)
    assert trace.copies == []
    assert trace.launches["conv1d"] == 0  # cuDNN would make a plan for each length
    expected = [(frames - frames // 3 - 1) * 256 + 1 for frames in lengths]
    assert [len(sound) for sound in sounds] == expected
    print(f"{len(lengths)} rows to waves: {trace.count} launches")  # noqa: T201 - as above


def test_convolutions_meet_few_sizes() -> None:
    sizes = {len(BatchLayout.of([n], CUDA, False).conv_padding.mask) for n in range(200, 900, 5)}  # type: ignore[union-attr]
    assert len(sizes) == 6
    assert all(size % GPU_CONV_MULTIPLE == 0 for size in sizes)


def test_text_is_convolved_without_a_plan() -> None:
    runner = runner_of(V1, torch.float16)
    with Trace() as trace:
        started(runner, row(800))
    assert trace.launches["conv1d"] == 0
    assert trace.launches["_convolution"] == preset(V1).conv_layers


def test_the_trial_draws_nothing_on_the_gpu() -> None:
    with Trace() as trace:
        trial_input(CUDA, torch.float16)
    assert trace.count == 0


def test_a_trace_tells_what_waits() -> None:
    x = torch.empty(4, 4, device=CUDA)
    for work in (
        lambda: x.cpu(),
        lambda: torch.ones(4).to(CUDA),
        lambda: x.copy_(torch.ones(4, 4)),
        lambda: x.masked_select(x > 0),
        lambda: x[x > 0],
        lambda: x.sum().item(),
    ):
        with Trace() as trace, suppress(DataDependentOutputException, DynamicOutputShapeException):
            work()
        assert len(trace.waits) == 1

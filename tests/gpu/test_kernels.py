"""The project's own kernels on a CUDA device; tests/engine/test_kernels.py has what needs none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from f5serve.engine import fused
from f5serve.engine.checkpoint import DeviceAndDtype, load_random
from f5serve.engine.config import preset
from f5serve.engine.engine import F5Engine
from f5serve.engine.kernel_files import KernelsUnusable
from f5serve.engine.kernels import Kernels
from f5serve.engine.ops import set_ops
from f5serve.engine.vocos import Vocos, random_tensors
from f5serve.text.tokens import Vocab
from tests.parity.cases import row
from tests.parity.ours import error, sequence_of, started

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
NAMES = "F5TTS_v1_Base", "F5TTS_Base", "F5TTS_v1_Small", "E2TTS_Base"


def engine_of(name: str, dtype: torch.dtype = torch.float16) -> F5Engine:
    """A model of real widths, which the kernels are compiled for, and of four layers."""
    arch = replace(preset(name), depth=4, vocab_size=61)
    where = torch.device("cuda")
    try:
        fused.provide(Kernels.of(arch, dtype), where)
    except KernelsUnusable as reason:
        pytest.skip(str(reason))
    model = load_random(arch, DeviceAndDtype(where, dtype), 11)
    return F5Engine(*model, Vocos.from_tensors(random_tensors(0), where), Vocab([" "]), "random")


def steps_of(engine: F5Engine, times: int) -> list[torch.Tensor]:
    """Rows of several lengths at several time points, after so many steps."""
    arch = engine.runner.schedules.config
    rows = [sequence_of(row(arch, "x", n, nfe_step=32)) for n in (700, 130, 64, 513)]
    begun = [started(engine.runner, item) for item in rows]
    for i, item in enumerate(begun):
        item.step = i
    for _ in range(times):
        engine.runner.step(begun)
    return [item.x for item in begun]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 3e-3), (torch.float32, 1e-4)])
def test_kernels_compute_what_torch_does(name: str, dtype: torch.dtype, tolerance: float) -> None:
    engine = engine_of(name, dtype)
    expected = steps_of(engine, 4)
    engine.use_kernels(fused.provide)
    assert engine.counters()["fused_kernels"] == 1
    for one, other in zip(steps_of(engine, 4), expected, strict=True):
        assert error(one, other) <= tolerance


@pytest.mark.parametrize("name", ["F5TTS_v1_Base", "E2TTS_Base"])
def test_steps_with_kernels_are_recorded(name: str) -> None:
    engine = engine_of(name)
    engine.use_kernels(fused.provide)
    assert "fused kernels" in engine.description
    expected = steps_of(engine, 10)
    engine.use_graphs()
    graphs = engine.runner.graphs
    assert graphs is not None
    graphs._missed.clear()
    steps_of(engine, 10)
    assert graphs.capture_pending()
    replayed = steps_of(engine, 10)
    assert graphs.counters()["graph_failures"] == 0
    assert graphs.counters()["graph_steps"] > 0
    for one, other in zip(replayed, expected, strict=True):
        assert error(one, other) <= 3e-3


def test_queries_are_turned_in_place() -> None:
    engine = engine_of("F5TTS_v1_Base")
    assert engine._plain.half_pairs
    expected = steps_of(engine, 4)
    set_ops(engine.runner.backbone, replace(engine._plain, half_pairs=False))
    for one, other in zip(steps_of(engine, 4), expected, strict=True):
        assert error(one, other) <= 3e-3

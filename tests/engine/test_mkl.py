"""Packed weights give what plain ones give, whatever shares a product, and only where it pays."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from f5serve.engine import load
from f5serve.engine.mkl import PackedLinear, mkl_is_supported, pack_linear, works
from tests.parity.cases import row, small
from tests.parity.ours import engine_of, error, row_of

CPU = torch.device("cpu")
needs_mkl = pytest.mark.skipif(not works(), reason="this torch has no MKL")


@needs_mkl
@pytest.mark.parametrize("name", ["F5TTS_v1_Base", "E2TTS_Base"])
def test_the_mel_is_the_same(name: str) -> None:
    case = row(small(name), "x", 90)
    engine = engine_of(case)
    plain = engine.sample([row_of(case)])[0]
    pack_linear(engine.device.stepper.backbone)
    kinds = {type(module) for module in engine.device.stepper.backbone.blocks.modules()}
    assert PackedLinear in kinds
    assert torch.nn.Linear not in kinds
    assert error(engine.sample([row_of(case)])[0], plain) <= 1e-6


@needs_mkl
@torch.inference_mode()
def test_any_number_of_tokens_in_any_thread() -> None:
    """More and fewer than the weight was packed for, and several threads at once."""
    torch.manual_seed(0)
    linear = torch.nn.Linear(192, 320)
    packed = PackedLinear(linear)
    xs = [torch.randn(count, 192) for count in (1, 16, 63, 256, 511, 512, 513, 1200)]
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(packed, xs * 8))
    for x, y in zip(xs * 8, given, strict=True):
        assert error(y, linear(x)) <= 1e-6


@needs_mkl
def test_the_plain_weight_is_let_go() -> None:
    linear = torch.nn.Linear(256, 512)
    packed = PackedLinear(linear)
    held = [*vars(packed)["_parameters"].values(), packed.shape]
    assert all(tensor.untyped_storage().nbytes() < 256 * 512 for tensor in held)


def test_it_is_for_intel_with_avx512_in_fp32(
    cpuinfo: Callable[[str], Path], tmp_path: Path
) -> None:
    wide = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    intel = cpuinfo("GenuineIntel")
    assert mkl_is_supported(CPU, torch.float32, intel) is (wide and works())
    assert not mkl_is_supported(CPU, torch.bfloat16, intel)
    assert not mkl_is_supported(torch.device("cuda"), torch.float32, intel)
    assert not mkl_is_supported(CPU, torch.float32, cpuinfo("AuthenticAMD"))
    assert not mkl_is_supported(CPU, torch.float32, tmp_path / "none")


@needs_mkl
@pytest.mark.parametrize("packs", [True, False])
def test_an_engine_is_loaded_so(packs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("f5serve.engine.mkl.mkl_is_supported", lambda *_: packs)
    monkeypatch.setattr("f5serve.engine.onednn.onednn_is_supported", lambda *_: False)
    options = load.EngineOptions(device="cpu", dtype="fp32")
    assert load._placement(options).in_place is not packs
    engine = engine_of(row(small("F5TTS_v1_Base"), "x", 90))
    engine.use_fast_linear()
    kinds = {type(module) for module in engine.device.stepper.backbone.blocks.modules()}
    assert (PackedLinear in kinds) is packs

"""Linear layers by MKL and oneDNN give what plain ones give, and are used where that is faster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from f5serve.engine import engine as engines
from f5serve.engine.cpu import (
    OneDnnLinear,
    PackedLinear,
    enable_mkl,
    enable_onednn,
    mkl_is_supported,
    mkl_works,
    onednn_is_supported,
    onednn_works,
)
from tests.parity.cases import row, small
from tests.parity.ours import engine_of, error, sequence_of

CPU = torch.device("cpu")
needs_mkl = pytest.mark.skipif(not mkl_works(), reason="this torch has no MKL")


@needs_mkl
@pytest.mark.parametrize("name", ["F5TTS_v1_Base", "E2TTS_Base"])
def test_packed_weights_give_the_same_mel(name: str) -> None:
    case = row(small(name), "x", 90)
    engine = engine_of(case)
    plain = engine.runner.sample([sequence_of(case)])[0]
    enable_mkl(engine.runner.backbone)
    kinds = {type(module) for module in engine.runner.backbone.blocks.modules()}
    assert PackedLinear in kinds
    assert torch.nn.Linear not in kinds
    assert error(engine.runner.sample([sequence_of(case)])[0], plain) <= 1e-6


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
    assert mkl_is_supported(CPU, torch.float32, intel) is (wide and mkl_works())
    assert not mkl_is_supported(CPU, torch.bfloat16, intel)
    assert not mkl_is_supported(torch.device("cuda"), torch.float32, intel)
    assert not mkl_is_supported(CPU, torch.float32, cpuinfo("AuthenticAMD"))
    assert not mkl_is_supported(CPU, torch.float32, tmp_path / "none")


@needs_mkl
@pytest.mark.parametrize("packs", [True, False])
def test_an_engine_is_loaded_so(packs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("f5serve.engine.cpu.mkl_is_supported", lambda *_: packs)
    monkeypatch.setattr("f5serve.engine.cpu.onednn_is_supported", lambda *_: False)
    options = engines.EngineOptions(device="cpu", dtype="fp32")
    assert engines._placement(options).in_place is not packs
    engine = engine_of(row(small("F5TTS_v1_Base"), "x", 90))
    engine.use_fast_linear()
    kinds = {type(module) for module in engine.runner.backbone.blocks.modules()}
    assert (PackedLinear in kinds) is packs


@pytest.mark.skipif(not onednn_works(), reason="this torch has no oneDNN")
@pytest.mark.parametrize("name", ["F5TTS_v1_Base", "E2TTS_Base"])
def test_onednn_gives_the_same_mel(name: str) -> None:
    case = row(small(name), "x", 90)
    engine = engine_of(case)
    plain = engine.runner.sample([sequence_of(case)])[0]
    enable_onednn(engine.runner.backbone)
    kinds = {type(module) for module in engine.runner.backbone.blocks.modules()}
    assert OneDnnLinear in kinds
    assert torch.nn.Linear not in kinds
    assert error(engine.runner.sample([sequence_of(case)])[0], plain) <= 1e-6


def test_it_is_for_amd_with_avx512_in_fp32(cpuinfo: Callable[[str], Path], tmp_path: Path) -> None:
    wide = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    amd = cpuinfo("AuthenticAMD")
    assert onednn_is_supported(CPU, torch.float32, amd) is (wide and onednn_works())
    assert not onednn_is_supported(CPU, torch.float16, amd)
    assert not onednn_is_supported(torch.device("cuda"), torch.float32, amd)
    assert not onednn_is_supported(CPU, torch.float32, cpuinfo("GenuineIntel"))
    intel = cpuinfo("GenuineIntel")
    assert not onednn_is_supported(CPU, torch.bfloat16, intel)
    intel.write_text(intel.read_text() + "flags\t: fpu avx2 amx_bf16\n")
    assert onednn_is_supported(CPU, torch.bfloat16, intel) is onednn_works(torch.bfloat16)
    assert not onednn_is_supported(torch.device("cuda"), torch.bfloat16, intel)
    assert not onednn_is_supported(CPU, torch.float32, tmp_path / "none")

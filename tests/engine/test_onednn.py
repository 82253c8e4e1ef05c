"""oneDNN computes what MKL computes, and only where it pays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from f5serve.engine.onednn import OneDnnLinear, _works, enable_onednn, onednn_is_supported
from tests.parity.cases import row, small
from tests.parity.ours import engine_of, error, row_of

CPU = torch.device("cpu")


@pytest.mark.skipif(not _works(), reason="this torch has no oneDNN")
@pytest.mark.parametrize("name", ["F5TTS_v1_Base", "E2TTS_Base"])
def test_the_mel_is_the_same(name: str) -> None:
    case = row(small(name), "x", 90)
    engine = engine_of(case)
    plain = engine.sample([row_of(case)])[0]
    enable_onednn(engine.device.stepper.backbone)
    kinds = {type(module) for module in engine.device.stepper.backbone.blocks.modules()}
    assert OneDnnLinear in kinds
    assert torch.nn.Linear not in kinds
    assert error(engine.sample([row_of(case)])[0], plain) <= 1e-6


def test_it_is_for_amd_with_avx512_in_fp32(cpuinfo: Callable[[str], Path], tmp_path: Path) -> None:
    wide = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    amd = cpuinfo("AuthenticAMD")
    assert onednn_is_supported(CPU, torch.float32, amd) is (wide and _works())
    assert not onednn_is_supported(CPU, torch.float16, amd)
    assert not onednn_is_supported(torch.device("cuda"), torch.float32, amd)
    assert not onednn_is_supported(CPU, torch.float32, cpuinfo("GenuineIntel"))
    intel = cpuinfo("GenuineIntel")
    assert not onednn_is_supported(CPU, torch.bfloat16, intel)
    intel.write_text(intel.read_text() + "flags\t: fpu avx2 amx_bf16\n")
    assert onednn_is_supported(CPU, torch.bfloat16, intel) is _works(torch.bfloat16)
    assert not onednn_is_supported(torch.device("cuda"), torch.bfloat16, intel)
    assert not onednn_is_supported(CPU, torch.float32, tmp_path / "none")

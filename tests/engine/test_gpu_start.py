"""What a start on a GPU imports and sets, as far as it shows without one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from f5serve.engine.engine import GPU_SWITCH_S, EngineOptions, _placement, prepare_process

CPU = torch.device("cpu")

ATTENTION = """
import sys
import torch
from f5serve.engine.attention import varlen
from f5serve.engine.kernels import Kernels
from f5serve.engine.engine import prepare_process
from f5serve.engine.packing import PackedSequences

before = set(sys.modules)
packing = PackedSequences.of((16, 8), torch.device("cpu"))
try:
    varlen(torch.zeros(24, 3, 2, 64, dtype=torch.float16), packing)
except RuntimeError as error:  # a CPU has no such kernel: the call itself went all the way
    assert "_flash_attention_forward" in str(error), error
more = set(sys.modules) - before
compiler = [name for name in sys.modules if name.startswith(("torch._dynamo", "triton"))]
assert not compiler, compiler
assert len(more) < 20, sorted(more)
"""


def test_attention_of_a_gpu_imports_no_compiler() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ATTENTION], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def process() -> Iterator[None]:
    """The settings of this process, put back."""
    tf32, interval = torch.backends.cudnn.allow_tf32, sys.getswitchinterval()
    yield
    torch.backends.cudnn.allow_tf32 = tf32
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("process")
def test_float32_is_float32_in_convolutions() -> None:
    torch.backends.cudnn.allow_tf32 = True
    _placement(EngineOptions(device="cpu"))
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.usefixtures("process")
def test_threads_hand_over_the_interpreter_sooner_beside_a_gpu() -> None:
    sys.setswitchinterval(0.005)
    prepare_process(CPU)
    assert sys.getswitchinterval() == pytest.approx(0.005)
    prepare_process(torch.device("cuda"))
    assert sys.getswitchinterval() == pytest.approx(GPU_SWITCH_S)

"""How kernels get onto a GPU: compiled ahead, compiled here, or not at all, and what is told."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from f5serve.engine import compiled_kernels, fused, kernel_files
from f5serve.engine.engine import F5Engine
from f5serve.engine.fused import FusedOps, Provide
from f5serve.engine.kernel_files import KernelsUnusable, Manifest, source_hash, write_manifest
from f5serve.engine.kernels import Kernel, Kernels, Launch
from f5serve.engine.model_runner import ModelRunner
from f5serve.engine.ops import PLAIN, PlainOps, choose, set_ops
from f5serve.engine.packing import PackedSequences
from f5serve.errors import EngineFailed
from tests.engine import kernels_in_torch
from tests.engine.fake_driver import FakeDriver
from tests.engine.test_compiled_kernels import LARGE, put
from tests.engine.test_cuda_graphs import Steps
from tests.parity.cases import row, small
from tests.parity.ours import engine_of, error, sequence_of

DEVICE = torch.device("cuda", 0)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """A GPU of capability 9.0, as torch and the driver tell of it."""
    fake = FakeDriver()
    monkeypatch.setattr(compiled_kernels.Driver, "open", lambda: fake.driver)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch._C, "_cuda_getCurrentRawStream", lambda i: 0x500 + i, raising=False)
    return fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What an image holds."""
    write_manifest(tmp_path, Manifest(source_hash(), "3.7.1", (put(tmp_path, LARGE),)))
    return tmp_path


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that Triton compiles with: itself, a C compiler on PATH, headers; empty stand-ins."""
    made = tmp_path / "tools"
    for name in ("gcc", "Python.h", "triton.py"):
        path = made / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(made))
    monkeypatch.setattr(fused.sysconfig, "get_path", lambda name: str(made))
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    monkeypatch.setattr(sys, "path", [str(made)])
    monkeypatch.setattr(fused, "compiling", lambda: print)
    return made


def test_compiled_kernels_are_launched_on_the_current_stream(
    folder: Path, fake: FakeDriver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    launch = fused.provide([LARGE], DEVICE, folder)
    launch(LARGE, (7, 1), torch.zeros(8), 3)
    assert fake.launched[0].stream == 0x500
    assert "compiled kernels loaded in" in caplog.text


def test_without_them_triton_compiles_and_says_why(
    tmp_path: Path, fake: FakeDriver, tools: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert fused.provide([LARGE], DEVICE, tmp_path) is print
    (said,) = (record.message for record in caplog.records)
    assert said.startswith(f"There are no compiled kernels in {tmp_path}.")
    assert said.endswith("Triton compiles them now, which takes seconds.")


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("triton.py", "Triton is not installed."),
        ("gcc", "Triton needs a C compiler, and there is none."),
        ("Python.h", "Triton needs Python's headers for C, and there are none."),
    ],
)
def test_where_nothing_can_be_compiled_both_reasons_are_told(
    tmp_path: Path, fake: FakeDriver, tools: Path, missing: str, sentence: str
) -> None:
    (tools / missing).unlink()
    with pytest.raises(KernelsUnusable) as caught:
        fused.provide([LARGE], DEVICE, tmp_path)
    assert str(caught.value) == f"There are no compiled kernels in {tmp_path}. {sentence}"


def test_a_machine_without_the_driver_is_told(
    folder: Path, fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> compiled_kernels.Driver:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(compiled_kernels.Driver, "open", fails)
    with pytest.raises(KernelsUnusable, match=r"libcuda.so.1 cannot be opened"):
        fused.ahead([LARGE], DEVICE, folder)


def test_a_torch_without_raw_streams_tells_them_as_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch._C, "_cuda_getCurrentRawStream", raising=False)

    class Stream:
        def __init__(self, index: int) -> None:
            self.cuda_stream = 0x900 + index

    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    assert fused.current_stream(DEVICE)() == 0x900


def test_the_hash_is_of_the_files_that_make_kernels(tmp_path: Path) -> None:
    for name in (*kernel_files.SOURCES, "dit.py"):
        (tmp_path / name).write_text(name)
    before = source_hash(tmp_path)
    (tmp_path / "dit.py").write_text("changed")
    assert source_hash(tmp_path) == before
    seen = {before}
    for name in kernel_files.SOURCES:
        (tmp_path / name).write_text("changed")
        seen.add(source_hash(tmp_path))
    assert len(seen) == 3


V1, V0, E2 = "F5TTS_v1_Base", "F5TTS_Base", "E2TTS_Base"


def engine(name: str = V1) -> F5Engine:
    made = engine_of(row(small(name), "x", 40))
    made.runner.parallel_cfg = None
    return made


def given(launch: Launch) -> Provide:
    return lambda kernels, device: launch


def uses_kernels(made: F5Engine) -> bool:
    used = [type(m.ops) for m in made.runner.backbone.modules() if hasattr(m, "ops")]
    assert len(set(used)) == 1
    assert ("fused kernels" in made.description) == (made.counters()["fused_kernels"] == 1)
    return used[0] is FusedOps


@pytest.mark.parametrize("name", [V1, V0, "F5TTS_v1_Small", E2])
def test_kernels_that_agree_are_used_and_say_the_same(name: str) -> None:
    made, item = engine(name), sequence_of(row(small(name), "x", 50))
    expected = made.runner.sample([item])[0]
    assert not uses_kernels(made)
    launched: list[str] = []

    def launch(kernel: Kernel, *rest: Any) -> None:
        launched.append(kernel.function)
        kernels_in_torch.launch(kernel, *rest)

    made.use_kernels(given(launch))
    assert uses_kernels(made)
    launched.clear()
    assert error(made.runner.sample([item])[0], expected) <= 1e-5
    norm = "norm_rms" if name == E2 else "norm_modulate"
    assert set(launched) == {norm, "rotate", "conv_mish"}


def nothing(kernel: Kernel, *rest: Any) -> None:
    """A launch that fails and does not say so."""


def without(function: str, change: Callable[..., None]) -> Launch:
    """Right but for one function."""

    def launch(kernel: Kernel, grid: Any, *arguments: Any) -> None:
        kernels_in_torch.launch(kernel, grid, *arguments)
        if kernel.function == function:
            change(*arguments)

    return launch


def raising(*_: Any) -> None:
    raise RuntimeError("no kernel image\nat line 3")


def first_place_alone(*arguments: Any) -> None:
    """Of mixed time points only the first."""
    x, delta, gate, scale, shift, place, whole, out, stride = arguments
    if stride:
        kernels_in_torch.norm_modulate(
            {"HAS_PLACE": True, "HAS_DELTA": whole is not x, "EPS": 1e-6},
            *(x, delta, gate, scale, shift, torch.zeros_like(place), whole, out),
        )


@pytest.mark.parametrize(
    ("launch", "reason"),
    [
        (nothing, "off by"),
        (raising, "no kernel image."),
        (without("rotate", lambda qkv, rotary: qkv.neg_()), "off by"),
        (without("conv_mish", lambda *rest: rest[6].mul_(1.01)), "off by"),
        (without("norm_modulate", lambda *rest: rest[7][-1].fill_(float("nan"))), "off by inf"),
        (without("norm_modulate", first_place_alone), "off by"),
    ],
)
def test_kernels_that_differ_are_not_used(
    launch: Launch, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    made, item = engine(), sequence_of(row(small(V1), "x", 50))
    expected = made.runner.sample([item])[0]
    made.use_kernels(given(launch))
    assert not uses_kernels(made)
    assert torch.equal(made.runner.sample([item])[0], expected)
    (told,) = (record for record in caplog.records if "kernels" in record.message)
    assert reason in told.message
    assert "F5_FUSED_KERNELS=off" in told.message


def test_kernels_that_cannot_be_had_are_not_used(caplog: pytest.LogCaptureFixture) -> None:
    def provide(kernels: Any, device: torch.device) -> Launch:
        raise ModuleNotFoundError("No module named 'triton'")

    made = engine()
    made.use_kernels(provide)
    assert not uses_kernels(made)
    assert "not used, which costs speed alone: No module named 'triton'." in caplog.text


def test_kernels_that_break_the_device_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelRunner, "is_healthy", lambda self: False)
    with pytest.raises(EngineFailed) as caught:
        engine().use_kernels(given(raising))
    assert caught.value.code == "DEVICE_BROKEN"
    assert "F5_FUSED_KERNELS=off" in caught.value.hint


@pytest.mark.parametrize("name", [V1, E2])
def test_recorded_steps_with_kernels_are_the_steps(name: str) -> None:
    steps = Steps(name)
    backbone = steps.runner.backbone
    kernels = Kernels.of(steps.runner.schedules.config, torch.float32)
    set_ops(backbone, FusedOps(kernels, kernels_in_torch.launch))
    steps.get_ready(60, 45)
    for lengths in ((60, 45), (44, 61)):  # the recording is of neither
        rows, others = steps.begin(*lengths), steps.begin(*lengths)
        replayed = steps.counted("graph_steps")
        steps.take(rows, 3)
        assert steps.counted("graph_steps") >= replayed + 2
        set_ops(backbone, PLAIN)
        steps.runner.graphs = None
        steps.take(others, 3)
        set_ops(backbone, FusedOps(kernels, kernels_in_torch.launch))
        steps.runner.graphs = steps.graphs
        for one, other in zip(rows, others, strict=True):
            assert error(one.x, other.x) <= 1e-5
    assert steps.counted("graph_failures") == 0


@pytest.mark.parametrize("heads", [1, 16])
def test_float16_is_turned_in_place_as_in_a_copy(heads: int) -> None:
    drawn = torch.Generator().manual_seed(0)
    copy = torch.randn(30, 3, 16, 64, generator=drawn).half()
    in_place, before = copy.clone(), copy.clone()
    rotary = PackedSequences.of((20, 10), torch.device("cpu")).rotary
    PLAIN.rotate(copy, rotary, heads)
    PlainOps(half_pairs=True).rotate(in_place, rotary, heads)
    assert torch.equal(in_place, copy)
    assert torch.equal(in_place[:, 2], before[:, 2])
    assert torch.equal(in_place[:, :, heads:], before[:, :, heads:])
    assert not torch.equal(in_place[:, :2, :heads], before[:, :2, :heads])


def test_cpus_compute_with_plain_operations() -> None:
    assert choose(torch.device("cpu"), torch.float32) is PLAIN
    assert not choose(torch.device("cpu"), torch.float16).half_pairs

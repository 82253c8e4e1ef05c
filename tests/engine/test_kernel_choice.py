"""How kernels get onto a GPU: compiled ahead, compiled here, or not at all, and what is told."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import torch

from f5serve.engine import compiled_kernels, kernel_choice, kernel_files
from f5serve.engine.kernel_files import KernelsUnusable, Manifest, source_hash, write_manifest
from tests.engine.fake_driver import FakeDriver
from tests.engine.test_compiled_kernels import LARGE, put

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
    monkeypatch.setattr(kernel_choice.sysconfig, "get_path", lambda name: str(made))
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    monkeypatch.setattr(sys, "path", [str(made)])
    monkeypatch.setattr(kernel_choice, "compiling", lambda: print)
    return made


def test_compiled_kernels_are_launched_on_the_current_stream(
    folder: Path, fake: FakeDriver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    launch = kernel_choice.provide([LARGE], DEVICE, folder)
    launch(LARGE, (7, 1), torch.zeros(8), 3)
    assert fake.launched[0].stream == 0x500
    assert "compiled kernels loaded in" in caplog.text


def test_without_them_triton_compiles_and_says_why(
    tmp_path: Path, fake: FakeDriver, tools: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert kernel_choice.provide([LARGE], DEVICE, tmp_path) is print
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
        kernel_choice.provide([LARGE], DEVICE, tmp_path)
    assert str(caught.value) == f"There are no compiled kernels in {tmp_path}. {sentence}"


def test_a_machine_without_the_driver_is_told(
    folder: Path, fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> compiled_kernels.Driver:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(compiled_kernels.Driver, "open", fails)
    with pytest.raises(KernelsUnusable, match=r"libcuda.so.1 cannot be opened"):
        kernel_choice.ahead([LARGE], DEVICE, folder)


def test_a_torch_without_raw_streams_tells_them_as_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch._C, "_cuda_getCurrentRawStream", raising=False)

    class Stream:
        def __init__(self, index: int) -> None:
            self.cuda_stream = 0x900 + index

    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    assert kernel_choice.current_stream(DEVICE)() == 0x900


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

"""Kernels that were compiled ahead: what is launched, and what is told when they cannot be."""

from __future__ import annotations

import ctypes
import hashlib
import json
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from f5serve.engine import compiled_kernels
from f5serve.engine.compiled_kernels import DriverError
from f5serve.engine.kernel_files import (
    MANIFEST,
    Binary,
    KernelsUnusable,
    Manifest,
    write_manifest,
)
from f5serve.engine.kernels import Kernel, Launch
from tests.engine.fake_driver import FakeDriver, make_binary

STREAM = 0x7FFF_1234_5678
SIZES = {"*": 8, "i32": 4, "i64": 8, "fp32": 4}
KERNEL = Kernel("blend", ("*fp16:16", "*i64:16", "fp32", "i64", "i32:16", "i32"), (("N", 8),), 4)
LARGE = Kernel("blend", ("*fp32", "i32"), (("N", 9),), 8)
SOURCE = "the kernels' own hash"


def put(folder: Path, kernel: Kernel, arch: int = 90, shared: int = 16, added: int = 2) -> Binary:
    """A binary of the stand-in driver, in its place."""
    kinds = [kind.partition(":")[0] for kind in kernel.arguments] + ["*"] * added
    data = make_binary({"_blend": [SIZES["*" if kind[0] == "*" else kind] for kind in kinds]})
    sha256 = hashlib.sha256(data).hexdigest()
    warps = kernel.num_warps
    made = Binary(kernel.name, arch, sha256, "_blend", kernel.arguments, added, warps, shared, 32)
    path = folder / made.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two kernels for sm_90, one of which takes 64 KB of shared memory."""
    binaries = put(tmp_path, KERNEL), put(tmp_path, LARGE, shared=65536)
    write_manifest(tmp_path, Manifest(SOURCE, "3.7.1", binaries))
    return tmp_path


@pytest.fixture
def fake() -> FakeDriver:
    return FakeDriver()


def load(
    folder: Path,
    fake: FakeDriver,
    *kernels: Kernel,
    source: str = SOURCE,
    capability: tuple[int, int] = (9, 0),
) -> Launch:
    wanted = kernels or (KERNEL, LARGE)
    gpu = compiled_kernels.Gpu(capability, fake.driver, lambda: STREAM)
    return compiled_kernels.load(folder, source, wanted, gpu)


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(64, dtype=torch.float16), torch.zeros(8, dtype=torch.int64)


def test_the_driver_gets_each_argument_where_the_binary_wants_it(
    folder: Path, fake: FakeDriver
) -> None:
    launch = load(folder, fake)
    x, place = tensors()
    launch(KERNEL, (800, 3), x, place, 0.25, -5_000_000_000, 1024, -7)
    launched = fake.launched[0]
    assert launched.symbol == "_blend"
    assert (launched.grid, launched.block) == ((800, 3, 1), (128, 1, 1))
    assert (launched.shared, launched.stream) == (16, STREAM)
    formats = "Q", "Q", "f", "q", "i", "i", "Q", "Q"
    values = [struct.unpack(f, one)[0] for f, one in zip(formats, launched.arguments, strict=True)]
    pointers = [x.data_ptr(), place.data_ptr()]
    assert values == [*pointers, 0.25, -5_000_000_000, 1024, -7, 0, 0]


def test_equal_kernels_are_one(folder: Path, fake: FakeDriver) -> None:
    launch = load(folder, fake)
    launch(KERNEL._replace(), (1, 1), *tensors(), 0.0, 0, 0, 0)
    assert len(fake.launched) == 1


def test_shared_memory_beyond_the_usual_is_permitted(folder: Path, fake: FakeDriver) -> None:
    launch = load(folder, fake)
    assert fake.permitted == {"_blend": 65536}
    launch(LARGE, (1, 1), tensors()[0], 3)
    assert fake.launched[0].shared == 65536
    assert fake.launched[0].block == (256, 1, 1)


def test_a_thread_without_a_context_gets_it(folder: Path, fake: FakeDriver) -> None:
    launch = load(folder, fake)
    thread = threading.Thread(target=launch, args=(LARGE, (1, 1), tensors()[0], 3))
    thread.start()
    thread.join()
    assert len(fake.launched) == 1


def test_arguments_stay_until_the_driver_has_read_them(folder: Path, fake: FakeDriver) -> None:
    launch = load(folder, fake)
    x = tensors()[0]
    reads, goes_on = threading.Event(), threading.Event()

    def wait() -> None:
        fake.before_reading = lambda: None
        reads.set()
        goes_on.wait(5)

    fake.before_reading = wait
    first = threading.Thread(target=launch, args=(LARGE, (1, 1), x, 1))
    first.start()
    assert reads.wait(5)
    second = threading.Thread(target=launch, args=(LARGE, (1, 1), x, 2))
    second.start()
    second.join(0.2)
    goes_on.set()
    first.join()
    second.join()
    told = [struct.unpack("i", one.arguments[1])[0] for one in fake.launched]
    assert told == [1, 2]


@pytest.mark.parametrize(("shift", "stride"), [(1, 1024), (0, 1000)])
def test_what_is_no_multiple_of_16_is_not_launched(
    folder: Path, fake: FakeDriver, shift: int, stride: int
) -> None:
    launch = load(folder, fake)
    x, place = tensors()
    with pytest.raises(ValueError, match="multiple of 16"):
        launch(KERNEL, (1, 1), x[shift:], place, 0.0, 0, stride, 0)
    assert not fake.launched


def test_a_launch_that_fails_names_kernel_and_error(folder: Path, fake: FakeDriver) -> None:
    launch = load(folder, fake)
    fake.refuse["cuLaunchKernel"] = 719
    with pytest.raises(DriverError, match="blend-fp32-n9: CUDA_ERROR_LAUNCH_FAILED") as caught:
        launch(LARGE, (1, 1), tensors()[0], 3)
    assert caught.value.code == 719
    fake.refuse["cuLaunchKernel"] = 999
    with pytest.raises(DriverError, match="CUDA error 999"):
        launch(LARGE, (1, 1), tensors()[0], 3)


@pytest.mark.parametrize(
    ("capability", "arch"),
    [
        ((8, 0), 80),
        ((8, 6), 86),
        ((8, 7), 86),
        ((8, 9), 89),
        ((9, 0), 90),
        ((12, 0), 120),
        ((7, 5), None),
        ((10, 0), None),
        ((12, 1), None),
    ],
)
def test_a_gpu_gets_what_it_can_run(capability: tuple[int, int], arch: int | None) -> None:
    one = Binary("blend", 0, "", "_blend", (), 0, 4, 0, 0)
    binaries = tuple(replace(one, arch=n) for n in (80, 86, 89, 90, 120))
    found = Manifest("", "", binaries).for_gpu(capability)
    assert [binary.arch for binary in found] == ([] if arch is None else [arch])


def edit(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    said = json.loads((folder / MANIFEST).read_text())
    change(said)
    (folder / MANIFEST).write_text(json.dumps(said))


def first_file(folder: Path) -> Path:
    return folder / "sm_90" / f"{KERNEL.name}.cubin"


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda f: (f / MANIFEST).unlink(), "There are no compiled kernels in"),
    "no JSON": (lambda f: (f / MANIFEST).write_text("{"), "is damaged: JSONDecodeError"),
    "not text": (lambda f: (f / MANIFEST).write_bytes(b"\xff\xfe"), "cannot be read"),
    "a list": (lambda f: (f / MANIFEST).write_text("[]"), "is damaged: TypeError"),
    "a later format": (lambda f: edit(f, lambda said: said.update(format=2)), "format 2 is not 1"),
    "no triton": (lambda f: edit(f, lambda said: said.pop("triton")), "is damaged: KeyError"),
    "a count that is none": (
        lambda f: edit(f, lambda said: said["binaries"][0].update(shared=-1)),  # type: ignore[index]
        "-1 is no count",
    ),
    "arguments that are none": (
        lambda f: edit(f, lambda said: said["binaries"][0].update(arguments="i32")),  # type: ignore[index]
        "'i32' is no list",
    ),
    "an argument nobody knows": (
        lambda f: edit(f, lambda said: said["binaries"][0].update(arguments=["fp8"])),  # type: ignore[index]
        "takes fp8, which is not expected",
    ),
    "a pointer behind a number": (
        lambda f: edit(f, lambda said: said["binaries"][0].update(arguments=["i32", "*fp16:16"])),  # type: ignore[index]
        "takes *fp16, which is not expected",
    ),
    "no file": (lambda f: first_file(f).unlink(), "cannot be read: No such file"),
    "another file": (lambda f: first_file(f).write_bytes(b"FAKE"), "is damaged."),
    "no kernel": (
        lambda f: edit(f, lambda said: said["binaries"].pop()),  # type: ignore[attr-defined]
        "holds no compiled kernel blend-fp32-n9",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_one_sentence(folder: Path, fake: FakeDriver, name: str) -> None:
    damage, sentence = DAMAGES[name]
    load(folder, fake)
    damage(folder)
    with pytest.raises(KernelsUnusable) as caught:
        load(folder, fake)
    assert sentence in str(caught.value)
    assert str(caught.value).endswith(".")


def test_kernels_of_other_sources_are_not_used(folder: Path, fake: FakeDriver) -> None:
    with pytest.raises(KernelsUnusable, match="those of another f5serve"):
        load(folder, fake, source="another hash")


def test_kernels_for_other_gpus_are_not_used(folder: Path, fake: FakeDriver) -> None:
    with pytest.raises(KernelsUnusable, match="are for sm_90; this GPU is sm_100"):
        load(folder, fake, capability=(10, 0))


@pytest.mark.parametrize(
    ("call", "code", "name"),
    [
        ("cuModuleLoadData", 209, "CUDA_ERROR_NO_BINARY_FOR_GPU"),
        ("cuModuleGetFunction", 500, "CUDA_ERROR_NOT_FOUND"),
        ("cuFuncSetAttribute", 1, "CUDA_ERROR_INVALID_VALUE"),
    ],
)
def test_what_the_driver_refuses_is_told(
    folder: Path, fake: FakeDriver, call: str, code: int, name: str
) -> None:
    fake.refuse[call] = code
    with pytest.raises(KernelsUnusable, match=f"refuses the compiled kernel .*{name}"):
        load(folder, fake)


def test_without_a_context_nothing_is_loaded(folder: Path, fake: FakeDriver) -> None:
    fake.driver.use_context(0)
    with pytest.raises(KernelsUnusable, match="No CUDA context"):
        load(folder, fake)


def test_places_are_those_of_a_struct_of_c() -> None:
    class Mixed(ctypes.Structure):
        _fields_ = (
            ("a", ctypes.c_void_p),
            ("b", ctypes.c_int),
            ("c", ctypes.c_int64),
            ("d", ctypes.c_float),
            ("e", ctypes.c_void_p),
        )

    expected = [getattr(Mixed, name).offset for name, _ in Mixed._fields_]
    assert compiled_kernels.places("QiqfQ") == expected

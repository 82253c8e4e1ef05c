"""The kernels, compiled for GPUs that are not here, and what a driver gets of them."""

from __future__ import annotations

import logging
import re
import struct
import subprocess
from pathlib import Path

import pytest
import torch

from f5serve.engine.config import PRESETS, preset
from f5serve.engine.kernel_files import read_binary, read_manifest, source_hash
from f5serve.engine.kernels import Kernel, Kernels

pytest.importorskip("triton", reason="Triton has wheels for Linux on x86-64 alone")
import triton

from f5serve.engine import compiled_kernels, kernel_build
from f5serve.engine.kernel_build import ARCHITECTURES, BuildError, build, compile_kernel

CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
V1 = preset("F5TTS_v1_Base")


def kernels(dtype: torch.dtype = torch.float16) -> list[Kernel]:
    return list(Kernels.of(V1, dtype))


def parameters(cubin: Path) -> list[tuple[int, int]]:
    """(offset, bytes) of each argument, as NVIDIA's own tool reads the binary."""
    said = subprocess.run([CUOBJDUMP, "-elf", cubin], capture_output=True, text=True, check=True)
    found = re.findall(r"Ordinal : (0x\w+)\s+Offset  : (0x\w+)\s+Size    : (0x\w+)", said.stdout)
    numbers = sorted(tuple(int(n, 16) for n in one) for one in found)
    return [(offset, size) for _, offset, size in numbers]


def test_the_arguments_lie_where_the_binary_has_them(tmp_path: Path) -> None:
    build(tmp_path, kernels(), [90])
    manifest = read_manifest(tmp_path)
    assert manifest.source == source_hash()
    assert manifest.triton == triton.__version__
    assert {binary.name for binary in manifest.binaries} == {one.name for one in kernels()}
    for binary in manifest.binaries:
        assert read_binary(tmp_path, binary).startswith(b"\x7fELF")
        codes = compiled_kernels.codes(binary)
        expected = zip(compiled_kernels.places(codes), map(struct.calcsize, codes), strict=True)
        assert parameters(tmp_path / binary.file) == list(expected), binary.name


@pytest.mark.slow
@pytest.mark.parametrize("arch", [arch for arch in ARCHITECTURES if arch != 90])
def test_other_gpus_get_kernels_that_spill_nothing(arch: int) -> None:
    for kernel in kernels():
        binary, _ = compile_kernel(kernel, arch)
        assert binary.added == 2, "Triton takes pointers to scratch memory that nothing uses"
        assert binary.num_warps * 32 * binary.registers <= 65536


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_precision_can_be_compiled(dtype: torch.dtype) -> None:
    for kernel in kernels(dtype):
        compile_kernel(kernel, 90)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_all_published_models_are_thought_of(dtype: torch.dtype) -> None:
    names = {kernel.name for kernel in kernel_build.wanted([dtype])}
    for architecture in PRESETS.values():
        assert {kernel.name for kernel in Kernels.of(architecture, dtype)} <= names


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"num_warps": 1}, "spills"),
        ({"num_stages": 8}, "bytes of shared memory on sm_86"),
        ({"arguments": ("*fp16:16",) * 7}, "7 arguments, which are not its"),
    ],
)
def test_what_would_run_badly_or_not_at_all_is_refused(
    change: dict[str, object], sentence: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = Kernels.of(V1, torch.float16).conv_mish[True]
    with pytest.raises(BuildError, match=sentence):
        compile_kernel(kernel._replace(**change), 86)


def test_the_command_fills_a_folder_and_sums_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rotate = Kernels.of(V1, torch.float16).rotate
    monkeypatch.setattr(kernel_build, "wanted", lambda precisions: [rotate])
    folder = tmp_path / "kernels"
    old, own = folder / "sm_90" / "old.cubin", folder / "diary.txt"
    old.parent.mkdir(parents=True)
    old.write_text("of an earlier build")
    own.write_text("of somebody else")
    assert kernel_build.main([str(folder), "--arch", "80", "90"]) == 0
    names = {one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file()}
    file = f"{rotate.name}.cubin"
    assert names == {"diary.txt", "manifest.json", f"sm_80/{file}", f"sm_90/{file}"}
    assert "registers" in caplog.records[0].message
    assert re.fullmatch(r"2 kernels, 0\.0 MB, \d+ s, Triton [\d.]+", caplog.records[-1].message)
    first = [binary.sha256 for binary in read_manifest(folder).binaries]
    assert kernel_build.main([str(folder), "--arch", "80", "90"]) == 0
    assert [binary.sha256 for binary in read_manifest(folder).binaries] == first


def test_a_build_that_fails_leaves_nothing_that_could_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good = Kernels.of(V1, torch.float16).rotate
    bad = good._replace(arguments=good.arguments[:1])
    monkeypatch.setattr(kernel_build, "wanted", lambda precisions: [good, bad])
    assert kernel_build.main([str(tmp_path / "kernels"), "--arch", "80"]) == 1
    assert "1 arguments, which are not its" in caplog.records[-1].message
    assert not (tmp_path / "kernels" / "manifest.json").exists()

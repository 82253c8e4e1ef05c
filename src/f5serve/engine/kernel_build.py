"""Compiles the kernels for GPUs that need not be here: `python -m f5serve.engine.kernel_build`.

    kernels.Kernels.of(architecture, precision) -> Triton -> cubin -> folder with a manifest

Needs Triton, whose wheel holds NVIDIA's assembler, and neither a GPU nor a C compiler. A kernel
that does not fit into registers or shared memory is refused: it would run, slowly, or not at all.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import logging
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch
import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from f5serve.engine import triton_kernels
from f5serve.engine.config import PRESETS
from f5serve.engine.kernel_files import (
    FOLDER,
    MANIFEST,
    Binary,
    Manifest,
    source_hash,
    write_manifest,
)
from f5serve.engine.kernels import TYPES, Kernel, Kernels

log = logging.getLogger(__name__)

ARCHITECTURES = (80, 86, 89, 90, 120)
"""A100; A40, A5000, RTX 3090; L4, L40S, RTX 4090; H100, H200; RTX 5090, RTX PRO 6000."""
SHARED_KB = {80: 163, 86: 99, 89: 99, 90: 227, 120: 99}
"""Most shared memory of a block, of which 1 KB is the system's own."""
PRECISIONS = (torch.float16, torch.bfloat16)
"""What GPUs compute in that use them well; --precision adds others."""
_WARP = 32


class BuildError(Exception):
    """A kernel cannot be compiled as it should be; one sentence."""


def wanted(precisions: Iterable[torch.dtype] = PRECISIONS) -> list[Kernel]:
    """The kernels of every published architecture, each once, by name."""
    found = {
        kernel.name: kernel
        for precision in precisions
        for architecture in PRESETS.values()
        for kernel in Kernels.of(architecture, precision)
    }
    return [found[name] for name in sorted(found)]


def compile_kernel(kernel: Kernel, arch: int) -> tuple[Binary, bytes]:
    """One kernel for one architecture.

    Raises:
        BuildError: it spills registers, takes too much memory, or wants arguments that are
            not given.
    """
    options = {"num_warps": kernel.num_warps, "num_stages": kernel.num_stages}
    with _assembler_log() as output:
        made = triton.compile(
            _source(kernel), target=GPUTarget("cuda", arch, _WARP), options=options
        )
    registers, spilled = _resources(output.getvalue())
    meta, binary = made.metadata, bytes(made.asm["cubin"])
    if spilled:
        raise BuildError(f"{kernel.name} spills {spilled} bytes of registers on sm_{arch}.")
    if meta.shared > (SHARED_KB[arch] - 1) * 1024:
        raise BuildError(f"{kernel.name} takes {meta.shared} bytes of shared memory on sm_{arch}.")
    if meta.global_scratch_size or meta.profile_scratch_size or meta.num_ctas != 1:
        raise BuildError(f"{kernel.name} wants scratch memory or clusters on sm_{arch}.")
    return (
        Binary(
            name=kernel.name,
            arch=arch,
            sha256=hashlib.sha256(binary).hexdigest(),
            symbol=meta.name,
            arguments=kernel.arguments,
            added=_added(kernel, made.asm["ptx"]),
            num_warps=meta.num_warps,
            shared=meta.shared,
            registers=registers,
        ),
        binary,
    )


def build(folder: Path, kernels: Sequence[Kernel], architectures: Iterable[int]) -> Manifest:
    """Compile all of them into a folder; kernels that lie there already go first.

    Raises:
        BuildError: see `compile_kernel`.
    """
    _clear(folder)
    binaries = []
    for arch in architectures:
        for kernel in kernels:
            binary, data = compile_kernel(kernel, arch)
            path = folder / binary.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            log.info(
                "sm_%d  %3d registers  %5d bytes shared  %5d bytes  %s",
                *(arch, binary.registers, binary.shared, len(data), kernel.name),
            )
            binaries.append(binary)
    manifest = Manifest(source_hash(), triton.__version__, tuple(binaries))
    write_manifest(folder, manifest)
    return manifest


def _clear(folder: Path) -> None:
    """Remove what an earlier build has left, and nothing else: any folder may be named."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for binary in folder.glob("sm_*/*.cubin"):
        binary.unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile what the published models need; the last line is their number, bytes and seconds."""
    parser = argparse.ArgumentParser(prog="f5serve.engine.kernel_build", description=main.__doc__)
    names = {name: precision for precision, name in TYPES.items()}
    usual = [TYPES[precision] for precision in PRECISIONS]
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--precision", nargs="+", choices=sorted(names), default=usual)
    parser.add_argument(
        "--arch", nargs="+", type=int, choices=sorted(SHARED_KB), default=list(ARCHITECTURES)
    )
    given = parser.parse_args(arguments)
    logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)
    began = time.monotonic()
    try:
        kernels = wanted(names[name] for name in given.precision)
        manifest = build(given.folder, kernels, given.arch)
    except BuildError as error:
        log.error("%s", error)
        return 1
    size = sum((given.folder / binary.file).stat().st_size for binary in manifest.binaries)
    seconds = time.monotonic() - began
    log.info(
        "%d kernels, %.1f MB, %.0f s, Triton %s",
        *(len(manifest.binaries), size / 1e6, seconds, manifest.triton),
    )
    return 0


def _source(kernel: Kernel) -> ASTSource:
    function = getattr(triton_kernels, kernel.function)
    constants = dict(kernel.constants)
    names = list(function.arg_names)
    if len(names) != len(constants) + len(kernel.arguments):
        raise BuildError(
            f"{kernel.name} has {len(kernel.arguments)} arguments, which are not its function's."
        )
    types = iter(kernel.arguments)
    signature, divisible = {}, {}
    for i, name in enumerate(names):
        if name in constants:
            signature[name] = "constexpr"
            continue
        signature[name], _, multiple = next(types).partition(":")
        if multiple:
            divisible[(i,)] = [["tt.divisibility", int(multiple)]]
    values = {(names.index(name),): value for name, value in constants.items()}
    return ASTSource(function, signature, values, divisible)


@contextmanager
def _assembler_log() -> Iterator[io.StringIO]:
    """Output of ptxas; kernels are compiled anew, without names of source files."""
    with knobs.nvidia.scope(), knobs.compilation.scope(), redirect_stdout(io.StringIO()) as output:
        knobs.nvidia.dump_ptxas_log = True
        knobs.compilation.always_compile = True
        knobs.compilation.disable_line_info = True
        yield output


def _resources(output: str) -> tuple[int, int]:
    """Registers of a thread, and bytes that are spilled."""
    used = re.search(r"Used (\d+) registers", output)
    spills = re.findall(r"(?<!\d)(\d+) bytes spill (?:stores|loads)", output)
    if used is None or not spills:
        raise BuildError(f"The assembler does not say what a kernel takes: {output[:200]!r}.")
    return int(used[1]), sum(map(int, spills))


_PTX_KINDS = {"i32": ".u32", "i64": ".u64", "fp32": ".f32"}


def _added(kernel: Kernel, ptx: str) -> int:
    """How many pointers Triton takes behind the arguments of a kernel.

    Raises:
        BuildError: the kernel takes something else than its arguments and, behind them, pointers.
    """
    head = ptx[ptx.index(".visible .entry") :].partition("{")[0]
    takes = re.findall(r"\.param (\.\w+(?: \.ptr)?)", head)
    gives = [_ptx_kind(kind.partition(":")[0]) for kind in kernel.arguments]
    behind = takes[len(gives) :]
    if takes[: len(gives)] != gives or set(behind) - {".u64 .ptr"}:
        raise BuildError(f"{kernel.name} is given {gives} and takes {takes}.")
    return len(behind)


def _ptx_kind(kind: str) -> str:
    return ".u64 .ptr" if kind.startswith("*") else _PTX_KINDS[kind]


if __name__ == "__main__":
    sys.exit(main())

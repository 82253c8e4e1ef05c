"""Compiled kernels on disk: a folder of binaries for GPUs, and a manifest that says what each is.

    triton_kernels.py -> kernel_build.py -> manifest.json, sm_90/*.cubin -> compiled_kernels.py

Neither torch nor Triton is known here, so that the doctor may look as well.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
MANIFEST = "manifest.json"
FOLDER = Path(sys.prefix) / "share" / "f5serve" / "kernels"
"""Where compiled kernels lie: in the environment that runs, beside its packages."""
SOURCES = ("triton_kernels.py", "kernels.py")
"""Files of this package that decide what a kernel is: its code, and what it is compiled with."""


class KernelsUnusable(Exception):
    """Compiled kernels cannot be used here; the message is one sentence that says why."""


@dataclass(frozen=True, slots=True)
class Binary:
    """One kernel, compiled for one architecture.

    Attributes:
        name: `kernels.Kernel.name` of what was compiled.
        arch: 90 for sm_90.
        sha256: of its file.
        symbol: of the function in that file.
        arguments: `kernels.Kernel.arguments`.
        added: pointers that Triton's version takes behind them, and that may be null.
        num_warps: of 32 threads each.
        shared: bytes of dynamic shared memory.
        registers: of each thread.
    """

    name: str
    arch: int
    sha256: str
    symbol: str
    arguments: tuple[str, ...]
    added: int
    num_warps: int
    shared: int
    registers: int

    @property
    def file(self) -> str:
        """Its path below the folder."""
        return f"sm_{self.arch}/{self.name}.cubin"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder holds.

    Attributes:
        source: `source_hash` of the kernels that were compiled.
        triton: the version that compiled them.
    """

    source: str
    triton: str
    binaries: tuple[Binary, ...]

    def for_gpu(self, capability: tuple[int, int]) -> tuple[Binary, ...]:
        """Those that a GPU runs; empty where there are none for it.

        Up to 8.9 a GPU runs what was compiled for its own major version and no later minor one.
        From 9.0 on Triton compiles for one architecture alone ("sm_90a").
        """
        major, minor = capability
        own = 10 * major + minor
        there = {binary.arch for binary in self.binaries}
        fit = [n for n in there if n == own or (n < own < 90 and n // 10 == major)]
        return tuple(one for one in self.binaries if fit and one.arch == max(fit))


def source_hash(package: Path = Path(__file__).parent) -> str:
    """sha256 of the files that decide what a kernel is."""
    total = hashlib.sha256()
    for name in SOURCES:
        total.update(hashlib.sha256((package / name).read_bytes()).digest())
    return total.hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Written last: a folder without it holds nothing."""
    document = {"format": FORMAT, **asdict(manifest)}
    (folder / MANIFEST).write_text(json.dumps(document, indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """What the folder holds, by its manifest.

    Raises:
        KernelsUnusable: there is none, or it cannot be read.
    """
    try:
        text = (folder / MANIFEST).read_text()
    except FileNotFoundError:
        raise KernelsUnusable(f"There are no compiled kernels in {folder}.") from None
    except (OSError, ValueError) as error:
        raise KernelsUnusable(f"{folder / MANIFEST} cannot be read: {error}.") from None
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r} is not {FORMAT}")
        binaries = tuple(_binary(one) for one in document["binaries"])
        return Manifest(_text(document["source"]), _text(document["triton"]), binaries)
    except (ValueError, TypeError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise KernelsUnusable(f"{folder / MANIFEST} is damaged: {reason}.") from None


def choose(
    folder: Path, source: str, names: Iterable[str], capability: tuple[int, int]
) -> dict[str, Binary]:
    """The binaries of these kernels for a GPU, by name.

    Args:
        source: `source_hash` of the kernels that are to be launched.
        names: of `kernels.Kernel`.
        capability: of the GPU.

    Raises:
        KernelsUnusable: the folder does not hold them.
    """
    manifest = read_manifest(folder)
    if manifest.source != source:
        raise KernelsUnusable(f"The compiled kernels in {folder} are those of another f5serve.")
    found = {binary.name: binary for binary in manifest.for_gpu(capability)}
    if not found:
        compiled = ", ".join(f"sm_{n}" for n in sorted({one.arch for one in manifest.binaries}))
        own = f"sm_{capability[0]}{capability[1]}"
        raise KernelsUnusable(
            f"The compiled kernels in {folder} are for {compiled or 'no GPU'}; this GPU is {own}."
        )
    wanted = list(names)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise KernelsUnusable(f"{folder} holds no compiled kernel {missing[0]}.")
    return {name: found[name] for name in wanted}


def read_binary(folder: Path, binary: Binary) -> bytes:
    """What is in its file.

    Raises:
        KernelsUnusable: it is missing, or another than when the manifest was written.
    """
    path = folder / binary.file
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise KernelsUnusable(f"The compiled kernel {path} cannot be read: {reason}.") from None
    if hashlib.sha256(data).hexdigest() != binary.sha256:
        raise KernelsUnusable(f"The compiled kernel {path} is damaged.")
    return data


def _binary(entry: dict[str, Any]) -> Binary:
    return Binary(
        name=_text(entry["name"]),
        arch=_count(entry["arch"]),
        sha256=_text(entry["sha256"]),
        symbol=_text(entry["symbol"]),
        arguments=_texts(entry["arguments"]),
        added=_count(entry["added"]),
        num_warps=_count(entry["num_warps"]),
        shared=_count(entry["shared"]),
        registers=_count(entry["registers"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return tuple(map(_text, value))


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} is no count")
    return value

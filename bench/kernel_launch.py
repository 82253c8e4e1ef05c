"""What compiled kernels cost at the start, and for each launch; no GPU is needed.

    python bench/kernel_launch.py [--rounds 9]

Compiles the kernels of F5TTS_v1_Base for sm_90, and loads and launches them through a driver that
does nothing (a few lines of C, so a C compiler is needed). So the files, their hashes, the manifest
and our own calls are in the figures; what a real driver does with a module or a launch is not.
Beside them, for scale: importing Triton, which compiling at the start would take at the least, and
one of torch's own operations on one number. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from f5serve.engine.compiled_kernels import Driver, Gpu, load
from f5serve.engine.config import preset
from f5serve.engine.kernel_build import build
from f5serve.engine.kernel_files import source_hash
from f5serve.engine.kernels import Kernels, Launch
from machine import describe

DRIVER = """
int cuCtxGetCurrent(void **context) { *context = (void *)1; return 0; }
int cuCtxSetCurrent(void *context) { return 0; }
int cuModuleLoadData(void **module, const void *image) { *module = (void *)2; return 0; }
int cuModuleGetFunction(void **f, void *module, const char *name) { *f = (void *)3; return 0; }
int cuFuncSetAttribute(void *f, int attribute, int value) { return 0; }
int cuGetErrorName(int code, const char **name) { return 1; }
int cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned shared, void *stream, void **arguments, void **extra) {
  return 0;
}
"""
LAUNCHES = 20_000


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    kernels = Kernels.of(preset("F5TTS_v1_Base"), torch.float16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = build(folder / "kernels", list(kernels), [90])
        gpu = Gpu((9, 0), do_nothing(folder), lambda: 0)
        loads = [seconds(lambda: start(folder / "kernels", kernels, gpu)) for _ in range(rounds)]
        launch = start(folder / "kernels", kernels, gpu)
        ours = [launches(launch, kernels) for _ in range(rounds)]
        size = sum((folder / "kernels" / one.file).stat().st_size for one in manifest.binaries)
    one = torch.zeros(1)
    torchs = [seconds(lambda: repeat(lambda: one.add_(1))) for _ in range(rounds)]
    imports = [import_triton() for _ in range(min(rounds, 5))]
    result = {
        "machine": describe(),
        "kernels": len(manifest.binaries),
        "bytes": size,
        "load_ms": round(1000 * median(loads), 2),
        "import_triton_ms": round(1000 * median(imports)),
        "launch_us": round(median(ours) / LAUNCHES * 1e6, 2),
        "torch_add_us": round(median(torchs) / LAUNCHES * 1e6, 2),
        "load_to_import": round(median(loads) / median(imports), 4),
        "launch_to_add": round(median(ours) / median(torchs), 2),
    }
    print(json.dumps(result))


def do_nothing(folder: Path) -> Driver:
    """The driver whose calls return at once."""
    source, library = folder / "driver.c", folder / "driver.so"
    source.write_text(DRIVER)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", library], check=True)
    return Driver(ctypes.CDLL(str(library)), ctypes.PyDLL(str(library)))


def start(folder: Path, kernels: Kernels, gpu: Gpu) -> Launch:
    """As at the start of a worker."""
    return load(folder, source_hash(), kernels, gpu)


def launches(launch: Launch, kernels: Kernels) -> float:
    """Seconds of many launches of the kernel with the most arguments, as a step makes them."""
    x = torch.zeros(800, 1024, dtype=torch.float16)
    place = torch.zeros(800, dtype=torch.int64)
    kernel = kernels.norm_modulate[True, True]
    return seconds(
        lambda: repeat(lambda: launch(kernel, (800, 1), x, x, x, x, x, place, x, x, 1024))
    )


def repeat(work: Callable[[], object]) -> None:
    """`LAUNCHES` times."""
    for _ in range(LAUNCHES):
        work()


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def import_triton() -> float:
    """Seconds of `import triton` in a process of its own, torch being there already."""
    code = "import time, torch; t = time.perf_counter(); import triton.compiler; import triton"
    code += "; print(time.perf_counter() - t)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(said.stdout)


if __name__ == "__main__":
    main()

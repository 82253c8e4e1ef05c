"""How kernels get onto a GPU: compiled ahead, compiled here, or not at all.

folder of compiled kernels, Triton with a C compiler -> a Launch, or one sentence why not
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import sysconfig
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from f5serve.engine.compiled_kernels import Gpu, load
from f5serve.engine.cuda_driver import LIBRARY, Driver
from f5serve.engine.kernel_files import FOLDER, KernelsUnusable, source_hash
from f5serve.engine.kernels import Kernel, Launch, compiling

log = logging.getLogger(__name__)

C_COMPILERS = ("gcc", "clang")
"""Those that Triton looks for, to build its own launcher."""


def provide(kernels: Iterable[Kernel], device: torch.device, folder: Path = FOLDER) -> Launch:
    """A launch of these kernels on a GPU; the log says which.

    Raises:
        KernelsUnusable: they lie nowhere compiled, and cannot be compiled here.
    """
    began = time.monotonic()
    try:
        launch = ahead(kernels, device, folder)
    except KernelsUnusable as reason:
        why_not = cannot_compile()
        if why_not:
            raise KernelsUnusable(f"{reason} {why_not}") from None
        log.warning("%s Triton compiles them now, which takes seconds.", reason)
        return compiling()
    log.info("compiled kernels loaded in %.0f ms", 1000 * (time.monotonic() - began))
    return launch


def ahead(kernels: Iterable[Kernel], device: torch.device, folder: Path) -> Launch:
    """A launch of what lies compiled in a folder.

    Raises:
        KernelsUnusable: see `load`.
    """
    torch.cuda.synchronize(device)  # makes the device's context that of this thread
    try:
        driver = Driver.open()
    except OSError as error:
        raise KernelsUnusable(f"{LIBRARY} cannot be opened: {error}.") from None
    gpu = Gpu(torch.cuda.get_device_capability(device), driver, current_stream(device))
    return load(folder, source_hash(), kernels, gpu)


def current_stream(device: torch.device) -> Callable[[], int]:
    """Tells the handle of torch's current stream, without making an object of it where it can."""
    index = torch.cuda.current_device() if device.index is None else device.index
    raw: Callable[[int], int] | None = getattr(torch._C, "_cuda_getCurrentRawStream", None)
    if raw is None:
        return lambda: torch.cuda.current_stream(index).cuda_stream
    return lambda: raw(index)


def cannot_compile() -> str:
    """Why Triton cannot compile kernels here; one sentence, or "" when it can."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed."
    if not any(map(shutil.which, C_COMPILERS)):
        return "Triton needs a C compiler, and there is none."
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "Triton needs Python's headers for C, and there are none."
    return ""

"""Kernels compiled ahead: loaded at the start and launched by NVIDIA's driver, through ctypes.

    folder -> manifest -> binaries for this GPU -> modules of the driver -> a Launch

Neither Triton nor a compiler is needed: torch has the driver's library open already, and says which
stream is current. Launches hold the GIL: they return at once, and a thread that releases it has to
wait until another one gives it back.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from f5serve.engine.kernel_files import Binary, KernelsUnusable, choose, read_binary
from f5serve.engine.kernels import Grid, Kernel, Launch

LIBRARY = "libcuda.so.1"
MAX_DYNAMIC_SHARED = 8
"""CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES"""
PLAIN_SHARED = 48 * 1024
"""Bytes of shared memory that a kernel gets without being permitted more."""
INVALID_CONTEXT = 201

LaunchKernel = Callable[..., int]
"""cuLaunchKernel: function, grid of 3, block of 3, shared bytes, stream, parameters, None."""


class DriverError(RuntimeError):
    """The driver refused a call; `code` is its CUresult."""

    def __init__(self, call: str, code: int, name: str) -> None:
        super().__init__(f"{call}: {name}")
        self.code = code
        self.name = name


class Driver:
    """The driver, with errors as exceptions; handles are integers.

    Args:
        library: with the driver's functions as attributes; they release the GIL.
        launching: the same, for functions that hold it.
    """

    def __init__(self, library: Any, launching: Any) -> None:
        self._library = library
        self.launch: LaunchKernel = launching.cuLaunchKernel

    @classmethod
    def open(cls) -> Driver:
        """That of this machine.

        Raises:
            OSError: there is none.
        """
        return cls(ctypes.CDLL(LIBRARY), ctypes.PyDLL(LIBRARY))

    def current_context(self) -> int:
        """The context of this thread; 0 without one."""
        context = ctypes.c_void_p()
        self._call("cuCtxGetCurrent", ctypes.byref(context))
        return context.value or 0

    def use_context(self, context: int) -> None:
        """Make it the one of this thread."""
        self._call("cuCtxSetCurrent", ctypes.c_void_p(context))

    def load_module(self, binary: bytes) -> int:
        """A module from what is in a file; it belongs to the current context."""
        module = ctypes.c_void_p()
        self._call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(binary))
        return module.value or 0

    def function(self, module: int, symbol: str) -> int:
        """A kernel of a module, by name."""
        function = ctypes.c_void_p()
        name = ctypes.c_char_p(symbol.encode())
        self._call("cuModuleGetFunction", ctypes.byref(function), ctypes.c_void_p(module), name)
        return function.value or 0

    def permit_shared(self, function: int, count: int) -> None:
        """Let a kernel have so many bytes of shared memory."""
        kernel = ctypes.c_void_p(function)
        self._call("cuFuncSetAttribute", kernel, MAX_DYNAMIC_SHARED, count)

    def error(self, call: str, code: int) -> DriverError:
        """What a result other than 0 means."""
        name = ctypes.c_char_p()
        failed = self._library.cuGetErrorName(code, ctypes.byref(name))
        text = name.value.decode() if not failed and name.value else f"CUDA error {code}"
        return DriverError(call, code, text)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise self.error(name, code)


WARP = 32
_pointer = torch.Tensor.data_ptr
_CODES = {"i32": "i", "i64": "q", "fp32": "f"}
"""struct's letters for what Triton calls its arguments; pointers are unsigned and of 8 bytes."""


class CompiledKernel:
    """One kernel in the driver, and the memory that its arguments are written to.

    Args:
        context: of the driver, in which the function was loaded.

    Raises:
        KernelsUnusable: see `codes`.
    """

    def __init__(self, binary: Binary, function: int, driver: Driver, context: int) -> None:
        self.binary = binary
        self._driver = driver
        self._context = context
        self._function = ctypes.c_void_p(function)
        self._threads = WARP * binary.num_warps
        kinds = codes(binary)
        self._packer = struct.Struct("@" + kinds)
        self._memory = ctypes.create_string_buffer(self._packer.size)
        self._places = (ctypes.c_void_p * len(kinds))(
            *(ctypes.addressof(self._memory) + place for place in places(kinds))
        )
        self._tensors = sum(kind.startswith("*") for kind in binary.arguments)
        self._aligned = [i for i, kind in enumerate(binary.arguments) if kind.endswith(":16")]
        self._added = (0,) * binary.added
        self._lock = threading.Lock()

    def __call__(self, grid: Grid, stream: int, arguments: tuple[Any, ...]) -> None:
        """Launch it on a stream.

        Args:
            grid: programs along x and y.
            arguments: as the kernel takes them: tensors, and behind them numbers.

        Raises:
            ValueError: an argument is not the multiple of 16 that the kernel was compiled for.
            DriverError: the driver refuses.
        """
        tensors, numbers = arguments[: self._tensors], arguments[self._tensors :]
        values = [*map(_pointer, tensors), *numbers]
        bits = 0
        for i in self._aligned:
            bits |= values[i]
        if bits & 15:
            raise ValueError(f"{self.binary.name}: an argument is no multiple of 16")
        with self._lock:  # the driver copies the arguments before it returns
            self._packer.pack_into(self._memory, 0, *values, *self._added)
            code = self._launch(grid, stream)
        if code:
            raise self._driver.error(f"launch of {self.binary.name}", code)

    def _launch(self, grid: Grid, stream: int) -> int:
        x, y = grid
        fixed = (self._function, x, y, 1, self._threads, 1, 1, self.binary.shared)
        where = ctypes.c_void_p(stream)
        code = self._driver.launch(*fixed, where, self._places, None)
        if code == INVALID_CONTEXT:  # the first call of CUDA in this thread
            self._driver.use_context(self._context)
            code = self._driver.launch(*fixed, where, self._places, None)
        return code


def codes(binary: Binary) -> str:
    """struct's letter for each argument, those included that Triton adds.

    Raises:
        KernelsUnusable: one is of an unknown kind, or a pointer behind numbers.
    """
    found = ""
    for kind in binary.arguments:
        bare = kind.removesuffix(":16")
        code = "Q" if bare.startswith("*") else _CODES.get(bare)
        if code is None or (code == "Q" and found.strip("Q")):
            raise KernelsUnusable(f"{binary.name} takes {bare}, which is not expected there.")
        found += code
    return found + "Q" * binary.added


def places(codes: str) -> list[int]:
    """Offset of each argument: the next multiple of its size, as in a struct of C."""
    ends = [struct.calcsize("@" + codes[: i + 1]) for i in range(len(codes))]
    return [end - struct.calcsize(code) for end, code in zip(ends, codes, strict=True)]


@dataclass(frozen=True, slots=True)
class Gpu:
    """What kernels are launched on.

    Attributes:
        capability: (9, 0) for sm_90.
        driver: its driver; its context is current where kernels are loaded.
        stream: returns the handle of the current stream.
    """

    capability: tuple[int, int]
    driver: Driver
    stream: Callable[[], int]


def load(folder: Path, source: str, kernels: Iterable[Kernel], gpu: Gpu) -> Launch:
    """A launch of the compiled kernels in a folder.

    Args:
        source: see `kernel_files.choose`.
        kernels: all that will be launched.

    Raises:
        KernelsUnusable: not all of them can be loaded.
    """
    wanted = list(kernels)
    chosen = choose(folder, source, (kernel.name for kernel in wanted), gpu.capability)
    context = gpu.driver.current_context()
    if not context:
        raise KernelsUnusable("No CUDA context is current in this thread.")
    loaded = [_load_one(folder, chosen[kernel.name], gpu.driver, context) for kernel in wanted]
    # By identity, because hashing a kernel's constants takes as long as launching it. The table
    # keeps `wanted` alive, so that no other object can have the same identity.
    by_id = {id(kernel): (kernel, one) for kernel, one in zip(wanted, loaded, strict=True)}
    by_value = dict(zip(wanted, loaded, strict=True))

    def launch(kernel: Kernel, grid: Grid, *arguments: Any) -> None:
        found = by_id.get(id(kernel))
        (found[1] if found else by_value[kernel])(grid, gpu.stream(), arguments)

    return launch


def _load_one(folder: Path, binary: Binary, driver: Driver, context: int) -> CompiledKernel:
    data = read_binary(folder, binary)
    try:
        function = driver.function(driver.load_module(data), binary.symbol)
        if binary.shared > PLAIN_SHARED:
            driver.permit_shared(function, binary.shared)
    except DriverError as error:
        path = folder / binary.file
        raise KernelsUnusable(f"The driver refuses the compiled kernel {path}: {error}.") from None
    return CompiledKernel(binary, function, driver, context)

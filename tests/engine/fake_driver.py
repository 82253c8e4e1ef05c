"""A CUDA driver without a GPU: modules, functions, contexts and launches, behind ctypes.

Its functions are called through ctypes with the driver's own C types, so what arrives is what a
driver would see. It knows the arguments of a kernel from the binary alone, as a driver does, and
reads each one where the launch says that it lies.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from f5serve.engine.compiled_kernels import INVALID_CONTEXT, Driver

NAMES = {
    1: b"CUDA_ERROR_INVALID_VALUE",
    INVALID_CONTEXT: b"CUDA_ERROR_INVALID_CONTEXT",
    209: b"CUDA_ERROR_NO_BINARY_FOR_GPU",
    500: b"CUDA_ERROR_NOT_FOUND",
    719: b"CUDA_ERROR_LAUNCH_FAILED",
}
HEADER = 12
PLAIN_SHARED = 48 * 1024

_P, _U = ctypes.c_void_p, ctypes.c_uint
_OUT = ctypes.POINTER(ctypes.c_void_p)


def make_binary(functions: Mapping[str, Sequence[int]]) -> bytes:
    """A binary of functions whose arguments have these sizes in bytes."""
    body = json.dumps({name: list(sizes) for name, sizes in functions.items()}).encode()
    return b"FAKE" + len(body).to_bytes(8, "little") + body


@dataclass(frozen=True)
class Launched:
    """What one launch asked for; arguments are the bytes of each."""

    symbol: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared: int
    stream: int
    arguments: tuple[bytes, ...]


class FakeDriver:
    """The driver of one GPU.

    Attributes:
        launched: every launch, in order.
        permitted: function -> bytes of shared memory that it may have.
        refuse: name of a call -> the result that it gives.
        before_reading: called in a launch before its arguments are read.
    """

    def __init__(self) -> None:
        self.launched: list[Launched] = []
        self.permitted: dict[str, int] = {}
        self.refuse: dict[str, int] = {}
        self.before_reading: Callable[[], None] = lambda: None
        self._modules: dict[int, dict[str, list[int]]] = {}
        self._functions: dict[int, tuple[str, list[int]]] = {}
        self._here = threading.local()
        self._here.context = 0xC0
        for name, kinds in _TYPES.items():
            setattr(self, name, ctypes.CFUNCTYPE(ctypes.c_int, *kinds)(self._method(name)))

    @property
    def driver(self) -> Driver:
        """It, as the engine sees one."""
        return Driver(self, self)

    def _method(self, name: str) -> Callable[..., int]:
        method = getattr(self, f"_{name}")
        return lambda *arguments: self.refuse.get(name) or method(*arguments)

    def _cuCtxGetCurrent(self, out: Any) -> int:
        out[0] = getattr(self._here, "context", None)
        return 0

    def _cuCtxSetCurrent(self, context: int) -> int:
        self._here.context = context
        return 0

    def _cuModuleLoadData(self, out: Any, data: int) -> int:
        if ctypes.string_at(data, 4) != b"FAKE":
            return 209
        length = int.from_bytes(ctypes.string_at(data + 4, 8), "little")
        handle = 0x1000 + len(self._modules)
        self._modules[handle] = json.loads(ctypes.string_at(data + HEADER, length))
        out[0] = handle
        return 0

    def _cuModuleGetFunction(self, out: Any, module: int, name: bytes) -> int:
        symbol = name.decode()
        if symbol not in self._modules[module]:
            return 500
        handle = 0x7F00_0000_0000 + len(self._functions)
        self._functions[handle] = symbol, self._modules[module][symbol]
        out[0] = handle
        return 0

    def _cuFuncSetAttribute(self, function: int, attribute: int, value: int) -> int:
        assert attribute == 8
        self.permitted[self._functions[function][0]] = value
        return 0

    def _cuGetErrorName(self, code: int, out: Any) -> int:
        out[0] = NAMES.get(code)
        return 0 if code in NAMES else 1

    def _cuLaunchKernel(self, function: int, *told: Any) -> int:
        *sizes, shared, stream, places, extra = told
        symbol, kinds = self._functions[function]
        if not getattr(self._here, "context", None):
            return INVALID_CONTEXT
        if extra or shared > max(PLAIN_SHARED, self.permitted.get(symbol, 0)):
            return 1
        self.before_reading()
        arguments = tuple(ctypes.string_at(places[i], size) for i, size in enumerate(kinds))
        grid, block = tuple(sizes[:3]), tuple(sizes[3:])
        self.launched.append(Launched(symbol, grid, block, shared, stream or 0, arguments))
        return 0


_TYPES: dict[str, tuple[Any, ...]] = {
    "cuCtxGetCurrent": (_OUT,),
    "cuCtxSetCurrent": (_P,),
    "cuModuleLoadData": (_OUT, _P),
    "cuModuleGetFunction": (_OUT, _P, ctypes.c_char_p),
    "cuFuncSetAttribute": (_P, ctypes.c_int, ctypes.c_int),
    "cuGetErrorName": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
    "cuLaunchKernel": (_P, *[_U] * 7, _P, _OUT, _OUT),
}

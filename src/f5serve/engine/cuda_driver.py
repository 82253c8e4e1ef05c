"""The calls of NVIDIA's driver that load compiled kernels and launch them, through ctypes.

torch has the driver's library open already, and says which stream is current; nothing else of CUDA
is needed. Launches keep the interpreter: they return at once, and a thread that lets go of it has
to wait until another one gives it back.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

LIBRARY = "libcuda.so.1"
MAX_DYNAMIC_SHARED = 8
"""CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES"""
PLAIN_SHARED = 48 * 1024
"""Bytes of shared memory that a kernel gets without being permitted more."""
INVALID_CONTEXT = 201

Launch = Callable[..., int]
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
        library: with the driver's functions as attributes; they let go of the interpreter.
        launching: the same, for functions that keep it.
    """

    def __init__(self, library: Any, launching: Any) -> None:
        self._library = library
        self.launch: Launch = launching.cuLaunchKernel

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
        told = name.value.decode() if not failed and name.value else f"CUDA error {code}"
        return DriverError(call, code, told)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise self.error(name, code)

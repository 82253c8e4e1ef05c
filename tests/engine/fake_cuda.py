"""Tensors of a GPU that is not there: shapes, types, devices and operations without numbers.

torch's FakeTensorMode has them; nothing is computed.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from f5serve.engine.kernels import TYPES, Grid, Kernel

CUDA = torch.device("cuda", 0)

VIEWS = {
    "view",
    "_unsafe_view",
    "unsqueeze",
    "squeeze",
    "select",
    "slice",
    "transpose",
    "permute",
    "t",
    "expand",
    "unbind",
    "split",
    "split_with_sizes",
    "alias",
    "detach",
    "as_strided",
    "view_as_complex",
    "view_as_real",
    "chunk",
    "unflatten",
    "flatten",
    "narrow",
    "_reshape_alias",
    "reshape",
    "lift_fresh",
    "squeeze_",
    "unsqueeze_",
    "real",
    "imag",
    "_conj",
    "unfold",
    "device",
    "empty",
    "empty_like",
    "new_empty",
    "empty_strided",
    "new_empty_strided",
    "is_pinned",
    "is_contiguous",
}
"""Operations that launch nothing."""
KINDS = {
    **{f"*{short}:16": dtype for dtype, short in TYPES.items()},
    "*i64:16": torch.int64,
    "*i32:16": torch.int32,
}
"""What kernels take, by the notation of their table."""
READS = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select"}
"""Operations whose result the host waits for."""
COPIES = {"_to_copy", "copy_", "to"}
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_"}


def lend_a_guard() -> None:
    """Let a torch built for CPUs alone index, pad and convolve fake tensors on "cuda".

    Before such an operation torch asks for the guard of the device, and a build for CPUs has none
    for CUDA. The one of the meta device does nothing, which is right here.
    """
    cuda, meta = 1, 14  # c10::DeviceType
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    guards = (ctypes.c_void_p * 16).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    if not guards[cuda]:
        guards[cuda] = guards[meta]


def _reads(name: str, ins: list[Tensor]) -> bool:
    """Whether the host must know numbers to go on; a mask has as many places as it has ones."""
    return name in READS or (name in INDEXED and any(t.dtype is torch.bool for t in ins[1:]))


class Trace(TorchDispatchMode):
    """What a GPU would be asked to do.

    Attributes:
        launches: kernels, by operator.
        waits: operations for which the host waits until the GPU has done all before.
        copies: from and to the host, those that nobody waits for.
        mixed: operations on tensors of several devices, or of several floating types.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()
        self.waits: list[str] = []
        self.copies: list[str] = []
        self.mixed: list[str] = []
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.name().split("::")[1].split(".")[0]
        ins = [item for item in tree_iter((args, kwargs)) if isinstance(item, Tensor)]
        told = f"{name} {[(tuple(t.shape), str(t.dtype)[6:], t.device.type) for t in ins]}"
        if "cuda" in {tensor.device.type for tensor in ins} and _reads(name, ins):
            self.waits.append(told)
        out = func(*args, **kwargs)
        outs = [item for item in tree_iter(out) if isinstance(item, Tensor)]
        devices = {tensor.device.type for tensor in [*ins, *outs]}
        if "cuda" not in devices or _reads(name, ins):
            return out
        if name in COPIES and "cpu" in devices:
            unwaited = kwargs.get("non_blocking") or (name == "copy_" and args[2:3] == (True,))
            (self.copies if unwaited else self.waits).append(told)
        elif name not in VIEWS and not (name == "to" and outs[0] is ins[0]):
            self.launches[name] += 1
            self.bytes += sum(t.nbytes for t in {id(t): t for t in [*ins, *outs]}.values())
            self._check(name, told, ins)
        return out

    def launch(self, kernel: Kernel, grid: Grid, *arguments: Any) -> None:
        """See `kernels.Launch`: each argument is what the table says, and moved once."""
        ins = [item for item in arguments if isinstance(item, Tensor)]
        self.launches[kernel.function] += 1
        self.bytes += sum(t.nbytes for t in {id(t): t for t in ins}.values())
        for kind, value in zip(kernel.arguments, arguments, strict=True):
            is_right = (
                value.device == CUDA and value.dtype is KINDS[kind]
                if kind in KINDS
                else (type(value) is int and (kind == "i32" or value % 16 == 0))
            )
            if not is_right:
                self.mixed.append(f"{kernel.name} {kind} {value}")

    def _check(self, name: str, told: str, ins: list[Tensor]) -> None:
        sized = [tensor for tensor in ins if tensor.dim()]
        if len({tensor.device.type for tensor in sized}) > 1:
            self.mixed.append(told)
        if name in COPIES or name in {"where", "index_put_", "_scaled_mm"}:
            return
        if len({tensor.dtype for tensor in sized if tensor.dtype.is_floating_point}) > 1:
            self.mixed.append(told)

    @property
    def count(self) -> int:
        """Kernels in all."""
        return sum(self.launches.values())


@contextmanager
def fake_gpu() -> Iterator[None]:
    """Within, tensors are fake, and those on "cuda" may be made."""
    lend_a_guard()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
        yield


def on_gpu(module: torch.nn.Module, dtype: torch.dtype) -> None:
    """Give a module without storage parameters on the fake GPU."""
    state = {
        k: torch.empty(v.shape, dtype=dtype, device=CUDA) for k, v in module.state_dict().items()
    }
    module.load_state_dict(state, assign=True)
    module.requires_grad_(False).eval()

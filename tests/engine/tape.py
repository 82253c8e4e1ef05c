"""A stand-in for CUDA graphs: the operations of a piece of work, done again on the same memory.

As on a GPU nothing of Python is done again, so whatever the work took from anywhere but its
tensors stays as it was when it was recorded. What a GPU cannot record is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

from f5serve.engine.cuda import CapturedGraph, GraphCapturer
from f5serve.engine.packing import PackedSequences

READS_THE_DEVICE = {
    "aten::item",
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::equal",
    "aten::is_nonzero",
    "aten::_unique2",
    "aten::lift_fresh",  # a tensor made from Python's numbers: a copy to the device
}


class NotRecordable(RuntimeError):
    """The work waits for the device, or brings something to it."""


class Tape(CapturedGraph, TorchDispatchMode):
    """See `CapturedGraph`.

    Attributes:
        names: of the operations, in order.
        devices: where their tensors were.
    """

    def __init__(self, memory: int) -> None:
        CapturedGraph.__init__(self, memory)
        TorchDispatchMode.__init__(self)
        self.replays = 0
        self.names: list[str] = []
        self.devices: set[str] = set()
        self._calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        masks = func.name() == "aten::index.Tensor" and any(
            isinstance(item, Tensor) and item.dtype is torch.bool for item in tree_iter(args[1:])
        )
        if masks or func.name().split(".")[0] in READS_THE_DEVICE:
            raise NotRecordable(f"{func.name()} cannot be recorded")
        out = func(*args, **kwargs)
        self.names.append(func.name())
        found = (item for item in tree_iter((args, kwargs, out)) if isinstance(item, Tensor))
        self.devices.update(tensor.device.type for tensor in found)
        self._calls.append((func, args, kwargs, out))
        return out

    def replay(self) -> None:
        self.replays += 1
        now: dict[int, Tensor] = {}

        def current(item: Any) -> Any:
            return now.get(id(item), item) if isinstance(item, Tensor) else item

        for func, args, kwargs, recorded in self._calls:
            out = func(*tree_map(current, args), **tree_map(current, kwargs))
            for old, new in zip(tree_iter(recorded), tree_iter(out), strict=True):
                if isinstance(old, Tensor):
                    now[id(old)] = new


class TapeCapturer(GraphCapturer):
    """Captures tapes.

    Attributes:
        fails: raised instead of recording, while set.
        each: bytes that a recording says it holds.
    """

    def __init__(self) -> None:
        self.tapes: list[Tape] = []
        self.fails: Exception | None = None
        self.each = 1000
        self.cleared = 0

    def capture(self, work: Callable[[], None]) -> Tape:
        if self.fails is not None:
            raise self.fails
        tape = Tape(self.each)
        with tape:
            work()
        self.tapes.append(tape)
        return tape

    def clear(self) -> None:
        self.cleared += 1


def masked(qkv: Tensor, packing: PackedSequences) -> Tensor:
    """Attention by the packing's tensors alone, as the kernel for GPUs has it."""
    own = packing.seq_ids[:, None] == packing.seq_ids
    q, k, v = qkv.permute(1, 2, 0, 3)[:, None]  # [1 h m 64]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=own)[0].transpose(0, 1).flatten(1)

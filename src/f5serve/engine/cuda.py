"""CUDA helpers: copies and work that no step waits for, free memory, out-of-memory errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

_OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED")
"""How CUDA, cuBLAS and cuDNN call it; torch gives that no type of its own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory is short, after which the device still works."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _OUT_OF_MEMORY)


def free_bytes(device: torch.device) -> int:
    """What this process may still take: what is free, and what its allocator keeps in reserve.

    Other processes, and the CUDA context, have taken their part of the card before.
    """
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


@cache
def _can_pin() -> bool:
    return torch.cuda.is_available()


def pinned(host: Tensor, device: torch.device) -> Tensor:
    """The same in pinned memory where the device is a GPU; in any thread."""
    return host.pin_memory() if device.type == "cuda" and _can_pin() else host


def to_device(device: torch.device, host: Tensor) -> Tensor:
    """The same on the device, without a wait.

    A plain copy to a GPU waits until it has done all work before; this one is queued behind that.
    """
    if device.type != "cuda":
        return host.to(device)
    source = host if host.is_pinned() else pinned(host, device)
    return torch.empty_like(source, device=device).copy_(source, non_blocking=True)


class RunAheadLimit:
    """Keeps the host at most one step ahead of a GPU, so that sequences join and leave in time."""

    def __init__(self) -> None:
        self._ended: torch.cuda.Event | None = None

    def step_ended(self) -> None:
        """A step was handed to the GPU: wait until it has done the one before."""
        # One that blocks: otherwise the wait takes a whole core, which others need.
        before, self._ended = self._ended, torch.cuda.Event(blocking=True)
        self._ended.record()
        if before is not None:
            before.synchronize()


@dataclass(frozen=True, slots=True, eq=False)
class PendingCopy:
    """Tensors on their way to the host."""

    tensors: list[Tensor]
    arrived: torch.cuda.Event

    def ready(self) -> bool:
        """Whether `wait` returns at once."""
        return self.arrived.query()

    def wait(self) -> list[Tensor]:
        """The tensors, once they are there."""
        self.arrived.synchronize()
        return self.tensors


class SideStream:
    """A second stream: neither its work nor the copy of the results to the host delays a step."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def run(self, work: Callable[[], list[Tensor]]) -> PendingCopy:
        """Begin the work behind what the current stream has been given, and return at once.

        What the work reads must be held until its results have arrived: the current stream would
        give that memory to other work.
        """
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            hosts = [
                torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, True)
                for tensor in work()
            ]
            arrived = torch.cuda.Event(blocking=True)
            arrived.record(self._stream)
        return PendingCopy(hosts, arrived)

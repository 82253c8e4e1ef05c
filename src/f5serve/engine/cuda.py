"""CUDA helpers: copies and work that no step waits for, free memory, capture of graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

CAPTURE_BYTES = 512 * 2**20
"""Bytes that are free where steps are captured: the largest graph takes 400 MB."""
MAX_GRAPHS = 16
MEMORY_SHARE = 16
"""Graphs may take one part in so many of the memory that is free once weights are loaded."""
WARM_UPS = 2
"""Libraries choose kernels and take their workspace before, not while, work is captured."""
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


class GraphLimits(NamedTuple):
    """How much CUDA graphs may take.

    Attributes:
        number: of them; the one that was not used for longest makes room.
        memory: bytes of all together.
    """

    number: int
    memory: int

    @classmethod
    def of(cls, device: torch.device) -> GraphLimits:
        """By what is free on this device now."""
        return cls(MAX_GRAPHS, free_bytes(device) // MEMORY_SHARE)


class CapturedGraph:
    """Work that can be done again.

    Args:
        memory: bytes by which the shared pool had to grow for it.
    """

    def __init__(self, memory: int, graph: torch.cuda.CUDAGraph | None = None) -> None:
        self.memory = memory
        self._graph = graph

    def replay(self) -> None:
        """Do the same work on what its memory holds now: one launch, on the current stream."""
        assert self._graph is not None
        self._graph.replay()


class GraphCapturer:
    """Captures work that reads and writes memory that stays where it is.

    All graphs take their memory from one pool and are captured on one stream. They never run at
    the same time and nothing in the pool outlives a replay, so they may all use the same of it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = None
        self._pool: Any = None

    def capture(self, work: Callable[[], None]) -> CapturedGraph:
        """Warm up beside the current stream, then capture.

        Raises what torch raises when the work, or this device, cannot be captured.
        """
        current = torch.cuda.current_stream(self._device)
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        try:
            return check_free_memory(
                lambda: self._capture(work, current), lambda: free_bytes(self._device)
            )
        finally:
            # A capture that fails in its end leaves its own stream current.
            torch.cuda.set_stream(current)

    def _capture(self, work: Callable[[], None], current: torch.cuda.Stream) -> CapturedGraph:
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                work()
        current.wait_stream(self._stream)
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved(self._device)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile; only this one must not do what has no place.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            work()
        grown = torch.cuda.memory_reserved(self._device) - before
        return CapturedGraph(max(0, grown), graph)

    def clear(self) -> None:
        """All graphs are gone: the next one starts a new pool."""
        self._pool = None


def check_free_memory(capture: Callable[[], T], free: Callable[[], int]) -> T:
    """What `capture` returns.

    A capture that runs out of memory cannot give any back meanwhile, and fails with words about
    something else; so what it needs is looked at before, and again where it failed.

    Args:
        free: bytes that may still be taken.

    Raises:
        torch.OutOfMemoryError: there was no room.
    """
    if free() < CAPTURE_BYTES:
        raise torch.OutOfMemoryError("too little memory is free to record a step")
    try:
        return capture()
    except RuntimeError as error:
        if not is_out_of_memory(error) and free() < CAPTURE_BYTES:
            raise torch.OutOfMemoryError(f"memory ran out in a recording: {error}") from error
        raise

"""Work on the GPU becomes a CUDA graph. What the work is, is not known here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from f5serve.engine.graphs import Limits
from f5serve.engine.memory import check_free_memory, free_bytes

MOST_GRAPHS = 16
MEMORY_SHARE = 16
"""Recordings may take one part in so many of the memory that is free once weights are loaded."""

WARM_UPS = 2
"""Libraries choose kernels and take their workspace before, not while, work is recorded."""


@dataclass(frozen=True, slots=True, eq=False)
class CudaCapturedGraph:
    """See `graphs.CapturedGraph`.

    Attributes:
        grown: bytes by which the shared pool had to grow for it.
    """

    graph: torch.cuda.CUDAGraph
    grown: int

    @property
    def memory(self) -> int:
        """Bytes."""
        return self.grown

    def replay(self) -> None:
        """One launch, on the current stream."""
        self.graph.replay()


def limits(device: torch.device) -> Limits:
    """What recordings may take of what is free on this device now."""
    return Limits(MOST_GRAPHS, free_bytes(device) // MEMORY_SHARE)


class CudaGraphCapturer:
    """See `graphs.GraphCapturer`.

    All graphs take their memory from one pool and are recorded on one stream. They never run at
    the same time and nothing in the pool outlives a replay, so they may all use the same of it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = None
        self._pool: Any = None

    def record(self, work: Callable[[], None]) -> CudaCapturedGraph:
        """Warm up beside the current stream, then record."""
        current = torch.cuda.current_stream(self._device)
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        try:
            return check_free_memory(
                lambda: self._recorded(work, current), lambda: free_bytes(self._device)
            )
        finally:
            # A capture that fails in its end leaves its own stream current.
            torch.cuda.set_stream(current)

    def _recorded(self, work: Callable[[], None], current: torch.cuda.Stream) -> CudaCapturedGraph:
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
        return CudaCapturedGraph(graph, max(0, grown))

    def forget(self) -> None:
        """The next graph starts a new pool."""
        self._pool = None

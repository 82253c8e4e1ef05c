"""How far the host runs ahead of a GPU, and work that runs there beside the steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


class RunAheadLimit:
    """Keeps the host at most one step ahead of a GPU, so that rows can join and leave in time."""

    def __init__(self) -> None:
        self._ended: torch.cuda.Event | None = None

    def step_ended(self) -> None:
        """Everything of a step was handed to the GPU: wait until it has done the step before."""
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
        """Whether they are there."""
        return self.arrived.query()

    def wait(self) -> list[Tensor]:
        """They, when they are there."""
        self.arrived.synchronize()
        return self.tensors


class SideStream:
    """A second stream: what runs on it holds no step up, nor does its way to the host."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def run(self, work: Callable[[], list[Tensor]]) -> PendingCopy:
        """Begin the work behind what the current stream has been given, and return at once.

        What the work reads must be held until its results have arrived: the current stream would
        give that memory to somebody else.
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

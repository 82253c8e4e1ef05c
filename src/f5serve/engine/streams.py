"""How far the host runs ahead of a GPU."""

from __future__ import annotations

import torch


class Pace:
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

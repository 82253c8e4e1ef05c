"""The two halves of guidance, side by side on a CPU.

A step computes every row twice, with and without reference and text, and neither half needs the
other. In two threads, each with half of the cores, they wait for one another once a step, where
one computation with all cores waits at every operation of every layer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import torch
from torch import Tensor


class ParallelCfg:
    """Two threads for the life of an engine.

    Args:
        threads: of torch in all, an even number.
    """

    def __init__(self, threads: int) -> None:
        begun = threading.Barrier(3)

        def begin() -> None:
            torch.set_num_threads(threads // 2)
            begun.wait()

        self._pool = ThreadPoolExecutor(2, "half", initializer=begin)
        for _ in range(2):
            self._pool.submit(int)
        begun.wait()
        torch.set_num_threads(threads)  # threads that begin later take over what was set last

    @classmethod
    def on(cls, device: torch.device) -> ParallelCfg | None:
        """Two threads where they pay: on a CPU, with an even number of torch's threads."""
        threads = torch.get_num_threads()
        return cls(threads) if device.type == "cpu" and threads % 2 == 0 else None

    def run(self, first: Callable[[], Tensor], second: Callable[[], Tensor]) -> Tensor:
        """Both results, one behind the other; neither still runs when one has failed."""
        halves = [self._pool.submit(half) for half in (first, second)]
        wait(halves)
        return torch.cat([half.result() for half in halves])

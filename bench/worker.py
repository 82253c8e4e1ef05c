"""What both worker processes share: the line protocol, clocks, memory.

Commands come in as JSON lines, answers go out as JSON lines. Only the standard library is imported
here, and little of it: everything that this file imports would count as the cold start of both.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Answer = dict[str, Any]
STEP_SEED = 3
"""Of the noise; both sides draw it on the CPU as torch does after `manual_seed`."""
Command = Callable[[dict[str, Any]], Answer]


def serve(commands: dict[str, Command]) -> None:
    """Answer commands until the input ends; what libraries print goes to stderr."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        answer = commands[request.pop("do")](request)
        out.write(json.dumps(answer) + "\n")
        out.flush()


def now() -> Answer:
    """Where the process stands: clocks, memory and modules.

    `at` is the machine's monotonic clock, the same in every process; `cpu` counts from the start
    of this process, the interpreter's own start included.
    """
    return {
        "at": time.monotonic(),
        "cpu": time.process_time(),
        "modules": len(sys.modules),
        **memory(),
    }


def memory() -> Answer:
    """Peak resident and current anonymous memory, and what was read from the disk, in MB."""
    with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib would be an import more
        fields = dict(line.split(":", 1) for line in status)
    with open("/proc/self/io") as io:  # noqa: PTH123
        read = dict(line.split(":", 1) for line in io)["read_bytes"]
    wanted = {"VmHWM": "peak_mb", "RssAnon": "anon_mb"}
    found = {ours: int(fields[name].split()[0]) / 1024 for name, ours in wanted.items()}
    return found | {"disk_mb": int(read) / 2**20}


class Watch:
    """Time from the first lap to the last: wall, CPU and, on a GPU, between CUDA events.

    Args:
        laps: how many there are; what is read is the time of one.
    """

    def __init__(self, device: str, laps: int = 1) -> None:
        self._on_gpu = device == "cuda"
        self._laps = laps
        self._done = -1
        self._began: Answer = {}
        self._took: Answer = {}

    def lap(self) -> bool:
        """Call before the first lap and after each; True when the last one is over."""
        self._done += 1
        if self._done == 0:
            self._began = self._clocks()
        elif self._done == self._laps:
            ended = self._clocks()
            self._took = {
                name: (self._began[name].elapsed_time(ended[name]) / 1000)
                if name == "cuda"
                else ended[name] - self._began[name]
                for name in ended
            }
        return self._done >= self._laps

    def _clocks(self) -> Answer:
        clocks: Answer = {}
        if self._on_gpu:
            import torch

            clocks["cuda"] = torch.cuda.Event(enable_timing=True)
            clocks["cuda"].record()
            torch.cuda.synchronize()
        return clocks | {"wall": time.perf_counter(), "cpu": time.process_time()}

    def read(self) -> Answer:
        """Seconds of one lap."""
        return {name: seconds / self._laps for name, seconds in self._took.items()}


def timed(work: Callable[[], object], device: str, repeat: int = 1) -> Answer:
    """Seconds of one run of `work`."""
    watch = Watch(device, repeat)
    watch.lap()
    for _ in range(repeat):
        work()
        watch.lap()
    return watch.read()


def device_facts(device: str) -> Answer:
    """What torch says about itself and the device."""
    import torch

    facts = {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if device == "cuda":
        facts["gpu"] = torch.cuda.get_device_name()
        facts["cuda"] = torch.version.cuda
    return facts


def gpu_peak_mb(device: str) -> float:
    """Most GPU memory that was allocated since the process began, MB; 0 on the CPU."""
    import torch

    return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0


def step_inputs(frames: int, tokens: int) -> tuple[Any, Any]:
    """Reference mel [frames // 3, 100] and token ids, the same for both."""
    import torch

    generator = torch.Generator().manual_seed(frames)
    cond = torch.randn(frames // 3, 100, generator=generator) * 2 - 4
    return cond, torch.randint(0, tokens, (max(1, frames // 6),), generator=generator)


def reference_samples(seconds: float) -> Any:
    """A reference recording's stand-in: noise that swells and fades, float32 at 24 kHz."""
    import numpy as np

    count = round(seconds * 24_000)
    swell = 0.6 + 0.4 * np.sin(np.arange(count) * (2 * np.pi * 3 / 24_000))
    noise = np.random.default_rng(7).standard_normal(count)
    return (0.05 * swell * noise).astype(np.float32)

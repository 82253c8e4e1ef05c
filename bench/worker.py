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


def timed(work: Callable[[], object], repeat: int, device: str) -> Answer:
    """Seconds of one run of `work`: wall, CPU and, on a GPU, between CUDA events."""
    import torch

    if device == "cpu":
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(repeat):
            work()
        return {
            "wall": (time.perf_counter() - wall) / repeat,
            "cpu": (time.process_time() - cpu) / repeat,
        }
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    first.record()
    for _ in range(repeat):
        work()
    last.record()
    torch.cuda.synchronize()
    return {
        "wall": (time.perf_counter() - wall) / repeat,
        "cpu": (time.process_time() - cpu) / repeat,
        "cuda": first.elapsed_time(last) / 1000 / repeat,
    }


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


def step_inputs(frames: int, tokens: int) -> tuple[Any, Any, Any]:
    """Noise [frames 100], reference mel [frames // 3, 100] and token ids, the same for both."""
    import torch

    generator = torch.Generator().manual_seed(frames)
    noise = torch.randn(frames, 100, generator=generator)
    cond = torch.randn(frames // 3, 100, generator=generator) * 2 - 4
    return noise, cond, torch.randint(0, tokens, (max(1, frames // 6),), generator=generator)


def reference_samples(seconds: float) -> Any:
    """A reference recording's stand-in: noise that swells and fades, float32 at 24 kHz."""
    import numpy as np

    count = round(seconds * 24_000)
    swell = 0.6 + 0.4 * np.sin(np.arange(count) * (2 * np.pi * 3 / 24_000))
    noise = np.random.default_rng(7).standard_normal(count)
    return (0.05 * swell * noise).astype(np.float32)

"""What the sections share: results as lines, files, engines, clocks.

Everything here runs on a CPU as well, on a reduced model, so that a rehearsal takes the same way.
There, steps are recorded by the tests' stand-in for CUDA graphs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F

import vocabulary
import worker
from f5serve.engine.engine import EngineOptions, F5Engine, load

ROOT = Path(__file__).parents[2]
WIDE = (12_800, 1024, 3072)
"""[m k n] of the product whose rate is the ceiling of a step: what bench/compare.py has, larger."""


@dataclass
class Run:
    """One section's process.

    Attributes:
        small: a reduced model and few repetitions: nothing is measured, everything is run.
        seconds: until this process is ended.
    """

    section: str
    device: str
    small: bool
    out: Path
    work: Path
    seconds: float

    def __post_init__(self) -> None:
        if self.small:
            torch.set_num_threads(1)

    def tell(self, what: str, **facts: Any) -> None:
        """One result: printed, and a line of results.jsonl."""
        line = json.dumps({"section": self.section, "what": what, **_short(facts)}, default=str)
        print(line, flush=True)
        with self.out.joinpath("results.jsonl").open("a") as file:
            file.write(line + "\n")

    def skip(self, because: str) -> None:
        """Say in a sentence why something is left out."""
        self.tell("skipped", because=because)

    @property
    def on_gpu(self) -> bool:
        """Whether this is no rehearsal."""
        return self.device == "cuda"

    @property
    def half(self) -> torch.dtype:
        """What a step computes in on this device."""
        return torch.float16 if self.on_gpu else torch.float32

    def often(self, count: int) -> int:
        """How often something is repeated."""
        return 1 if self.small else count

    def few(self, cases: list[Any]) -> list[Any]:
        """The cases, or the first of them in a rehearsal."""
        return cases[:1] if self.small else cases

    def files(self, arch: str = "F5TTS_v1_Base", artifacts: bool = False) -> dict[str, Any]:
        """Paths by name, and the architecture; written where they are missing."""
        import material

        vocab = self.work / "vocab.txt"
        if not vocab.exists():
            self._write_vocab(vocab)
        wanted = {
            "work": self.work,
            "arch": arch,
            "small": self.small,
            "depth": 2 if self.small else None,
        }
        rest = {"ckpt": None, "vocoder": None, "vocab": vocab, "artifacts": artifacts}
        return material.make(argparse.Namespace(**wanted, **rest))

    def _write_vocab(self, path: Path) -> None:
        try:
            path.write_bytes(vocabulary.of_package(sys.executable).read_bytes())
        except Exception:  # noqa: BLE001 - the package is not here, in whatever way
            vocabulary.made_up(path)

    def load_request(self, files: dict[str, Any], dtype: str = "auto") -> dict[str, Any]:
        """What the `load` of both workers takes."""
        threads = 1 if self.small else torch.get_num_threads()
        common = {"device": self.device, "threads": threads, "dtype": dtype}
        through = {"through": "engine", "weights": files["published"], "work": str(self.work)}
        return files | common | through

    def engine(
        self, arch: str = "F5TTS_v1_Base", device: str = "", graphs: bool = True, **options: Any
    ) -> F5Engine:
        """Our engine as the service loads it.

        Args:
            options: of `EngineOptions`.
        """
        files, device = self.files(arch), device or self.device
        weights, vocab, vocoder = (
            Path(files["published"]),
            Path(files["vocab"]),
            Path(files["vocoder"]) / "pytorch_model.bin",
        )
        threads = 1 if self.small else 0
        chosen = EngineOptions(device=device, threads=threads, cuda_graphs=graphs, **options)
        made = load(weights, vocab, vocoder, arch, chosen)
        if graphs and not self.on_gpu:
            rehearse_graphs(made)
        return made

    @cached_property
    def rate(self) -> float:
        """FLOP a second of the widest product, measured once."""
        m, k, n = (512, 256, 768) if self.small else WIDE
        a = torch.randn(m, k, device=self.device, dtype=self.half)
        b = torch.randn(n, k, device=self.device, dtype=self.half)
        return 2 * m * k * n / self.ms(lambda: F.linear(a, b), 20) * 1e3

    def ms(self, work: Callable[[], object], repeat: int = 20, rounds: int = 5) -> float:
        """Milliseconds of one run by the device's clock: the median of rounds of `repeat`."""
        for _ in range(self.often(3)):
            work()
        clock = "cuda" if self.on_gpu else "wall"
        took = [
            worker.timed(work, self.device, self.often(repeat))[clock]
            for _ in range(self.often(rounds))
        ]
        return median(took) * 1e3

    def once_ms(self, work: Callable[[], object]) -> float:
        """Milliseconds of one run, the device waited for before and after."""
        self.sync()
        began = time.perf_counter()
        work()
        self.sync()
        return (time.perf_counter() - began) * 1e3

    def sync(self) -> None:
        """Wait for the device."""
        if self.on_gpu:
            torch.cuda.synchronize()


def _short(facts: dict[str, Any]) -> dict[str, Any]:
    """Numbers to five places: more is noise, and the lines are read by people as well."""
    return {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in facts.items()}


def error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Relative difference ||ours - theirs|| / ||theirs||."""
    a, b = ours.detach().float().cpu(), theirs.detach().float().cpu()
    return float((a - b).norm() / b.norm())


def record_all(engine: F5Engine) -> int:
    """Record whatever was missed often; how many recordings that made."""
    count = 0
    while engine.runner.capture_pending():
        count += 1
    return count


def rehearse_graphs(engine: F5Engine) -> None:
    """On a CPU: replay what the tests' stand-in recorded, with attention that goes by tensors."""
    sys.path.append(str(ROOT))
    from tests.engine.tape import TapeCapturer, masked

    from f5serve.engine.cuda import GraphLimits

    runner = engine.runner
    runner.parallel_cfg, runner.attend = None, masked
    runner.enable_cuda_graphs(TapeCapturer(), GraphLimits(16, 2**40))

"""This engine beside vox-tts, an engine for F5-TTS in C++, on the same weights on a CPU.

    make vox && python bench/beside_vox.py --vox-python .venv-vox/bin/python --save cpu-2-threads

Whole requests, each side in a process of its own; pairs take turns. The package draws its noise
from a generator of its own, so the waves differ and only their length is compared. The result is
one JSON line on stdout and, with --save, a file in bench/results/vox and docs/reference/vox.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import vocabulary
import vox_report
from cases import REF_TEXT
from load_mix import Mix, part
from machine import describe
from processes import HERE, Worker
from stats import Measure, row

PAIRS = {"fp32": "", "int8": "q8"}
"""Our precision, and how the package's blocks are quantised beside it."""
SAMPLES_APART = 2 * 256
"""The two sides may round the length of a request differently by so many."""


def material(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Random weights in the published layout, and Vocos as a file that needs no torch to read."""
    import torch
    from safetensors.torch import save_file

    vocab = vocabulary.made_up(work / "lines.txt")
    command = [sys.executable, str(HERE / "material.py"), "--work", str(work)]
    command += ["--arch", options.arch, "--vocab", str(vocab), *["--small"] * options.small]
    made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1800)
    files: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    vocos = Path(files["vocoder"]) / "model.safetensors"
    if not vocos.exists():
        tensors = torch.load(vocos.with_name("pytorch_model.bin"), weights_only=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, vocos)
    return files | {"vocos": str(vocos)}


class Comparison:
    """Two workers for each precision, and what they took."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options, self.work = options, work
        self.files = material(options, work)
        self.loads = [os.getloadavg()[0]]
        self.facts: dict[str, Any] = {}
        mix = Mix(options.ref_s, options.speech_s, 0.0, 0, options.nfe_step)
        self.asked = part(mix, options.speech_s, seed=1) | {
            "ref_s": mix.ref_s,
            "ref_text": REF_TEXT,
            "nfe_step": mix.nfe_step,
        }

    def run(self) -> dict[str, Any]:
        """Every precision, one after the other: only two models are in memory at once."""
        rows = [self._pair(ours, quant) for ours, quant in PAIRS.items()]
        options = self.options
        made = {
            "date": time.strftime("%Y-%m-%d"),
            "model": options.arch + (" (small)" if options.small else ""),
            "threads": options.threads,
            "request": f"{options.ref_s:g} + {options.speech_s:g} s, {options.nfe_step} steps",
            "frames": self.asked["frames"],
            "loads": sorted(self.loads),
        }
        return {"made": made, "machine": describe(), "versions": self.facts, "rows": rows}

    def _pair(self, dtype: str, quant: str) -> dict[str, Any]:
        with ExitStack() as stack:
            workers = {
                "theirs": self._theirs(stack, quant),
                "ours": self._ours(stack, dtype),
            }
            for side, worker in workers.items():
                self.facts[side] = worker.ask("facts")
            taken: dict[str, list[dict[str, float]]] = {side: [] for side in workers}
            peaks: dict[str, float] = {}
            self._same_length(workers)
            for turn in range(self.options.rounds):
                for side in list(workers)[:: -1 if turn % 2 else 1]:
                    out = str(self.work / f"{side}.npy")
                    told = workers[side].ask("request", **self.asked, out=out)
                    peaks[side] = told["state"]["peak_mb"]
                    taken[side].append(told["timing"])
                self.loads.append(os.getloadavg()[0])
        samples = self._samples()
        if abs(samples["theirs"] - samples["ours"]) > SAMPLES_APART:
            raise RuntimeError(f"the two sides spoke for different times: {samples} samples")
        return self._row(dtype, taken) | {"peak_mb": peaks, "samples": samples}

    def _same_length(self, workers: dict[str, Worker]) -> None:
        """One request of each, not counted; ours takes the length that theirs chose by itself."""
        for side in ("theirs", "ours"):
            workers[side].ask("request", **self.asked, out=str(self.work / f"{side}.npy"))
        told = self._samples()
        self.asked["frames"] += round((told["theirs"] - told["ours"]) / 256)

    def _row(self, dtype: str, taken: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
        walls, cpus = (
            {side: [timing[clock] for timing in timings] for side, timings in taken.items()}
            for clock in ("wall", "cpu")
        )
        made = row(Measure(dtype, dtype, "s", "speed"), walls["theirs"], walls["ours"])
        by_cpu = row(Measure(dtype, dtype, "s", "speed"), cpus["theirs"], cpus["ours"])
        print(f"{dtype}: {made['ratio']:.2f}x, cpu {by_cpu['ratio']:.2f}x", file=sys.stderr)
        return made | {"cpu": by_cpu, "wall": walls}

    def _samples(self) -> dict[str, int]:
        """How long both waves are."""
        import numpy as np

        return {side: len(np.load(self.work / f"{side}.npy")) for side in ("theirs", "ours")}

    def _theirs(self, stack: ExitStack, quant: str) -> Worker:
        options = self.options
        log = self.work / "vox.log"
        name = Path(self.files["published"]).stem
        weights = str(self.work / f"{name}.{quant or 'f32'}.tmod")
        worker = stack.enter_context(
            Worker(options.vox_python, "worker_vox.py", options.threads, log)
        )
        sources = {"published": self.files["published"], "vocab": self.files["vocab"]}
        worker.ask("convert", **sources, vocoder=self.files["vocos"], quant=quant, out=weights)
        worker.ask("load", weights=weights, threads=options.threads)
        return worker

    def _ours(self, stack: ExitStack, dtype: str) -> Worker:
        options = self.options
        log = self.work / "ours.log"
        worker = stack.enter_context(Worker(sys.executable, "worker_ours.py", options.threads, log))
        common = {"device": "cpu", "dtype": dtype, "threads": options.threads}
        worker.ask(
            "load", **self.files, **common, weights=self.files["published"], through="engine"
        )
        return worker


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vox-python", required=True, type=lambda path: str(Path(path).absolute()))
    parser.add_argument("--arch", default="F5TTS_v1_Base")
    parser.add_argument("--small", action="store_true", help="a reduced model, in seconds")
    parser.add_argument("--ref-s", type=float, default=1.0)
    parser.add_argument("--speech-s", type=float, default=1.5)
    parser.add_argument("--nfe-step", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--work", type=Path, help="folder for files of several GB, kept")
    parser.add_argument("--save", metavar="NAME", help="keep as bench/results/vox/NAME.json")
    return parser.parse_args()


def main() -> int:
    """Measure, print, keep; where the package is not installed, say so and leave."""
    options = parse()
    found = (
        Path(options.vox_python).exists()
        and not subprocess.run(
            [options.vox_python, "-c", "import vox"], check=False, capture_output=True
        ).returncode
    )
    if not found:
        print("vox-tts is not installed here: `make vox`. Left out.", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        result = Comparison(options, work).run()
    print(json.dumps(result))
    if options.save:
        vox_report.keep(options.save, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

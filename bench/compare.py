"""This project's engine beside the `f5-tts` package, in one run on one machine.

    python bench/compare.py --upstream-python .venv-oracle/bin/python [--small | --full]

Two worker processes, each in its own environment, take turns on the same files and inputs. The
result is one JSON line on stdout and, with --save, a file in bench/results and the page
docs/reference/benchmarks.md. Exit code 1 when a parity gate fails. How and why:
docs/decisions/0006-benchmark-protocol.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import report
import vocabulary
from cases import SIZES, Size, checks
from cold import ColdStarts
from machine import describe
from processes import HERE, Worker
from warm import UPSTREAM, Warm

ROOT = HERE.parent
SECTIONS = ("C1", "C2", "C3", "C5", "C7")
WIDE_SHAPE = (1200, 1024, 3072)


loads: list[float] = []
"""Load average whenever something was measured."""


def say(line: str) -> None:
    """Progress, beside the result."""
    loads.append(os.getloadavg()[0])
    print(f"[{time.strftime('%H:%M:%S')}, load {loads[-1]:.1f}] {line}", file=sys.stderr)


class Comparison:
    """One run: starts workers as the sections need them and collects what they tell."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options = options
        self.work = work
        self.size = _size(options)
        self.result: dict[str, Any] = {"rows": [], "gates": [], "skipped": [], "runs": {}}

    def run(self) -> dict[str, Any]:
        """Every section that was asked for."""
        options = self.options
        self.result["made"] = {
            "date": time.strftime("%Y-%m-%d"),
            "size": self.size.name,
            "model": options.arch,
            "weights": options.ckpt.name if options.ckpt else "random",
            "device": options.device,
            "threads": options.threads,
            "clock": self._clock(),
        }
        self.result["machine"] = describe()
        if "C5" in options.only:
            self._parity()
        if "C1" in options.only:
            self._cold()
        if {"C2", "C3"} & set(options.only):
            self._warm()
        if "C7" in options.only and options.device == "cpu":
            self._formats()
        self.result["made"]["loads"] = sorted(loads)
        rows = self.result["rows"]
        self.result["checks"] = checks(rows, options.device, self.size.name)
        return self.result

    def _clock(self) -> str:
        """With one thread, CPU time is free of what other processes take."""
        if self.options.device == "cuda":
            return "cuda"
        return "cpu" if self.options.threads == 1 else "wall"

    def _load(self, arch: str, artifacts: bool) -> dict[str, Any]:
        """What every load command carries; writes the files that are missing."""
        options = self.options
        command = [options.engine_python, str(HERE / "material.py")]
        command += ["--work", str(self.work), "--arch", arch, "--vocab", str(_vocab(options))]
        command += ["--small"] * (self.size.name == "small") + ["--artifacts"] * artifacts
        if options.ckpt and arch == options.arch:
            command += ["--ckpt", str(options.ckpt)]
        if options.vocoder:
            command += ["--vocoder", str(options.vocoder)]
        made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1800)
        common = {
            "device": options.device,
            "threads": options.threads,
            "dtype": "auto",
            "through": "engine",
            "work": str(self.work),
        }
        return common | json.loads(made.stdout.splitlines()[-1])

    def _starter(self, side: str) -> Callable[[], Worker]:
        options = self.options
        upstream = side == UPSTREAM
        python = options.upstream_python if upstream else options.engine_python
        script = "worker_upstream.py" if upstream else "worker_ours.py"
        return lambda: Worker(python, script, options.threads, self.work / f"{side}.log")

    def _parity(self) -> None:
        options = self.options
        command = [options.engine_python, str(HERE / "parity.py"), "--work", str(self.work)]
        command += ["--upstream-python", options.upstream_python]
        made = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, timeout=1800, cwd=ROOT
        )
        gates = json.loads(made.stdout.splitlines()[-1])
        lines = str(ROOT / "tests" / "data" / "lines.txt")
        ids = []
        for side in (UPSTREAM, "ours"):
            with self._starter(side)() as worker:
                ids.append(worker.ask("tokens", lines=lines, vocab=str(_vocab(options)))["ids"])
        differing = sum(a != b for a, b in zip(*ids, strict=True))
        name = f"token ids, lines of {len(ids[0])} that differ"
        gates.append({"gate": name, "value": differing, "bound": 0, "passed": differing == 0})
        self.result["gates"] = gates
        for gate in gates:
            say(f"C5 {gate['gate']}: {gate['value']:.2g} {'ok' if gate['passed'] else 'FAILED'}")

    def _formats(self) -> None:
        options = self.options
        command = [options.engine_python, str(HERE / "formats.py"), "--arch", options.arch]
        command += ["--threads", str(options.threads)] + ["--small"] * (self.size.name == "small")
        made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=3600)
        self.result["formats"] = json.loads(made.stdout.splitlines()[-1])
        for one in self.result["formats"]:
            say(f"C7 {one['format']}: relative error {one['error']:.1e}")

    def _cold(self) -> None:
        load = self._load(self.options.arch, artifacts=True)
        starts = ColdStarts(self._starter(UPSTREAM), self._starter("ours"), load, say)
        rows, runs = starts.measure(self.size)
        self.result["rows"] += rows
        self.result["runs"] = runs

    def _warm(self) -> None:
        options = self.options
        formats = options.formats or usual_formats(options.device, self.result["machine"]["flags"])
        precise, ours = formats[0], {name: name for name in formats}
        with ExitStack() as stack:
            warm = self._workers(stack, options.arch, ours)
            if "C2" in options.only:
                self.result["rows"] += warm.steps(self.size.frames, self.size)
            if "C3" in options.only:
                rows, self.result["skipped"] = warm.requests(self.size)
                self.result["rows"] += rows
        if "C2" in options.only and self.size.e2_frames and options.arch != "E2TTS_Base":
            with ExitStack() as stack:
                warm = self._workers(stack, "E2TTS_Base", {precise: precise})
                self.result["rows"] += warm.steps(self.size.e2_frames, self.size, "e2-")

    def _workers(self, stack: ExitStack, arch: str, ours: dict[str, str]) -> Warm:
        """Loaded workers of both sides on one checkpoint."""
        load = self._load(arch, artifacts=False)
        load["weights"] = load["published"]
        workers = {UPSTREAM: stack.enter_context(self._starter(UPSTREAM)())}
        workers[UPSTREAM].ask("load", **load)
        for name, dtype in ours.items():
            workers[name] = stack.enter_context(self._starter(name)())
            workers[name].ask("load", **load | {"dtype": dtype})
        first = next(iter(ours))
        self.result["versions"] = {
            "upstream": workers[UPSTREAM].ask("facts"),
            "ours": workers[first].ask("facts"),
        }
        rate = workers[first].ask("gemm", shape=WIDE_SHAPE, clock=self._clock())["flop_per_s"]
        self.result["made"].setdefault("gemm_gflop_per_s", rate / 1e9)
        say(f"{arch}: matrix products run at {rate / 1e9:.0f} GFLOP/s")
        return Warm(
            workers, load["arch"], self._clock(), self.work, rate, self.options.budget_s, say
        )


def usual_formats(device: str, flags: Sequence[str]) -> list[str]:
    """What is measured where nothing else is asked for: the default first, then what is faster."""
    if device == "cuda":
        return ["fp16"]
    return ["fp32", "int8"] + ["bf16"] * bool({"avx512_bf16", "amx_bf16"} & set(flags))


def _size(options: argparse.Namespace) -> Size:
    name = "small" if options.small else "full" if options.full else "usual"
    changes = {"rounds": options.rounds, "starts": options.rounds} if options.rounds else {}
    if options.frames:
        changes["frames"] = tuple(options.frames)
    return replace(SIZES[name], **changes)


def _vocab(options: argparse.Namespace) -> Path:
    """The vocabulary: the one that was named, else the one inside the f5-tts package."""
    if options.vocab:
        return Path(options.vocab)
    return vocabulary.of_package(options.upstream_python)


def _absolute(path: str) -> str:
    """Not resolved, since a venv's python is a link; workers start in another folder."""
    return str(Path(path).absolute())


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--upstream-python", type=_absolute, default=str(ROOT / ".venv-oracle/bin/python")
    )
    parser.add_argument("--engine-python", type=_absolute, default=sys.executable)
    parser.add_argument("--arch", default="F5TTS_v1_Base")
    parser.add_argument("--ckpt", type=Path, help="real weights; random ones without it")
    parser.add_argument("--vocab", type=Path)
    parser.add_argument("--vocoder", type=Path, help="folder with config.yaml, pytorch_model.bin")
    parser.add_argument("--work", type=Path, help="folder for files of several GB, kept")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--small", action="store_true", help="a reduced model, in 3 minutes")
    size.add_argument("--full", action="store_true", help="whole requests, too")
    parser.add_argument("--only", nargs="+", default=SECTIONS, choices=SECTIONS)
    parser.add_argument("--frames", nargs="+", type=int, help="lengths of the steps of C2")
    parser.add_argument("--formats", nargs="+", help="of ours, the default first")
    parser.add_argument("--rounds", type=int, help="pairs of each measurement")
    parser.add_argument("--budget-s", type=float, default=600, help="for one case of C3")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", metavar="NAME", help="keep as bench/results/NAME.json")
    return parser.parse_args()


def main() -> int:
    """Compare, print, keep."""
    options = parse()
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        result = Comparison(options, work).run()
    print(json.dumps(result))
    print(report.table(result), file=sys.stderr)
    if options.save:
        kept = HERE / "results" / f"{options.save}.json"
        kept.write_text(json.dumps(result, indent=1) + "\n")
        report.write_page()
    return 0 if all(gate["passed"] for gate in result["gates"]) else 1


if __name__ == "__main__":
    sys.exit(main())

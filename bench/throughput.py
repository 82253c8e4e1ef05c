"""Many clients at once: this engine by step, in other ways, and the `f5-tts` package.

    python bench/throughput.py --upstream-python .venv-oracle/bin/python [--small]
    python bench/throughput.py --device cuda --arch F5TTS_v1_Base --mix full --nfe-step 7

Each contender is a process with a model of its own; they take turns under the same clients. The
result is one JSON line on stdout and, with --save, a file in bench/results/throughput and the
page docs/reference/throughput.md. How and why: docs/decisions/0016-batching-by-step.md.
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
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import load_report
import vocabulary
from compare import _absolute, _vocab
from load_mix import MIXES, Mix, figures, plan, request
from machine import describe
from processes import HERE, Worker


class Contender(NamedTuple):
    """Who serves the clients, and how.

    Attributes:
        side: "ours" or "upstream": which worker script.
        policy: of `traffic` in that script.
        budget: frames of a step on a CPU; 0 for the engine's own.
    """

    side: str
    dtype: str = "auto"
    policy: str = ""
    budget: int = 0


CONTENDERS = {
    "step": Contender("ours"),
    "between": Contender("ours", policy="between_requests", budget=1024),
    "serial": Contender("ours", policy="first_come"),
    "int8": Contender("ours", dtype="int8"),
    "f5-tts threads": Contender("upstream"),
    "f5-tts serial": Contender("upstream", policy="serial"),
}
"""What is measured; "step" is what the service does."""


def say(line: str) -> None:
    """Progress, beside the result."""
    print(f"[{time.strftime('%H:%M:%S')}, load {os.getloadavg()[0]:.1f}] {line}", file=sys.stderr)


class Throughput:
    """One run: starts the contenders and lets them take turns."""

    def __init__(self, options: argparse.Namespace, work: Path, stack: ExitStack) -> None:
        self.options = options
        self.work = work
        self.stack = stack
        mix = MIXES[options.mix]
        self.mix: Mix = replace(mix, nfe_step=options.nfe_step or mix.nfe_step)
        self.loads = [os.getloadavg()[0]]
        self.workers: dict[str, Worker] = {}

    def run(self) -> dict[str, Any]:
        """Every number of clients, round by round."""
        versions = self._start()
        alone_s = self._alone()
        runs: list[dict[str, Any]] = []
        for clients in self.options.clients:
            for turn in range(self.options.rounds):
                asked = plan(self.mix, clients, self._each(clients), alone_s, seed=turn)
                for name in list(self.workers)[:: -1 if turn % 2 else 1]:
                    made = self._serve(name, asked, alone_s)
                    runs.append({"contender": name, "clients": clients, "round": turn} | made)
        rows = load_report.rows(runs)
        return {
            "made": self._made(),
            "machine": describe(),
            "versions": versions,
            "mix": asdict(self.mix),
            "alone_s": alone_s,
            "rows": rows,
            "checks": load_report.checks(rows, self.options.device, self.options.mix),
            "runs": runs,
        }

    def _each(self, clients: int) -> int:
        """Requests of each client: enough for a long one among them, and not too many in all."""
        return max(2, self.options.requests // clients)

    def _start(self) -> dict[str, Any]:
        load = self._files()
        versions = {}
        for name in self.options.only:
            contender = CONTENDERS[name]
            upstream = contender.side == "upstream"
            python = self.options.upstream_python if upstream else sys.executable
            script = "worker_upstream.py" if upstream else "worker_ours.py"
            log = self.work / f"{name.replace(' ', '-')}.log"
            worker = Worker(python, script, self.options.threads, log)
            self.workers[name] = self.stack.enter_context(worker)
            worker.ask("load", **load | {"dtype": contender.dtype})
            versions[contender.side] = worker.ask("facts")
            self._ask(name, [[request(self.mix, "short", seed=1)]])  # its first is slow
            say(f"{name} is ready")
        return versions

    def _files(self) -> dict[str, Any]:
        options = self.options
        command = [sys.executable, str(HERE / "material.py"), "--work", str(self.work)]
        command += ["--arch", options.arch, "--vocab", str(self._vocabulary())]
        command += ["--small"] * options.small
        command += ["--depth", str(options.depth)] if options.depth else []
        command += ["--ckpt", str(options.ckpt)] if options.ckpt else []
        made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1800)
        load = json.loads(made.stdout.splitlines()[-1])
        common = {"device": options.device, "threads": options.threads, "through": "engine"}
        return load | common | {"weights": load["published"], "work": str(self.work)}

    def _vocabulary(self) -> Path:
        """The published one where there is one; else as long a one that has ASCII."""
        if self.options.vocab or self.options.upstream_python:
            return _vocab(self.options)
        return vocabulary.made_up(self.work / "ascii.txt")

    def _alone(self) -> dict[str, float]:
        """Seconds that a request of each kind takes the first contender when it is alone."""
        first = next(iter(self.workers))
        took: dict[str, float] = {}
        for kind in ("short", "long"):
            asked = [[request(self.mix, kind, seed=i) for i in range(3)]]
            records = self._ask(first, asked)["requests"]
            took[kind] = median(r["done"] - r["arrived"] for r in records)
            say(f"{first}: a {kind} request alone takes {took[kind]:.2f} s")
        return took

    def _ask(self, name: str, clients: list[Any]) -> dict[str, Any]:
        contender = CONTENDERS[name]
        return self.workers[name].ask(
            "traffic",
            clients=clients,
            policy=contender.policy,
            budget=contender.budget if self.options.device == "cpu" else 0,
        )

    def _serve(self, name: str, asked: list[Any], alone_s: dict[str, float]) -> dict[str, Any]:
        self.loads.append(os.getloadavg()[0])
        told = self._ask(name, asked)
        failed = [r["error"] for r in told["requests"] if "error" in r]
        if failed:
            raise RuntimeError(f"{name} failed {len(failed)} requests: {failed[0]}")
        made = figures(told["requests"], alone_s)
        made["peak_mb"] = told["state"]["gpu_mb"] or told["state"]["peak_mb"]
        made["cpu_per_audio_s"] = told["cpu_s"] / made["audio_s"]
        counted = told.get("counted")
        if counted:
            made["rows_per_step"] = counted["row_steps"] / counted["steps"]
            made["fill"] = counted["frame_steps"] / counted["steps"] / counted["budget"]
        say(
            f"{len(asked)} clients, {name}: {made['audio_per_s']:.3f} audio s per s, "
            f"short p95 {made['short_p95']:.2f} s, all p95 {made['p95']:.2f} s"
        )
        return made

    def _made(self) -> dict[str, Any]:
        options = self.options
        return {
            "date": time.strftime("%Y-%m-%d"),
            "size": "small" if options.small else options.mix,
            "model": options.arch + (f", {options.depth} layers" if options.depth else ""),
            "weights": options.ckpt.name if options.ckpt else "random",
            "device": options.device,
            "threads": options.threads,
            "rounds": options.rounds,
            "loads": sorted(self.loads),
        }


def parse() -> argparse.Namespace:
    """The command line; what depends on other options is filled in."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upstream-python", type=_absolute, help="left out, so is f5-tts")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, help="contenders to take part")
    parser.add_argument("--clients", nargs="+", type=int)
    parser.add_argument(
        "--requests", type=int, help="of all clients together; two of each at least"
    )
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--mix", choices=MIXES, help="sizes of the requests")
    parser.add_argument("--nfe-step", type=int)
    parser.add_argument("--arch", help="default: F5TTS_v1_Small, on a GPU F5TTS_v1_Base")
    parser.add_argument("--depth", type=int, help="layers; default: 4, on a GPU all")
    parser.add_argument("--small", action="store_true", help="a tiny model, in a minute")
    parser.add_argument("--ckpt", type=Path, help="real weights; random ones without it")
    parser.add_argument("--vocab", type=Path, help="default: the one of f5-tts")
    parser.add_argument("--work", type=Path, help="folder for files of several GB, kept")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--save", metavar="NAME", help="keep as bench/results/throughput/NAME.json")
    return _filled(parser.parse_args())


def _filled(options: argparse.Namespace) -> argparse.Namespace:
    on_gpu = options.device == "cuda"
    options.arch = options.arch or ("F5TTS_v1_Base" if on_gpu else "F5TTS_v1_Small")
    if options.depth is None and not (on_gpu or options.small or options.ckpt):
        options.depth = 4
    options.mix = options.mix or ("small" if options.small else "full" if on_gpu else "usual")
    options.clients = options.clients or ([1, 4] if options.small else [1, 2, 4, 8, 16])
    options.rounds = options.rounds or (1 if options.small else 3)
    options.requests = options.requests or (8 if options.small else 16)
    if options.only is None:
        options.only = [
            name
            for name, contender in CONTENDERS.items()
            if (contender.side == "ours" or options.upstream_python)
            and not (contender.dtype == "int8" and on_gpu)
        ]
    return options


def main() -> int:
    """Run, print, keep."""
    options = parse()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        result = Throughput(options, work, stack).run()
    print(json.dumps(result))
    print(load_report.table(result), file=sys.stderr)
    if options.save:
        load_report.keep(options.save, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

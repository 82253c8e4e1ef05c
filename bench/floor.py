"""How near a step comes to its own arithmetic: matrix products, attention, convolutions, no more.

The floor is what a step cannot do without, in the same shapes, on weights of every layer's own,
into memory that is there already. Ours, the floor and the f5-tts package take turns; each number
is CPU seconds of one step with guidance, and the ratios are to the floor of the faster library.

    python bench/floor.py --upstream-python .venv-oracle/bin/python
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import machine
import vocabulary
from processes import Worker

HERE = Path(__file__).parent
FLOORS = ("mkl", "onednn")
MODELS = {"reduced": ("F5TTS_v1_Small", 4), "full": ("F5TTS_v1_Base", 0)}


def material(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Files that both sides read, and how they are loaded."""
    arch, depth = MODELS[options.model]
    command = [sys.executable, str(HERE / "material.py"), "--work", str(work), "--arch", arch]
    command += ["--depth", str(depth)] * bool(depth) + ["--vocab", str(options.vocab)]
    made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    files = json.loads(made.stdout.splitlines()[-1])
    common = {"device": "cpu", "threads": options.threads, "dtype": "fp32", "through": "engine"}
    return common | {"work": str(work), "weights": files["published"]} | files


def measure(options: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """One row for each length."""
    named = options.upstream_python
    options.vocab = (
        vocabulary.of_package(named) if named else vocabulary.made_up(work / "lines.txt")
    )
    load = material(options, work)
    rows = []
    with ExitStack() as stack:

        def start(python: str, script: str) -> Worker:
            log = work / f"{script}.log"
            return stack.enter_context(Worker(python, script, options.threads, log))

        workers = {"ours": start(sys.executable, "worker_ours.py")}
        if options.upstream_python:
            workers["f5-tts"] = start(options.upstream_python, "worker_upstream.py")
        for worker in workers.values():
            worker.ask("load", **load)
        for frames in options.frames:
            rows.append(compare(workers, load["arch"], frames, options.rounds, work))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def compare(
    workers: dict[str, Worker], arch: dict[str, Any], frames: int, rounds: int, work: Path
) -> dict[str, Any]:
    """Seconds of each side, best and median, and the medians of their paired ratios."""
    repeat = max(1, 300 // frames)
    for worker in workers.values():
        worker.ask("prepare", frames=frames, tokens=2545, out=str(work / "step.npy"))
        worker.ask("step", repeat=1)
    taken: dict[str, list[float]] = {name: [] for name in (*FLOORS, *workers)}
    for number in range(rounds):
        order = list(taken) if number % 2 else list(reversed(taken))
        for name in order:
            if name in FLOORS:
                what = {"arch": arch, "frames": frames, "library": name}
                answer = workers["ours"].ask("floor", repeat=repeat, **what)
            else:
                answer = workers[name].ask("step", repeat=repeat)
            taken[name].append(answer["cpu"])
    floor = min((taken[name] for name in FLOORS), key=median)
    row: dict[str, Any] = {"frames": frames}
    for name, seconds in taken.items():
        paired = [a / b for a, b in zip(seconds, floor, strict=True)]
        row[name] = {
            "best": round(min(seconds), 4),
            "median": round(median(seconds), 4),
            "over_floor": round(median(paired), 3),
            "best_over_floor": round(min(seconds) / min(floor), 3),
        }
    return row


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upstream-python", help="an environment with f5-tts; none: without it")
    parser.add_argument("--model", choices=MODELS, default="reduced")
    parser.add_argument("--frames", type=int, nargs="+", default=[64, 300, 600, 1200])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder for the weights, kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        rows = measure(options, work)
    told = {"model": MODELS[options.model], "threads": options.threads, "rows": rows}
    print(json.dumps(told | {"machine": machine.describe()}))


if __name__ == "__main__":
    main()

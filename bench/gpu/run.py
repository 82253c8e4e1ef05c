"""Run sections one after the other, each in a process of its own with a limit.

    python -m gpu.run first --out results --work work        (in bench/; run.sh does the rest)

A section that crashes or takes too long costs itself alone: what it told until then is kept. Each
result is a line of JSON in results.jsonl, each section ends with a line that says how it ended.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpu.plan import CALL_S, NEEDED_S, SECTIONS, listing, named

BENCH = Path(__file__).parents[1]
SHOWN_LINES = 40


Command = Callable[[str, float, argparse.Namespace], list[str]]


def command_of(name: str, limit_s: float, options: argparse.Namespace) -> list[str]:
    """What a section's process is started with."""
    command = [sys.executable, "-u", "-m", "gpu.section", name]
    command += ["--device", options.device, "--out", str(options.out), "--work", str(options.work)]
    return command + ["--small"] * options.small + ["--seconds", str(limit_s)]


def run_section(name: str, command: list[str], out: Path, limit_s: float) -> dict[str, Any]:
    """How the section ended: "ok", "failed" with its exit status, or "out of time"."""
    log = out / f"{name}.log"
    began = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=BENCH, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        ended = _waited(process, limit_s)
    took = time.monotonic() - began
    lines = log.read_text(errors="replace").splitlines()
    print(f"=== {name}: {ended}, {took:.0f} s of {limit_s:.0f}", flush=True)
    print("\n".join(line[:300] for line in lines[-SHOWN_LINES:]), flush=True)
    told: dict[str, Any] = {"section": name, "what": "ended", "how": ended, "s": round(took, 1)}
    if ended != "ok":
        told["exit"], told["last"] = process.returncode, lines[-5:]
    return told


def _waited(process: subprocess.Popen[bytes], limit_s: float) -> str:
    try:
        return "ok" if process.wait(limit_s) == 0 else "failed"
    except subprocess.TimeoutExpired:
        return "out of time"
    finally:
        # With whatever it started: workers, compilers. Its session is its own.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(options: argparse.Namespace, names: list[str], command: Command = command_of) -> bool:
    """Every section for which there is time; whether all ended well."""
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    ends, good = time.monotonic() + options.seconds, True
    for name in names:
        left = ends - time.monotonic()
        if left < min(NEEDED_S, options.limit or NEEDED_S):
            told = {"section": name, "what": "ended", "how": "not begun: no time left", "s": 0.0}
            print(f"=== {name}: no time left", flush=True)
        else:
            limit_s = min(options.limit or SECTIONS[name].limit_s, left)
            told = run_section(name, command(name, limit_s, options), options.out, limit_s)
        good = good and told["how"] == "ok"
        with options.out.joinpath("results.jsonl").open("a") as file:
            file.write(json.dumps(told) + "\n")
    return good


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", help="first, second, or names of sections")
    parser.add_argument("--list", action="store_true", help="print the plan and end")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true", help="a reduced model, few repetitions")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "gpu-results")))
    parser.add_argument("--work", type=Path, default=Path("gpu-work"), help="files of 3 GB")
    parser.add_argument("--seconds", type=float, default=CALL_S, help="for all of them")
    parser.add_argument("--limit", type=float, help="seconds for each section, not the plan's")
    options = parser.parse_args(arguments)
    options.out, options.work = options.out.absolute(), options.work.absolute()
    return options


def main() -> int:
    """Run what was asked for."""
    options = parse()
    if options.list or not options.sections:
        print(listing())
        return 0
    try:
        names = named(options.sections)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if run(options, names) else 1


if __name__ == "__main__":
    sys.exit(main())

"""From the start of a process to its first wave, with weights from every place they may come from.

    python bench/cold_start.py --upstream-python .venv-oracle/bin/python [--small]

Each round starts one process per kind, in alternating order: ours with weights baked into the
image, on a disk tier, in a store (rclone) and on a hub (the tests' stand-in), and the f5-tts
package from the same hub, then with its cache filled. Store and hub are behind lines of limited
speed, so that ratios are those of a network. Files that a start reads from disk are in the page
cache. Then the artifact is downloaded alone, by our verifying download and by s5cmd, on a line of
200 MB/s and on an unlimited one. Prints one JSON line; exits with 1 when a target is missed (the
small size has none: there, starting Python is all that counts).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from cases import FIRST_REQUEST
from cold_start_pull import pulls
from cold_start_world import MODEL, WEIGHTS, World, make_material, world
from f5serve.build import stamp
from machine import describe
from processes import Worker

OURS = ("baked", "tier", "store", "hub")
UPSTREAM = ("upstream-hub", "upstream-cache")
MB = 1e6
Run = dict[str, float]


def say(line: str) -> None:
    """Progress, beside the result."""
    load = os.getloadavg()[0]
    print(f"[{time.strftime('%H:%M:%S')}, load {load:.1f}] {line}", file=sys.stderr, flush=True)


class Starts:
    """Starts processes of every kind and keeps what each took, in seconds."""

    def __init__(self, options: argparse.Namespace, work: Path, there: World) -> None:
        self.options = options
        self.work = work
        self.there = there
        self.runs: dict[str, list[Run]] = defaultdict(list)

    def measure(self) -> None:
        """All rounds; what a start leaves on a disk is what the next kind finds there."""
        kinds = self.options.kinds
        if not kinds:
            return
        self._one("store")  # fills the tier, writes bytecode; not counted
        for turn in range(self.options.rounds):
            for kind in kinds[:: -1 if turn % 2 else 1]:
                run = self._one(kind)
                self.runs[kind].append(run)
                said = ", ".join(f"{name} {value:.2f}" for name, value in run.items())
                say(f"{kind}: {said}")

    def _one(self, kind: str) -> Run:
        if kind in UPSTREAM:
            return self._upstream(kind)
        with self._cache(kind) as cache:
            return self._ours(kind, cache)

    @contextmanager
    def _cache(self, kind: str) -> Iterator[Path]:
        """The tier: kept from the last start out of the store, or empty."""
        kept = self.work / "tier"
        if kind == "tier":
            yield kept
            return
        shutil.rmtree(empty := self.work / "fresh", ignore_errors=True)
        yield empty
        if kind == "store":
            shutil.rmtree(kept, ignore_errors=True)
            empty.rename(kept)

    def _ours(self, kind: str, cache: Path) -> Run:
        there, log = self.there, self.work / "ours.log"
        environ = {
            "HOME": str(self.work / "home"),
            "F5_ENGINE": "f5",
            "RUNPOD_WEBHOOK_GET_JOB": "http://127.0.0.1:9",  # as a worker there would start
            "F5_MODEL": MODEL.id,
            "F5_DEVICE": self.options.device,
            "F5_THREADS": str(self.options.threads),
            "F5_MODELS_DIR": str(there.baked if kind == "baked" else self.work / "no image"),
            "F5_CACHE_DIR": str(cache),
            "F5_DATA_DIR": str(self.work / "data"),
            "F5_STORE": f"s3://{there.store.bucket}" if kind == "store" else "memory:",
            "AWS_ENDPOINT_URL": there.store.endpoint_url,
            "AWS_ACCESS_KEY_ID": there.store.access_key,
            "AWS_SECRET_ACCESS_KEY": there.store.secret_key,
            "HF_ENDPOINT": there.hub,
            "HF_HUB_OFFLINE": "0",
        }
        clock = time.time() - time.monotonic()
        with Worker(sys.executable, "cold_start_ours.py", self.options.threads, log, environ) as w:
            told = w.ask("load", files=there.files, device=self.options.device)
            if told["source"] != kind:
                raise SystemExit(f"a start from {kind} took its weights from {told['source']}")
            wave = w.ask("request", **FIRST_REQUEST, out=str(self.work / "first.npy"))["state"]
            started = w.started
        first = json.loads(log.read_text().splitlines()[0])["time"]
        steps = {step["name"]: step for step in told["timeline"]["steps"]}
        return {
            "first_line": datetime.fromisoformat(first).timestamp() - clock - started,
            "before_torch": steps["torch"]["start_s"],
            **{name: steps[name]["seconds"] for name in ("weights", "torch", "load", "warm-up")},
            "ready": told["state"]["at"] - started,
            "wave": wave["at"] - started,
        }

    def _upstream(self, kind: str) -> Run:
        cache = self.work / "upstream-cache"
        if kind == "upstream-hub":
            shutil.rmtree(cache, ignore_errors=True)
        request = {
            "device": self.options.device,
            "threads": self.options.threads,
            "cache": str(cache),
            "weights": f"hf://{MODEL.repo}/{WEIGHTS}",
            "vocab": self.there.made["vocab"],
            "arch": self.there.made["arch"],
        }
        environ = {"HOME": str(self.work / "home"), "HF_ENDPOINT": self.there.hub}
        environ |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        python, threads = self.options.upstream_python, self.options.threads
        log = self.work / "upstream.log"
        with Worker(python, "cold_start_upstream.py", threads, log, environ) as w:
            told = w.ask("load", **request)
            wave = w.ask("request", **FIRST_REQUEST, out=str(self.work / "theirs.npy"))["state"]
            return {
                "torch": told["imported"]["at"] - w.started,
                "weights": told["fetched"]["at"] - told["imported"]["at"],
                "load": told["state"]["at"] - told["fetched"]["at"],
                "ready": told["state"]["at"] - w.started,
                "wave": wave["at"] - w.started,
            }


def summary(runs: dict[str, list[Run]]) -> dict[str, Run]:
    """Medians of every phase, in seconds."""
    return {
        kind: {name: round(median(run[name] for run in of), 3) for name in of[0]}
        for kind, of in runs.items()
    }


def ratios(runs: dict[str, list[Run]]) -> dict[str, float]:
    """How many times faster, pair by pair of the same round, to ready; medians."""
    pairs = [("hub", "tier"), ("hub", "store"), ("store", "tier"), ("hub", "baked")]
    pairs += [("upstream-hub", "hub"), ("upstream-hub", "store"), ("upstream-cache", "tier")]
    return {
        f"{slow}/{fast}": round(
            median(a["ready"] / b["ready"] for a, b in zip(runs[slow], runs[fast], strict=True)), 2
        )
        for slow, fast in pairs
        if runs.get(slow) and runs.get(fast)
    }


def targets(result: dict[str, Any]) -> dict[str, bool]:
    """What must hold at the real size."""
    kinds = [of for kind, of in result["seconds"].items() if kind in OURS]
    pulled = result.get("pull", {})
    held = {}
    if "hub/tier" in result["ratios"]:
        faster = result["ratios"]["hub/tier"]
        held["second start 10 times as fast as one over the hub"] = faster >= 10
    if kinds:
        held["first log line within 0.3 s"] = min(of["first_line"] for of in kinds) <= 0.3
        held["imports before torch within 0.4 s"] = min(of["before_torch"] for of in kinds) <= 0.4
    if "limited" in pulled:
        held["pull within 1.1 of s5cmd, limited"] = pulled["limited"]["ratio"] <= 1.1
        held["pull within 2 of s5cmd, unlimited"] = pulled["unlimited"]["ratio"] <= 2.0
    return held


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upstream-python", help="of an environment with f5-tts; without: ours")
    parser.add_argument("--small", action="store_true", help="a reduced model, for CI")
    parser.add_argument("--kinds", nargs="*", choices=OURS + UPSTREAM, help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pulls", type=int, default=5, help="downloads of each kind; 0 for none")
    parser.add_argument("--s3-mb-s", type=float, default=100.0)
    parser.add_argument("--hub-mb-s", type=float, default=20.0)
    parser.add_argument("--pull-mb-s", type=float, default=200.0)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1, help="of the processor, on both sides")
    parser.add_argument("--work", type=Path, help="folder for weights; kept, and used again")
    options = parser.parse_args()
    if options.kinds is None:
        options.kinds = OURS + (UPSTREAM if options.upstream_python else ())
    options.kinds = tuple(options.kinds)
    if options.upstream_python:  # not resolved: a venv's python is a link
        options.upstream_python = str(Path(options.upstream_python).absolute())
    return options


def main() -> int:
    """Make the world, start, measure, tell."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="f5-cold-start-") as folder:
        work = Path(folder)
        material = (options.work or work / "material").absolute()
        material.mkdir(parents=True, exist_ok=True)
        made = make_material(material, MODEL.arch, options.small)
        say(f"weights: {Path(made['published']).stat().st_size / MB:.0f} MB published")
        with world(work, made, options.s3_mb_s * MB, options.hub_mb_s * MB) as there:
            starts = Starts(options, work, there)
            starts.measure()
            found = pulls(there, work, options.pulls, options.pull_mb_s * MB, say)
    result: dict[str, Any] = {
        "bench": "cold_start",
        "commit": stamp().commit,
        "size": "small" if options.small else MODEL.arch,
        "device": options.device,
        "threads": options.threads,
        "rounds": options.rounds,
        "mb_s": {"s3": options.s3_mb_s, "hub": options.hub_mb_s, "pull": options.pull_mb_s},
        "machine": describe(),
        "seconds": summary(starts.runs),
        "ratios": ratios(starts.runs),
    }
    result |= {"pull": found} if found else {}
    result["targets"] = {} if options.small else targets(result)
    result["ok"] = all(result["targets"].values())
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())

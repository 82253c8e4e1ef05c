"""Many processes want one file that is not there yet: how often is it made, who goes without it?

    python bench/single_flight.py --procs 50 --rounds 200 --kill-holder 0.3

Each round forks `procs` processes that start together on an empty folder. `kill_holder` is the
share of makers that are killed with SIGKILL half-way. The control is the usual lock file: look for
it, create it, remove it afterwards, remove the shared file at the end of the job. It must lose
jobs, else this harness proves nothing. Prints one JSON line; exits with 1 when ours loses a job or
the control loses none.

Columns: `makes_per_round` finished makes, 1 is perfect; `lost` survivors without the file, `broken`
those who read something else than the file; `overlaps` pairs of makers at the same time;
`recovery_ms` from a maker's death to the next one's start.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from f5serve.build import stamp
from f5serve.download.once import Once

SIZE = 256_000
WAIT_S = 30.0
Event = dict[str, Any]
Take = Callable[["Round"], Path]


@dataclass(frozen=True)
class Round:
    """One cold key and those who want it.

    Attributes:
        folder: empty at the start.
        seed: decides the content and which makers die.
        make_s: how long making takes.
        kill_share: of makers that die half-way.
    """

    folder: Path
    seed: int
    make_s: float
    kill_share: float

    @property
    def content(self) -> bytes:
        """What the file holds."""
        return random.Random(self.seed).randbytes(SIZE)

    @property
    def name(self) -> str:
        """Hash of the content."""
        return hashlib.sha256(self.content).hexdigest()

    def tell(self, event: str) -> int:
        """Append an event to the round's record; returns how many makes had begun before."""
        line = json.dumps({"event": event, "pid": os.getpid(), "at_s": time.monotonic()})
        with (self.folder / "events").open("ab", buffering=0) as file:
            file.write(line.encode() + b"\n")
        return sum(e["event"] == "begin" for e in self.events())

    def events(self) -> list[Event]:
        """The record so far."""
        lines = (self.folder / "events").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def make(self, path: Path) -> None:
        """Write the file in two halves; some makers do not live to write the second."""
        attempt = self.tell("begin")
        dies = random.Random(f"{self.seed} {attempt}").random() < self.kill_share
        content = self.content
        with path.open("wb", buffering=0) as file:
            file.write(content[: SIZE // 2])
            time.sleep(self.make_s)
            if dies:
                self.tell("killed")
                os.kill(os.getpid(), signal.SIGKILL)
            file.write(content[SIZE // 2 :])
        self.tell("end")

    def check(self, path: Path) -> bool:
        """Whether a file is the one."""
        return hashlib.sha256(path.read_bytes()).hexdigest() == self.name


def take_once(task: Round) -> Path:
    """Ours."""
    return Once(task.folder / "cache").get(task.name, task.make, task.check, WAIT_S)


def take_naively(task: Round) -> Path:
    """Check, then create; three tries; the lock file is removed whatever happened."""
    path, lock = task.folder / task.name, task.folder / f"{task.name}.lock"
    for _ in range(3):
        if path.exists():
            return path
        if lock.exists():
            time.sleep(task.make_s)
            continue
        try:
            lock.touch()
            partial = path.with_suffix(f".{os.getpid()}")
            task.make(partial)
            partial.replace(path)
        finally:
            lock.unlink(missing_ok=True)
        return path
    return path


def work(task: Round, take: Take) -> str:
    """One job: get the file, read it, and say how it went."""
    try:
        path = take(task)
        whole = task.check(path)
    except OSError as error:
        return f"lost {type(error).__name__}"
    finally:
        if take is take_naively:  # each job tidies up the file that all of them share
            (task.folder / task.name).unlink(missing_ok=True)
    return "got" if whole else "broken"


def run_round(task: Round, take: Take, procs: int) -> list[Event]:
    """Fork, start all at once, and wait for the last."""
    (task.folder / "events").touch()
    gate_out, gate_in = os.pipe()
    pids = []
    for _ in range(procs):
        pid = os.fork()
        if pid == 0:
            os.close(gate_in)
            os.read(gate_out, 1)  # returns when the parent closes its end
            try:
                task.tell(work(task, take))
            finally:
                os._exit(0)
        pids.append(pid)
    os.close(gate_out)
    os.close(gate_in)
    for pid in pids:
        os.waitpid(pid, 0)
    return task.events()


def overlaps(events: Iterable[Event]) -> int:
    """Pairs of makers whose times overlap."""
    spans: dict[int, list[float]] = {}
    for event in events:
        if event["event"] in ("begin", "end", "killed"):
            spans.setdefault(event["pid"], []).append(event["at_s"])
    whole = [span for span in spans.values() if len(span) == 2]
    pairs = itertools.combinations(sorted(whole), 2)
    return sum(first[1] > second[0] for first, second in pairs)


def recoveries_ms(events: list[Event]) -> list[float]:
    """Time from each killed maker to the next one that begins."""
    times = []
    for index, event in enumerate(events):
        if event["event"] == "killed":
            later = (e["at_s"] for e in events[index:] if e["event"] == "begin")
            times += [1000 * (at_s - event["at_s"]) for at_s in itertools.islice(later, 1)]
    return times


def measure(take: Take, args: argparse.Namespace, rounds: int, kill_share: float) -> Event:
    """Some rounds of one scheme."""
    every: list[list[Event]] = []
    start = time.monotonic()
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="f5-once-") as folder:
            task = Round(Path(folder), args.seed + number, args.make_ms / 1000, kill_share)
            every.append(run_round(task, take, args.procs))
    kinds = [event["event"] for events in every for event in events]
    recovered = sorted(ms for events in every for ms in recoveries_ms(events))
    killed = kinds.count("killed")
    result: Event = {
        "rounds": rounds,
        "killed": killed,
        "makes_per_round": kinds.count("end") / rounds,
        "got": kinds.count("got"),
        "broken": kinds.count("broken"),
        "lost": args.procs * rounds - killed - kinds.count("got"),
        "overlaps": sum(map(overlaps, every)),
        "seconds_per_round": round((time.monotonic() - start) / rounds, 3),
    }
    if recovered:
        result["recovery_ms"] = {
            "p50": round(statistics.median(recovered), 1),
            "p99": round(recovered[int(0.99 * (len(recovered) - 1))], 1),
        }
    return result


def main() -> int:
    """Measure ours, with and without deaths, and the control."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--procs", type=int, default=50, help="processes on one file")
    parser.add_argument("--rounds", type=int, default=5, help="cold files")
    parser.add_argument("--kill-holder", type=float, default=0.3, help="share of makers killed")
    parser.add_argument("--control-rounds", type=int, default=2, help="rounds of the control")
    parser.add_argument("--make-ms", type=float, default=100.0, help="how long making takes")
    parser.add_argument("--seed", type=int, default=1, help="decides who is killed")
    args = parser.parse_args()
    result: Event = {
        "bench": "single_flight",
        "commit": stamp().commit,
        "procs": args.procs,
        "make_ms": args.make_ms,
        "kill_holder": args.kill_holder,
        "ours": measure(take_once, args, args.rounds, 0.0),
        "ours_killed": measure(take_once, args, args.rounds, args.kill_holder),
        "control": measure(take_naively, args, args.control_rounds, 0.0),
        "control_killed": measure(take_naively, args, args.control_rounds, args.kill_holder),
    }
    ours_lost = result["ours"]["lost"] + result["ours_killed"]["lost"]
    result["ok"] = ours_lost == 0 and result["control"]["lost"] > 0
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())

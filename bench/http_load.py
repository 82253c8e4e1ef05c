"""What the HTTP server adds to the time that the engine takes, with many callers at once.

    python bench/http_load.py            200 callers for 60 s, formats, other loads: 4 minutes
    python bench/http_load.py --save     keeps it, and writes docs/reference/http-load.md

The server runs in a process of its own on loopback, with the folder store and an engine that takes
a fixed time for each sentence, however many it makes at once: whatever an answer took longer is the
server's doing. Callers keep their connections and ask by a timetable, each every 6.6 s, and whoever
is answered too late for its next turn counts that delay as well: were they to ask as soon as they
are answered, those who once met would go on asking together.

200 callers with sentences of 6 s are 30 requests a second, at least twice what one card makes: at
20 to 40 s of speech in a second, sentences of 3 s are 7 to 13. The other loads, each with a server
of its own, tell where the overhead begins to rise; an mp3 costs 10 to 17 ms of a core.

For every format a text of several sentences is asked for, and but for flac its first byte has to
come before the last sentence is begun. Prints one JSON line; exits with 1 where something is worse
than it should.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

import http_report
from f5serve.build import stamp
from http_client import Answer, Caller
from load_mix import percentile
from machine import describe

HERE = Path(__file__).parent
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
WHOLE = ("flac",)
"""Formats that come when all is said, since they tell their length at their beginning."""

SENTENCES = 4
PACE = 1.1
"""From one request of a caller to its next, in times of what a sentence costs."""

WARM_UP_SHARE = 0.15
"""Of the time of a run, at its beginning, that is not counted."""


@dataclass
class Load:
    """What callers saw in one run, and what the server used meanwhile."""

    clients: int
    answers: list[Answer] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    rss_mb: list[float] = field(default_factory=list)
    span_s: float = 0.0
    cpu_s: float = 0.0

    def figures(self, cost_s: float) -> dict[str, Any]:
        """Throughput, latency and overhead; the latter in milliseconds."""
        whole = [answer.whole_s for answer in self.answers]
        over = [1000 * (seconds - cost_s) for seconds in whole]
        shares = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
        return {
            "clients": self.clients,
            "requests": len(whole),
            "errors": dict(self.wrong),
            "offered_per_s": round(self.clients / (PACE * cost_s), 1),
            "per_s": round(len(whole) / self.span_s, 1),
            "latency_s": {k: round(percentile(whole, p), 3) for k, p in shares.items()},
            "overhead_ms": {k: round(percentile(over, p), 1) for k, p in shares.items()},
            "cpu_ms_per_request": round(1000 * self.cpu_s / len(whole), 2),
            "cores": round(self.cpu_s / self.span_s, 2),
        }


class Server:
    """The process of http_server.py, as it is seen from outside."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._proc = Path(f"/proc/{pid}")

    @property
    def rss_mb(self) -> float:
        """Memory that is in RAM."""
        pages = int((self._proc / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def cpu_s(self) -> float:
        """User and system time since it began."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(cost_s: float, folder: Path) -> Iterator[Server]:
    """A server that has answered once; ended at the end."""
    command = [sys.executable, str(HERE / "http_server.py"), "--folder", str(folder)]
    process = subprocess.Popen(
        [*command, "--cost-s", str(cost_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"MALLOC_ARENA_MAX": "2"},  # as in the image
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the server did not start")
        asyncio.run(_once(url))
        yield Server(url, process.pid)
    finally:
        process.stdin.close()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _once(url: str) -> None:
    async with Caller(url) as caller:
        answer = await caller.post("/v1/audio/speech", speech("The first request is slow."))
    if answer.status != 200:
        raise RuntimeError(f"the server answers {answer.status}")


def speech(text: str, **more: Any) -> dict[str, Any]:
    """A request for it."""
    return {"model": "tts-1", "voice": "default", "input": text, **more}


async def load(server: Server, clients: int, seconds: float, cost_s: float) -> Load:
    """So many callers for so long."""
    told = Load(clients)
    begin = time.perf_counter()
    # The first answers come after `cost_s`, and the callers begin one after the other.
    measured_from = begin + max(WARM_UP_SHARE * seconds, min(1.5 * cost_s, seconds / 2))
    until = begin + seconds

    async def call(number: int) -> None:
        due = begin + PACE * cost_s * number / clients  # spread evenly, not one wave
        async with Caller(server.url) as caller:
            turn = 0
            while due < until:
                turn += 1
                await asyncio.sleep(due - time.perf_counter())
                late_s = time.perf_counter() - due
                text = f"Sentence {turn} of caller {number}."
                answer = await caller.post("/v1/audio/speech", speech(text))
                if answer.status != 200:
                    told.wrong[str(answer.status)] += 1
                elif measured_from <= time.perf_counter() < until:
                    told.answers.append(replace(answer, whole_s=answer.whole_s + late_s))
                due += PACE * cost_s

    async def watch() -> None:
        await asyncio.sleep(measured_from - time.perf_counter())
        began, cpu_s = time.perf_counter(), server.cpu_s
        while (left_s := until - time.perf_counter()) > 0:
            told.rss_mb.append(server.rss_mb)
            await asyncio.sleep(min(left_s, max(0.1, seconds / 60)))
        told.span_s, told.cpu_s = time.perf_counter() - began, server.cpu_s - cpu_s

    ended = await asyncio.gather(watch(), *map(call, range(clients)), return_exceptions=True)
    told.wrong.update(type(one).__name__ for one in ended if isinstance(one, BaseException))
    return told


async def first_bytes(server: Server, cost_s: float) -> dict[str, Any]:
    """For each format, when the first byte of several sentences comes, and when the last."""
    sentences = [
        f"This is sentence {number} of a text that is long enough for every one of its "
        f"sentences to be spoken for itself, one after the other, so that it can be heard early."
        for number in range(1, SENTENCES + 1)
    ]

    async def ask(format: str) -> tuple[str, dict[str, Any]]:
        body = speech(f"In {format}. {' '.join(sentences)}", response_format=format)
        async with Caller(server.url) as caller:
            answer = await caller.post("/v1/audio/speech", body)
        if answer.status != 200:
            raise RuntimeError(f"{format}: the server answers {answer.status}")
        last_s = answer.whole_s - cost_s
        times = {"first_byte_s": answer.first_s, "last_sentence_s": last_s}
        times["whole_s"] = answer.whole_s
        told = {name: round(seconds, 3) for name, seconds in times.items()}
        return format, told | {"early": answer.first_s < last_s}

    return dict(await asyncio.gather(*map(ask, FORMATS)))


def steadiness(rss_mb: list[float]) -> dict[str, float]:
    """Memory at the begin, in the middle and at the end of a run, and its growth."""
    third = max(1, len(rss_mb) // 3)
    parts = [mean(rss_mb[:third]), mean(rss_mb[third : 2 * third] or rss_mb), mean(rss_mb[-third:])]
    names = ("start_mb", "middle_mb", "end_mb")
    told = {name: round(value, 1) for name, value in zip(names, parts, strict=True)}
    return told | {"growth": round(parts[2] / parts[0] - 1, 4)}


def judge(result: dict[str, Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each target, what was measured, and whether it was met."""
    main = result["main"]
    wrong = sum(sum(run["errors"].values()) for run in [main, *result["loads"]])
    early = [told["early"] for format, told in result["formats"].items() if format not in WHOLE]
    checks = [
        ("errors", wrong, "<=", 0),
        ("overhead p99, ms", main["overhead_ms"]["p99"], "<=", options.target_ms),
        ("growth of memory", result["memory"]["growth"], "<=", options.max_growth),
        ("formats heard early", sum(early), ">=", len(early)),
    ]
    return [
        {"target": target, "value": value, "bound": f"{sign} {bound:g}"}
        | {"passed": value <= bound if sign == "<=" else value >= bound}
        for target, value, sign, bound in checks
    ]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All runs over one server."""
    import uvloop

    run = uvloop.run
    with serving(options.cost_s, folder / "main") as server:
        result: dict[str, Any] = {"formats": run(first_bytes(server, options.cost_s))}
        main = run(load(server, options.clients, options.seconds, options.cost_s))
        result["main"] = main.figures(options.cost_s)
        result["memory"] = steadiness(main.rss_mb)
        _say(json.dumps(result["main"]))
    result["loads"] = []
    for per_s in options.loads:
        clients = min(options.clients, max(1, round(per_s * PACE * options.cost_s)))
        cost_s = clients / per_s / PACE
        with serving(cost_s, folder / f"load-{per_s}") as server:
            told = run(load(server, clients, options.load_seconds, cost_s))
        result["loads"].append(told.figures(cost_s))
        _say(json.dumps(result["loads"][-1]))
    result["rises_at_per_s"] = rises_at([result["main"], *result["loads"]], options.target_ms)
    return result


def rises_at(runs: list[dict[str, Any]], target_ms: float) -> float | None:
    """The smallest load at which the overhead misses its target; None where it never does."""
    late = [run["offered_per_s"] for run in runs if run["overhead_ms"]["p99"] > target_ms]
    return min(late, default=None)


def _say(line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}, load {os.getloadavg()[0]:.1f}] {line}", file=sys.stderr)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cost-s", type=float, default=6.0, help="of the engine, each sentence")
    parser.add_argument(
        "--loads", type=float, nargs="*", default=[15, 45, 60, 75, 100], help="requests a second"
    )
    parser.add_argument("--load-seconds", type=float, default=20.0, help="of each of --loads")
    parser.add_argument("--target-ms", type=float, default=50.0, help="p99 of the overhead")
    parser.add_argument("--max-growth", type=float, default=0.1, help="of memory, as a share")
    parser.add_argument("--folder", type=Path, help="where the store is made, e.g. /dev/shm")
    parser.add_argument("--save", action="store_true", help="keep it as bench/results/http_load")
    return parser.parse_args()


def main() -> int:
    """Measure, print, keep, judge."""
    options = parse()
    result: dict[str, Any] = {"bench": "http_load", "commit": stamp().commit}
    result |= {"date": time.strftime("%Y-%m-%d"), "machine": describe()}
    result |= {"cost_s": options.cost_s, "seconds": options.seconds}
    result["load_average"] = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        result["folder"] = str(options.folder or tempfile.gettempdir())
        result |= measure(options, Path(folder))
    result["checks"] = judge(result, options)
    result["passed"] = all(check["passed"] for check in result["checks"])
    print(json.dumps(result))
    if options.save:
        http_report.keep(result)
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())

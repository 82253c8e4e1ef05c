"""What a RunPod worker adds to the time that the engine takes, job by job.

    python bench/worker_overhead.py --jobs 400 --folder /dev/shm

RunPod's SDK runs in a process of its own against a job API on loopback, with the folder store and
an engine of fixed cost that speaks one job at a time. A job's added time is what passes while the
job is there and the engine neither works for it nor for another one: from its being handed out, or
the end of the engine's work before, to the engine's begin; and from the engine's end to its answer
at the API. `busy` is the share of the measured time in which the engine worked.

The control is the loop that the SDK brings, with the same concurrency; it must miss the target,
else this harness proves nothing. Prints one JSON line; exits with 1 when ours misses the target or
the control meets it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from machine import describe

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.worker.job_api import JobApi, job_api
from tests.worker.processes import ready

from f5serve.build import stamp

TARGET_MS = 50.0
WARM_UP = 20
Span = tuple[float, float]


@dataclass(frozen=True)
class Setup:
    """What stays the same over a run: see --help."""

    cost_s: float
    folder: Path | None


def measure(setup: Setup, jobs: int, concurrency: int, plain: bool) -> dict[str, Any]:
    """Added milliseconds over `jobs` jobs, `concurrency` of them at a time."""
    with tempfile.TemporaryDirectory(dir=setup.folder) as folder, job_api() as api:
        home = Path(folder)
        spans = home / "spans.txt"
        options = ["--cost-s", str(setup.cost_s), "--spans", str(spans)]
        options += ["--plain"] if plain else []
        environ = {"F5_CONCURRENCY": str(max(concurrency, 2)), "F5_RESULT_CACHE": "0"}
        module = "bench.timed_worker"
        with (
            ready(api, home, options, environ, module=module),
            ThreadPoolExecutor(concurrency) as c,
        ):
            list(c.map(lambda n: ask(api, n), range(jobs + WARM_UP)))
        return summary(api, read_spans(spans))


def ask(api: JobApi, number: int) -> None:
    """Send one job and wait for its answer."""
    job = api.submit({"text": f"Job {number}.", "normalize": "off"}, f"job-{number}")
    body = api.wait_answer(job, 120)
    assert body["output"]["status"] == "COMPLETED", body


def read_spans(path: Path) -> dict[str, Span]:
    """When the engine worked, by job."""
    found = {}
    for line in path.read_text().splitlines():
        text, began, ended = line.split("\t")
        found["job-" + text.removeprefix("Job ").rstrip(".")] = (float(began), float(ended))
    return found


def summary(api: JobApi, spans: dict[str, Span]) -> dict[str, Any]:
    """Median, p99 and maximum of what was added, without the warm-up."""
    handed = {job: at for at, job in api.handed_out}
    answered = {job: at for at, job, under_way in api.posts if not under_way}
    order = sorted(spans, key=lambda job: spans[job])
    added, free_s = [], 0.0
    for job in order:
        began, ended = spans[job]
        added.append(began - max(handed[job], free_s) + answered[job] - ended)
        free_s = ended
    counted = [1000 * seconds for seconds in added[WARM_UP:]]
    first, last = spans[order[WARM_UP]], spans[order[-1]]
    worked = sum(ended - began for began, ended in map(spans.__getitem__, order[WARM_UP:]))
    return {
        "jobs": len(counted),
        "added_ms": {
            "median": round(median(counted), 1),
            "p99": round(quantiles(counted, n=100)[98], 1),
            "max": round(max(counted), 1),
        },
        "busy": round(worked / (last[1] - first[0]), 3),
    }


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--cost-s", type=float, default=0.05, help="of the engine, for each job")
    parser.add_argument("--folder", type=Path, help="where the store is made, e.g. /dev/shm")
    args = parser.parse_args()
    result: dict[str, Any] = {"bench": "worker_overhead", "commit": stamp().commit}
    result |= {"machine": describe(), "cost_ms": 1000 * args.cost_s, "target_p99_ms": TARGET_MS}
    setup = Setup(args.cost_s, args.folder)
    result["folder"] = str(args.folder or tempfile.gettempdir())
    for concurrency in (1, 16):
        result[f"ours_{concurrency}"] = measure(setup, args.jobs, concurrency, plain=False)
        few = min(args.jobs, 40)
        result[f"control_{concurrency}"] = measure(setup, few, concurrency, plain=True)
    ours = max(result[f"ours_{n}"]["added_ms"]["p99"] for n in (1, 16))
    control = max(result[f"control_{n}"]["added_ms"]["p99"] for n in (1, 16))
    result["passed"] = ours < TARGET_MS <= control
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())

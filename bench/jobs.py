"""Jobs on workers that are killed, and delivered twice: is any lost, taken back, or made wrong?

    python bench/jobs.py                                60 jobs, 20 kills, over a folder
    python bench/jobs.py --server rclone                the same over an S3 server on loopback
    python bench/jobs.py --jobs 5000 --kills 1000 --workers 6

This process plays the platform: it hands each job to a worker, some of them to two at once, and
hands it out again when the worker dies or says that it may be retried. Workers are killed with
SIGKILL while they have work. Meanwhile it looks at records as a client would. The control is the
usual scheme, a dictionary in memory and an answer before the work; it must lose jobs, else this
proves nothing. Prints one JSON line; exits with 1 when ours loses a job, or the control loses none.

Columns: `lost` jobs without a result at the end; `regressions` jobs seen COMPLETED and later not;
`bad_audio` results whose bytes are not those of their record; `different_bytes` jobs of which two
different results were made; `errors` answers that were errors a client should not have met.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from f5serve.build import stamp
from f5serve.jobs.records import Status
from jobs_platform import Found, Platform

sys.path.insert(0, str(Path(__file__).parents[1]))  # the servers are those of the tests


def judge(platform: Platform) -> None:
    """Look at every record and all bytes, once nobody works any more."""
    found, store = platform.found, platform.store
    for job in platform.payloads:
        snapshot = platform.board.snapshot(job)
        if snapshot.status is not Status.COMPLETED:
            found.lost += 1
            continue
        line = snapshot.record["outputs"][0]
        data = store.get(line["key"])
        sound = hashlib.sha256(data).hexdigest() == line["sha256"] and len(data) == line["size"]
        found.bad_audio += not sound
        made = {entry.key for entry in store.list(f"output/{job}/")} - {f"output/{job}/used.json"}
        # Signed URLs of one object differ in their signature only.
        told = {url.partition("?")[0].rpartition("/")[2] for url in platform.keys[job]}
        found.different_bytes += len(made) > 1 or len(told) > 1


async def judge_control(platform: Platform) -> None:
    """Ask every worker that is left for every job, for as long as that may help."""
    until = time.monotonic() + 2 + platform.args.jobs * platform.args.cost_s
    missing = set(platform.payloads)
    while missing and time.monotonic() < until:
        for job in sorted(missing):
            for worker in platform.workers:
                said = await worker.deliver("s", {"endpoint": "status", "job_id": job})
                if said["status"] == "COMPLETED":
                    missing.discard(job)
        await asyncio.sleep(0.2)
    platform.found.lost = len(missing)


async def measure(args: argparse.Namespace, scheme: str, environment: dict[str, str]) -> Found:
    """One scheme over one store."""
    platform = Platform(args, scheme, environment)
    ours = scheme == "records"
    found = await platform.run(watch=ours)
    if not ours:
        await judge_control(platform)
    await platform.end()
    if ours:
        await asyncio.to_thread(judge, platform)
    return found


@contextlib.contextmanager
def stores(server: str) -> Iterator[dict[str, str]]:
    """The environment of workers over a folder, or over an S3 server that runs meanwhile."""
    from tests.store import servers

    clean = servers.clean_environment()
    with tempfile.TemporaryDirectory(prefix="f5-bench-") as name:
        folder = Path(name)
        if server == "folder":
            yield {**clean, "F5_STORE": (folder / "store").as_uri()}
            return
        run = servers.rclone if server == "rclone" else servers.juicefs
        with run(folder) as options:
            yield {
                **clean,
                "S3_BUCKET": options.bucket,
                "AWS_ENDPOINT_URL": options.endpoint_url,
                "AWS_REGION": options.region,
                "AWS_ACCESS_KEY_ID": options.access_key,
                "AWS_SECRET_ACCESS_KEY": options.secret_key,
            }


def main() -> int:
    """Measure both schemes and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=["folder", "rclone", "juicefs"], default="folder")
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--dup", type=float, default=0.2, help="share of jobs delivered twice")
    parser.add_argument("--cost-s", type=float, default=0.05, help="what one job costs to make")
    parser.add_argument("--lease-s", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-control", action="store_true", help="ours alone")
    args = parser.parse_args()
    results = {}
    for scheme in ("records",) if args.no_control else ("records", "memory"):
        with stores(args.server) as environment:
            results[scheme] = asyncio.run(measure(args, scheme, environment))
    ours, control = results["records"], results.get("memory")
    passed = ours.is_clean and (control is None or control.lost > 0)
    line = {
        "bench": "jobs",
        "commit": stamp().commit,
        "server": args.server,
        "workers": args.workers,
        "lease_s": args.lease_s,
        "cores": len(os.sched_getaffinity(0)),
        "ours": asdict(ours),
        "control": control and {name: getattr(control, name) for name in ("jobs", "kills", "lost")},
        "passed": passed,
    }
    print(json.dumps(line))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

"""`f5serve jobs`: what the records tell of a job, and the removal of old ones."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from f5serve.errors import InvalidRequest
from f5serve.settings import Settings


def add_parser(verbs: Any) -> None:
    """The options of `jobs`."""
    parser = verbs.add_parser("jobs", help="look into the records of jobs, remove old ones")
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    show = actions.add_parser("show", help="tell all that is recorded of a job")
    show.add_argument("job_id", metavar="ID")
    show.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    show.set_defaults(run=run_show)

    gc = actions.add_parser(
        "gc", help="remove jobs, results and cache entries older than F5_RETENTION_DAYS"
    )
    gc.add_argument("--days", type=int, metavar="N", help="instead of F5_RETENTION_DAYS")
    gc.add_argument("--dry-run", action="store_true", help="only tell what would go")
    gc.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    gc.set_defaults(run=run_gc)


def run_show(args: argparse.Namespace, settings: Settings) -> int:
    """Print status and records of a job.

    Raises:
        InvalidRequest: INVALID_JOB_ID.
    """
    from f5serve.jobs.claims import unknown
    from f5serve.jobs.records import Status
    from f5serve.jobs.store import JobStore
    from f5serve.store.config import open_store

    store = open_store(settings)
    snapshot = JobStore(store).snapshot(args.job_id)
    if snapshot.status is Status.UNKNOWN:
        raise unknown(args.job_id, named=True)
    record = snapshot.record
    if args.json:
        told = {"job_id": args.job_id, "status": snapshot.status.public, "record": record}
        print(json.dumps(told))
        return 0
    print(f"{args.job_id}: {snapshot.status.value}")
    for line in _lines(record):
        print(f"  {line}")
    for output in record.get("outputs", []):
        url = store.url(output["key"], settings.url_expires_s, content_type=output["mime"])
        print(f"  {output['role']}: {output['size']:,} bytes, {url}")
    return 0


def run_gc(args: argparse.Namespace, settings: Settings) -> int:
    """Remove what is old enough, or tell what would go."""
    from f5serve.jobs.retention import collect_garbage
    from f5serve.store.config import open_store

    days = settings.retention_days if args.days is None else args.days
    if days < 0:
        raise InvalidRequest(
            f"--days is {days}.", code="BAD_OPTION", hint="It takes 0 (keep all) or more."
        )
    quiet = args.json or not args.dry_run
    swept = collect_garbage(open_store(settings), days, args.dry_run, None if quiet else print)
    if args.json:
        print(json.dumps({**asdict(swept), "dry_run": args.dry_run, "retention_days": days}))
        return 0
    if not days:
        print("nothing is ever removed: F5_RETENTION_DAYS is 0")
        return 0
    verb = "would go" if args.dry_run else "removed"
    print(
        f"{verb}: {swept.jobs} jobs and {swept.cache_entries} cache entries older than {days}"
        f" days, {swept.files} files, {swept.bytes:,} bytes"
    )
    return 0


def _lines(record: dict[str, Any]) -> list[str]:
    """What a person wants to know first, as far as it is recorded."""
    engine, voice = record.get("engine") or {}, record.get("voice") or {}
    worker, failure = record.get("worker") or {}, record.get("failure") or {}
    told = {
        "attempt": record.get("attempt"),
        "phase": record.get("phase"),
        "worker": f"{worker.get('boot_id')}, version {worker.get('version')}" if worker else None,
        "model": engine.get("model"),
        "seed": engine.get("seed"),
        "voice": voice.get("name"),
        "seconds": record.get("seconds"),
        "failure": f"{failure['message']} ({failure['code']})" if failure else None,
    }
    return [f"{name}: {value}" for name, value in told.items() if value is not None]

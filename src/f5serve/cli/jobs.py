"""`f5serve jobs`: shows the records of a job, removes old ones."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from f5serve.errors import InvalidRequest
from f5serve.jobs.records import Status, unknown
from f5serve.jobs.retention import collect_garbage
from f5serve.jobs.store import JobStore
from f5serve.settings import Settings
from f5serve.store.config import open_store
from f5serve.store.namespace import tenant_names, tenant_store


def run_show(args: argparse.Namespace, settings: Settings) -> int:
    """Print status and records of a job.

    Raises:
        InvalidRequest: INVALID_JOB_ID.
    """
    store = tenant_store(open_store(settings), settings.tenant)
    snapshot = JobStore(store).snapshot(args.job_id)
    if snapshot.status is Status.UNKNOWN:
        raise unknown(args.job_id, named=True)
    record = snapshot.record
    if args.json:
        values = {"job_id": args.job_id, "status": snapshot.status.public, "record": record}
        print(json.dumps(values))
        return 0
    print(f"{args.job_id}: {snapshot.status.value}")
    for line in _lines(record):
        print(f"  {line}")
    for output in record.get("outputs", []):
        url = store.url(output["key"], settings.url_expires_s, content_type=output["mime"])
        print(f"  {output['role']}: {output['size']:,} bytes, {url}")
    return 0


def run_gc(args: argparse.Namespace, settings: Settings) -> int:
    """Remove what is old enough, or print what would go: of F5_TENANT, or of all without it."""
    days = settings.retention_days if args.days is None else args.days
    if days < 0:
        raise InvalidRequest(
            f"--days is {days}.", code="BAD_OPTION", hint="It takes 0 (keep all) or more."
        )
    quiet = args.json or not args.dry_run
    store = open_store(settings)
    tenants = [settings.tenant] if settings.tenant else ["", *tenant_names(store)]
    reports = [
        collect_garbage(tenant_store(store, name), days, args.dry_run, None if quiet else print)
        for name in tenants
    ]
    swept = reports[0]
    for report in reports[1:]:
        swept.add(report)
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
    values = {
        "attempt": record.get("attempt"),
        "phase": record.get("phase"),
        "worker": f"{worker.get('boot_id')}, version {worker.get('version')}" if worker else None,
        "model": engine.get("model"),
        "seed": engine.get("seed"),
        "voice": voice.get("name"),
        "seconds": record.get("seconds"),
        "failure": f"{failure['message']} ({failure['code']})" if failure else None,
    }
    return [f"{name}: {value}" for name, value in values.items() if value is not None]

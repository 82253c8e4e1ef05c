"""One large object out of a bucket: our download, which verifies, beside s5cmd, which does not.

A world flows in, seconds of both and their ratio flow out. Ours runs in a process of its own, whose
imports are not counted: in a worker they happen beside torch's.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from cold_start_world import World
from f5serve.models.manifest import blob_key
from f5serve.store.s3_client import S3Options

OURS = """\
import json, sys, time
from pathlib import Path
from f5serve.store.s3 import S3Store
from f5serve.store.s3_client import S3Options
key, to, size, sha256, options = json.loads(sys.argv[1])
store = S3Store(S3Options(**options))
store.now()  # a connection that is open, as after the reading of the manifest
began = time.monotonic()
store.download(key, Path(to), size, sha256)
print(time.monotonic() - began, time.process_time())
"""
KEPT = ("bucket", "endpoint_url", "region", "access_key", "secret_key")


def pulls(
    there: World, work: Path, count: int, rate: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Both clients in turn, on a line of `rate` bytes a second and on one without a limit."""
    from tests.store.servers import program
    from tests.store.slow_link import SlowLink

    if not count:
        return {}
    source = Path(there.made["artifact-float16"])
    with source.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    found: dict[str, Any] = {"bytes": source.stat().st_size}
    for name, limit in (("limited", rate), ("unlimited", 0.0)):
        seconds: dict[str, list[float]] = {"ours": [], "s5cmd": []}
        with SlowLink(there.bare.endpoint_url, limit) as line:
            # Without a limit there is no line, either: it would be what is measured.
            url = line.url if limit else there.bare.endpoint_url
            options = replace(there.bare, endpoint_url=url)
            for turn in range(count + 1):
                for who in ("ours", "s5cmd")[:: -1 if turn % 2 else 1]:
                    to = work / f"pulled-{who}"
                    to.unlink(missing_ok=True)
                    if who == "ours":
                        took = _ours(options, blob_key(sha256), to, found["bytes"], sha256)
                    else:
                        took = _s5cmd(program("s5cmd"), options, blob_key(sha256), to)
                    assert to.stat().st_size == found["bytes"]
                    if turn:  # the first fills caches
                        seconds[who].append(took)
                        say(f"pull, {name}, {who}: {took:.2f} s")
        pairs = [a / b for a, b in zip(seconds["ours"], seconds["s5cmd"], strict=True)]
        told = {who: round(median(took), 3) for who, took in seconds.items()}
        found[name] = {**told, "ratio": round(median(pairs), 3)}
    return found


def _ours(options: S3Options, key: str, to: Path, size: int, sha256: str) -> float:
    given = {name: getattr(options, name) for name in KEPT}
    argument = json.dumps([key, str(to), size, sha256, given])
    done = subprocess.run(
        [sys.executable, "-c", OURS, argument],
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return float(done.stdout.split()[0])


def _s5cmd(program: str, options: S3Options, key: str, to: Path) -> float:
    began = time.monotonic()
    subprocess.run(
        [program, "--endpoint-url", options.endpoint_url, "cp", f"s3://{options.bucket}/{key}", to],
        env={
            "AWS_ACCESS_KEY_ID": options.access_key,
            "AWS_SECRET_ACCESS_KEY": options.secret_key,
            "AWS_REGION": options.region,
        },
        check=True,
        capture_output=True,
        timeout=600,
    )
    return time.monotonic() - began

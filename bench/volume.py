"""Where fetched weights should go first on RunPod: the machine's own disk, or the network volume.

    python bench/volume.py [--mb 420] [--s3-mb-s 100] [--volume-mb-s 250] [--rounds 3]

A model of random bytes lies in a bucket (rclone behind a line of limited speed); the volume is a
JuiceFS mount whose reads and writes are limited, mounted anew with an empty cache before each look,
as another worker would see it. Seconds of: `tmp`, a fetch to the disk; `copy`, from there to the
volume, which nobody waits for; `straight`, a fetch to the volume; `next`, what a cold worker needs
for weights that it finds on the volume, hashing included. Needs FUSE and root. Prints one JSON
line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))  # the servers are those of the tests

from tests.store.servers import program, rclone
from tests.store.slow_link import SlowLink

from f5serve.build import stamp
from f5serve.models.cache_dirs import CacheDir, copy_to_volume
from f5serve.models.installed import LocalFile
from f5serve.models.manifest import ARTIFACT_API, Description
from f5serve.models.publish import UploadPlan, publish
from f5serve.models.registry import PUBLISHED
from f5serve.models.resolve import ModelSources, ResolvedModel, resolve_model
from f5serve.store.s3 import S3Store
from machine import describe

MODEL = PUBLISHED.models[0]
MB = 10**6


@contextlib.contextmanager
def mounted(work: Path, mb_s: float) -> Iterator[Path]:
    """The volume, with a cache of its own that is empty."""
    meta, at = f"sqlite3://{work}/meta.db", work / "mount"
    at.mkdir(exist_ok=True)
    cache = Path(tempfile.mkdtemp(dir=work))
    limit = str(round(mb_s * 8))
    command = [program("juicefs"), "mount", meta, str(at), "--no-usage-report"]
    command += ["--cache-dir", str(cache), "--upload-limit", limit, "--download-limit", limit]
    with (work / "juicefs.log").open("ab") as log:
        mount = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        while not at.is_mount():
            if mount.poll() is not None:
                raise SystemExit(f"no mount: {(work / 'juicefs.log').read_text()[-500:]}")
            time.sleep(0.05)
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)
        mount.wait(30)
        shutil.rmtree(cache)


def make(work: Path, size: int) -> UploadPlan:
    """A model of random bytes in the size of the converted one."""
    files = []
    for role, name, length in (("weights", "w.safetensors", size), ("vocab", "v.txt", 13_800),
                               ("vocoder", "vocos.bin", 54 * MB)):  # fmt: skip
        path = work / name
        path.write_bytes(os.urandom(length))
        files.append(LocalFile(role, path))  # type: ignore[arg-type]
    about = Description(MODEL.id, ARTIFACT_API, MODEL.arch, MODEL.license, MODEL.commercial)
    return UploadPlan(about, tuple(files))


def timed(call: Callable[[], object]) -> float:
    """Seconds of a call, and of writing what it left in memory."""
    began = time.monotonic()
    call()
    return time.monotonic() - began


def one_round(work: Path, store: S3Store, mb_s: float) -> dict[str, float]:
    """Every way once, from nothing."""
    tmp, none = CacheDir(work / "tmp"), work / "no image"
    found: dict[str, float] = {}
    got: list[ResolvedModel] = []

    def fetch(*tiers: CacheDir) -> None:
        got[:] = [resolve_model(MODEL.id, ModelSources(none, tiers, lambda: store))]

    with mounted(work, mb_s) as at:
        volume = CacheDir(at / "models")
        found["tmp"] = timed(lambda: fetch(tmp))
        assert got[0].source == "store"
        found["copy"] = timed(lambda: copy_to_volume(got[0].files, got[0].folder, volume))
    shutil.rmtree(tmp.path)
    with mounted(work, mb_s) as at:
        found["next"] = timed(lambda: fetch(tmp, CacheDir(at / "models")))
        assert got[0].source == "tier"
        shutil.rmtree(at / "models")
        found["straight"] = timed(lambda: fetch(CacheDir(at / "models")))
        assert got[0].source == "store"
        shutil.rmtree(at / "models")
    return found


def main() -> None:
    """Make the world, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mb", type=int, default=420)
    parser.add_argument("--s3-mb-s", type=float, default=100.0)
    parser.add_argument("--volume-mb-s", type=float, default=250.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="f5-volume-") as folder:
        work = Path(folder)
        meta = [f"sqlite3://{work}/meta.db", "volume", "--storage", "file"]
        format_it = [program("juicefs"), "format", *meta, "--bucket", f"{work}/data/"]
        subprocess.run([*format_it, "--trash-days", "0"], check=True, capture_output=True)
        with contextlib.ExitStack() as stack:
            bucket = stack.enter_context(rclone(work / "s3"))
            publish(S3Store(bucket), make(work, options.mb * MB))
            line = stack.enter_context(SlowLink(bucket.endpoint_url, options.s3_mb_s * MB))
            store = S3Store(replace(bucket, endpoint_url=line.url))
            rounds = [one_round(work, store, options.volume_mb_s) for _ in range(options.rounds)]
    result = {
        "bench": "volume",
        "commit": stamp().commit,
        "mb": options.mb,
        "mb_s": {"s3": options.s3_mb_s, "volume": options.volume_mb_s},
        "machine": describe(),
        "seconds": {name: round(median(r[name] for r in rounds), 2) for name in rounds[0]},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""What operations cost while the store fills up: requests and seconds.

    python bench/growth.py                        10, 1,000, 10,000 voices; 10, 1,000, 20,000 jobs
    python bench/growth.py --servers folder --sizes 10,1000 --what jobs

Every voice has a record, a recording and its words in the store, as an older f5serve left them:
without an index, so that `list first` has to build one. Each row begins with a process that knows
nothing, but for those that say `again`. A LIST is counted for each 1,000 keys that it goes through,
as S3 answers them. `known beside 40` is speech's look at a voice while 40 callers ask for voices
that do not exist. Prints a table for each store and one JSON line; exits with 1 when the requests
of an operation, other than of a full listing, grow with the store.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from f5serve.build import stamp
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.store.local import LocalStore
from f5serve.store.s3 import S3Store
from f5serve.voices import names
from f5serve.voices.library import LibraryOptions, VoiceLibrary
from f5serve.voices.names import VoiceNotFound
from f5serve.voices.records import Blob, VoiceRecord, dump_record

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the servers are those of the tests

WORDS = "He was not an ill-disposed young man."
FULL = ("list first", "list again")
"""Rows that may cost more in a fuller store."""

MORE = 12
"""Requests that a row may cost more in a fuller store: whoever comes by merges notes."""

UNKNOWN = 40
AGE_S = 3_600.0
"""Of the records; those of the last seconds are read anew by each listing."""

_PAGE = 1_000


class Counting:
    """Another store, and the requests that S3 would have been sent."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner
        self.sent: Counter[str] = Counter()

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[StoredObject]:
        """As the store; a request for each page that is begun."""
        number = 0
        self.sent["LIST"] += 1
        for number, item in enumerate(self.inner.list(prefix, recursive=recursive), 1):
            self.sent["LIST"] += number > 1 and number % _PAGE == 1
            yield item

    def __getattr__(self, name: str) -> Any:
        kinds = {"get": "GET", "get_part": "GET", "download": "GET", "exists": "GET"}
        kinds["page"] = kinds["abort_old_uploads"] = "LIST"
        kind = kinds.get(name) or {"put": "PUT", "put_file": "PUT", "delete": "DELETE"}.get(name)
        call = getattr(self.inner, name)

        def counted(*args: Any, **named: Any) -> Any:
            if kind:
                self.sent[kind] += 1
            return call(*args, **named)

        return counted if callable(call) else call


def fill(folder: Path, count: int) -> None:
    """Voices in the folder of a store, past the store: 10,000 are there in seconds."""
    blob = Blob("0" * 64, 10)
    (folder / names.RECORDS).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        record = VoiceRecord(f"voice-{number:06}", "r", blob, blob, 3.0, updated_at="2026")
        kept = folder / names.record_key(record.name)
        kept.write_bytes(dump_record(record))
        os.utime(kept, (time.time() - AGE_S,) * 2)
        for key in (names.audio_key, names.text_key):
            path = folder / key(record.name, blob.sha256)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"0123456789")


@contextlib.contextmanager
def store_of(server: str, put_in: Callable[[Path], None]) -> Iterator[ObjectStore]:
    """A store of its own, with what `put_in` has written into its folder."""
    from tests.store import servers

    with tempfile.TemporaryDirectory(prefix="f5-bench-") as name:
        if server == "folder":
            put_in(Path(name) / "store")
            yield LocalStore(Path(name) / "store")
            return
        with servers.rclone(Path(name) / "s3") as options:
            put_in(Path(name) / "s3" / "served" / servers.BUCKET)
            yield S3Store(options)


def refused(library: VoiceLibrary, name: str) -> None:
    """Ask for a voice that does not exist."""
    with contextlib.suppress(VoiceNotFound):
        library.get(name)
        raise AssertionError(f"there is a voice {name}")


def voices(store: ObjectStore, folder: Path) -> dict[str, dict[str, Any]]:
    """Every operation of the library over one store, in the order of the table."""
    counting = Counting(store)
    sound = (ROOT / "tests" / "data" / "librivox-0880.wav").read_bytes()
    rows: dict[str, dict[str, Any]] = {}
    made = 0

    def library() -> VoiceLibrary:
        nonlocal made
        made += 1
        return VoiceLibrary(counting, folder / f"cache{made}")

    def row(name: str, call: Callable[[], Any]) -> Any:
        counting.sent.clear()
        began = time.perf_counter()
        value = call()
        rows[name] = {**counting.sent, "s": round(time.perf_counter() - began, 3)}
        return value

    one = library()
    row("list first", one.list)
    row("list again", one.list)
    # Checks of the records run beside pages; they are not what is measured.
    new = VoiceLibrary(counting, folder / "new", options=LibraryOptions(check_interval_s=math.inf))
    row("page first", lambda: new.page(limit=50))
    two = library()
    two.list()
    row("page again", lambda: two.page(limit=50))
    row("put", lambda: two.put("known", sound, WORDS))
    three = library()
    row("known", lambda: three.get("known"))
    row("known again", lambda: three.get("known"))
    row("unknown", lambda: refused(three, "nobody"))
    row("unknown again", lambda: refused(three, "nobody"))
    row("another unknown", lambda: refused(three, "nobody-else"))
    with ThreadPoolExecutor(UNKNOWN) as pool:
        asked = [pool.submit(refused, three, f"none-{n}") for n in range(UNKNOWN)]
        row("known beside 40", lambda: three.get("known"))
        for one_asked in asked:
            one_asked.result()
    row("delete", lambda: two.delete("known"))
    return rows


def compare(found: dict[int, dict[str, dict[str, Any]]], full: Collection[str] = FULL) -> list[str]:
    """Rows whose requests grow with the store, but for those that go through all of it."""
    least, most = found[min(found)], found[max(found)]
    return [
        name
        for name in least
        if name not in full and name != "known beside 40"
        if requests(most[name]) > requests(least[name]) + MORE
    ]


def requests(row: dict[str, Any]) -> int:
    """All requests of a row."""
    return int(sum(number for kind, number in row.items() if kind != "s"))


def show(title: str, found: dict[int, dict[str, dict[str, Any]]]) -> None:
    """A table for people, a column for each size."""
    print(f"\n{title:22}" + "".join(f"{size:>36,}" for size in found))
    for name in found[min(found)]:
        cells = [found[size].get(name, {"not tried": "", "s": 0.0}) for size in found]
        told = [
            " ".join(f"{n} {kind}" for kind, n in cell.items() if kind != "s") for cell in cells
        ]
        line = (f"{what:>26} {cell['s']:7.3f} s" for what, cell in zip(told, cells, strict=True))
        print(f"{name:22}" + "".join(line), flush=True)


def measure_voices(server: str, size: int) -> dict[str, dict[str, Any]]:
    """The rows of a store with so many voices."""
    with (
        tempfile.TemporaryDirectory(prefix="f5-bench-") as folder,
        store_of(server, lambda root: fill(root, size)) as store,
    ):
        return voices(store, Path(folder))


def measure_jobs(server: str, size: int) -> dict[str, dict[str, Any]]:
    """The rows of a store with so many jobs."""
    import growth_jobs

    with store_of(server, lambda root: growth_jobs.fill(root, size)) as store:
        return growth_jobs.jobs(store, size)


def main() -> int:
    """Measure, print, judge."""
    import growth_jobs

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", default="folder,rclone")
    parser.add_argument("--what", default="voices,jobs")
    parser.add_argument("--sizes", help="in place of those above")
    args = parser.parse_args()
    kinds = {
        "voices": (measure_voices, FULL, "10,1000,10000"),
        "jobs": (measure_jobs, (*growth_jobs.FULL, *growth_jobs.PAGES), "10,1000,20000"),
    }
    results: dict[str, Any] = {}
    growing: list[str] = []
    for what in args.what.split(","):
        measure, full, sizes = kinds[what]
        for server in args.servers.split(","):
            counts = map(int, (args.sizes or sizes).split(","))
            found = {size: measure(server, size) for size in counts}
            show(f"{what}, {server}", found)
            results[f"{what} {server}"] = found
            growing += [f"{what} {server}: {name}" for name in compare(found, full)]
            if what == "jobs":
                growing += [f"{server}: {name}" for name in growth_jobs.too_many(found)]
    print(json.dumps({"version": str(stamp()), "results": results, "growing": growing}))
    return 1 if growing else 0


if __name__ == "__main__":
    sys.exit(main())

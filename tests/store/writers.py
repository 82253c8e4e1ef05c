"""Functions that the tests with several processes run; importable by spawned processes."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

from f5serve.errors import F5Error, KeyMissing
from f5serve.store.base import ObjectStore
from f5serve.store.local import LocalStore
from f5serve.store.s3 import S3Options, S3Store

SIZE = 300_000


def opened(place: Path | S3Options) -> ObjectStore:
    return LocalStore(place) if isinstance(place, Path) else S3Store(place)


def is_whole(data: bytes) -> bool:
    """Whether it is a value that one writer wrote."""
    return len(data) == SIZE and data == data[:1] * SIZE


def write_and_read(place: Path | S3Options, letter: int, turns: int) -> tuple[int, int]:
    """Overwrite one key and look at it each time; returns broken values seen, and missing ones."""
    store = opened(place)
    broken = missing = 0
    for _ in range(turns):
        store.put("shared/value", bytes([letter]) * SIZE)
        try:
            broken += not is_whole(store.get("shared/value"))
        except KeyMissing:
            missing += 1
    return broken, missing


def write_for_ever(place: Path) -> None:
    """Overwrite one key until killed."""
    store = LocalStore(place)
    for turn in range(10**9):
        store.put("shared/value", bytes([65 + turn % 26]) * SIZE)


def come_and_go(place: Path, name: str, seconds: float) -> list[str]:
    """Put and delete a key in a folder that others empty as well; returns what went wrong."""
    store = LocalStore(place)
    wrong = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            store.put(f"busy/deep/{name}", b"1")
            if store.get(f"busy/deep/{name}") != b"1":
                wrong.append("other value")
            store.delete(f"busy/deep/{name}")
        except F5Error as error:
            wrong.append(str(error))
    return wrong


def fill(place: Path, limit: int) -> list[tuple[str, str]]:
    """Write more than the process may, in each way; returns the codes and sentences."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    store = LocalStore(place)
    (place / "x").mkdir(parents=True)
    errors = []
    for write in (
        lambda: store.put("big", b"x" * (limit + 1)),
        lambda: store.put_file("big", Path(os.environ["BIG_FILE"])),
        lambda: store.download("there", place / "x" / "big"),
    ):
        try:
            write()
        except F5Error as error:
            errors.append((error.code, str(error)))
    return errors


def download_too_much(options: S3Options, to: Path, limit: int) -> str:
    """Download more than the process may write; returns the code."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        S3Store(options).download("big", to)
    except F5Error as error:
        return error.code
    return ""


def use_after_fork(options: S3Options) -> int:
    """Use a store, and use it again in a child that was forked off; returns the child's status."""
    store = S3Store(options)
    store.put("a", b"1")
    child = os.fork()
    if child == 0:
        ok = all(store.get("a") == b"1" for _ in range(10))
        os._exit(0 if ok else 1)
    assert all(store.get("a") == b"1" for _ in range(10))
    return os.waitpid(child, 0)[1]

"""Several processes on one store, and processes that are killed."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from f5serve.store.atomic import AtomicFile, remove_stale
from f5serve.store.local import LocalStore
from f5serve.store.s3 import S3Options
from tests.store import writers
from tests.store.conftest import empty_bucket

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(4, mp_context=SPAWN) as one:
        yield one


@pytest.mark.parametrize("kind", ["folder", "rclone", "juicefs"])
def test_writers_of_one_key_leave_one_whole_value(
    request: pytest.FixtureRequest, tmp_path: Path, pool: ProcessPoolExecutor, kind: str
) -> None:
    place = (
        tmp_path / "store"
        if kind == "folder"
        else empty_bucket(request.getfixturevalue(f"{kind}_server")).options
    )
    jobs = [pool.submit(writers.write_and_read, place, 97 + n, 25) for n in range(4)]
    seen = [job.result() for job in jobs]
    assert [broken for broken, _ in seen] == [0] * 4
    if kind != "rclone":  # which now and then has nothing while two replace the same object
        assert [missing for _, missing in seen] == [0] * 4
    store = writers.opened(place)
    assert writers.is_whole(store.get("shared/value"))
    assert [one.key for one in store.list()] == ["shared/value"]


def test_folders_that_are_emptied_and_filled_at_once(
    tmp_path: Path, pool: ProcessPoolExecutor
) -> None:
    jobs = [pool.submit(writers.come_and_go, tmp_path, f"n{n}", 1.0) for n in range(4)]
    assert [wrong for job in jobs for wrong in job.result()] == []
    assert list(LocalStore(tmp_path).list()) == []
    assert [p.name for p in tmp_path.iterdir()] == [".tmp"]


def test_killed_writers_leave_whole_values_and_nothing_to_clean(tmp_path: Path) -> None:
    chance = random.Random(4)
    for _ in range(8):
        process = SPAWN.Process(target=writers.write_for_ever, args=(tmp_path,))
        process.start()
        give_up = time.monotonic() + 30
        while not (tmp_path / "shared/value").exists() and time.monotonic() < give_up:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.join()
        store = LocalStore(tmp_path)
        assert writers.is_whole(store.get("shared/value"))
        assert [one.key for one in store.list()] == ["shared/value"]
        store.delete("shared/value")
    for left in (tmp_path / ".tmp").iterdir():
        os.utime(left, (0, 0))
    LocalStore(tmp_path)
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_what_is_being_written_is_not_swept(tmp_path: Path) -> None:
    with AtomicFile(tmp_path, "x") as file:
        os.utime(file.path, (0, 0))
        assert remove_stale(tmp_path) == 0
        file.write_at(0, b"1")
        file.publish(tmp_path / "done")
    (tmp_path / ".f5-old.tmp").write_bytes(b"")
    os.utime(tmp_path / ".f5-old.tmp", (0, 0))
    (tmp_path / ".f5-young.tmp").write_bytes(b"")
    assert remove_stale(tmp_path) == 1
    assert {p.name for p in tmp_path.iterdir()} == {"done", ".f5-young.tmp"}


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    LocalStore(tmp_path / "store").put("there", b"x" * 200_000)
    (tmp_path / "big").write_bytes(b"x" * 200_000)
    os.environ["BIG_FILE"] = str(tmp_path / "big")
    try:
        with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
            errors = pool.submit(writers.fill, tmp_path / "store", 100_000).result()
    finally:
        del os.environ["BIG_FILE"]
    assert [code for code, _ in errors] == ["NO_SPACE"] * 3
    assert all(str(tmp_path) not in sentence for _, sentence in errors)
    left = {p.name for p in (tmp_path / "store").rglob("*") if p.is_file()}
    assert left == {"there"}


def test_a_full_disk_ends_a_download_from_a_bucket(
    tmp_path: Path, pool: ProcessPoolExecutor, rclone_server: S3Options
) -> None:
    store = empty_bucket(rclone_server)
    store.put("big", bytes(300_000))
    to = tmp_path / "to" / "big"
    assert pool.submit(writers.download_too_much, store.options, to, 100_000).result() == "NO_SPACE"
    assert list(to.parent.iterdir()) == []


def test_a_forked_child_makes_its_own_connections(
    pool: ProcessPoolExecutor, rclone_server: S3Options
) -> None:
    options = empty_bucket(rclone_server).options
    assert pool.submit(writers.use_after_fork, options).result(60) == 0


def test_listing_bears_changes(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for n in range(50):
        store.put(f"stays/{n % 5}/{n}", b"1")
    stop = threading.Event()
    threads = [threading.Thread(target=churn, args=(tmp_path, n, stop.is_set)) for n in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(60):
            keys = {one.key for one in store.list()}
            assert {f"stays/{n % 5}/{n}" for n in range(50)} <= keys
            assert not [key for key in keys if "tmp" in key]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def churn(place: Path, number: int, stopped: Callable[[], bool]) -> None:
    store = LocalStore(place)
    while not stopped():
        for n in range(5):
            store.put(f"stays/{n}/x{number}/{n}", b"2")
        for n in range(5):
            store.delete(f"stays/{n}/x{number}/{n}")

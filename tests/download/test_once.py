"""One make per file, whoever asks; two `Once` on one folder are as two processes to each other."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from f5serve.download.drafts import writing
from f5serve.download.locks import Locks
from f5serve.download.once import Once
from f5serve.errors import StorageFailed

CONTENT = random.Random(1).randbytes(50_000)
NAME = hashlib.sha256(CONTENT).hexdigest()


class Source:
    """Makes the file and counts; `pause_s` lies between its halves."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self.makes = 0
        self.checks = 0
        self.begun = threading.Event()
        self.release = threading.Event()
        self.errors: list[BaseException] = []
        self._pause_s = pause_s
        self._mutex = threading.Lock()

    def make(self, path: Path) -> None:
        with self._mutex:
            self.makes += 1
            error = self.errors.pop(0) if self.errors else None
        with path.open("wb", buffering=0) as file:
            file.write(CONTENT[:20_000])
            self.begun.set()
            time.sleep(self._pause_s)
            if error is not None:
                raise error
            file.write(CONTENT[20_000:])

    def make_when_released(self, path: Path) -> None:
        with self._mutex:
            self.makes += 1
        self.begun.set()
        assert self.release.wait(10)
        path.write_bytes(CONTENT)

    def check(self, path: Path) -> bool:
        self.checks += 1
        return path.read_bytes() == CONTENT


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def test_layout(tmp_path: Path) -> None:
    source = Source()
    path = Once(tmp_path / "a" / "b").get(NAME, source.make, source.check, 1.0)
    assert path == tmp_path / "a" / "b" / "blobs" / NAME
    assert path.read_bytes() == CONTENT
    assert names(tmp_path / "a" / "b" / "tmp") == []
    assert names(tmp_path / "a" / "b" / "locks") == [f"{NAME}.lock"]


def test_threads_share_one_make(tmp_path: Path) -> None:
    source, once = Source(0.1), Once(tmp_path)
    with ThreadPoolExecutor(50) as pool:
        jobs = [pool.submit(once.get, NAME, source.make, source.check, 10.0) for _ in range(50)]
    assert {job.result().read_bytes() for job in jobs} == {CONTENT}
    assert source.makes == 1
    assert source.checks == 1  # of what was made; those who joined had nothing left to check


def test_many_onces_share_one_make(tmp_path: Path) -> None:
    source = Source(0.1)
    onces = [Once(tmp_path) for _ in range(10)]
    with ThreadPoolExecutor(30) as pool:
        jobs = [
            pool.submit(onces[n % 10].get, NAME, source.make, source.check, 10.0) for n in range(30)
        ]
    assert {job.result().read_bytes() for job in jobs} == {CONTENT}
    assert source.makes == 1


def test_different_files_do_not_wait_for_each_other(tmp_path: Path) -> None:
    once, slow, quick = Once(tmp_path), Source(), Source()
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(once.get, NAME, slow.make_when_released, slow.check, 10.0)
        assert slow.begun.wait(5)
        once.get("0" * 64, quick.make, quick.check, 10.0)
        slow.release.set()
        job.result()
    assert quick.makes == 1


def test_a_present_file_is_checked_once(tmp_path: Path) -> None:
    first, source = Source(), Source()
    path = Once(tmp_path).get(NAME, first.make, first.check, 1.0)
    once = Once(tmp_path)
    for _ in range(5):
        once.get(NAME, source.make, source.check, 1.0)
    assert (source.makes, source.checks) == (0, 1)
    os.utime(path, ns=(1, 1))  # something happened to it
    once.get(NAME, source.make, source.check, 1.0)
    assert (source.makes, source.checks) == (0, 2)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "symlink", "gone"])
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: str) -> None:
    source = Source()
    once = Once(tmp_path)
    path = once.get(NAME, source.make, source.check, 1.0)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(CONTENT)
    if damage == "truncated":
        os.truncate(path, 100)
    elif damage == "flipped":
        path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    else:
        path.unlink()
        if damage == "empty":
            path.touch()
        elif damage == "symlink":
            path.symlink_to(elsewhere)
    assert once.get(NAME, source.make, source.check, 1.0).read_bytes() == CONTENT
    assert source.makes == 2
    assert not path.is_symlink()


@pytest.mark.parametrize(
    "error", [StorageFailed("No.", code="X"), OSError(5, "io"), TimeoutError()]
)
def test_a_failure_reaches_all_who_joined_and_the_next_call_tries_again(
    tmp_path: Path, error: Exception
) -> None:
    source, once = Source(0.2), Once(tmp_path)
    source.errors.append(error)
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(once.get, NAME, source.make, source.check, 10.0)]
        assert source.begun.wait(5)
        jobs += [pool.submit(once.get, NAME, source.make, source.check, 10.0) for _ in range(7)]
    assert [job.exception() for job in jobs] == [error] * 8
    assert source.makes == 1
    assert names(tmp_path / "tmp") == []
    assert once.get(NAME, source.make, source.check, 1.0).read_bytes() == CONTENT


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_stopped_maker_does_not_stop_those_who_joined(
    tmp_path: Path, stop: type[BaseException]
) -> None:
    source, once = Source(0.2), Once(tmp_path)
    source.errors.append(stop())
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(once.get, NAME, source.make, source.check, 10.0)
        assert source.begun.wait(5)
        rest = [pool.submit(once.get, NAME, source.make, source.check, 10.0) for _ in range(7)]
    assert isinstance(first.exception(), stop)
    assert {job.result().read_bytes() for job in rest} == {CONTENT}
    assert source.makes == 2


def test_what_check_refuses_is_not_published(tmp_path: Path) -> None:
    source, once = Source(), Once(tmp_path)
    with pytest.raises(StorageFailed) as caught:
        once.get(NAME, lambda path: None, source.check, 1.0)
    assert caught.value.code == "DOWNLOAD_DAMAGED"
    assert str(tmp_path) not in str(caught.value.as_dict())
    assert names(tmp_path / "blobs") == names(tmp_path / "tmp") == []


@pytest.mark.parametrize("same_process", [True, False])
def test_whoever_waited_long_enough_goes_on_alone(tmp_path: Path, same_process: bool) -> None:
    slow, quick = Source(), Source()
    once = Once(tmp_path)
    other = once if same_process else Once(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(once.get, NAME, slow.make_when_released, slow.check, 10.0)
        assert slow.begun.wait(5)
        start = time.monotonic()
        path = other.get(NAME, quick.make, quick.check, 0.2)
        assert 0.2 <= time.monotonic() - start < 3.0
        before = path.stat().st_ino
        slow.release.set()
        assert job.result() == path
    assert (slow.makes, quick.makes) == (1, 1)
    assert path.read_bytes() == CONTENT
    assert path.stat().st_ino != before  # the slow one's copy, whole as well


def test_one_who_waits_for_the_lock_sees_a_file_that_appears(tmp_path: Path) -> None:
    """Its maker went on without the lock, whose holder hangs."""
    hanging, quick, waiting = Source(), Source(), Source()
    with ThreadPoolExecutor(2) as pool:
        hung = pool.submit(Once(tmp_path).get, NAME, hanging.make_when_released, hanging.check, 9.0)
        assert hanging.begun.wait(5)
        waiter = pool.submit(Once(tmp_path).get, NAME, waiting.make, waiting.check, 60.0)
        Once(tmp_path).get(NAME, quick.make, quick.check, 0.1)
        assert waiter.result(timeout=5).read_bytes() == CONTENT
        hanging.release.set()
        hung.result()
    assert waiting.makes == 0


def test_a_damaged_file_is_not_checked_again_while_its_maker_is_waited_for(tmp_path: Path) -> None:
    slow, waiting = Source(0.5), Source()
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / NAME).write_bytes(b"damaged")
    with ThreadPoolExecutor(2) as pool:
        job = pool.submit(Once(tmp_path).get, NAME, slow.make, slow.check, 10.0)
        assert slow.begun.wait(5)
        waiter = pool.submit(Once(tmp_path).get, NAME, waiting.make, waiting.check, 10.0)
        assert job.result() == waiter.result()
    assert waiting.checks == 2  # the damaged one and the new one
    assert waiting.makes == 0


def lying(descriptor: int, operation: int) -> None:
    """A file system whose locks succeed for everybody."""


def refusing(descriptor: int, operation: int) -> None:
    """A file system without locks."""
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.mark.parametrize("flock", [lying, refusing])
def test_without_locks_every_file_is_still_whole(
    tmp_path: Path, flock: Callable[[int, int], None]
) -> None:
    """More bandwidth, nothing else; sweepers that trust nothing take no living draft away."""
    source = Source(0.05)
    onces = [Once(tmp_path, Locks(flock)) for _ in range(8)]
    done = threading.Event()
    seen: list[bytes] = []

    def watch() -> None:
        while not done.is_set():
            onces[0].sweep()
            for path in (tmp_path / "blobs").glob("*"):
                seen.append(path.read_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(once.get, NAME, source.make, source.check, 5.0) for once in onces]
    done.set()
    watcher.join()
    assert {job.result().read_bytes() for job in jobs} == {CONTENT}
    assert set(seen) <= {CONTENT}
    assert 1 <= source.makes <= 8
    assert names(tmp_path / "tmp") == []


def test_sweep_takes_the_dead_and_leaves_the_living(tmp_path: Path) -> None:
    source, once = Source(), Once(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(once.get, NAME, source.make_when_released, source.check, 10.0)
        assert source.begun.wait(5)
        (alive,) = names(tmp_path / "tmp")
        dead = tmp_path / "tmp" / f"{'a' * 12}-{'b' * 32}"
        dead.write_bytes(b"half")
        not_ours = tmp_path / "tmp" / "notes.txt"
        not_ours.touch()
        (tmp_path / "tmp" / f"{'a' * 12}-{'c' * 32}").symlink_to(not_ours)
        assert once.sweep() == Once(tmp_path).sweep() + 1 == 1
        assert not dead.exists()
        assert not_ours.exists()
        assert alive in names(tmp_path / "tmp")
        source.release.set()
        assert job.result().read_bytes() == CONTENT


def test_sweep_without_trustworthy_locks_waits_a_day(tmp_path: Path) -> None:
    once = Once(tmp_path, Locks(lying))
    assert once.sweep() == 0
    (tmp_path / "tmp").mkdir()
    draft = tmp_path / "tmp" / f"{'a' * 12}-{'b' * 32}"
    draft.write_bytes(b"half")
    assert once.sweep() == 0
    os.utime(draft, (time.time() - 90_000,) * 2)
    assert once.sweep() == 1


def test_sweeping_all_the_time_harms_no_maker(tmp_path: Path) -> None:
    done = threading.Event()
    sweeper = Once(tmp_path)

    def sweep() -> None:
        while not done.is_set():
            sweeper.sweep()

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        for number in range(150):
            source = Source()
            Once(tmp_path).get(f"{number:064x}", source.make, source.check, 1.0)
    finally:
        done.set()
        thread.join()
    assert len(names(tmp_path / "blobs")) == 150


def test_the_lock_file_stays_and_may_be_held_from_before(tmp_path: Path) -> None:
    """Left over from any earlier life: present, even held by a stranger for a while."""
    source = Source()
    (tmp_path / "locks").mkdir()
    lock = tmp_path / "locks" / f"{NAME}.lock"
    lock.write_text("pid 1234")
    with lock.open() as stranger:
        fcntl.flock(stranger, fcntl.LOCK_EX)
        Once(tmp_path).get(NAME, source.make, source.check, 0.1)
    assert lock.read_text() == "pid 1234"
    assert source.makes == 1


def test_a_lock_is_never_followed_elsewhere(tmp_path: Path) -> None:
    source = Source()
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / f"{NAME}.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageFailed) as caught:
        Once(tmp_path).get(NAME, source.make, source.check, 0.1)
    assert caught.value.code == "NOT_WRITABLE"
    assert not (tmp_path / "victim").exists()
    assert str(tmp_path) not in str(caught.value.as_dict())


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = Source()
    with pytest.raises(StorageFailed) as caught:
        Once(tmp_path / "file").get(NAME, source.make, source.check, 0.1)
    assert caught.value.code == "NOT_WRITABLE"
    assert str(tmp_path) not in str(caught.value.as_dict())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(number: int) -> None:
    with pytest.raises(StorageFailed) as caught, writing():
        raise OSError(number, os.strerror(number), "/secret/path")
    assert caught.value.code == "NO_SPACE"
    assert "secret" not in str(caught.value.as_dict())


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "A" * 64, "xyz", "0" * 7, "0" * 129, "0" * 63 + "\n", "0" * 8 + "."]
)
def test_names_that_are_no_hashes(tmp_path: Path, name: str) -> None:
    source = Source()
    with pytest.raises(ValueError, match="no lower-case hex name"):
        Once(tmp_path).get(name, source.make, source.check, 0.1)
    assert names(tmp_path) == []


def test_descriptors_do_not_pile_up(tmp_path: Path) -> None:
    once = Once(tmp_path)
    counts = []
    for number in range(40):
        source = Source()
        source.errors = [OSError("no")] if number % 2 else []
        with contextlib.suppress(OSError):
            once.get(f"{number:064x}", source.make, source.check, 1.0)
        once.sweep()
        counts.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208
    assert counts[-1] <= counts[0]


def test_what_is_made_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It holds voices; whatever the umask."""
    before = os.umask(0)
    try:
        made = Once(tmp_path / "cache").get(NAME, Source().make, Source().check, 1)
        modes = {path.stat().st_mode & 0o777 for path in (made.parent, *made.parents[1].iterdir())}
        assert modes == {0o700}
        assert made.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)

"""Room that is really taken, files that are whole, and a lock that nobody waits for for ever."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import StorageFailed
from f5serve.models.disk import DiskReservation, format_bytes, hold_lock, write_atomic


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (13_800, "13.8 kB"),
        (1_348_435_761, "1.35 GB"),
        (54_365_991, "54.4 MB"),
        (5_000 * 10**9, "5000 GB"),
    ],
)
def test_sizes_as_people_say_them(size: int, text: str) -> None:
    assert format_bytes(size) == text


@given(st.integers(0, 10**15))
def test_sizes_are_short_and_near(size: int) -> None:
    number, unit = format_bytes(size).split()
    scale = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}[unit]
    assert float(number) * scale == pytest.approx(size, rel=0.01)
    assert "e" not in number


def test_a_reservation_takes_blocks_and_leaves_no_file(tmp_path: Path) -> None:
    with DiskReservation(tmp_path, 8 << 20) as room:
        assert list(tmp_path.iterdir()) == []
        assert room._file is not None
        held = os.fstat(room._file.fileno()).st_blocks * 512
        assert held >= 8 << 20
        room.release(4 << 20)
        assert os.fstat(room._file.fileno()).st_blocks * 512 <= held - (4 << 20) + 4096
        room.release(100 << 20)  # more than is left


def test_room_is_given_back_in_few_steps(tmp_path: Path) -> None:
    with DiskReservation(tmp_path, 96 << 20) as room:
        assert room._file is not None
        sizes = [os.fstat(room._file.fileno()).st_size]
        for written in range(64 << 10, 96 << 20, 64 << 10):
            room.release(64 << 10)
            sizes.append(os.fstat(room._file.fileno()).st_size)
            assert sizes[-1] <= max(0, sizes[0] - written)  # never less than is written
    assert len(set(sizes)) < 12  # of 1,536


def test_more_than_the_disk_has_is_refused_at_once(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(StorageFailed) as caught:
        DiskReservation(tmp_path, 1 << 60)
    assert time.monotonic() - start < 20
    assert caught.value.code == "NO_SPACE"
    assert "GB are needed" in caught.value.message
    assert str(tmp_path) in caught.value.message


def test_nothing_is_reserved_for_nothing(tmp_path: Path) -> None:
    with DiskReservation(tmp_path, 0) as room:
        room.release(10)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed) as caught:
        write_atomic(tmp_path / "file" / "record.json", b"")
    assert caught.value.code == "NOT_WRITABLE"


def test_the_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        with hold_lock(path, stale_after_s=10) as lock:
            assert lock.is_held
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.02)
            inside.remove(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_a_holder_without_a_sign_of_life_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        start = time.monotonic()
        with hold_lock(path, stale_after_s=0.3) as lock:
            assert not lock.is_held
        assert 0.2 < time.monotonic() - start < 20


def test_a_holder_that_shows_life_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    other = path.open("a")
    fcntl.flock(other, fcntl.LOCK_EX)

    def live() -> None:
        for _ in range(40):  # for longer than a holder may be silent
            path.touch()
            time.sleep(0.05)
        other.close()

    thread = threading.Thread(target=live)
    thread.start()
    with hold_lock(path, stale_after_s=1.0) as lock:
        assert lock.is_held
    thread.join()

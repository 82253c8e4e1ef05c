"""Scratch files in memory and on a disk, also on a full one."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from f5serve.audio.encode import FORMATS, FileEncoder, encode
from f5serve.errors import StorageFailed
from f5serve.store.atomic import remove_stale
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.store.scratch import ScratchFile
from f5serve.types import Wave


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that is soon full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """A process that may open none."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("is_on_disk", [False, True])
def test_what_is_written_is_read_hashed_and_stored(tmp_path: Path, is_on_disk: bool) -> None:
    scratch = ScratchFile(tmp_path / "made" if is_on_disk else None)
    with scratch.open() as file:
        file.write(b"abc")
    assert scratch.append(b"defg") == 3
    assert (scratch.size, scratch.read(), scratch.read(2, 3), scratch.read(7)) == (
        *(7, b"abcdefg"),
        *(b"cde", b""),
    )
    assert scratch.sha256() == "7d1a54127b222502f5b79b5fb0803061152a44f92b37e23c6527baf665d4da9a"
    for store in (MemoryStore(), LocalStore(tmp_path / "store")):
        scratch.put(store, "output/a", "audio/wav")
        assert store.get("output/a") == b"abcdefg"


def test_it_is_for_its_owner_and_goes_with_its_last_reader(tmp_path: Path) -> None:
    scratch = ScratchFile(tmp_path / "made")
    assert scratch.path is not None
    assert scratch.path.stat().st_mode & 0o777 == 0o600
    assert not remove_stale(tmp_path / "made", older_than_s=0)  # its maker lives
    read = scratch.read
    del scratch
    gc.collect()
    assert list((tmp_path / "made").iterdir())
    del read
    gc.collect()
    assert not list((tmp_path / "made").iterdir())


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_told_whatever_encodes(tmp_path: Path, format: str) -> None:
    noise = np.random.default_rng(0).standard_normal(24_000 * 20).astype(np.float32) * 0.1
    scratch = ScratchFile(tmp_path)
    file = scratch.open()

    def write() -> None:
        with scratch.writing():
            encoder = FileEncoder(file, format)  # type: ignore[arg-type]
            for _ in range(5):
                encoder.write(noise)
            encoder.close()

    with files_of_at_most(100_000), pytest.raises(StorageFailed) as caught:
        write()
    assert caught.value.code == "NO_SPACE"
    with contextlib.suppress(OSError, RuntimeError):
        file.close()


def test_other_faults_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="another"), ScratchFile(tmp_path).writing():
        raise RuntimeError("another")


def test_a_file_in_the_making_is_the_encoded_wave(tmp_path: Path) -> None:
    wave = Wave(np.sin(np.arange(60_000) / 20).astype(np.float32))
    scratch = ScratchFile(tmp_path)
    with scratch.open() as file:
        encoder = FileEncoder(file, "flac")
        encoder.write(wave.samples[:777])
        encoder.write(wave.samples[777:])
        encoder.close()
    assert scratch.read() == encode(wave, "flac")


def test_where_no_file_can_be_opened_the_error_says_so(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "made"):
        with no_more_files(), pytest.raises(StorageFailed) as caught:
            ScratchFile(folder)
        assert (caught.value.code, caught.value.retryable) == ("TOO_MANY_OPEN_FILES", True)
        scratch = ScratchFile(folder)
        with no_more_files(), pytest.raises(StorageFailed) as caught, scratch.writing():
            scratch.open()
        assert (caught.value.code, scratch.size) == ("TOO_MANY_OPEN_FILES", 0)

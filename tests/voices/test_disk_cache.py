"""Recordings on this machine's disk: bounded, and gone once their voice is."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore
from f5serve.voices.caches import DiskCache
from f5serve.voices.library import LibraryOptions, VoiceLibrary
from f5serve.voices.records import Blob
from tests.voices.material import (
    OTHER_WORDS,
    WORDS,
    CountingStore,
    other_recording,
    recording,
)


def blob(data: bytes) -> Blob:
    return Blob(hashlib.sha256(data).hexdigest(), len(data))


def held(folder: Path) -> set[str]:
    """Hashes on the disk."""
    return {path.name for path in (folder / "blobs").iterdir()}


def use(cache: DiskCache, name: str, data: bytes) -> None:
    assert cache.get(name, blob(data), lambda: data) == data


def test_the_voices_not_used_for_longest_go_first(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, max_bytes=1_000)
    sounds = {name: name.encode() * 300 for name in ("a", "b", "c")}
    for age, (name, data) in zip((300, 200, 100), sounds.items(), strict=True):
        use(cache, name, data)
        past = time.time() - age
        os.utime(tmp_path / "names" / name / blob(data).sha256, (past, past))
    use(cache, "a", sounds["a"])  # so b is the one that was not used for longest
    use(cache, "D", b"d" * 300)
    assert held(tmp_path) == {blob(sounds[name]).sha256 for name in "ac"} | {
        blob(b"d" * 300).sha256
    }
    assert cache.names() == ["a", "c", "d"]


def test_what_two_voices_use_stays_until_both_are_gone(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    use(cache, "ana", b"same")
    use(cache, "bob", b"same")
    use(cache, "ana", b"other")
    assert cache.drop("Ana", but=[blob(b"other").sha256]) == 0
    assert cache.drop("ana") == 1
    assert held(tmp_path) == {blob(b"same").sha256}
    assert cache.drop("bob") == 1
    assert (held(tmp_path), cache.names()) == (set(), [])
    assert cache.drop("nobody") == 0


def test_what_nobody_has_named_goes_when_it_is_old(tmp_path: Path) -> None:
    """As programs left it that noted no names."""
    cache = DiskCache(tmp_path)
    use(cache, "ana", b"used")
    for name, age in (("0" * 64, 7_200), ("1" * 64, 0)):
        (tmp_path / "blobs" / name).write_bytes(b"old")
        os.utime(tmp_path / "blobs" / name, (time.time() - age,) * 2)
    assert cache.drop_unnamed() == 1
    assert held(tmp_path) == {blob(b"used").sha256, "1" * 64}


def test_names_are_for_their_owner_alone(tmp_path: Path) -> None:
    use(DiskCache(tmp_path / "cache"), "ana", b"sound")
    for path in ("names", "names/ana", "blobs", f"blobs/{blob(b'sound').sha256}"):
        assert (tmp_path / "cache" / path).stat().st_mode & 0o077 == 0
    (marker,) = (tmp_path / "cache" / "names" / "ana").iterdir()
    assert marker.stat().st_mode & 0o077 == 0


def test_a_download_that_fails_leaves_nothing(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)

    def fail() -> bytes:
        raise KeyMissing("voices/x")

    with pytest.raises(KeyMissing):
        cache.get("ana", blob(b"x"), fail)
    assert list(tmp_path.iterdir()) == []


def test_threads_that_want_the_same_share_one_download(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    downloads: list[str] = []

    def download() -> bytes:
        downloads.append(threading.current_thread().name)
        time.sleep(0.1)
        return b"sound"

    with ThreadPoolExecutor(8) as pool:
        got = pool.map(lambda n: cache.get(f"v{n}", blob(b"sound"), download), range(8))
    assert list(got) == [b"sound"] * 8
    assert len(downloads) == 1
    assert len(cache.names()) == 8


def test_threads_that_want_others_do_not_wait(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    both = threading.Barrier(2, timeout=10)

    def download(data: bytes) -> bytes:
        both.wait()
        return data

    with ThreadPoolExecutor(2) as pool:
        sounds = [b"a", b"b"]
        got = pool.map(lambda data: cache.get("v", blob(data), lambda: download(data)), sounds)
        assert list(got) == sounds


def test_a_download_that_fails_is_tried_again_by_those_who_waited(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    outcomes = iter([KeyMissing("x"), b"sound"])

    def download() -> bytes:
        outcome = next(outcomes)
        time.sleep(0.1)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(cache.get, "v", blob(b"sound"), download) for _ in range(4)]
    failed = [one for one in asked if one.exception() is not None]
    assert len(failed) == 1
    assert all(one.result() == b"sound" for one in asked if one not in failed)


@pytest.mark.parametrize("damage", [b"", b"soun", b"sounD", b"sounds"])
def test_a_damaged_file_is_downloaded_anew(tmp_path: Path, damage: bytes) -> None:
    cache = DiskCache(tmp_path)
    use(cache, "ana", b"sound")
    (path,) = (tmp_path / "blobs").iterdir()
    path.write_bytes(damage)
    use(cache, "ana", b"sound")
    assert path.read_bytes() == b"sound"


def test_a_damaged_download_is_told_and_not_kept(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    with pytest.raises(StorageFailed) as caught:
        cache.get("ana", blob(b"sound"), lambda: b"sounD")
    assert (caught.value.code, caught.value.retryable) == ("DOWNLOAD_DAMAGED", True)
    assert not (tmp_path / "blobs").exists()


def test_a_start_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    left = tmp_path / "tmp" / ".f5-0.tmp"
    left.parent.mkdir()
    left.write_bytes(b"half")
    os.utime(left, (time.time() - 3_600,) * 2)
    use(DiskCache(tmp_path), "ana", b"sound")
    assert list(left.parent.iterdir()) == []


def test_a_machine_drops_a_voice_that_another_has_removed(
    store: ObjectStore, tmp_path: Path
) -> None:
    here, there = (VoiceLibrary(store, tmp_path / name) for name in ("here", "there"))
    here.put("ana", recording(), WORDS)
    there.get("ana")
    assert len(held(tmp_path / "there")) == 2
    here.delete("ana")
    with pytest.raises(Exception, match="no voice"):
        there.get("ana")
    assert held(tmp_path / "there") == set()
    assert there._loader._memory.names() == set()


def test_a_machine_drops_what_was_replaced_at_its_next_use(
    store: ObjectStore, tmp_path: Path
) -> None:
    here, there = (VoiceLibrary(store, tmp_path / name) for name in ("here", "there"))
    here.put("ana", recording(), WORDS)
    there.get("ana")
    record = here.put("ana", other_recording(), OTHER_WORDS)
    there.get("ana")
    assert record.text is not None
    assert held(tmp_path / "there") == {record.audio.sha256, record.text.sha256}
    there.put("ana", recording(), WORDS)  # who replaces it itself has no use of it any more
    assert held(tmp_path / "there") == set()
    assert len(there._loader._memory._voices) == 1


def test_a_start_drops_what_the_store_names_no_more(store: ObjectStore, tmp_path: Path) -> None:
    here, there = (VoiceLibrary(store, tmp_path / name) for name in ("here", "there"))
    for name in ("gone", "kept", "changed"):
        here.put(name, recording(), f"{WORDS} {name}.")
        there.get(name)
    here.delete("gone")
    kept = here.get_record("kept")
    changed = here.put("changed", other_recording(), OTHER_WORDS)
    again = VoiceLibrary(store, tmp_path / "there")
    assert again.evict_stale() > 0
    assert kept.text is not None
    assert held(tmp_path / "there") == {kept.audio.sha256, kept.text.sha256}
    assert there.evict_stale() == 0  # a process that went on: its memory, too
    assert there._loader._memory.names() == {"kept"}
    assert there.get("changed").revision == changed.revision


def test_a_start_with_empty_caches_asks_the_store_nothing(
    store: ObjectStore, tmp_path: Path
) -> None:
    counting = CountingStore(store)
    library = VoiceLibrary(counting, tmp_path)
    library.get(None)
    assert library.evict_stale() == 0
    assert counting.total() == 0


def test_the_disk_of_a_library_is_bounded(store: ObjectStore, tmp_path: Path) -> None:
    """Voices that are thrown out are fetched again."""
    options = LibraryOptions(cache_bytes=400_000, voices_in_memory=1)
    library = VoiceLibrary(store, tmp_path, options=options)
    sounds = {"a": recording(), "b": other_recording(), "c": recording() + bytes(48_000)}
    for name, sound in sounds.items():
        words = OTHER_WORDS if name == "b" else WORDS
        VoiceLibrary(store, tmp_path / "elsewhere").put(name, sound, words)
    for name in ("a", "b", "c", "a", "b"):
        assert library.get(name).name == name
        total = sum(path.stat().st_size for path in (tmp_path / "blobs").iterdir())
        assert total <= 400_000

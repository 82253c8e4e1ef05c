"""A model that was fetched to a machine's disk is there for the next machine, on the volume."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from f5serve.errors import ModelUnavailable, StorageFailed
from f5serve.models.cache_dirs import CacheDir, CopyCancelled, copy_to_volume, mounted_volume
from f5serve.models.hub import pull
from f5serve.models.hub_client import HubSource
from f5serve.models.local import quarantined
from f5serve.models.publish import publish
from f5serve.models.resolve import ModelSources, ResolvedModel, resolve_model
from f5serve.startup import weights as keep
from f5serve.store.memory import MemoryStore
from tests.models.conftest import REGISTRY, WEIGHTS
from tests.models.disks import small_disk, used
from tests.models.hub_standin import Hub
from tests.models.releases import CountingStore, release, version_of
from tests.models.test_resolve import fill_cache


@pytest.fixture(autouse=True)
def _no_other_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    one = CountingStore()
    publish(one, release(tmp_path / "made"))
    return one


def never() -> MemoryStore:
    raise AssertionError("the store was opened")


def fetched(
    tmp_path: Path, store: MemoryStore | None = None, hub: HubSource | None = None
) -> ResolvedModel:
    """The model on the disk of a machine."""
    places = ModelSources(
        tmp_path / "image", (CacheDir(tmp_path / "disk"),), lambda: store or MemoryStore(), hub
    )
    return resolve_model("pinned", places, registry=REGISTRY)


def next_start(tmp_path: Path, volume: CacheDir) -> ResolvedModel:
    """What another machine with that volume finds."""
    places = ModelSources(tmp_path / "image", (CacheDir(tmp_path / "other disk"), volume), never)
    return resolve_model("pinned", places, registry=REGISTRY)


def test_the_next_machine_finds_it_on_the_volume(tmp_path: Path, store: CountingStore) -> None:
    volume = CacheDir(tmp_path / "volume")
    got = fetched(tmp_path, store)
    assert copy_to_volume(got.files, got.folder, volume, registry=REGISTRY) is True
    found = next_start(tmp_path, volume)
    assert (found.source, found.folder) == ("tier", volume.path)
    assert version_of(found.files) == 1
    assert copy_to_volume(got.files, got.folder, volume, registry=REGISTRY) is False


def test_the_cache_of_another_program_is_no_volume(tmp_path: Path, source: HubSource) -> None:
    got, volume = fetched(tmp_path, hub=source), CacheDir(tmp_path / "volume")
    other = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    other.parent.mkdir(parents=True)
    fill_cache(other)
    assert copy_to_volume(got.files, got.folder, volume, registry=REGISTRY) is True


def test_what_came_from_the_hub_is_kept_with_its_manifest(
    tmp_path: Path, hub: Hub, source: HubSource
) -> None:
    volume = CacheDir(tmp_path / "volume")
    got = fetched(tmp_path, hub=source)
    assert got.source == "hub"
    assert copy_to_volume(got.files, got.folder, volume, registry=REGISTRY) is True
    assert next_start(tmp_path, volume).files.weights.read_bytes() == WEIGHTS
    hub.requests.clear()
    pull("pinned", source, volume.path, registry=REGISTRY)
    assert not hub.requests


def test_many_machines_copy_at_once(tmp_path: Path, store: CountingStore) -> None:
    volume = CacheDir(tmp_path / "volume")
    got = fetched(tmp_path, store)
    with ThreadPoolExecutor(6) as pool:
        works = [
            pool.submit(copy_to_volume, got.files, got.folder, volume, registry=REGISTRY)
            for _ in range(6)
        ]
    assert sorted(work.result() for work in works) == [False] * 5 + [True]
    assert version_of(next_start(tmp_path, volume).files) == 1
    assert not list(volume.path.rglob("*.tmp"))


def test_a_full_volume_is_left_as_it_was(tmp_path: Path, store: CountingStore) -> None:
    got = fetched(tmp_path, store)
    with small_disk(tmp_path / "small", "220k") as small:  # room for the weights alone
        with pytest.raises(StorageFailed) as caught:
            copy_to_volume(got.files, got.folder, CacheDir(small / "models"), registry=REGISTRY)
        assert caught.value.code == "NO_SPACE"
        assert used(small) == 0


def test_a_copy_that_is_given_up_leaves_nothing(tmp_path: Path, store: CountingStore) -> None:
    volume = CacheDir(tmp_path / "volume")
    got = fetched(tmp_path, store)
    answers = iter([True, False])
    with pytest.raises(CopyCancelled):
        copy_to_volume(got.files, got.folder, volume, lambda: next(answers), REGISTRY)
    assert used(volume.path) == 0


def test_what_changed_under_way_is_not_kept(tmp_path: Path, store: CountingStore) -> None:
    volume = CacheDir(tmp_path / "volume")
    got = fetched(tmp_path, store)
    data = got.files.weights.read_bytes()
    got.files.weights.write_bytes(b"?" + data[1:])
    with pytest.raises(ModelUnavailable, match="has changed"):
        copy_to_volume(got.files, got.folder, volume, registry=REGISTRY)
    assert used(volume.path) == 0


def test_a_copy_that_was_killed_is_finished(tmp_path: Path, store: CountingStore) -> None:
    volume = CacheDir(tmp_path / "volume")
    got = fetched(tmp_path, store)
    half = volume.path / got.files.weights.relative_to(got.folder)
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")  # as no copy of ours leaves it, but something may
    assert copy_to_volume(got.files, got.folder, volume, registry=REGISTRY) is True
    assert version_of(next_start(tmp_path, volume).files) == 1
    assert [path.read_bytes() for path in quarantined(volume.path)] == [b"half"]


def test_a_start_copies_beside_and_survives_a_bad_volume(
    tmp_path: Path, store: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    got = fetched(tmp_path, store)
    volume, bad = CacheDir(tmp_path / "volume"), CacheDir(tmp_path / "file" / "models")
    (tmp_path / "file").write_text("")
    for one in (bad, volume):
        assert keep.should_copy(got, one)
        keep.copy_in_background(got, one, registry=REGISTRY).join(30)
    assert "is not kept on the volume: NOT_WRITABLE" in caplog.text
    assert "for the next worker" in caplog.text
    found = next_start(tmp_path, volume)
    assert not keep.should_copy(found, volume)
    assert not keep.should_copy(found, None)
    assert not keep.should_copy(None, volume)


def test_a_folder_on_the_machines_own_disk_is_no_volume(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    assert mounted_volume(tmp_path / "volume", tmp_path) is None
    assert mounted_volume(tmp_path / "missing", tmp_path) is None
    with small_disk(tmp_path / "mounted", "1m") as disk:
        tier = mounted_volume(disk, tmp_path)
        assert tier is not None
        assert tier.path.is_relative_to(disk)

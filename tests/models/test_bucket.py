"""From the store onto a disk: one whole version or none, whatever is damaged, late or replaced."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from f5serve.errors import F5Error, StorageFailed
from f5serve.models import manifest as documents
from f5serve.models.bucket import current_manifest, download, sync
from f5serve.models.disk import Progress
from f5serve.models.installed import InstalledModel, find_installed, remove_other_versions
from f5serve.models.local import find, verify
from f5serve.models.publish import publish
from f5serve.store.base import ObjectStore
from f5serve.store.json_documents import canonical_json
from f5serve.store.memory import MemoryStore
from tests.models.conftest import REGISTRY
from tests.models.releases import (
    MODEL,
    NAMES,
    SIZES,
    TOTAL,
    CountingStore,
    blob,
    content,
    intact,
    release,
    store_of,
    version_of,
)
from tests.store.servers import clean_environment


@pytest.fixture(params=["memory", "folder", "rclone", "juicefs"])
def any_store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectStore]:
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)
    with store_of(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    """Holds version 1."""
    one = CountingStore()
    publish(one, release(tmp_path))
    one.calls.clear()
    return one


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(F5Error) as caught:
        call()
    return caught.value.code


def nothing_found(folder: Path) -> bool:
    return find_installed(MODEL, folder) is None and intact(folder) is None


def test_there_and_back_and_the_next_version(any_store: ObjectStore, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    assert current_manifest(any_store, MODEL) is None
    assert code_of(lambda: sync(any_store, MODEL, folder)) == "MODEL_NOT_IN_STORE"
    assert not folder.exists()
    for version in (1, 2):
        published = publish(any_store, release(tmp_path, version))
        assert (published.sent_bytes, published.changed) == (TOTAL, True)
        wanted = current_manifest(any_store, MODEL)
        assert wanted is not None
        assert wanted.size == TOTAL
        files = sync(any_store, MODEL, folder)
        assert version_of(files) == version
        assert files == find(MODEL, folder, registry=REGISTRY) == intact(folder)
        assert (files.arch, files.revision) == ("F5TTS_v1_Base", "c" * 40)
    assert publish(any_store, release(tmp_path, 1)).sent == ()
    assert version_of(sync(any_store, MODEL, folder)) == 1
    any_store.put(blob("vocoder"), content("vocoder", 2))
    assert code_of(lambda: sync(any_store, MODEL, tmp_path / "other")) == "MODEL_CORRUPT"
    assert nothing_found(tmp_path / "other")


def test_what_is_here_costs_two_small_reads(store: CountingStore, folder: Path) -> None:
    sync(store, MODEL, folder)
    assert store.count("download") == 3
    store.calls.clear()
    sync(store, MODEL, folder)
    assert [call for call, _ in store.calls] == ["get", "get"]


def test_all_files_are_fetched_at_the_same_time(store: CountingStore, folder: Path) -> None:
    together = threading.Barrier(3, timeout=20)
    store.hook = lambda call, key: together.wait() and None if call == "download" else None
    assert version_of(sync(store, MODEL, folder)) == 1


def test_files_are_found_together(store: CountingStore, folder: Path) -> None:
    others = SIZES["vocab"] + SIZES["vocoder"]
    others_done = threading.Event()
    found_early: list[object] = []

    def wait_for_the_others(call: str, key: str) -> None:
        if key == blob("weights") and call == "download":
            assert others_done.wait(20)
            found_early.append(find_installed(MODEL, folder))

    def on_progress(progress: Progress) -> None:
        if progress.done >= others:
            others_done.set()

    store.hook = wait_for_the_others
    sync(store, MODEL, folder, on_progress)
    assert found_early == [None]
    assert find_installed(MODEL, folder) is not None


def test_progress_adds_up(store: CountingStore, folder: Path) -> None:
    seen: list[Progress] = []
    sync(store, MODEL, folder, seen.append)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert {(p.path, p.phase, p.total) for p in seen} == {(MODEL, "download", TOTAL)}
    assert seen[-1].done == TOTAL


def test_a_pointer_that_moves_meanwhile_changes_nothing(
    store: CountingStore, folder: Path, tmp_path: Path
) -> None:
    def replace(call: str, key: str) -> None:
        if key == blob("vocab") and call == "download":
            store.hook = lambda call, key: None
            publish(store, release(tmp_path, 2))

    store.hook = replace
    assert version_of(sync(store, MODEL, folder)) == 1
    assert version_of(sync(store, MODEL, folder)) == 2


def test_what_was_looked_at_first_is_what_comes(
    store: CountingStore, folder: Path, tmp_path: Path
) -> None:
    wanted = current_manifest(store, MODEL)
    assert wanted is not None
    publish(store, release(tmp_path, 2))
    assert version_of(download(store, wanted, folder)) == 1


@pytest.mark.parametrize("what", ["manifest", "weights"])
@pytest.mark.parametrize(("late_by", "outcome"), [(2, 1), (3, "MODEL_CORRUPT")])
def test_what_comes_late_is_asked_for_three_times(
    store: CountingStore, folder: Path, what: str, late_by: int, outcome: object
) -> None:
    manifest = current_manifest(store, MODEL)
    assert manifest is not None
    keys = {
        "manifest": documents.manifest_key(MODEL, manifest.sha256),
        "weights": blob("weights"),
    }
    late, data = keys[what], MemoryStore.get(store, keys[what])
    asked: list[str] = []

    def show_at_last(call: str, key: str) -> None:
        if key == late and call in ("get", "download"):
            asked.append(key)
            if len(asked) > late_by:
                MemoryStore.put(store, late, data)

    store.delete(late)
    store.hook = show_at_last
    if outcome == 1:
        assert version_of(sync(store, MODEL, folder)) == 1
    else:
        assert code_of(lambda: sync(store, MODEL, folder)) == outcome
        assert nothing_found(folder)
    assert len(asked) == 3


@pytest.mark.parametrize("document", ["pointer", "manifest"])
def test_another_schema_counts_as_absent(
    store: CountingStore, folder: Path, document: str, caplog: pytest.LogCaptureFixture
) -> None:
    new = canonical_json({"schema": 2, "model_api": "f5serve-1"})
    sha256 = documents.hashlib.sha256(new).hexdigest()
    store.put(documents.manifest_key(MODEL, sha256), new)
    pointer = new if document == "pointer" else documents.write_pointer(sha256)
    store.put(documents.pointer_key(MODEL), pointer)
    with caplog.at_level(logging.WARNING):
        assert code_of(lambda: sync(store, MODEL, folder)) == "MODEL_NOT_IN_STORE"
    assert "counts as absent" in caplog.text


def flip(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


def cut(data: bytes) -> bytes:
    return data[:-1]


def lengthen(data: bytes) -> bytes:
    return data + b"!"


@pytest.mark.parametrize("damage", [flip, cut, lengthen])
@pytest.mark.parametrize("what", [*SIZES, "manifest"])
def test_damage_in_the_store_is_refused_with_a_cure(
    store: CountingStore, folder: Path, tmp_path: Path, what: str, damage: Callable[[bytes], bytes]
) -> None:
    manifest = current_manifest(store, MODEL)
    assert manifest is not None
    key = documents.manifest_key(MODEL, manifest.sha256) if what == "manifest" else blob(what)
    store.put(key, damage(store.get(key)))
    assert code_of(lambda: sync(store, MODEL, folder)) == "MODEL_CORRUPT"
    assert nothing_found(folder)
    publish(store, release(tmp_path), force=True)
    assert version_of(sync(store, MODEL, folder)) == 1


def test_a_manifest_in_the_store_that_was_edited_is_not_believed(
    store: CountingStore, folder: Path
) -> None:
    manifest = current_manifest(store, MODEL)
    assert manifest is not None
    key = documents.manifest_key(MODEL, manifest.sha256)
    store.put(key, manifest.data.replace(b'"MIT"', b'"CC0"'))
    assert code_of(lambda: sync(store, MODEL, folder)) == "MODEL_CORRUPT"


def test_a_manifest_of_another_model_is_refused(
    store: CountingStore, folder: Path, tmp_path: Path
) -> None:
    other = publish(store, release(tmp_path, model="other")).manifest
    store.put(documents.manifest_key(MODEL, other.sha256), other.data)
    store.put(documents.pointer_key(MODEL), documents.write_pointer(other.sha256))
    assert code_of(lambda: sync(store, MODEL, folder)) == "MODEL_CORRUPT"


@pytest.mark.parametrize("damage", [flip, cut, lengthen, lambda data: None])
@pytest.mark.parametrize("role", [*SIZES])
def test_damage_on_disk_is_put_aside_and_fetched_anew(
    store: CountingStore, folder: Path, role: str, damage: Callable[[bytes], bytes | None]
) -> None:
    path: Path = getattr(sync(store, MODEL, folder), role)
    assert [check.state for check in verify(MODEL, folder, registry=REGISTRY)] == ["ok"] * 3
    spoiled = damage(path.read_bytes())
    path.unlink()
    if spoiled is not None:
        path.write_bytes(spoiled)
    if damage is flip:  # the size is right, so only hashing tells
        assert find_installed(MODEL, folder) is not None
        assert "changed" in [check.state for check in verify(MODEL, folder, registry=REGISTRY)]
    assert intact(folder) is None
    assert find_installed(MODEL, folder) is None
    aside = [p.name for p in folder.rglob("quarantine/*")]
    assert [name.endswith(NAMES[role]) for name in aside] == [True] * (damage is flip)
    store.calls.clear()
    assert version_of(sync(store, MODEL, folder)) == 1
    assert store.calls[2:] == [("download", blob(role))]
    assert intact(folder) is not None


@pytest.mark.parametrize("name", ["current.json", "manifest.json"])
@pytest.mark.parametrize("data", [None, b"", b"{", b"\xff" * 9, canonical_json({"schema": 1})])
def test_damaged_documents_on_disk_mean_absent(
    store: CountingStore, folder: Path, name: str, data: bytes | None
) -> None:
    sync(store, MODEL, folder)
    path = next(folder.rglob(name))
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    assert nothing_found(folder)
    assert version_of(sync(store, MODEL, folder)) == 1


def test_a_manifest_on_disk_that_was_edited_is_not_believed(
    store: CountingStore, folder: Path
) -> None:
    sync(store, MODEL, folder)
    path = next(folder.rglob("manifest.json"))
    path.write_bytes(path.read_bytes().replace(b"MIT", b"CC0"))
    assert nothing_found(folder)


def test_what_a_killed_sync_completed_is_kept_if_it_is_right(
    store: CountingStore, folder: Path
) -> None:
    manifest = current_manifest(store, MODEL)
    assert manifest is not None
    home = InstalledModel.of(manifest, folder).folder
    home.mkdir(parents=True)
    (home / NAMES["weights"]).write_bytes(content("weights", 1))
    (home / NAMES["vocoder"]).write_bytes(content("vocoder", 2))
    assert nothing_found(folder)
    store.calls.clear()
    assert version_of(sync(store, MODEL, folder)) == 1
    fetched = {key for call, key in store.calls if call == "download"}
    assert fetched == {blob("vocab"), blob("vocoder")}


def test_a_full_disk_is_told_with_the_folder_and_left_as_it_was(
    store: CountingStore, folder: Path
) -> None:
    def fill(call: str, key: str) -> None:
        if key == blob("weights") and call == "download":
            raise StorageFailed("The disk is full.", code="NO_SPACE")

    store.hook = fill
    with pytest.raises(StorageFailed, match=f"251 kB are needed in {folder}") as caught:
        sync(store, MODEL, folder)
    assert "F5_MODELS_DIR" in caught.value.hint
    assert not [path for path in folder.glob("installed/*/*/*") if path.is_file()]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_else_stays(store: CountingStore, folder: Path) -> None:
    path = sync(store, MODEL, folder).vocab
    path.chmod(0)
    assert intact(folder) is None
    assert path.exists()
    assert version_of(sync(store, MODEL, folder)) == 1


def test_a_document_that_is_no_document(store: CountingStore, folder: Path) -> None:
    store.put(documents.pointer_key(MODEL), b" " * 70_000)
    assert code_of(lambda: sync(store, MODEL, folder)) == "MODEL_CORRUPT"


def test_the_first_failure_ends_the_others(tmp_path: Path, folder: Path) -> None:
    arrived: list[str] = []

    class Slow(CountingStore):
        def download(self, key, to, size=None, sha256=None, on_progress=None):  # type: ignore[no-untyped-def]
            if key == blob("vocab"):
                raise F5Error("It broke.", code="BROKEN")
            for done in range(1000):
                on_progress(done)
                time.sleep(0.01)
            arrived.append(key)

    store = Slow()
    publish(store, release(tmp_path))
    assert code_of(lambda: sync(store, MODEL, folder)) == "BROKEN"
    assert not arrived


def test_a_folder_that_cannot_be_made(store: CountingStore, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert code_of(lambda: sync(store, MODEL, tmp_path / "file")) == "NOT_WRITABLE"


def test_many_at_once_get_the_same(store: CountingStore, folder: Path) -> None:
    results: list[int | None] = []
    threads = [
        threading.Thread(target=lambda: results.append(version_of(sync(store, MODEL, folder))))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1] * 6
    assert store.count("download") == 3  # the lock saves the other fifteen


def test_room_is_made_by_removing_other_versions(
    store: CountingStore, folder: Path, tmp_path: Path
) -> None:
    first = sync(store, MODEL, folder)
    publish(store, release(tmp_path, 2))
    second = sync(store, MODEL, folder)
    assert first.weights.exists()
    version = find_installed(MODEL, folder)
    assert version is not None
    remove_other_versions(version)
    assert not first.weights.exists()
    assert intact(folder) == second

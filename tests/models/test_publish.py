"""Publishing: in which order, what is sent again, and what is never made current."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from f5serve.errors import F5Error
from f5serve.models import manifest as documents
from f5serve.models.bucket import current_manifest, published_ids
from f5serve.models.disk import Progress
from f5serve.models.publish import publish
from f5serve.store.base import StoredObject
from f5serve.store.memory import MemoryStore
from tests.models.releases import (
    MODEL,
    NAMES,
    SIZES,
    TOTAL,
    CountingStore,
    blob,
    content,
    release,
)


def test_blobs_then_the_manifest_then_the_pointer(tmp_path: Path) -> None:
    store = CountingStore()
    done = publish(store, release(tmp_path))
    written = [key for call, key in store.calls if call == "put"]
    manifest = documents.manifest_key(MODEL, done.manifest.sha256)
    assert written == [*(blob(role) for role in SIZES), manifest, documents.pointer_key(MODEL)]
    assert store.calls[-1] == ("get", documents.pointer_key(MODEL))
    assert ("get", manifest) in store.calls[store.calls.index(("put", manifest)) :]
    assert (done.sent_bytes, done.changed) == (TOTAL, True)
    assert current_manifest(store, MODEL) == done.manifest
    assert published_ids(store) == [MODEL]
    assert store.get(blob("weights")) == content("weights", 1)


def test_what_is_there_is_not_sent_again(tmp_path: Path) -> None:
    store = CountingStore()
    first = publish(store, release(tmp_path))
    second = publish(store, release(tmp_path))
    assert (second.sent, second.changed) == ((), False)
    assert second.manifest == first.manifest
    assert publish(store, release(tmp_path), force=True).sent_bytes == TOTAL


@pytest.mark.parametrize("survived", range(3))
def test_a_publisher_that_died_is_simply_started_again(tmp_path: Path, survived: int) -> None:
    class Died(Exception):
        pass

    def die(call: str, key: str) -> None:
        if call == "put" and store.count("put") > survived:
            raise Died

    store = CountingStore(die)
    with pytest.raises(Died):
        publish(store, release(tmp_path))
    assert current_manifest(store, MODEL) is None
    store.hook = lambda call, key: None
    assert publish(store, release(tmp_path)).sent == tuple(NAMES.values())[survived:]


def test_a_blob_that_was_cut_is_sent_again(tmp_path: Path) -> None:
    store = MemoryStore()
    publish(store, release(tmp_path))
    store.put(blob("vocab"), content("vocab", 1)[:-1])
    assert publish(store, release(tmp_path)).sent == (NAMES["vocab"],)
    assert store.get(blob("vocab")) == content("vocab", 1)


def test_an_old_listing_is_not_believed(tmp_path: Path) -> None:
    class OldListing(MemoryStore):
        def list(self, prefix: str = "", *, recursive: bool = True):  # type: ignore[no-untyped-def]
            for role, size in SIZES.items():
                yield StoredObject(blob(role), size, datetime.now(UTC))

    store = OldListing()
    assert publish(store, release(tmp_path)).sent_bytes == TOTAL


def test_a_newer_f5serve_does_not_make_everybody_fetch_anew(tmp_path: Path) -> None:
    store = MemoryStore()
    new = publish(store, release(tmp_path)).manifest
    old = documents.write(replace(new.about, version="0.0.1", commit="old"), new.files)
    store.put(documents.manifest_key(MODEL, old.sha256), old.data)
    store.put(documents.pointer_key(MODEL), documents.write_pointer(old.sha256))
    done = publish(store, release(tmp_path))
    assert (done.manifest, done.changed) == (old, False)
    other = release(tmp_path)
    done = publish(store, replace(other, about=replace(other.about, license="CC0-1.0")))
    assert done.changed
    assert done.manifest.sha256 not in (old.sha256, new.sha256)


def test_a_damaged_model_is_published_over(tmp_path: Path) -> None:
    store = MemoryStore()
    store.put(documents.pointer_key(MODEL), b"no pointer")
    assert publish(store, release(tmp_path)).changed
    assert current_manifest(store, MODEL) is not None


def test_a_file_that_is_not_what_it_should_be_is_not_published(tmp_path: Path) -> None:
    store = CountingStore()
    whole = release(tmp_path)
    files = (replace(whole.files[0], sha256="0" * 64), *whole.files[1:])
    with pytest.raises(F5Error, match="is not the file it should be") as caught:
        publish(store, replace(whole, files=files))
    assert caught.value.code == "HASH_MISMATCH"
    assert store.count("put") == 0


def test_a_file_that_changes_meanwhile_is_not_published(tmp_path: Path) -> None:
    whole = release(tmp_path)
    vocab = whole.files[1].path

    def write_to_it(call: str, key: str) -> None:
        if call == "put" and key == blob("vocab"):
            vocab.write_bytes(b"x" * SIZES["vocab"])

    store = CountingStore(write_to_it)
    with pytest.raises(F5Error) as caught:
        publish(store, whole)
    assert caught.value.code == "FILE_CHANGED"
    assert not store.exists(blob("vocab"))
    assert current_manifest(store, MODEL) is None


def test_a_missing_file_has_a_sentence(tmp_path: Path) -> None:
    whole = release(tmp_path)
    whole.files[2].path.unlink()
    with pytest.raises(F5Error) as caught:
        publish(MemoryStore(), whole)
    assert caught.value.code == "NOT_READABLE"


class Forgetful(MemoryStore):
    """Takes what has `where` in its key and then holds `instead`, or nothing."""

    where = ""
    instead: bytes | None = None

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        super().put(key, data, content_type)
        if self.where and self.where in key:
            self.delete(key)
            if self.instead is not None:
                super().put(key, self.instead)


@pytest.mark.parametrize(
    ("where", "instead"),
    [("/manifests/", None), ("/manifests/", b"something else"), ("/_blobs/", None)],
)
def test_what_cannot_be_read_back_does_not_become_current(
    tmp_path: Path, where: str, instead: bytes | None
) -> None:
    store = Forgetful()
    old = publish(store, release(tmp_path, 1)).manifest
    store.where, store.instead = where, instead
    with pytest.raises(F5Error) as caught:
        publish(store, release(tmp_path, 2))
    assert caught.value.code == "NOT_READ_BACK"
    assert current_manifest(store, MODEL) == old


def test_a_bad_id_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    whole = release(tmp_path, model="_blobs")
    whole.files[0].path.unlink()
    with pytest.raises(F5Error) as caught:
        publish(MemoryStore(), whole)
    assert caught.value.code == "BAD_MODEL_ID"


def test_progress_tells_of_every_byte(tmp_path: Path) -> None:
    seen: list[Progress] = []
    publish(MemoryStore(), release(tmp_path), seen.append)
    for role, name in NAMES.items():
        for phase in ("verify", "upload"):
            told = [p.done for p in seen if (p.path, p.phase) == (name, phase)]
            assert told == sorted(told)
            assert told[-1] == SIZES[role]

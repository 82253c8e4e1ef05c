"""Manifests, pointers and records that nobody wrote properly: absent or an error, nothing else.

F5_TEST_MUTATIONS=20000 tries that many; see tests/mutations.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import F5Error
from f5serve.models import manifest as documents
from f5serve.models.bucket import current_manifest, published_ids, sync
from f5serve.models.hashes import read_record, record_path
from f5serve.models.hub import pull
from f5serve.models.hub_client import HubSource
from f5serve.models.local import InstalledModel, find, find_installed
from f5serve.models.manifest import Manifest
from f5serve.models.publish import publish
from f5serve.models.verify import verify
from f5serve.store.base import is_key
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from tests.models.conftest import REGISTRY
from tests.models.releases import MODEL, intact, release, version_of
from tests.mutations import Ill, cases, put, sample

FEW = 500


@pytest.fixture(autouse=True)
def _no_other_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def good(tmp_path: Path) -> Manifest:
    store = MemoryStore()
    publish(store, release(tmp_path / "made"))
    found = current_manifest(store, MODEL)
    assert found is not None
    return found


def outcome(call: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """What a call returns, or its error; any other exception is a fault."""
    try:
        return call(*args, **named)
    except F5Error as error:
        return error


def is_sound(manifest: Manifest) -> bool:
    """Whether everything in it can be printed, is a path of one part, a size or a hash."""
    texts = [getattr(manifest.about, name) for name in manifest.about.__slots__]
    return (
        all(isinstance(text, bool) or text.encode() is not None for text in texts)
        and all(is_key(f.path) and "/" not in f.path for f in manifest.files)
        and all(type(f.size) is int and 0 <= f.size < 1 << 62 for f in manifest.files)
        and all(len(bytes.fromhex(f.sha256)) == 32 for f in manifest.files)
    )


def test_ill_manifests_are_refused_or_sound(good: Manifest) -> None:
    read = 0
    for _, ill in sample([json.loads(good.data)], cases(FEW), seed=5):
        found = outcome(documents.read, ill.data, MODEL)
        if isinstance(found, F5Error):
            assert (found.code, bool(found.hint)) == ("MODEL_CORRUPT", True), ill.what
        elif found is not None:
            read += 1
            assert is_sound(found), ill.what
    assert read < cases(FEW) / 2


def test_ill_documents_in_a_store_are_one_models_error(tmp_path: Path, good: Manifest) -> None:
    """Pointers, and manifests that a pointer leads to; another model beside is still there."""
    store, pointer = LocalStore(tmp_path / "store"), json.loads(documents.write_pointer("0" * 64))
    publish(store, release(tmp_path / "made", model="other"))
    for at, ill in sample([pointer, json.loads(good.data)], cases(FEW) // 4, seed=6, links=True):
        data = ill.data
        if at:
            sha256 = hashlib.sha256(data).hexdigest()
            put(store.root, documents.manifest_key(MODEL, sha256), ill)
            ill = Ill(ill.what, documents.write_pointer(sha256))
        put(store.root, documents.pointer_key(MODEL), ill)
        found = outcome(current_manifest, store, MODEL)
        assert isinstance(found, F5Error | None) or is_sound(found), ill.what
        assert current_manifest(store, "other") is not None
        assert "other" in published_ids(store)


def test_ill_documents_on_a_disk_count_as_absent(tmp_path: Path) -> None:
    store, folder = MemoryStore(), tmp_path / "models"
    publish(store, release(tmp_path / "made"))
    sync(store, MODEL, folder)
    pointer = next(folder.rglob("current.json"))
    manifest = next(folder.rglob("manifest.json"))
    both = [json.loads(pointer.read_bytes()), json.loads(manifest.read_bytes())]
    kept = [pointer.read_bytes(), manifest.read_bytes()]
    for at, ill in sample(both, cases(FEW), seed=7, links=True):
        path = (pointer, manifest)[at]
        put(folder, str(path.relative_to(folder)), ill)
        assert find_installed(MODEL, folder) is None or ill.data, ill.what
        assert intact(folder) is None or at == 0 or ill.data == kept[1], ill.what
        put(folder, str(path.relative_to(folder)), Ill("good", kept[at]))
    assert intact(folder) is not None
    put(folder, str(pointer.relative_to(folder)), Ill("half", b"{"))
    assert version_of(sync(store, MODEL, folder)) == 1


def test_ill_records_of_what_was_accepted_are_none(tmp_path: Path, source: HubSource) -> None:
    folder = tmp_path / "models"
    pull("open", source, folder, registry=REGISTRY)
    path = record_path(folder, "open")
    good: dict[str, Any] = json.loads(path.read_bytes())
    for _, ill in sample([good], cases(FEW) // 4, seed=8, links=True):
        put(folder, "seen/open.json", ill)
        seen = read_record(folder, "open")
        for name, entry in seen.files.items():
            assert not name.startswith("/")
            assert ".." not in name.split("/")
            assert len(entry.sha256) == 64
        for call in (find, verify):
            found = outcome(call, "open", folder, registry=REGISTRY)
            ended = found.code if isinstance(found, F5Error) else ""
            assert ended in ("", "NOT_READABLE", "NOT_WRITABLE"), ill.what
        if path.exists() or path.is_symlink():
            put(folder, "seen/open.json", Ill("good", json.dumps(good).encode()))
    assert read_record(folder, "open").files
    assert find("open", folder, registry=REGISTRY) is not None


@pytest.mark.parametrize(
    "ref", [b"\xff\xfe", b"../../../../etc", b"", b"a\0b", b"x" * 5000, b"/etc"], ids="%.9r".__mod__
)
def test_an_ill_ref_of_a_cache_leads_nowhere(tmp_path: Path, source: HubSource, ref: bytes) -> None:
    folder = tmp_path / "models"
    pull("open", source, folder, registry=REGISTRY)
    record_path(folder, "open").unlink()
    main = folder / "hub/models--owner--open/refs/main"
    main.parent.mkdir(exist_ok=True)
    main.write_bytes(ref)
    found = find("open", folder, registry=REGISTRY)
    assert found is not None
    assert found.weights.is_relative_to(folder / "hub")


def test_nothing_of_ours_is_refused(good: Manifest) -> None:
    assert documents.read(good.data, MODEL) == good
    assert InstalledModel.of(good, Path("x")).folder.name == good.sha256[:16]

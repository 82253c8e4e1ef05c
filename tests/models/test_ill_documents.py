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
from f5serve.models.installed import InstalledModel, find_installed
from f5serve.models.local import find, verify
from f5serve.models.manifest import Manifest
from f5serve.models.other_layouts import old_hash
from f5serve.models.publish import publish
from f5serve.store.base import is_key
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from tests.models.conftest import REGISTRY
from tests.models.releases import MODEL, intact, release, version_of
from tests.models.test_local import put_model, put_vocoder
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


def test_ill_records_of_earlier_versions_are_none(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    put_model(folder / "hub")
    put_vocoder(folder / "hub")
    weights = folder / "artifacts" / "pinned.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"small")
    sha256 = hashlib.sha256(b"small").hexdigest()
    good = {"revision": None, "files": {weights.name: {"role": "weights", "sha256": sha256}}}
    for _, ill in sample([good], cases(FEW) // 4, seed=8, links=True):
        put(folder, "seen/pinned.artifact.json", ill)
        found = old_hash(REGISTRY.get("pinned"), weights, folder)
        assert found is None or len(bytes.fromhex(found)) == 32
        assert find("pinned", folder, registry=REGISTRY) is not None
        assert not isinstance(outcome(verify, "pinned", folder, registry=REGISTRY), F5Error)


@pytest.mark.parametrize(
    "ref", [b"\xff\xfe", b"../../../../etc", b"", b"a\0b", b"x" * 5000, b"/etc"], ids="%.9r".__mod__
)
def test_an_ill_ref_of_a_cache_leads_nowhere(tmp_path: Path, ref: bytes) -> None:
    folder = tmp_path / "models"
    put_model(folder / "hub")
    put_vocoder(folder / "hub")
    main = folder / "hub/models--owner--pinned/refs/main"
    main.parent.mkdir()
    main.write_bytes(ref)
    found = find("pinned", folder, registry=REGISTRY)
    assert found is not None
    assert found.weights.is_relative_to(folder / "hub")


def test_nothing_of_ours_is_refused(good: Manifest) -> None:
    assert documents.read(good.data, MODEL) == good
    assert InstalledModel.of(good, Path("x")).folder.name == good.sha256[:16]

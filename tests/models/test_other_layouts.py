"""Layouts that are only read: caches of other programs, and what earlier versions have written."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from f5serve.models.bucket import sync
from f5serve.models.cache_dirs import CacheDir
from f5serve.models.hub import pull
from f5serve.models.hub_client import HubSource
from f5serve.models.local import find, find_damage, remove_leftovers, verify
from f5serve.models.publish import collect_files, publish
from f5serve.models.resolve import ModelSources, resolve_model
from f5serve.store.memory import MemoryStore
from tests.models.conftest import (
    COMMIT,
    REGISTRY,
    VOCAB,
    VOCOS,
    VOCOS_COMMIT,
    WEIGHTS,
    convert,
    sha,
)
from tests.models.releases import MODEL, intact, release, version_of
from tests.models.test_local import put, put_model, put_vocoder
from tests.models.test_push import artifact

State = dict[str, tuple[int, int, int, bytes | str]]


@pytest.fixture(autouse=True)
def _no_other_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def state(folder: Path) -> State:
    """Everything in a folder: mode, time, hard links, content; of links, where they lead."""
    found: State = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else b""
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
        links = 0 if path.is_dir() else about.st_nlink
        found[str(path)] = (about.st_mode, about.st_mtime_ns, links, content)
    return found


def cached(cache: Path, repo: str, commit: str, name: str, data: bytes) -> Path:
    """A file as huggingface_hub keeps it: a link to a blob that is named by its hash."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    blob = put(folder / "blobs" / sha(data), data)
    link = folder / "snapshots" / commit / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    return link


def full_cache(cache: Path) -> Path:
    """The model and its vocoder in a cache; returns the link of the weights."""
    cached(cache, "owner/pinned", COMMIT, "base/vocab.txt", VOCAB)
    cached(cache, "owner/vocos", VOCOS_COMMIT, "pytorch_model.bin", VOCOS)
    put(cache / "models--owner--pinned" / "blobs" / "abc.incomplete", b"half")
    return cached(cache, "owner/pinned", COMMIT, "base/model.safetensors", WEIGHTS)


def old_folder(folder: Path) -> None:
    """What earlier versions have left: all layouts, whole and damaged, finished and not."""
    full_cache(folder / "hub")
    put(folder / "artifacts" / "pinned.safetensors", b"converted, and changed since")
    put(folder / "artifacts" / ".pinned.safetensors.0123.partial", b"half")
    record = {"files": {"pinned.safetensors": {"sha256": sha(b"converted")}}, "revision": None}
    put(folder / "seen" / "pinned.artifact.json", json.dumps(record).encode())
    synced = folder / "synced" / "pinned"
    put(synced / "0123456789abcdef" / "weights.safetensors", b"of a sync that was killed")
    put(synced / "current.json", b"{}")
    for path in folder.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (time.time() - 86_400 * 90,) * 2)


def test_nothing_but_our_own_layout_is_changed(
    tmp_path: Path, source: HubSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pull, convert, push, sync, start, verify and clean over foreign and old folders."""
    models, user = tmp_path / "models", tmp_path / "home" / ".cache" / "huggingface" / "hub"
    mount = tmp_path / "runpod" / "hub"
    monkeypatch.setattr("f5serve.models.other_layouts.OTHER_CACHES", (user, mount))
    old_folder(models)
    for cache in (user, mount):
        link = full_cache(cache)
        link.resolve().write_bytes(b"?" + WEIGHTS[1:])  # damaged, so that there is work to do
    link = models / "hub/models--owner--pinned/snapshots" / COMMIT / "base/model.safetensors"
    link.resolve().write_bytes(b"?" + WEIGHTS[1:])
    outside = [user, mount, *(models / name for name in ("hub", "artifacts", "seen", "synced"))]
    before = [state(folder) for folder in outside]

    store = MemoryStore()
    publish(store, release(tmp_path / "made"))
    places = ModelSources(
        models, (CacheDir(models), CacheDir(tmp_path / "tier")), lambda: store, source
    )
    verify("pinned", models, registry=REGISTRY)
    assert pull("pinned", source, models, registry=REGISTRY).weights.read_bytes() == WEIGHTS
    convert(models, artifact())
    publish(store, collect_files("pinned", "fp16", models, registry=REGISTRY))
    sync(store, MODEL, models)
    files = resolve_model("pinned", places, registry=REGISTRY).files
    files.weights.write_bytes(b"?")
    find_damage(files, models, registry=REGISTRY)
    resolve_model("pinned", places, registry=REGISTRY)
    verify("pinned", models, registry=REGISTRY)
    remove_leftovers(models)
    assert [state(folder) for folder in outside] == before


def test_a_cache_tells_the_hashes_of_its_files(tmp_path: Path) -> None:
    link = cached(tmp_path / "hub", "owner/open", "c" * 40, "model_last.pt", WEIGHTS)
    cached(tmp_path / "hub", "owner/open", "c" * 40, "vocab.txt", VOCAB)
    put_vocoder(tmp_path / "hub")
    found = find("open", tmp_path, registry=REGISTRY)
    assert found is not None
    assert find_damage(found, tmp_path, registry=REGISTRY) == []
    link.resolve().write_bytes(b"?" + WEIGHTS[1:])
    assert find_damage(found, tmp_path, registry=REGISTRY) == ["model_last.pt is damaged"]
    states = {c.path.name: c.state for c in verify("open", tmp_path, registry=REGISTRY)}
    assert states == {"model_last.pt": "changed", "vocab.txt": "ok", "pytorch_model.bin": "ok"}


def test_a_file_without_any_known_hash_is_told_as_such(tmp_path: Path) -> None:
    put_model(tmp_path / "hub")
    put_vocoder(tmp_path / "hub")
    checks = {c.path.name: c for c in verify("pinned", tmp_path, registry=REGISTRY)}
    assert {name: c.state for name, c in checks.items()} == {
        "model.safetensors": "ok",
        "vocab.txt": "unknown",
        "pytorch_model.bin": "ok",
    }
    assert checks["vocab.txt"].actual == sha(VOCAB)


def test_an_old_artifact_goes_before_published_files(models_dir: Path) -> None:
    put_model(models_dir / "hub")
    put_vocoder(models_dir / "hub")
    put(models_dir / "artifacts" / "open.safetensors", b"of another model")
    published = find("pinned", models_dir, registry=REGISTRY)
    artifact = put(models_dir / "artifacts" / "pinned.safetensors", b"small")
    found = find("pinned", models_dir, registry=REGISTRY)
    assert found is not None
    assert published is not None
    assert (found.weights, found.vocab) == (artifact, published.vocab)


def test_an_old_artifact_can_bring_everything_beside_it(models_dir: Path) -> None:
    artifacts = models_dir / "artifacts"
    put(artifacts / "pinned.safetensors", b"small")
    vocab = put(artifacts / "pinned.vocab.txt", VOCAB)
    assert find("pinned", models_dir, registry=REGISTRY) is None
    old = put(artifacts / "vocos.bin", VOCOS)
    found = find("pinned", models_dir, registry=REGISTRY)
    assert found is not None
    assert (found.vocab, found.vocoder) == (vocab, old)
    better = put(artifacts / "vocos.safetensors", VOCOS)
    found = find("pinned", models_dir, registry=REGISTRY)
    assert found is not None
    assert found.vocoder == better


@pytest.mark.parametrize("hashed", [True, False])
def test_an_old_artifact_is_checked_by_its_record(tmp_path: Path, hashed: bool) -> None:
    folder = tmp_path / "models"
    put_model(folder / "hub")
    put_vocoder(folder / "hub")
    artifact = put(folder / "artifacts" / "pinned.safetensors", b"small")
    if hashed:
        record = {"files": {artifact.name: {"role": "weights", "sha256": sha(b"small")}}}
        put(folder / "seen" / "pinned.artifact.json", json.dumps(record).encode())
    places = ModelSources(tmp_path / "image", (CacheDir(folder),))
    assert resolve_model("pinned", places, registry=REGISTRY).files.weights == artifact
    artifact.write_bytes(b"changed")
    found = resolve_model("pinned", places, registry=REGISTRY)
    assert (found.files.weights == artifact) is not hashed
    assert artifact.read_bytes() == b"changed"
    states = {c.path: c.state for c in verify("pinned", folder, registry=REGISTRY)}
    assert states[artifact] == ("changed" if hashed else "unknown")


def move_to_old_layout(folder: Path) -> None:
    (folder / "installed").rename(folder / "synced")


@pytest.mark.parametrize("damage", [bytes, lambda data: b"?" + data[1:]])
def test_what_was_synced_by_an_earlier_version_is_used_and_never_changed(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    store, folder = MemoryStore(), tmp_path / "models"
    publish(store, release(tmp_path / "made"))
    sync(store, MODEL, folder)
    move_to_old_layout(folder)
    weights = next(folder.rglob("weights.safetensors"))
    weights.write_bytes(damage(weights.read_bytes()))
    is_whole = damage is bytes
    before = state(folder / "synced")
    places = ModelSources(tmp_path / "image", (CacheDir(folder),), lambda: store)
    got = resolve_model("pinned", places, registry=REGISTRY)
    assert version_of(got.files) == 1
    assert (got.files.weights == weights) is is_whole
    assert (got.source == "tier") is is_whole
    assert state(folder / "synced") == before
    assert version_of(sync(store, MODEL, folder)) == 1
    assert intact(folder) is not None
    assert state(folder / "synced") == before


def test_a_spoiled_record_is_no_record(models_dir: Path) -> None:
    put_vocoder(models_dir / "hub")
    put_model(models_dir / "hub")
    put(models_dir / "artifacts" / "pinned.safetensors", b"small")
    for text in (b"", b"[]", b"{", b'{"files": {"pinned.safetensors": 1}}', b"\xff"):
        put(models_dir / "seen" / "pinned.artifact.json", text)
        found = find("pinned", models_dir, registry=REGISTRY)
        assert found is not None
        assert find_damage(found, models_dir, registry=REGISTRY) == []


def test_only_the_vocoder_is_fetched_for_a_model_in_a_cache(
    tmp_path: Path, source: HubSource
) -> None:
    cache = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    weights = put_model(cache)
    files = pull("pinned", source, tmp_path / "models", registry=REGISTRY)
    assert files.weights == weights
    assert files.vocoder.is_relative_to(tmp_path / "models" / "installed" / "vocos")
    assert hashlib.sha256(files.vocoder.read_bytes()).hexdigest() == sha(VOCOS)
    assert find("pinned", tmp_path / "models", registry=REGISTRY) == files


def test_the_vocoder_of_a_cache_is_copied(tmp_path: Path, source: HubSource) -> None:
    cache = tmp_path / "home" / ".cache" / "huggingface" / "hub"
    vocoder = cached(cache, "owner/vocos", VOCOS_COMMIT, "pytorch_model.bin", VOCOS)
    before = state(cache)
    files = pull("pinned", source, tmp_path / "models", registry=REGISTRY)
    assert files.vocoder.read_bytes() == VOCOS
    assert not files.vocoder.samefile(vocoder)
    assert state(cache) == before

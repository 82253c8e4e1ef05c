"""A file that is not what it was gets another name; nothing is removed, nor touched outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from f5serve.models.bucket import sync
from f5serve.models.cache_dirs import CacheDir
from f5serve.models.cleanup import quarantine, quarantined
from f5serve.models.hub import pull
from f5serve.models.hub_client import HubSource
from f5serve.models.local import artifact_path
from f5serve.models.publish import publish
from f5serve.models.resolve import ModelSources, resolve_model
from f5serve.models.verify import record_artifact
from f5serve.store.memory import MemoryStore
from tests.models.conftest import REGISTRY, WEIGHTS
from tests.models.releases import MODEL, intact, release


@pytest.fixture(autouse=True)
def _no_other_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def test_each_sample_is_kept_beside_its_place(ours: Path) -> None:
    for content in (b"one", b"two", b"three"):
        (ours / "w.safetensors").write_bytes(content)
        assert quarantine(ours / "w.safetensors", ours) is not None
    quarantined = {path.name: path.read_bytes() for path in ours.iterdir()}
    assert quarantined == {
        "w.safetensors.damaged": b"one",
        "w.safetensors.damaged-2": b"two",
        "w.safetensors.damaged-3": b"three",
    }


def test_a_link_leads_to_the_file_that_is_meant(ours: Path) -> None:
    (ours / "blob").write_bytes(b"bad")
    (ours / "name").symlink_to("blob")
    assert quarantine(ours / "name", ours) == ours / "blob.damaged"
    assert not (ours / "name").exists()


@pytest.mark.parametrize("way", ["file", "folder", "dots", "chain"])
def test_nothing_outside_is_touched(tmp_path: Path, ours: Path, way: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "w").write_bytes(b"precious")
    (ours / "file").symlink_to(outside / "w")
    (ours / "folder").symlink_to(outside)
    (ours / "chain").symlink_to("file")
    paths = {
        "file": ours / "file",
        "folder": ours / "folder" / "w",
        "dots": ours / ".." / "outside" / "w",
        "chain": ours / "chain",
    }
    is_link = way in ("file", "chain")
    assert quarantine(paths[way], ours) == (ours / f"{way}.damaged" if is_link else None)
    assert paths[way].exists() is not is_link
    assert [path.name for path in outside.iterdir()] == ["w"]
    assert (outside / "w").read_bytes() == b"precious"


def test_what_is_gone_or_cannot_be_renamed_is_no_error(ours: Path) -> None:
    assert quarantine(ours / "gone", ours) is None
    (ours / "a").write_bytes(b"1")
    (ours / "no folder").write_bytes(b"2")
    assert quarantine(ours / "a", ours, ours / "no folder" / "a") is None
    assert (ours / "a").read_bytes() == b"1"


def start(tmp_path: Path, folder: Path, source: HubSource | None = None) -> Path:
    """The weights that a start with these folders takes."""
    places = ModelSources(tmp_path / "image", (CacheDir(folder),), hub=source)
    return resolve_model("pinned", places, registry=REGISTRY).files.weights


def test_an_artifact_of_the_user_is_still_there(
    tmp_path: Path, ours: Path, source: HubSource, caplog: pytest.LogCaptureFixture
) -> None:
    pull("pinned", source, ours, registry=REGISTRY)
    artifact = artifact_path(ours, "pinned")
    artifact.parent.mkdir()
    artifact.write_bytes(b"converted")
    record_artifact(ours, "pinned")
    artifact.write_bytes(b"converted anew, elsewhere")
    assert start(tmp_path, ours) != artifact
    aside = artifact.with_name(f"{artifact.name}.damaged")
    assert aside.read_bytes() == b"converted anew, elsewhere"
    assert f"rename it to {artifact}" in caplog.text
    aside.rename(artifact)
    (ours / "seen" / "pinned.artifact.json").unlink()
    assert start(tmp_path, ours) == artifact


def test_a_link_of_an_artifact_leads_to_no_deletion(
    tmp_path: Path, ours: Path, source: HubSource
) -> None:
    pull("pinned", source, ours, registry=REGISTRY)
    artifact = artifact_path(ours, "pinned")
    artifact.parent.mkdir()
    outside = tmp_path / "my own.safetensors"
    outside.write_bytes(b"converted")
    artifact.symlink_to(outside)
    record_artifact(ours, "pinned")
    outside.write_bytes(b"changed, and newer")
    assert start(tmp_path, ours).read_bytes() == WEIGHTS
    assert outside.read_bytes() == b"changed, and newer"
    assert artifact.with_name(f"{artifact.name}.damaged").readlink() == outside
    assert not artifact.is_symlink()


@pytest.mark.parametrize("when", ["start", "pull"])
def test_a_damaged_blob_is_kept_and_fetched_anew(
    tmp_path: Path, ours: Path, source: HubSource, when: str
) -> None:
    blob = pull("pinned", source, ours, registry=REGISTRY).weights.resolve()
    blob.write_bytes(b"?" + WEIGHTS[1:])
    if when == "start":
        assert start(tmp_path, ours, source).read_bytes() == WEIGHTS
    else:
        assert pull("pinned", source, ours, registry=REGISTRY).weights.read_bytes() == WEIGHTS
    assert blob.with_name(f"{blob.name}.damaged").read_bytes() == b"?" + WEIGHTS[1:]
    assert quarantined(ours) == [blob.with_name(f"{blob.name}.damaged")]


def test_a_folder_of_links_to_another_disk_is_left_alone(tmp_path: Path, ours: Path) -> None:
    store = MemoryStore()

    publish(store, release(tmp_path / "made"))
    weights = sync(store, MODEL, ours).weights
    elsewhere = tmp_path / "big disk"
    weights.parent.rename(elsewhere)
    weights.parent.symlink_to(elsewhere)
    data = weights.read_bytes()
    weights.write_bytes(b"?" + data[1:])
    before = sorted(path.name for path in elsewhere.iterdir())
    assert intact(ours) is None
    assert sorted(path.name for path in elsewhere.iterdir()) == before
    assert (elsewhere / weights.name).read_bytes() == b"?" + data[1:]

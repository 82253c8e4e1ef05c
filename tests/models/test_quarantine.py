"""A file that is not what it was gets another name; nothing is removed, nor touched outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from f5serve.models.bucket import sync
from f5serve.models.cache_dirs import CacheDir
from f5serve.models.hub import pull
from f5serve.models.hub_client import HubSource
from f5serve.models.local import quarantine, quarantined
from f5serve.models.publish import publish
from f5serve.models.resolve import ModelSources, resolve_model
from f5serve.store.memory import MemoryStore
from tests.models.conftest import REGISTRY, WEIGHTS, convert
from tests.models.releases import MODEL, intact, release


@pytest.fixture(autouse=True)
def _no_other_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def version(ours: Path) -> Path:
    folder = ours / "installed" / "pinned" / "0123456789abcdef"
    folder.mkdir(parents=True)
    return folder


def test_each_sample_is_kept(ours: Path, version: Path) -> None:
    for content in (b"one", b"two", b"three"):
        (version / "w.safetensors").write_bytes(content)
        assert quarantine(version / "w.safetensors", ours) is not None
    assert {path.name: path.read_bytes() for path in quarantined(ours)} == {
        "0123456789abcdef-w.safetensors": b"one",
        "0123456789abcdef-w.safetensors-2": b"two",
        "0123456789abcdef-w.safetensors-3": b"three",
    }
    assert not list(version.iterdir())


def test_a_link_leads_to_the_file_that_is_meant(ours: Path, version: Path) -> None:
    (version / "blob").write_bytes(b"bad")
    (version / "name").symlink_to("blob")
    to = quarantine(version / "name", ours)
    assert to is not None
    assert to.read_bytes() == b"bad"
    assert not (version / "name").exists()


@pytest.mark.parametrize("way", ["file", "folder", "dots", "chain", "other layout"])
def test_nothing_outside_is_touched(tmp_path: Path, ours: Path, version: Path, way: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "w").write_bytes(b"precious")
    (version / "file").symlink_to(outside / "w")
    (version / "folder").symlink_to(outside)
    (version / "chain").symlink_to("file")
    (ours / "hub").mkdir()
    (ours / "hub" / "w").write_bytes(b"precious")
    paths = {
        "file": version / "file",
        "folder": version / "folder" / "w",
        "dots": version / ".." / ".." / ".." / ".." / "outside" / "w",
        "chain": version / "chain",
        "other layout": ours / "hub" / "w",
    }
    is_link = way in ("file", "chain")
    assert (quarantine(paths[way], ours) is not None) is is_link
    assert paths[way].exists() is not is_link
    assert [path.name for path in outside.iterdir()] == ["w"]
    assert (outside / "w").read_bytes() == b"precious"


def test_what_is_gone_or_cannot_be_moved_is_no_error(ours: Path, version: Path) -> None:
    assert quarantine(version / "gone", ours) is None
    (version / "a").write_bytes(b"1")
    (version.parent / "quarantine").write_bytes(b"no folder")
    assert quarantine(version / "a", ours) is None
    assert (version / "a").read_bytes() == b"1"


def start(tmp_path: Path, folder: Path, source: HubSource | None = None) -> Path:
    """The weights that a start with these folders takes."""
    places = ModelSources(tmp_path / "image", (CacheDir(folder),), hub=source)
    return resolve_model("pinned", places, registry=REGISTRY).files.weights


def test_damaged_converted_weights_are_put_aside(
    tmp_path: Path, ours: Path, source: HubSource
) -> None:
    pull("pinned", source, ours, registry=REGISTRY)
    weights = convert(ours)
    weights.write_bytes(b"conversed")
    assert start(tmp_path, ours).read_bytes() == WEIGHTS
    assert [path.read_bytes() for path in quarantined(ours)] == [b"conversed"]


def test_a_link_in_a_version_leads_to_no_deletion(
    tmp_path: Path, ours: Path, source: HubSource
) -> None:
    pull("pinned", source, ours, registry=REGISTRY)
    weights = convert(ours)
    outside = weights.rename(tmp_path / "my own.safetensors")
    weights.symlink_to(outside)
    assert start(tmp_path, ours) == weights
    outside.write_bytes(b"conversed")
    assert start(tmp_path, ours).read_bytes() == WEIGHTS
    assert outside.read_bytes() == b"conversed"
    assert [path.readlink() for path in quarantined(ours)] == [outside]
    assert not weights.is_symlink()


@pytest.mark.parametrize("when", ["start", "pull"])
def test_a_damaged_file_is_kept_and_fetched_anew(
    tmp_path: Path, ours: Path, source: HubSource, when: str
) -> None:
    weights = pull("pinned", source, ours, registry=REGISTRY).weights
    weights.write_bytes(b"?" + WEIGHTS[1:])
    if when == "start":
        assert start(tmp_path, ours, source).read_bytes() == WEIGHTS
    else:
        assert pull("pinned", source, ours, registry=REGISTRY).weights.read_bytes() == WEIGHTS
    assert [path.read_bytes() for path in quarantined(ours)] == [b"?" + WEIGHTS[1:]]


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

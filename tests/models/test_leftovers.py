"""What killed processes leave behind goes after a while, and nothing else does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from f5serve.errors import StorageFailed
from f5serve.jobs.retention import collect_garbage
from f5serve.models.bucket import sync
from f5serve.models.local import remove_leftovers
from f5serve.models.manifest import BLOBS
from f5serve.models.publish import publish
from f5serve.store.memory import MemoryStore
from tests.models.releases import MODEL, release, version_of

DAY_S = 86_400
HOME = "installed/pinned"

LEFT = {  # and after how many days
    f"{HOME}/incoming/abc.incomplete": 7,
    f"{HOME}/incoming/weights.safetensors": 7,
    f"{HOME}/incoming-01234567/abc.incomplete": 0.1,
    f"{HOME}/.converted.safetensors." + "0" * 32 + ".partial": 1,
    f"{HOME}/0123456789abcdef/weights.safetensors": 7,
}
KEPT = (
    f"{HOME}/current.json",
    f"{HOME}/.mine.partial",
    f"{HOME}/quarantine/0123456789abcdef-weights.safetensors",
    f"{HOME}/fedcba9876543210/manifest.json",
    f"{HOME}/fedcba9876543210/weights.safetensors",
    f"{HOME}/my own/weights.safetensors",
    "hub/models--owner--pinned/blobs/abc.incomplete",
    "artifacts/.pinned.safetensors." + "0" * 32 + ".partial",
    "synced/pinned/0123456789abcdef/weights.safetensors",
    "seen/pinned.json",
)


def make(folder: Path, name: str, age_days: float) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"?")
    then = time.time() - age_days * DAY_S
    os.utime(path, (then, then))
    os.utime(path.parent, (then, then))
    return path


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_over_goes_after_its_time(tmp_path: Path, name: str) -> None:
    young = make(tmp_path, name, 0.8 * LEFT[name] if LEFT[name] >= 1 else 0.0)
    assert remove_leftovers(tmp_path) == 0
    assert young.exists()
    old = make(tmp_path, name, LEFT[name] + 0.1)
    assert remove_leftovers(tmp_path) == 1
    assert not old.exists()


def test_nothing_else_goes_however_old(tmp_path: Path) -> None:
    kept = [make(tmp_path, name, 400) for name in KEPT]
    assert remove_leftovers(tmp_path) == 0
    assert all(path.exists() for path in kept)


def test_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    victim = make(outside, "weights.safetensors", 400)
    models = tmp_path / "models"
    home = models / "installed" / "pinned"
    home.mkdir(parents=True)
    for name in ("0" * 16, "incoming", "incoming-01234567", "../linked"):
        (home / name).symlink_to(outside)
    left = make(outside / "incoming", "abc.incomplete", 400)
    remove_leftovers(models)
    assert victim.exists()
    assert left.exists()
    (tmp_path / "link").symlink_to(models)
    make(models, "installed/other/incoming/abc.incomplete", 400)
    assert remove_leftovers(tmp_path / "link") == 0
    assert remove_leftovers(models) == 1


def test_a_sync_clears_what_an_older_one_left(tmp_path: Path) -> None:
    store = MemoryStore()
    publish(store, release(tmp_path / "made"))
    left = make(tmp_path / "models", "installed/pinned/0123456789abcdef/weights.safetensors", 8)
    assert version_of(sync(store, MODEL, tmp_path / "models")) == 1
    assert not left.exists()


class Uploads(MemoryStore):
    """Counts where old uploads were looked for, or lets nobody look."""

    def __init__(self, *, forbidden: bool = False) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._forbidden = forbidden

    def abort_old_uploads(self, prefix: str = "", older_than_s: float = DAY_S) -> int:
        assert older_than_s >= DAY_S
        self.asked.append(prefix)
        if self._forbidden:
            raise StorageFailed("403.", code="S3_FORBIDDEN")
        return 1


def test_whoever_publishes_removes_old_parts_of_blobs(tmp_path: Path) -> None:
    store, closed = Uploads(), Uploads(forbidden=True)
    assert publish(store, release(tmp_path / "made")).changed
    assert store.asked == [BLOBS]
    assert publish(closed, release(tmp_path / "made")).changed


def test_jobs_gc_removes_old_parts_of_ours(tmp_path: Path) -> None:
    store = Uploads()
    assert collect_garbage(store, 30, dry_run=True).uploads == 0
    assert store.asked == []
    assert collect_garbage(store, 30).uploads == len(store.asked)
    assert {"output/", "voices/", "models/"} <= set(store.asked)
    assert all(prefix.endswith("/") for prefix in store.asked)
    assert collect_garbage(Uploads(forbidden=True), 30).uploads == 0

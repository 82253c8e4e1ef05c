"""Which folder a model is fetched into, on disks that are full, guarded, read-only or foreign."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from f5serve.errors import StorageFailed
from f5serve.models.cache_dirs import CacheDir, cache_dirs, fetch_into_first, probe
from f5serve.models.disk import cannot_write, free_bytes
from f5serve.settings import Settings
from tests.models.disks import leave, small_disk

MB = 1 << 20


def write(size: int) -> Callable[[Path], Path]:
    """A download of that many bytes."""

    def bring(folder: Path) -> Path:
        path = folder / "model"
        try:
            path.write_bytes(bytes(size))
        except OSError as error:
            path.unlink(missing_ok=True)
            raise cannot_write(folder, size, error) from None
        return path

    return bring


def test_the_first_folder_takes_it(tmp_path: Path) -> None:
    both = (CacheDir(tmp_path / "a"), CacheDir(tmp_path / "b"))
    path, tier = fetch_into_first(both, 5, write(5))
    assert tier == both[0]
    assert path == tmp_path / "a" / "model"
    assert not (tmp_path / "b").exists()


def test_a_disk_that_fills_up_in_the_middle_leads_to_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "small", "2m") as small:
        both = (CacheDir(small / "a"), CacheDir(tmp_path / "b"))
        path, tier = fetch_into_first(both, 0, write(3 * MB))
        assert (tier, path.stat().st_size) == (both[1], 3 * MB)
        assert not list((small / "a").iterdir())
    assert "a is passed over: NO_SPACE" in caplog.text


def test_a_quota_leads_to_the_next(tmp_path: Path) -> None:
    both = (CacheDir(tmp_path / "a"), CacheDir(tmp_path / "b"))

    def bring(folder: Path) -> Path:
        if folder == both[0].path:
            raise cannot_write(folder, 7, OSError(errno.EDQUOT, "Disk quota exceeded"))
        return folder

    assert fetch_into_first(both, 7, bring) == (both[1].path, both[1])


def test_where_nothing_fits_every_folder_is_named_with_what_it_has(tmp_path: Path) -> None:
    with small_disk(tmp_path / "one", "4m") as one, small_disk(tmp_path / "two", "4m") as two:
        leave(one, 2 * MB)
        leave(two, 1 * MB)
        with pytest.raises(StorageFailed) as caught:
            fetch_into_first((CacheDir(one / "m"), CacheDir(two / "m")), 3 * MB, write(3 * MB))
    said = caught.value.message
    assert caught.value.code == "NO_SPACE"
    assert said.startswith("3.15 MB are needed for a model")
    assert f"{one}/m (2.1 MB free), {two}/m (1.05 MB free)" in said
    assert "F5_CACHE_DIR" in caught.value.hint


def test_other_failures_are_not_the_disks(tmp_path: Path) -> None:
    def bring(folder: Path) -> None:
        raise StorageFailed("The store is down.", code="S3_DOWN")

    with pytest.raises(StorageFailed) as caught:
        fetch_into_first((CacheDir(tmp_path / "a"), CacheDir(tmp_path / "b")), 1, bring)
    assert caught.value.code == "S3_DOWN"
    assert not (tmp_path / "b").exists()


def test_a_read_only_disk_is_passed_over(tmp_path: Path) -> None:
    with small_disk(tmp_path / "fixed", "1m", ",ro") as fixed:
        both = (CacheDir(fixed / "a"), CacheDir(tmp_path / "b"))
        assert fetch_into_first(both, 5, write(5))[1] == both[1]


def test_a_file_in_place_of_the_folder_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("not a folder")
    both = (CacheDir(tmp_path / "a"), CacheDir(tmp_path / "b"))
    assert fetch_into_first(both, 5, write(5))[1] == both[1]


@pytest.mark.parametrize(("needed", "fits"), [(100 * MB, True), (300 * MB, False)])
def test_a_guarded_disk_keeps_room_for_what_else_runs(
    tmp_path: Path, needed: int, fits: bool
) -> None:
    with small_disk(tmp_path / "root", "1200m") as root:
        tier = CacheDir(root / "models", reserve_on=root)
        if fits:
            tier.check(needed)
            return
        with pytest.raises(StorageFailed, match="have to stay free") as caught:
            tier.check(needed)
        assert caught.value.code == "NO_SPACE"


def test_the_guard_of_one_disk_leaves_others_alone(tmp_path: Path) -> None:
    with small_disk(tmp_path / "root", "2m") as root:
        CacheDir(tmp_path / "elsewhere", reserve_on=root).check(5 * MB)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_that_somebody_else_put_into_a_shared_one_is_not_used(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "f5serve").mkdir()
    os.chown(shared / "f5serve", 65534, 65534)
    both = (CacheDir(shared / "f5serve" / "models"), CacheDir(tmp_path / "b"))
    assert fetch_into_first(both, 5, write(5))[1] == both[1]


def test_a_folder_in_a_shared_one_is_closed_to_others(tmp_path: Path) -> None:
    CacheDir(tmp_path / "f5serve" / "models").check(5)
    assert (tmp_path / "f5serve").stat().st_mode & 0o777 == 0o700


def test_trying_a_disk_leaves_nothing(tmp_path: Path) -> None:
    probe(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_order_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = Settings(models_dir=Path("/models"), cache_dir=Path("/fast"))
    at_home = [str(tier.path) for tier in cache_dirs(settings, at_runpod=False)]
    assert at_home[:3] == ["/fast/models", "/models", "/tmp/f5serve/models"]
    there = cache_dirs(settings, at_runpod=True)
    expected = ["/fast/models", "/tmp/f5serve/models", f"{tmp_path}/.cache/f5serve/models"]
    assert [str(tier.path) for tier in there][:3] == expected
    assert {tier.reserve_on for tier in there} == {Path("/")}


def test_what_a_plain_disk_reports_is_believed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "2m") as small:
        assert free_bytes(small) == 2 * MB


def test_who_is_passed_over_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a").write_text("")
    with caplog.at_level(logging.INFO):
        fetch_into_first((CacheDir(tmp_path / "a"), CacheDir(tmp_path / "b")), 1, write(1))
    assert len([line for line in caplog.messages if "passed over" in line]) == 1

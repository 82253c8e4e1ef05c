"""The local store: links, pipes, file modes, and files that people drop in."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.local import LocalStore


def test_files_dropped_in_by_hand_are_values(tmp_path: Path) -> None:
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices/Kim.wav").write_bytes(b"RIFF")
    store = LocalStore(tmp_path)
    assert store.get("voices/Kim.wav") == b"RIFF"
    assert [(o.key, o.size) for o in store.list("voices/")] == [("voices/Kim.wav", 4)]


def test_names_that_are_no_keys_are_left_out_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("Kim Smith.wav", "ü.wav", "ok.wav", ".hidden"):
        (tmp_path / name).write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert [one.key for one in LocalStore(tmp_path).list()] == ["ok.wav"]
    assert len(caplog.records) == 1
    assert "3 objects" in caplog.text


@pytest.mark.parametrize("target", ["file", "folder"])
def test_links_do_not_lead_out(tmp_path: Path, target: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key").write_bytes(b"canary")
    root = tmp_path / "store"
    root.mkdir()
    to = tmp_path / ("secrets/key" if target == "file" else "secrets")
    (root / "link").symlink_to(to)
    key = "link" if target == "file" else "link/key"
    store = LocalStore(root)
    for read in (store.get, store.exists, lambda k: store.download(k, tmp_path / "out")):
        with pytest.raises(StorageFailed) as caught:
            read(key)
        assert caught.value.code == ("NOT_A_FILE" if target == "file" else "LINK_LEADS_OUT")
    assert list(store.list()) == []
    assert not (tmp_path / "out").exists()


def test_writing_does_not_follow_links_out(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_bytes(b"")
    root = tmp_path / "store"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    store = LocalStore(root)
    for write in (
        lambda: store.put("link/x", b"1"),
        lambda: store.put_file("link/x", Path(__file__)),
        lambda: store.delete("link/kept"),
    ):
        with pytest.raises(StorageFailed) as caught:
            write()
        assert caught.value.code == "LINK_LEADS_OUT"
    assert [p.name for p in (tmp_path / "outside").iterdir()] == ["kept"]


def test_a_root_that_is_itself_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    store = LocalStore(tmp_path / "root")
    store.put("a/b", b"1")
    assert store.get("a/b") == b"1"
    assert (tmp_path / "real/a/b").read_bytes() == b"1"


def test_a_pipe_does_not_hold_anybody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    store = LocalStore(tmp_path)
    with pytest.raises(StorageFailed) as caught:
        store.get("pipe")
    assert caught.value.code == "NOT_A_FILE"


def test_a_store_that_was_never_written_to_is_empty(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "not/there")
    assert list(store.list()) == []
    assert not store.exists("a")
    with pytest.raises(KeyMissing):
        store.get("a")
    store.delete("a")
    assert not (tmp_path / "not").exists()


def test_a_root_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed) as caught:
        LocalStore(tmp_path / "file").put("a", b"1")
    assert caught.value.code in ("NOT_WRITABLE", "KEY_CONFLICT")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_folder_without_rights_is_told(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("a", b"1")
    (tmp_path / "a").chmod(0)
    with pytest.raises(StorageFailed) as caught:
        store.get("a")
    assert caught.value.code == "NOT_READABLE"


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for n in range(20):
        store.put("a", b"1")
        store.get("a")
        store.exists("b")
        store.download("a", tmp_path / "out" / str(n))
        list(store.list())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.fixture
def generous() -> Iterator[None]:
    """A umask that takes nothing away, so that modes are what was asked for."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): oct(stat.S_IMODE(path.lstat().st_mode))
        for path in (root, *root.rglob("*"))
    }


@pytest.mark.usefixtures("generous")
def test_what_is_kept_is_for_its_owner_alone(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "data" / "store")
    store.put("voices/ana/audio.wav", b"RIFF")
    (tmp_path / "file").write_bytes(b"speech")
    store.put_file("output/a.wav", tmp_path / "file")
    assert modes(store.root) == {
        ".": "0o700",
        ".tmp": "0o700",
        "voices": "0o700",
        "voices/ana": "0o700",
        "voices/ana/audio.wav": "0o600",
        "output": "0o700",
        "output/a.wav": "0o600",
    }
    assert modes(tmp_path)["data"] == "0o777"  # it may hold models for everybody


@pytest.mark.usefixtures("generous")
def test_nobody_else_reads_what_is_being_written(tmp_path: Path) -> None:
    with LocalStore(tmp_path / "store")._new_file("a/b") as file:
        file.write_at(0, b"half")
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


@pytest.mark.usefixtures("generous")
def test_a_file_that_everybody_could_read_is_tightened_when_it_is_written_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    assert modes(tmp_path)["a"] == "0o666"
    LocalStore(tmp_path).put("a", b"new")
    assert modes(tmp_path)["a"] == "0o600"


def test_a_folder_with_the_setgid_bit_is_shared_with_its_group(tmp_path: Path) -> None:
    root = tmp_path / "store"
    root.mkdir()
    root.chmod(0o2770)
    LocalStore(root).put("a/b", b"")
    assert modes(root)["a"] == "0o2770"
    assert modes(root)["a/b"] == "0o660"
    root.chmod(0o2750)
    LocalStore(root).put("c/d", b"")
    assert modes(root)["c"] == "0o2750"
    assert modes(root)["c/d"] == "0o640"

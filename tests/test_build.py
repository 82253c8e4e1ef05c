"""What a copy of f5serve says it is: the commit it was built from or has checked out."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from f5serve import __version__
from f5serve.build import Stamp, read_git_commit, stamp

ROOT = Path(__file__).parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git(*args: str, cwd: Path) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(["git", *identity, *args], cwd=cwd, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git("init", "-q", cwd=folder)
    git("commit", "-q", "--allow-empty", "-m", "first", cwd=folder)
    return folder


def test_commit_is_what_git_says(checkout: Path) -> None:
    head = git("rev-parse", "HEAD", cwd=checkout)
    assert read_git_commit(checkout) == head
    git("pack-refs", "--all", cwd=checkout)
    assert read_git_commit(checkout) == head
    git("checkout", "-q", "--detach", cwd=checkout)
    assert read_git_commit(checkout) == head


def test_linked_work_tree(checkout: Path) -> None:
    git("worktree", "add", "-q", "-b", "other", "../linked", cwd=checkout)
    git("commit", "-q", "--allow-empty", "-m", "second", cwd=checkout.parent / "linked")
    head = git("rev-parse", "other", cwd=checkout)
    assert read_git_commit(checkout.parent / "linked") == head


def test_no_checkout_has_no_commit(tmp_path: Path) -> None:
    assert read_git_commit(tmp_path) is None
    (tmp_path / ".git").mkdir()
    assert read_git_commit(tmp_path) is None


def test_running_copy_names_itself() -> None:
    assert stamp().version == __version__
    assert str(Stamp("1.2.3", COMMIT)) == "f5serve 1.2.3 (0123456789ab)"


@pytest.mark.slow
def test_wheel_carries_commit_voice_and_types(tmp_path: Path) -> None:
    """Built from a clean clone, as it would be for a user."""
    git("clone", "-q", str(ROOT), "clone", cwd=tmp_path)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path)]
    subprocess.run([*command, str(tmp_path / "clone")], check=True, timeout=240)
    (wheel,) = tmp_path.glob("f5serve-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        stamped = json.loads(archive.read("f5serve/_stamp.json"))
    assert stamped == {"commit": git("rev-parse", "HEAD", cwd=ROOT)}
    assert {"f5serve/py.typed", "f5serve/engine/dit.py"} <= set(names)
    assert any(n.startswith("f5serve/voices/data/") and n.endswith(".wav") for n in names)
    assert not any("tests" in n for n in names)

"""What a copy of f5serve says it is, and that it notices when its files are others."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from f5serve import __version__, build
from f5serve.build import Difference, Stamp, read_git_commit, stamp, verify_files
from f5serve.errors import F5Error

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


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small installed package with its stamp."""
    folder = tmp_path / "site-packages" / "f5serve"
    for path in ("__init__.py", "engine/dit.py", "voices/data/default.wav"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"content of {path}")
    files = {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in build.shipped_files(folder)
    }
    build.write(
        Stamp("1.2.3", COMMIT, False, "2026-01-02T03:04:05Z", files), folder / "_stamp.json"
    )
    return folder


# -- the commit


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
    assert str(Stamp("1.2.3", COMMIT, dirty=True)) == "f5serve 1.2.3 (0123456789ab, dirty)"


def test_a_checkout_claims_nothing_that_it_cannot_know(checkout: Path) -> None:
    package = checkout / "src" / "f5serve"
    package.mkdir(parents=True)
    found = stamp(package)
    assert found.commit == git("rev-parse", "HEAD", cwd=checkout)
    assert (found.dirty, found.origin, found.digest) == (None, "unstamped", "")
    assert found.program["dirty"] == "unknown"
    assert found.program["build"] == "unstamped"
    assert verify_files(found, package) == []
    with pytest.raises(F5Error) as refused:
        build.seal(package)
    assert refused.value.code == "STAMP_MISSING"


# -- the files


def test_files_as_built_differ_in_nothing(package: Path) -> None:
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"compiled later")
    assert verify_files(package=package) == []
    assert stamp(package).origin == "wheel"


def test_each_difference_is_named(package: Path) -> None:
    (package / "engine" / "dit.py").write_text("edited in the container")
    (package / "voices" / "data" / "default.wav").unlink()
    (package / "stale.py").write_text("of an older build")
    found = verify_files(package=package)
    assert found == [
        Difference("changed", "engine/dit.py"),
        Difference("extra", "stale.py"),
        Difference("missing", "voices/data/default.wav"),
    ]
    assert str(found[0]) == "changed: f5serve/engine/dit.py"


def test_digest_follows_the_files_and_nothing_else(package: Path) -> None:
    first = stamp(package)
    assert len(first.digest) == 16
    assert replace(first, date="2027", commit="other").digest == first.digest
    assert replace(first, files={**first.files, "a.py": "0"}).digest != first.digest
    assert first.program == {
        "version": "1.2.3",
        "commit": COMMIT,
        "dirty": "no",
        "build": first.digest,
    }


def test_sealing_adds_the_libraries_and_makes_it_read_only(package: Path) -> None:
    sealed = build.seal(package)
    assert stamp(package) == sealed
    assert sealed.origin == "image"
    assert sealed.libraries["pytest"] == pytest.__version__
    assert (package / "_stamp.json").stat().st_mode & 0o777 == 0o444
    assert build.verify_libraries(sealed) == []
    moved = replace(sealed, libraries={**sealed.libraries, "pytest": "1.0", "gone-lib": "2"})
    assert build.verify_libraries(moved) == [
        "gone-lib is gone, was 2",
        f"pytest is {pytest.__version__}, was 1.0",
    ]


def test_what_was_changed_cannot_be_sealed(package: Path) -> None:
    (package / "engine" / "dit.py").write_text("edited before sealing")
    with pytest.raises(F5Error) as refused:
        build.seal(package)
    assert refused.value.code == "STAMP_DIFFERS"
    assert "engine/dit.py" in refused.value.message


@pytest.mark.parametrize("text", ["", "{", "[]", '{"unknown_field": 1}'])
def test_a_broken_stamp_is_told_as_that(package: Path, text: str) -> None:
    (package / "_stamp.json").unlink()
    (package / "_stamp.json").write_text(text)
    with pytest.raises(F5Error) as refused:
        stamp(package)
    assert refused.value.code == "STAMP_UNREADABLE"


def test_a_stamp_is_read_as_it_was_written(package: Path) -> None:
    said = json.loads((package / "_stamp.json").read_text())
    assert said.keys() == {"version", "commit", "dirty", "date", "files", "libraries"}
    assert stamp(package) == Stamp(**said)

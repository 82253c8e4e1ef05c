"""Writes into the wheel what it was built from: commit, date and the sha256 of every file.

The commit comes from GIT_SHA, else from git, else from the line that `git archive` fills in;
GIT_DIRTY (0 or 1) says whether there were other changes, else git is asked, else it is unknown.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PREFIX = "f5serve/"


class StampHook(BuildHookInterface[Any]):
    """Adds `f5serve/_stamp.json` to a wheel; an editable install has none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files."""
        if version == "editable" or self.target_name != "wheel":
            return
        root = Path(self.root)
        sys.path.insert(0, str(root / "src"))
        from f5serve import build

        stamp = build.Stamp(
            version=self.metadata.version,
            commit=find_commit(root, build.read_git_commit),
            dirty=is_dirty(root),
            date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(build_time())),
            files=self._hashes(),
        )
        written = Path(self.directory) / build.STAMP_NAME
        written.parent.mkdir(parents=True, exist_ok=True)
        build.write(stamp, written)
        build_data["force_include"][str(written)] = PREFIX + build.STAMP_NAME

    def _hashes(self) -> dict[str, str]:
        files = {
            file.distribution_path.removeprefix(PREFIX): hashlib.sha256(
                Path(file.path).read_bytes()
            ).hexdigest()
            for file in self.build_config.builder.recurse_included_files()
            if file.distribution_path.startswith(PREFIX)
        }
        return dict(sorted(files.items()))


def find_commit(root: Path, read_git_commit: Any) -> str:
    """The commit, or "unknown"; what was told must not contradict git."""
    told, found = os.environ.get("GIT_SHA", "").strip(), read_git_commit(root)
    if told and found and told != found:
        sys.exit(f"GIT_SHA is {told}, but git has {found} checked out.")
    if told or found:
        return str(told or found)
    archived = root / ".git_archival.txt"
    text = archived.read_text() if archived.is_file() else ""
    filled_in = re.search(r"^[0-9a-f]{40}$", text, re.MULTILINE)
    return filled_in.group() if filled_in else "unknown"


def is_dirty(root: Path) -> bool | None:
    """Whether anything differs from the commit; None when neither we nor git can tell."""
    told = os.environ.get("GIT_DIRTY", "").strip()
    if told:
        return told != "0"
    if os.environ.get("GIT_SHA") or not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "status", "--porcelain"]
        return bool(subprocess.run(command, check=True, capture_output=True).stdout.strip())
    except (OSError, subprocess.CalledProcessError):
        return None


def build_time() -> int:
    """Seconds since 1970; SOURCE_DATE_EPOCH makes a build repeatable."""
    return int(os.environ.get("SOURCE_DATE_EPOCH", "").strip() or time.time())

"""What this copy of f5serve is: its version and the commit it was built from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from f5serve import __version__


@dataclass(frozen=True, slots=True)
class Stamp:
    """Version and commit; `commit` is "unknown" for a copy without git and without a stamp."""

    version: str
    commit: str

    def __str__(self) -> str:
        return f"f5serve {self.version} ({self.commit[:12]})"


def read_git_commit(checkout: Path) -> str | None:
    """Commit that `checkout` has checked out, or None when it is no git checkout.

    Reads git's files rather than running git, which a worker's image does not have.
    """
    git = checkout / ".git"
    try:
        if git.is_file():  # a linked work tree: "gitdir: PATH"
            git = (checkout / git.read_text().split(":", 1)[1].strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        ref = head.split(":", 1)[1].strip()
        common = git / "commondir"
        root = (git / common.read_text().strip()).resolve() if common.is_file() else git
        if (root / ref).is_file():
            return (root / ref).read_text().strip()
        packed = (root / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in packed if line.endswith(" " + ref)), None)
    except (OSError, IndexError):
        return None


def stamp() -> Stamp:
    """The stamp of the running copy: what the wheel carries, else what git has checked out."""
    packaged = resources.files("f5serve") / "_stamp.json"
    if packaged.is_file():
        return Stamp(__version__, str(json.loads(packaged.read_text())["commit"]))
    here = Path(__file__).resolve()
    if here.parent.parent.name == "src":  # an editable install or a plain checkout
        return Stamp(__version__, read_git_commit(here.parents[2]) or "unknown")
    return Stamp(__version__, "unknown")

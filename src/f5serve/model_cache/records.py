"""What was accepted of a model, kept beside it: models_dir/seen/<model id>.json.

A record flows in and out; it holds the revision a model was resolved to, the files that were
taken, and their hashes. It is how a hash that nobody published is trusted on first use and
refused when it changes. This module must not know the hub or what a right hash would be.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from f5serve.model_cache.disk import write_atomic
from f5serve.model_cache.registry import Role


@dataclass(frozen=True, slots=True)
class SeenFile:
    """One accepted file; size and mtime_ns tell whether it must be hashed again."""

    role: Role
    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The accepted files of a model by their path in the repository, at one revision."""

    revision: str | None = None
    files: dict[str, SeenFile] = field(default_factory=dict)

    def unchanged(self, path: str, on_disk: Path) -> bool:
        """Whether the file on disk is, by size and time, the one that was hashed."""
        entry = self.files.get(path)
        if entry is None:
            return False
        stat = on_disk.stat()
        return (entry.size, entry.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def path(models_dir: Path, model_id: str) -> Path:
    """Where the record of a model is."""
    return models_dir / "seen" / f"{model_id}.json"


def read(models_dir: Path, model_id: str) -> Seen:
    """The record of a model; empty when there is none or it cannot be read as one."""
    try:
        data = json.loads(path(models_dir, model_id).read_text())
        files = {name: SeenFile(**entry) for name, entry in data["files"].items()}
        return Seen(data["revision"], files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Seen()


def write(models_dir: Path, model_id: str, seen: Seen) -> None:
    """Replace the record of a model."""
    text = json.dumps(asdict(seen), indent=1, sort_keys=True)
    write_atomic(path(models_dir, model_id), text.encode())

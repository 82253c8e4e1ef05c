"""What was accepted of a model, kept beside it: models_dir/seen/<model id>.json.

A record flows in and out; it holds the revision a model was resolved to, the files that were
taken, and their hashes. It is how a hash that nobody published is trusted on first use and
refused when it changes. This module must not know the hub or what a right hash would be.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from f5serve.models import documents
from f5serve.models.disk import write_atomic
from f5serve.models.registry import ROLES, Role

_log = logging.getLogger(__name__)


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
        return _seen(documents.load(documents.read_file(path(models_dir, model_id))))
    except FileNotFoundError:
        return Seen()
    except (OSError, documents.Unreadable) as error:
        _log.warning("the record %s is not used: %s", path(models_dir, model_id), error)
        return Seen()


def _seen(value: Mapping[str, Any]) -> Seen:
    revision, files = value.get("revision"), documents.part(value, "files")
    if revision is not None and not documents.is_revision(documents.text(value, "revision")):
        raise documents.Unreadable("revision")
    return Seen(revision, {name: _file(name, documents.part(files, name)) for name in files})


def _file(name: str, entry: Mapping[str, Any]) -> SeenFile:
    role = documents.text(entry, "role")
    if role not in ROLES or not documents.is_inside(name):
        raise documents.Unreadable(name[:80])
    return SeenFile(
        cast(Role, role),
        documents.sha256(entry, "sha256"),
        documents.whole(entry, "size"),
        documents.whole(entry, "mtime_ns", 1 << 63),
    )


def write(models_dir: Path, model_id: str, seen: Seen) -> None:
    """Replace the record of a model."""
    text = json.dumps(asdict(seen), indent=1, sort_keys=True)
    write_atomic(path(models_dir, model_id), text.encode())

"""The record of hashes that were accepted on first use.

models_dir/seen/<model id>.json holds the revision a model was resolved to and the hashes of the
files that were accepted. A hash that nobody published is so trusted on first use, and refused when
it changes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from f5serve.models.disk import write_atomic
from f5serve.models.manifest import (
    int_field,
    is_inside,
    is_revision,
    load_object,
    object_field,
    read_document,
    sha256_field,
    text_field,
)
from f5serve.models.registry import ROLES, ModelFile, Role
from f5serve.store.json_documents import InvalidDocument

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KnownFile:
    """One accepted file; a file of the same size and mtime_ns need not be hashed again."""

    role: Role
    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class KnownHashes:
    """The accepted files of a model by their path in the repository, at one revision."""

    revision: str | None = None
    files: dict[str, KnownFile] = field(default_factory=dict)

    def matches_stat(self, path: str, on_disk: Path) -> bool:
        """Whether the file on disk is, by size and time, the one that was hashed."""
        entry = self.files.get(path)
        if entry is None:
            return False
        stat = on_disk.stat()
        return (entry.size, entry.mtime_ns) == (stat.st_size, stat.st_mtime_ns)

    def expected(self, file: ModelFile) -> str | None:
        """The sha256 a file must have: as published, else as accepted on first use, else None."""
        entry = self.files.get(file.path)
        return file.sha256 or (entry.sha256 if entry else None)

    def mismatch(self, file: ModelFile, sha256: str) -> str | None:
        """Why a file of that hash is refused, or None when it is not."""
        wanted = self.expected(file)
        if wanted is None or wanted == sha256:
            return None
        source = "is published" if file.sha256 else "was accepted at first"
        return f"{wanted} {source}, {sha256} was found"


def record_path(models_dir: Path, model_id: str) -> Path:
    """Where the record of a model is."""
    return models_dir / "seen" / f"{model_id}.json"


def read_record(models_dir: Path, model_id: str) -> KnownHashes:
    """The record of a model; empty when there is none or it cannot be read as one."""
    path = record_path(models_dir, model_id)
    try:
        return _known_hashes(load_object(read_document(path)))
    except FileNotFoundError:
        return KnownHashes()
    except (OSError, InvalidDocument) as error:
        _log.warning("the record %s is not used: %s", path, error)
        return KnownHashes()


def write_record(models_dir: Path, model_id: str, known: KnownHashes) -> None:
    """Replace the record of a model.

    Raises:
        StorageFailed: NO_SPACE or NOT_WRITABLE.
    """
    text = json.dumps(asdict(known), indent=1, sort_keys=True)
    write_atomic(record_path(models_dir, model_id), text.encode())


def record_file(models_dir: Path, model_id: str, file: ModelFile, path: Path, sha256: str) -> None:
    """Add a file on disk to the record of a model.

    Raises:
        StorageFailed: as `write_record`.
    """
    stat = path.stat()
    entry = KnownFile(file.role, sha256, stat.st_size, stat.st_mtime_ns)
    known = read_record(models_dir, model_id)
    write_record(models_dir, model_id, replace(known, files={**known.files, file.path: entry}))


def _known_hashes(value: Mapping[str, Any]) -> KnownHashes:
    revision, files = value.get("revision"), object_field(value, "files")
    if revision is not None and not is_revision(text_field(value, "revision")):
        raise InvalidDocument("revision")
    return KnownHashes(
        revision, {name: _known_file(name, object_field(files, name)) for name in files}
    )


def _known_file(name: str, entry: Mapping[str, Any]) -> KnownFile:
    role = text_field(entry, "role")
    if role not in ROLES or not is_inside(name):
        raise InvalidDocument(name[:80])
    return KnownFile(
        cast(Role, role),
        sha256_field(entry, "sha256"),
        int_field(entry, "size"),
        int_field(entry, "mtime_ns", 1 << 63),
    )

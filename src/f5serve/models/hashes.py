"""Hashes of model files: computing them, and the record of those accepted on first use.

models_dir/seen/<model id>.json holds the revision a model was resolved to and the hashes of the
files that were accepted. A hash that nobody published is so trusted on first use, and refused when
it changes.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from f5serve.models import json_fields as fields
from f5serve.models.disk import write_atomic
from f5serve.models.registry import ROLES, ModelFile, Role

_log = logging.getLogger(__name__)

_BLOCK = 4 << 20


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of one file has been transferred or hashed.

    Attributes:
        path: in its repository.
        phase: "download", "upload" or "verify".
        done: bytes so far, those of an earlier attempt included.
        total: bytes in all, or None when not known.
    """

    path: str
    phase: Literal["download", "upload", "verify"]
    done: int
    total: int | None


OnProgress = Callable[[Progress], None]


def no_progress(_: Progress) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Hashes of one content, lower-case hex: its sha256, and its git blob id or ""."""

    sha256: str
    git: str = ""

    def matches(self, name: str) -> bool:
        """Whether `name` may be one of them; a name of neither length proves nothing."""
        own = {64: self.sha256, 40: self.git}.get(len(name), "")
        return not own or name.lower() == own


def digest(
    file: Path, path: str = "", on_progress: OnProgress = no_progress, *, git: bool = False
) -> Digest:
    """Hash a file as it lies on disk.

    Args:
        path: what progress calls it.
        git: whether to compute the git blob id, too.

    Raises:
        OSError: it cannot be read.
    """
    hashed = hashlib.sha256()
    size = file.stat().st_size
    blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    done = 0
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hashed.update(block)
            if git:
                blob.update(block)
            done += len(block)
            on_progress(Progress(path, "verify", done, size))
    return Digest(hashed.hexdigest(), blob.hexdigest() if git else "")


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
        return _known_hashes(fields.load(fields.read_file(path)))
    except FileNotFoundError:
        return KnownHashes()
    except (OSError, fields.InvalidDocument) as error:
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
    revision, files = value.get("revision"), fields.part(value, "files")
    if revision is not None and not fields.is_revision(fields.text(value, "revision")):
        raise fields.InvalidDocument("revision")
    return KnownHashes(
        revision, {name: _known_file(name, fields.part(files, name)) for name in files}
    )


def _known_file(name: str, entry: Mapping[str, Any]) -> KnownFile:
    role = fields.text(entry, "role")
    if role not in ROLES or not fields.is_inside(name):
        raise fields.InvalidDocument(name[:80])
    return KnownFile(
        cast(Role, role),
        fields.sha256(entry, "sha256"),
        fields.whole(entry, "size"),
        fields.whole(entry, "mtime_ns", 1 << 63),
    )

"""Models that came from the store, as they lie on a disk.

    <folder>/synced/<model id>/<first 16 of the manifest's hash>/<files>, manifest.json
    <folder>/synced/<model id>/current.json      which of them counts; overwritten, always last
    <folder>/synced/<model id>/quarantine/       files that were found to be changed

A folder and a model id flow in, the complete version that counts flows out. manifest.json is
written when the files around it are whole, so a version without it is still on its way, and what
is complete is never changed. This module must not know stores.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from f5serve.errors import F5Error
from f5serve.models import manifest as documents
from f5serve.models.disk import write_atomic
from f5serve.models.documents import read_file
from f5serve.models.hashes import OnProgress, digest, quiet
from f5serve.models.manifest import MANIFEST_NAME, Manifest, StoredFile
from f5serve.models.quarantine import put_aside

_log = logging.getLogger(__name__)

SYNCED_FOLDER = "synced"
_POINTER_NAME = "current.json"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model on a disk."""

    manifest: Manifest
    folder: Path

    def path(self, file: StoredFile) -> Path:
        """Where a file of it is, or is going to be."""
        return self.folder / file.path


def model_folder(folder: Path, model_id: str) -> Path:
    """Where all versions of a model lie."""
    return folder / SYNCED_FOLDER / documents.check_model_id(model_id)


def place(folder: Path, manifest: Manifest) -> Version:
    """Where a version belongs, whether it is there or not."""
    return Version(manifest, model_folder(folder, manifest.about.model) / manifest.sha256[:16])


def complete(folder: Path, model_id: str) -> Version | None:
    """The version that counts; None unless all of its files are there, by their sizes.

    Reads two small files and hashes none of the others, so it may be asked at every start.
    """
    home = model_folder(folder, model_id)
    try:
        sha256 = documents.read_pointer(read_file(home / _POINTER_NAME), model_id)
        if sha256 is None:
            return None
        data = read_file(home / sha256[:16] / MANIFEST_NAME)
        manifest = documents.read(data, model_id)
    except (OSError, F5Error):
        return None
    if manifest is None or hashlib.sha256(data).hexdigest() != sha256:
        return None
    version = Version(manifest, home / sha256[:16])
    return version if all(_has_size(version, file) for file in manifest.files) else None


def mark_complete(version: Version) -> None:
    """Let `complete` find a version, whose files are all there and were all hashed.

    Raises:
        StorageFailed: NO_SPACE or NOT_WRITABLE.
    """
    pointer = documents.write_pointer(version.manifest.sha256)
    write_atomic(version.folder / MANIFEST_NAME, version.manifest.data)
    write_atomic(version.folder.parent / _POINTER_NAME, pointer)


def is_intact(version: Version, file: StoredFile, on_progress: OnProgress = quiet) -> bool:
    """Whether a file is there and has the size and hash it should have."""
    return _state(version, file, on_progress) == "intact"


def _state(
    version: Version, file: StoredFile, on_progress: OnProgress
) -> Literal["intact", "changed", "unreadable"]:
    try:
        if not _has_size(version, file):
            return "changed"
        found = digest(version.path(file), file.path, on_progress)
    except OSError as error:
        _log.warning("%s cannot be read and is not used: %s", version.path(file), error)
        return "unreadable"
    return "intact" if found.sha256 == file.sha256 else "changed"


def verify(folder: Path, model_id: str, on_progress: OnProgress = quiet) -> Version | None:
    """The version that counts, after hashing all of it; None when there is none or it is damaged.

    A file that was changed is put aside, so that nobody meets it again and `sync` fetches it anew.
    One that this process cannot read stays where it is; others may.
    """
    version = complete(folder, model_id)
    if version is None:
        return None
    states = {file: _state(version, file, on_progress) for file in version.manifest.files}
    for file, state in states.items():
        if state == "changed":
            _put_aside(version, file, folder)
    return version if set(states.values()) == {"intact"} else None


def remove_others(version: Version) -> None:
    """Remove all other versions of the model and what was put aside, to make room.

    A process that has mapped one keeps it until it ends; one that is about to open it fails.
    """
    for other in version.folder.parent.iterdir():
        if other.is_dir() and other != version.folder:
            shutil.rmtree(other, ignore_errors=True)


def _has_size(version: Version, file: StoredFile) -> bool:
    path = version.path(file)
    return path.is_file() and path.stat().st_size == file.size


def _put_aside(version: Version, file: StoredFile, folder: Path) -> None:
    """Rename a changed file, for whoever wants to know what happened to it."""
    with contextlib.suppress(OSError):  # gone meanwhile, or a disk that only fails
        inside = version.folder.resolve(strict=True).is_relative_to(folder.resolve(strict=True))
        if inside:
            (version.folder / MANIFEST_NAME).unlink(missing_ok=True)
    aside = version.folder.parent / "quarantine" / f"{version.folder.name}-{file.path}"
    put_aside(version.path(file), folder, aside)

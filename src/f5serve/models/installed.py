"""Models installed on a disk: one folder for each version, with its manifest.

    <models folder>/installed/<model id>/<first 16 of the manifest's hash>/  manifest.json, files
    <models folder>/installed/<model id>/current.json   which version is in use; written last
    <models folder>/installed/<model id>/incoming/      files of a download, and parts of them
    <models folder>/installed/<model id>/quarantine/    files that were found damaged

Every file was hashed before it got its name and is never changed. A version is complete when each
file of its manifest has its size there. Versions share files by hard links. Nothing outside this
folder is written, renamed or removed: all other layouts are only read (`other_layouts`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from f5serve.errors import F5Error
from f5serve.models import manifest as manifests
from f5serve.models.disk import cannot_write, copy_file, digest, unreadable, write_atomic
from f5serve.models.manifest import (
    ARTIFACT_API,
    MANIFEST_NAME,
    MODEL_ROLES,
    NO_ROLES,
    Description,
    Manifest,
    StoredFile,
)
from f5serve.models.registry import Role
from f5serve.store.atomic import temporary_path

_log = logging.getLogger(__name__)

INSTALLED_FOLDER = "installed"
INCOMING_FOLDER = "incoming"

_POINTER_NAME = "current.json"
_ROLE_ORDER: tuple[Role, ...] = ("weights", "vocab", "vocoder", "config")
_VERSION = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Everything an engine needs to speak with one model, as paths that exist.

    Attributes:
        model: its id.
        arch: engine preset.
        weights: published checkpoint (.safetensors or .pt) or converted artifact (.safetensors).
        vocoder: Vocos, pytorch_model.bin or its safetensors form.
        revision: commit the files come from; "" when it is not known.
    """

    model: str
    arch: str
    weights: Path
    vocab: Path
    vocoder: Path
    license: str
    commercial: bool
    revision: str


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """One version of a model, installed or being installed."""

    manifest: Manifest
    folder: Path

    @classmethod
    def of(cls, manifest: Manifest, models_dir: Path) -> Self:
        """The version of a manifest at its place in a models folder, present or not."""
        return cls(manifest, home_of(manifest.about.model, models_dir) / manifest.sha256[:16])

    def path(self, file: StoredFile) -> Path:
        """Where a file of it is, or is going to be."""
        return self.folder / file.path

    def has(self, file: StoredFile) -> bool:
        """Whether a file of it is there in the right size."""
        path = self.path(file)
        return path.is_file() and path.stat().st_size == file.size

    @property
    def is_complete(self) -> bool:
        """Whether every file is there in the right size."""
        return all(self.has(file) for file in self.manifest.files)

    @property
    def is_converted(self) -> bool:
        """Whether `f5serve models convert` made its weights."""
        return self.manifest.about.model_api == ARTIFACT_API

    @property
    def paths(self) -> dict[Role, Path]:
        """Its files by role."""
        return {file.role: self.path(file) for file in self.manifest.files}

    @property
    def files(self) -> ModelFiles:
        """Its files, as an engine takes them."""
        return model_files(self.manifest.about, self.paths)


def model_files(about: Description, paths: Mapping[Role, Path]) -> ModelFiles:
    """The files at `paths` as those of the model that `about` describes."""
    return ModelFiles(
        model=about.model,
        arch=about.arch,
        weights=paths["weights"],
        vocab=paths["vocab"],
        vocoder=paths["vocoder"],
        license=about.license,
        commercial=about.commercial,
        revision=about.revision,
    )


def home_of(model_id: str, models_dir: Path, parent: str = INSTALLED_FOLDER) -> Path:
    """The folder of all versions of a model.

    Raises:
        InvalidRequest: BAD_MODEL_ID.
    """
    return models_dir / parent / manifests.check_model_id(model_id)


def find_installed(
    model_id: str, models_dir: Path, parent: str = INSTALLED_FOLDER
) -> InstalledModel | None:
    """The version in use; None unless all files of a whole model have the right size.

    Args:
        parent: folder of the layout; an older one differs in its name alone.

    Raises:
        InvalidRequest: BAD_MODEL_ID.
    """
    home = home_of(model_id, models_dir, parent)
    try:
        sha256 = manifests.read_pointer(manifests.read_document(home / _POINTER_NAME), model_id)
    except (OSError, F5Error):
        return None
    version = read_version(home / sha256[:16]) if sha256 else None
    if version is None or version.manifest.sha256 != sha256 or not version.is_complete:
        return None
    return version if version.paths.keys() >= MODEL_ROLES else None


def read_version(folder: Path) -> InstalledModel | None:
    """The version whose manifest is in a folder, complete or not; None if there is none."""
    try:
        data = manifests.read_document(folder / MANIFEST_NAME)
        manifest = manifests.read(data, folder.parent.name, NO_ROLES)
    except (OSError, F5Error):
        return None
    if manifest is None or manifest.sha256[:16] != folder.name:
        return None
    return InstalledModel(manifest, folder)


def versions(model_id: str, models_dir: Path) -> list[InstalledModel]:
    """All versions of a model that have a manifest, complete or not; the newest first."""
    found = []
    with contextlib.suppress(OSError):
        for folder in home_of(model_id, models_dir).iterdir():
            if is_version(folder) and (version := read_version(folder)):
                found.append((-(folder / MANIFEST_NAME).stat().st_mtime_ns, version))
    return [version for _, version in sorted(found, key=lambda one: one[0])]


def installed_ids(models_dir: Path) -> list[str]:
    """Ids of what has a folder in the layout."""
    with contextlib.suppress(OSError):
        return sorted(path.name for path in (models_dir / INSTALLED_FOLDER).iterdir())
    return []


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine that is to become part of a model.

    Attributes:
        path: where it is; it must not be written to meanwhile.
        sha256: its hash, or the one it must have; None where that is not known.
    """

    role: Role
    path: Path
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Its name in a version."""
        return f"{self.role}{self.path.suffix}"


def install(
    about: Description,
    files: Sequence[LocalFile],
    models_dir: Path,
    *,
    make_current: bool = True,
) -> InstalledModel:
    """Make files a version of a model.

    Args:
        files: hashed by the caller where they have a hash. Those in the model's own folder that
            belong to no version are moved; others are linked where the disk allows that, else
            copied.
        make_current: whether the version is in use from now on.

    Raises:
        StorageFailed: NO_SPACE, NOT_WRITABLE or NOT_READABLE.
        ModelUnavailable: HASH_MISMATCH for a file that changes meanwhile.
    """
    files = sorted(files, key=lambda file: _ROLE_ORDER.index(file.role))
    stored = tuple(map(_stored, files))
    manifest = manifests.write(about, stored)
    version = InstalledModel.of(manifest, models_dir)
    try:
        version.folder.mkdir(parents=True, exist_ok=True)
        for file, source in zip(stored, (new.path for new in files), strict=True):
            to = version.path(file)
            if source.is_relative_to(version.folder.parent) and not is_version(source.parent):
                try:
                    source.replace(to)
                except FileNotFoundError:  # another process has installed the same
                    if not version.has(file):
                        raise
            elif source != to:
                link(source, to, file.sha256, models_dir)
    except OSError as error:
        raise cannot_write(version.folder, manifest.size, error) from None
    mark_installed(version, make_current=make_current)
    return version


def _stored(new: LocalFile) -> StoredFile:
    path = new.path
    try:
        sha256 = new.sha256 or digest(path).sha256
        return StoredFile(new.role, new.name, path.stat().st_size, sha256)
    except OSError as error:
        raise unreadable(path, error) from None


def is_version(folder: Path) -> bool:
    """Whether a folder has the name of a version."""
    return _VERSION.fullmatch(folder.name) is not None


def link(source: Path, to: Path, sha256: str, models_dir: Path) -> None:
    """Link to a file of a version, else copy: other programs may change theirs in place.

    Raises:
        ModelUnavailable, StorageFailed: as `copy_file`.
    """
    real = source.resolve()
    if real.is_relative_to((models_dir / INSTALLED_FOLDER).resolve()):
        fresh = temporary_path(to.parent)
        with contextlib.suppress(OSError):  # some network volumes have no links
            os.link(real, fresh)
            fresh.replace(to)
            fresh.unlink(missing_ok=True)  # where both were one file already
            return
    copy_file(source, to, sha256)


def mark_installed(version: InstalledModel, *, make_current: bool = True) -> None:
    """Write the manifest of a version whose files were all hashed, and the pointer to it.

    Raises:
        StorageFailed: NO_SPACE or NOT_WRITABLE.
    """
    write_atomic(version.folder / MANIFEST_NAME, version.manifest.data)
    if make_current:
        pointer = manifests.write_pointer(version.manifest.sha256)
        write_atomic(version.folder.parent / _POINTER_NAME, pointer)


def remove_other_versions(version: InstalledModel) -> None:
    """Remove all other versions of the model, and its quarantine, to make room."""
    for other in version.folder.parent.iterdir():
        if other.is_dir() and other != version.folder:
            shutil.rmtree(other, ignore_errors=True)


def remove_version(version: InstalledModel) -> None:
    """Remove a version.

    A process that has mapped it keeps it until it ends; one that is about to open it fails.
    """
    shutil.rmtree(version.folder, ignore_errors=True)

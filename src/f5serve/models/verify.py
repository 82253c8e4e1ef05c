"""Checks the files of local models against the hashes that were published, or accepted at first."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from f5serve.models.cleanup import quarantine
from f5serve.models.disk import OnProgress, digest, no_progress, unreadable
from f5serve.models.hashes import read_record, record_file, record_path
from f5serve.models.local import (
    ARTIFACTS_FOLDER,
    HUB_FOLDER,
    SYNCED_FOLDER,
    InstalledModel,
    ModelFiles,
    artifact_path,
    find_artifact,
    find_installed,
    find_published,
    find_snapshot,
    named_files,
    repo_folder,
)
from f5serve.models.manifest import MANIFEST_NAME
from f5serve.models.registry import PUBLISHED, ModelFile, ModelSpec, Registry

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileCheck:
    """The verdict on one file.

    Attributes:
        path: where it is, or should be.
        state: ok; changed; missing; or recorded: no hash was known, this one is from now on.
        expected: sha256, or None when none was known.
        actual: sha256, or None when the file is missing.
    """

    path: Path
    state: Literal["ok", "changed", "missing", "recorded"]
    expected: str | None
    actual: str | None


def verify(
    model_id: str,
    models_dir: Path,
    on_progress: OnProgress = no_progress,
    registry: Registry = PUBLISHED,
) -> list[FileCheck]:
    """Hash the files of a model in all its forms, and of its vocoder; quarantines nothing.

    Where it was synced and is there in no other form, missing files of other forms are no news.

    Raises:
        ModelUnavailable: code UNKNOWN_MODEL.
        StorageFailed: NOT_READABLE; NO_SPACE or NOT_WRITABLE when a hash cannot be recorded.
    """
    spec = registry.get(model_id)
    checks = []
    if installed := find_installed(spec.id, models_dir):
        for stored in installed.manifest.files:
            path = installed.path(stored)
            actual = _sha256(path, stored.path, on_progress)
            state: Literal["ok", "changed"] = "ok" if actual == stored.sha256 else "changed"
            checks.append(FileCheck(path, state, stored.sha256, actual))
        here = find_artifact(spec.id, models_dir, registry=registry)
        if not here and not find_published(spec.id, models_dir, registry=registry):
            return checks
    for one in (spec,) if spec is registry.vocoder else (spec, registry.vocoder):
        for file, path in _located(one, models_dir):
            checks.append(_check(models_dir, one.id, file, path, on_progress))
    artifact = artifact_path(models_dir, spec.id)
    if artifact.is_file():
        file = ModelFile("weights", artifact.name)
        checks.append(_check(models_dir, artifact_id(spec.id), file, artifact, on_progress))
    return checks


def _located(spec: ModelSpec, models_dir: Path) -> Iterator[tuple[ModelFile, Path]]:
    """Each file of a model with where it is, or should be."""
    known = read_record(models_dir, spec.id)
    files = named_files(spec, known)
    if not files:
        files = ModelFile("weights", "(checkpoint)"), ModelFile("vocab", "vocab.txt")
    # Without their sizes, so that a file that was cut is found to be changed, not to be missing.
    of_any_size = replace(spec, files=tuple(replace(file, size=None) for file in files))
    for file in files:
        found = find_snapshot(of_any_size, (file.role,), models_dir)
        folder = repo_folder(models_dir / HUB_FOLDER, file.repo or spec.repo) / "snapshots"
        commit = file.revision or spec.revision or known.revision or "main"
        yield file, found.paths[file.role] if found else folder / commit / file.path


def _check(
    models_dir: Path, record_id: str, file: ModelFile, path: Path, on_progress: OnProgress
) -> FileCheck:
    expected = read_record(models_dir, record_id).expected(file)
    if not path.is_file():
        return FileCheck(path, "missing", expected, None)
    actual = _sha256(path, file.path, on_progress)
    if expected is not None:
        return FileCheck(path, "ok" if actual == expected else "changed", expected, actual)
    record_file(models_dir, record_id, file, path, actual)
    return FileCheck(path, "recorded", None, actual)


def _sha256(path: Path, name: str, on_progress: OnProgress) -> str:
    try:
        return digest(path, name, on_progress).sha256
    except OSError as error:
        raise unreadable(path, error) from None


def artifact_id(model_id: str) -> str:
    """Under which name the artifact of a model is recorded."""
    return f"{model_id}.artifact"


def record_artifact(models_dir: Path, model_id: str, path: Path | None = None) -> None:
    """Expect an artifact of a model, by default the one in use, to stay as it is now."""
    path = path or artifact_path(models_dir, model_id)
    file = ModelFile("weights", path.name)
    record_file(models_dir, artifact_id(model_id), file, path, digest(path).sha256)


def known_hashes(
    files: ModelFiles, models_dir: Path, registry: Registry = PUBLISHED
) -> dict[Path, str | None]:
    """The sha256 that each file of a local model must have; None where none is known."""
    installed = find_installed(files.model, models_dir)
    if installed and files.weights.is_relative_to(installed.folder):
        return {installed.path(file): file.sha256 for file in installed.manifest.files}
    spec, vocoder = registry.get(files.model), registry.vocoder
    return {
        files.weights: expected_hash(spec, files.weights, models_dir),
        files.vocab: expected_hash(spec, files.vocab, models_dir),
        files.vocoder: expected_hash(vocoder, files.vocoder, models_dir),
    }


def expected_hash(spec: ModelSpec, path: Path, models_dir: Path) -> str | None:
    """The sha256 that is known of a file by its name in its repository or record, or None."""
    record_id = spec.id
    if path.parent == models_dir / ARTIFACTS_FOLDER:
        record_id, spec = artifact_id(spec.id), replace(spec, files=())
    known = read_record(models_dir, record_id)
    named = (file for file in named_files(spec, known) if Path(file.path).name == path.name)
    return next(map(known.expected, named), None)


def find_damage(
    files: ModelFiles,
    models_dir: Path,
    on_progress: OnProgress = no_progress,
    registry: Registry = PUBLISHED,
) -> list[str]:
    """What is wrong with a local model, each in a few words; empty when every known hash is right.

    A damaged file inside `models_dir` is quarantined, and so is absent next time. One that this
    process cannot read stays: others may.
    """
    is_synced = files.weights.is_relative_to(models_dir / SYNCED_FOLDER)
    installed = find_installed(files.model, models_dir) if is_synced else None
    if is_synced and (installed is None or installed.files != files):
        return [f"{files.weights.parent.name} was just replaced"]
    problems = []
    for path, expected in known_hashes(files, models_dir, registry).items():
        try:
            is_right = not expected or digest(path, path.name, on_progress).sha256 == expected
        except OSError as error:
            _log.warning("%s cannot be read and is not used: %s", path, error)
            problems.append(f"{path.name} cannot be read: {error.strerror or error}")
            continue
        if not is_right:
            problems.append(f"{path.name} is damaged")
            _quarantine(path, models_dir, installed)
    return problems


def _quarantine(path: Path, models_dir: Path, installed: InstalledModel | None) -> None:
    if installed is not None:
        folder = installed.folder
        with contextlib.suppress(OSError):  # gone meanwhile, or a disk that only fails
            if folder.resolve(strict=True).is_relative_to(models_dir.resolve(strict=True)):
                (folder / MANIFEST_NAME).unlink(missing_ok=True)  # so it counts as incomplete
        quarantine(path, models_dir, folder.parent / "quarantine" / f"{folder.name}-{path.name}")
    elif path.is_relative_to(models_dir) and quarantine(path, models_dir):
        model_id = path.stem
        if path == artifact_path(models_dir, model_id):
            record = record_path(models_dir, artifact_id(model_id))
            _log.warning("to use it all the same: rename it to %s and remove %s", path, record)

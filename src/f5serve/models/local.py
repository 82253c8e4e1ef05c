"""Finds and verifies models on a local disk.

Finding a model reads names, sizes and small documents within milliseconds; it hashes nothing and
asks no network. What was converted goes before what was published, and what is `installed` before
the same thing in another layout.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from f5serve.errors import F5Error, ModelUnavailable
from f5serve.models.cleanup import quarantine
from f5serve.models.disk import OnProgress, digest, no_progress, unreadable
from f5serve.models.installed import (
    INSTALLED_FOLDER,
    ModelFiles,
    find_installed,
    installed_ids,
    model_files,
    read_version,
    versions,
)
from f5serve.models.manifest import MODEL_ROLES, PUBLISHED_API, Description
from f5serve.models.other_layouts import (
    OLD_SYNCED_FOLDER,
    find_old_artifact,
    find_snapshots,
    hash_by_name,
    is_old_artifact,
    old_hash,
    vocoder_snapshots,
)
from f5serve.models.registry import PUBLISHED, ModelSpec, Registry, Role

_log = logging.getLogger(__name__)


def find(model_id: str, models_dir: Path, registry: Registry = PUBLISHED) -> ModelFiles | None:
    """The model on local disk, None if absent.

    Raises:
        ModelUnavailable: code UNKNOWN_MODEL.
    """
    return next(candidates(model_id, models_dir, registry), None)


def candidates(
    model_id: str, models_dir: Path, registry: Registry = PUBLISHED
) -> Iterator[ModelFiles]:
    """The model on local disk, wherever it is, best first; errors as `find`."""
    installed = find_installed(model_id, models_dir)
    if installed and installed.is_converted:
        yield installed.files
    spec = registry.get(model_id)
    paths = find_old_artifact(spec, models_dir)
    if paths and "vocoder" not in paths and (vocoder := find_vocoder(models_dir, registry)):
        paths["vocoder"] = vocoder
    if paths.keys() >= MODEL_ROLES:
        yield model_files(describe(spec), paths)
    if old := find_installed(model_id, models_dir, OLD_SYNCED_FOLDER):
        yield old.files
    if installed and not installed.is_converted:
        yield installed.files
    yield from published(model_id, models_dir, registry)


def find_published(
    model_id: str, models_dir: Path, registry: Registry = PUBLISHED
) -> ModelFiles | None:
    """The model as published, with its vocabulary and vocoder; None unless all are there."""
    return next(published(model_id, models_dir, registry), None)


def get_published(model_id: str, models_dir: Path, registry: Registry = PUBLISHED) -> ModelFiles:
    """As `find_published`.

    Raises:
        ModelUnavailable: UNKNOWN_MODEL; MODEL_NOT_PULLED when it is absent.
    """
    found = find_published(model_id, models_dir, registry)
    if found is None:
        raise ModelUnavailable(
            f"{model_id} is not on this machine as it was published.",
            code="MODEL_NOT_PULLED",
            hint=f"Run: f5serve models pull {model_id}",
        )
    return found


def published(
    model_id: str, models_dir: Path, registry: Registry = PUBLISHED
) -> Iterator[ModelFiles]:
    """The model as published, wherever it is on this machine, best first."""
    spec = registry.get(model_id)
    for version in versions(spec.id, models_dir):
        if not version.is_converted and version.paths.keys() >= MODEL_ROLES and version.is_complete:
            yield version.files
    vocoder = find_vocoder(models_dir, registry)
    for snapshot in find_snapshots(spec, ("weights", "vocab"), models_dir) if vocoder else ():
        paths: dict[Role, Path] = {**snapshot.paths, "vocoder": vocoder} if vocoder else {}
        yield model_files(describe(spec, snapshot.revision), paths)


def find_vocoder(models_dir: Path, registry: Registry = PUBLISHED) -> Path | None:
    """The vocoder of any model that is installed, else one in a Hugging Face cache."""
    return next(vocoders(models_dir, registry), None)


def vocoders(models_dir: Path, registry: Registry = PUBLISHED) -> Iterator[Path]:
    """Vocoders on this machine, best first."""
    for model_id in (registry.vocoder.id, *installed_ids(models_dir)):
        try:
            found = versions(model_id, models_dir)
        except F5Error:  # a folder of another name
            continue
        for version in found:
            path = version.paths["vocoder"]
            if path.is_file():
                yield path
    yield from vocoder_snapshots(registry, models_dir)


def describe(spec: ModelSpec, revision: str = "", model_api: str = PUBLISHED_API) -> Description:
    """What the registry knows of a model, for its manifest."""
    return Description(
        model=spec.id,
        model_api=model_api,
        arch=spec.arch,
        license=spec.license,
        commercial=spec.commercial,
        repo=spec.repo,
        revision=revision or spec.revision or "",
    )


def is_converted(files: ModelFiles, models_dir: Path) -> bool:
    """Whether these are converted weights, as far as their place tells."""
    version = read_version(files.weights.parent)
    if version is not None:
        return version.is_converted or files.weights.parents[2].name == OLD_SYNCED_FOLDER
    return is_old_artifact(files.weights, models_dir)


def known_hashes(
    files: ModelFiles, models_dir: Path, registry: Registry = PUBLISHED
) -> dict[Path, str | None]:
    """The sha256 that each file of a local model must have; None where none is known."""
    version = read_version(files.weights.parent)
    if version is not None and version.files == files:
        return {version.path(file): file.sha256 for file in version.manifest.files}
    spec = registry.get(files.model)
    return {
        files.weights: expected_hash(spec, "weights", files.weights, models_dir),
        files.vocab: expected_hash(spec, "vocab", files.vocab, models_dir),
        files.vocoder: expected_hash(registry.vocoder, "vocoder", files.vocoder, models_dir),
    }


def expected_hash(spec: ModelSpec, role: Role, path: Path, models_dir: Path) -> str | None:
    """The sha256 a file must have: by its manifest, as published, by its name, or as recorded."""
    version = read_version(path.parent)
    for stored in version.manifest.files if version else ():
        if stored.path == path.name:
            return stored.sha256
    for file in spec.files:
        if file.role == role and file.sha256 and Path(file.path).name == path.name:
            return file.sha256
    return hash_by_name(path) or old_hash(spec, path, models_dir)


def find_damage(
    files: ModelFiles,
    models_dir: Path,
    on_progress: OnProgress = no_progress,
    registry: Registry = PUBLISHED,
) -> list[str]:
    """What is wrong with a local model, each in a few words; empty when every known hash is right.

    A damaged file of a version in `models_dir` is quarantined, and so is absent next time; files
    of other layouts stay as they are. One that this process cannot read stays: others may.
    """
    problems = []
    for path, expected in known_hashes(files, models_dir, registry).items():
        problem = problem_of(path, expected, on_progress)
        if problem:
            problems.append(problem)
        if problem.endswith("damaged"):
            quarantine(path, models_dir)
    return problems


def problem_of(path: Path, expected: str | None, on_progress: OnProgress = no_progress) -> str:
    """What is wrong with a file that should have this sha256, in a few words; "" for nothing."""
    try:
        if not expected or digest(path, path.name, on_progress).sha256 == expected:
            return ""
    except OSError as error:
        _log.warning("%s cannot be read and is not used: %s", path, error)
        return f"{path.name} cannot be read: {error.strerror or error}"
    return f"{path.name} is damaged"


@dataclass(frozen=True, slots=True)
class FileCheck:
    """The verdict on one file.

    Attributes:
        path: where it is, or should be.
        state: ok; changed; missing; or unknown: it is there, and no hash of it is known.
        expected: sha256, or None when none is known.
        actual: sha256, or None when the file is missing.
    """

    path: Path
    state: Literal["ok", "changed", "missing", "unknown"]
    expected: str | None
    actual: str | None


def verify(
    model_id: str,
    models_dir: Path,
    on_progress: OnProgress = no_progress,
    registry: Registry = PUBLISHED,
) -> list[FileCheck]:
    """Hash the files of a model in all its versions and layouts; quarantines nothing.

    Raises:
        ModelUnavailable: code UNKNOWN_MODEL.
        StorageFailed: NOT_READABLE.
    """
    spec = registry.get(model_id)
    expected: dict[Path, str | None] = {}
    for version in versions(spec.id, models_dir):
        expected |= {version.path(file): file.sha256 for file in version.manifest.files}
    for files in candidates(spec.id, models_dir, registry):
        expected |= known_hashes(files, models_dir, registry)
    parts: list[tuple[ModelSpec, Role]] = [(registry.vocoder, "vocoder")]
    if spec is not registry.vocoder:
        parts = [(spec, "weights"), (spec, "vocab"), *parts]
    for owner, role in parts if not expected else ():
        # of any size, so that a file that was cut is changed, and not missing
        found = next(find_snapshots(owner, (role,), models_dir, any_size=True), None)
        path = found.paths[role] if found else models_dir / INSTALLED_FOLDER / owner.id / role
        expected[path] = expected_hash(owner, role, path, models_dir)
    return [_check(path, sha256, on_progress) for path, sha256 in expected.items()]


def _check(path: Path, expected: str | None, on_progress: OnProgress) -> FileCheck:
    if not path.is_file():
        return FileCheck(path, "missing", expected, None)
    try:
        actual = digest(path, path.name, on_progress).sha256
    except OSError as error:
        raise unreadable(path, error) from None
    if expected is None:
        return FileCheck(path, "unknown", None, actual)
    return FileCheck(path, "ok" if actual == expected else "changed", expected, actual)

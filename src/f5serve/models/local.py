"""Finds and verifies models on a local disk, puts damaged files aside and removes leftovers.

Finding a model reads names, sizes and small documents within milliseconds; it hashes nothing and
asks no network. What was converted goes before what was published, and what is `installed` before
the same thing in another layout. Nothing outside the layout of `installed` is renamed or removed,
and no link out of it is followed.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from f5serve.errors import F5Error, ModelUnavailable
from f5serve.models.disk import OnProgress, digest, no_progress, unreadable
from f5serve.models.installed import (
    INCOMING_FOLDER,
    INSTALLED_FOLDER,
    ModelFiles,
    find_installed,
    installed_ids,
    is_version,
    model_files,
    read_version,
    versions,
)
from f5serve.models.manifest import MANIFEST_NAME, MODEL_ROLES, PUBLISHED_API, Description
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
from f5serve.store.atomic import remove_stale

_log = logging.getLogger(__name__)

HOUR_S = 3600.0
PART_S = 7 * 24 * HOUR_S
"""How long a part of a download is kept for the next attempt."""

_QUARANTINE_FOLDER = "quarantine"
_CONVERTED_PART = re.compile(r"\..+\.[0-9a-f]{32}\.partial")
_LEFTOVERS = (  # below the folder of a model, and after how many seconds without a write each goes
    (f"{INCOMING_FOLDER}/*", PART_S),
    (f"{INCOMING_FOLDER}-????????/*", HOUR_S),  # no later pull resumes it
    (".*.partial", 24 * HOUR_S),
)


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
            path = version.paths.get("vocoder")
            if path is not None and path.is_file():
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


def quarantine(path: Path, models_dir: Path) -> Path | None:
    """Move a damaged file of a version aside, so that its owner can look at it.

    A link is followed to the file that is meant. One outside the layout, by its real place,
    is not ours and stays as it is; then the link is moved.

    Returns:
        The new place; None where everything stays, as all of it is outside or cannot be moved.
    """
    try:
        ours = (models_dir / INSTALLED_FOLDER).resolve(strict=True)
        real = path.resolve(strict=True)
        if not real.is_relative_to(ours):
            real = path.parent.resolve(strict=True) / path.name
        if not real.is_relative_to(ours):
            _log.warning("%s is not what it was; it is outside %s and stays there", real, ours)
            return None
        home = real.parent.parent
        to = _free_name(home / _QUARANTINE_FOLDER / f"{real.parent.name}-{real.name}")
        try:
            real.rename(to)
        except OSError:
            to.unlink(missing_ok=True)
            raise
    except OSError as error:  # gone meanwhile, or a disk that only fails
        _log.warning("%s is not what it was and cannot be put aside: %s", path, error)
        return None
    _log.warning("%s is not what it was and is put aside as %s", path, to)
    return to


def _free_name(wanted: Path) -> Path:
    """That name, or the first free one with a number behind it; it is created at once."""
    wanted.parent.mkdir(exist_ok=True)
    for number in itertools.count(1):
        name = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        with contextlib.suppress(FileExistsError):
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            return name
    raise AssertionError("unreachable")


def quarantined(models_dir: Path) -> list[Path]:
    """All quarantined files of a models folder."""
    with contextlib.suppress(OSError):  # a folder that may not be read
        return sorted(models_dir.glob(f"{INSTALLED_FOLDER}/*/{_QUARANTINE_FOLDER}/*"))
    return []


def remove_leftovers(models_dir: Path) -> int:
    """Remove what killed processes left in the layout; returns how many files and folders.

    Removed is only what bears a name that f5serve gives to unfinished files, and that nothing has
    written to for long. No link is followed.
    """
    removed = 0
    with contextlib.suppress(OSError):  # a folder that may not be read, or vanishes meanwhile
        for home in _homes(models_dir):
            for pattern, max_age_s in _LEFTOVERS:
                removed += sum(_remove_file(path, home, max_age_s) for path in home.glob(pattern))
            for folder in home.iterdir():
                if is_version(folder) and not (folder / MANIFEST_NAME).exists():
                    removed += _remove_version(folder)
    if removed:
        _log.info("%d things that were left half done are removed from %s", removed, models_dir)
    return removed


def _homes(models_dir: Path) -> Iterator[Path]:
    """The folders of all models, without those that are links or are behind one."""
    parent = models_dir / INSTALLED_FOLDER
    if not models_dir.is_symlink() and not parent.is_symlink() and parent.is_dir():
        yield from (home for home in parent.iterdir() if home.is_dir() and not home.is_symlink())


def _remove_version(version: Path) -> bool:
    if version.is_symlink() or not version.is_dir():
        return False
    remove_stale(version)
    if any(not _is_older(path, PART_S) for path in (version, *version.iterdir())):
        return False
    shutil.rmtree(version, ignore_errors=True)
    return not version.exists()


def _remove_file(path: Path, home: Path, max_age_s: float) -> bool:
    if path.suffix == ".partial" and not _CONVERTED_PART.fullmatch(path.name):
        return False
    if path.parent != home and path.parent.is_symlink():
        return False
    with contextlib.suppress(OSError):  # gone meanwhile, or not ours to remove
        if _is_older(path, max_age_s) and (path.is_symlink() or path.is_file()):
            path.unlink()
            return True
    return False


def _is_older(path: Path, seconds: float) -> bool:
    return time.time() - path.lstat().st_mtime > seconds

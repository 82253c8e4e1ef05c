"""Whether files are the ones that were published, or else the ones that were accepted at first.

Files, records and hashes flow in; a verdict on each flows out. A hash that nobody published is
recorded when the file is first seen and expected from then on (trust on first use). This module
must not know the hub.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from f5serve.errors import ModelUnavailable
from f5serve.models import records
from f5serve.models.disk import unreadable
from f5serve.models.find import (
    HUB_FOLDER,
    ModelFiles,
    artifact_path,
    hub_caches,
    locate,
    repo_folder,
)
from f5serve.models.hashes import Digest, OnProgress, digest, quiet
from f5serve.models.records import Seen, SeenFile
from f5serve.models.registry import PUBLISHED, ModelFile, ModelSpec, Registry


@dataclass(frozen=True, slots=True)
class FileCheck:
    """The verdict on one file.

    Attributes:
        path: where it lies, or would lie.
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
    on_progress: OnProgress = quiet,
    registry: Registry = PUBLISHED,
) -> list[FileCheck]:
    """Hash the files of a model, of its vocoder and, if there is one, of its artifact.

    Raises:
        ModelUnavailable: code UNKNOWN_MODEL.
        StorageFailed: NOT_READABLE; NO_SPACE or NOT_WRITABLE when a hash cannot be recorded.
    """
    spec = registry.get(model_id)
    specs = (spec,) if spec is registry.vocoder else (spec, registry.vocoder)
    checks = [
        _check(models_dir, one.id, file, path, on_progress)
        for one in specs
        for file, path in _files(one, models_dir)
    ]
    artifact = artifact_path(models_dir, spec.id)
    if artifact.is_file():
        file = ModelFile("weights", artifact.name)
        checks.append(_check(models_dir, artifact_id(spec.id), file, artifact, on_progress))
    return checks


def artifact_id(model_id: str) -> str:
    """Under which name the artifact of a model is recorded."""
    return f"{model_id}.artifact"


def record_artifact(models_dir: Path, model_id: str) -> None:
    """Expect the artifact of a model to stay as it is now; called when it has been written."""
    path = artifact_path(models_dir, model_id)
    record(models_dir, artifact_id(model_id), ModelFile("weights", path.name), path, digest(path))


def record(models_dir: Path, model_id: str, file: ModelFile, path: Path, found: Digest) -> None:
    """Write down that a file of that hash was accepted."""
    stat = path.stat()
    entry = SeenFile(file.role, found.sha256, stat.st_size, stat.st_mtime_ns)
    seen = records.read(models_dir, model_id)
    records.write(models_dir, model_id, replace(seen, files={**seen.files, file.path: entry}))


def expected(file: ModelFile, seen: Seen) -> str | None:
    """The sha256 a file must have: the published one, else the one accepted at first, else None."""
    entry = seen.files.get(file.path)
    return file.sha256 or (entry.sha256 if entry else None)


def reason_to_refuse(file: ModelFile, seen: Seen, sha256: str) -> str | None:
    """What speaks against a file of that hash, or None."""
    wanted = expected(file, seen)
    if wanted is None or wanted == sha256:
        return None
    source = "is published" if file.sha256 else "was accepted at first"
    return f"{wanted} {source}, {sha256} was found"


def changed(
    found: ModelFiles,
    models_dir: Path,
    on_progress: OnProgress = quiet,
    registry: Registry = PUBLISHED,
) -> list[Path]:
    """Files of a model that was found which are not what they should be; hashes all that it can.

    Nothing is recorded: a file of which no hash is known counts as good.

    Raises:
        StorageFailed: NOT_READABLE.
    """
    wanted = known_hashes(found, models_dir, registry)
    try:
        return [
            path
            for path, sha256 in wanted.items()
            if sha256 and digest(path, path.name, on_progress).sha256 != sha256
        ]
    except OSError as error:
        raise unreadable(Path(error.filename or found.weights), error) from None


def known_hashes(
    found: ModelFiles, models_dir: Path, registry: Registry = PUBLISHED
) -> dict[Path, str | None]:
    """The sha256 that each file of a model that was found must have; None where none is known."""
    spec, vocoder = registry.get(found.model), registry.vocoder
    if found.weights == artifact_path(models_dir, spec.id):
        weights = expected_of(models_dir, artifact_id(spec.id), (), found.weights)
    else:
        weights = expected_of(models_dir, spec.id, spec.files, found.weights)
    return {
        found.weights: weights,
        found.vocab: expected_of(models_dir, spec.id, spec.files, found.vocab),
        found.vocoder: expected_of(models_dir, vocoder.id, vocoder.files, found.vocoder),
    }


def expected_of(
    models_dir: Path, record_id: str, files: tuple[ModelFile, ...], path: Path
) -> str | None:
    """The hash that is known of a file by the name it has in its repository, or None."""
    seen = records.read(models_dir, record_id)
    known = files or tuple(ModelFile(e.role, name) for name, e in seen.files.items())
    for file in known:
        if path.name == Path(file.path).name:
            return expected(file, seen)
    return None


def mismatch(spec: ModelSpec, file: ModelFile, reason: str) -> ModelUnavailable:
    """The error for a file that is refused."""
    return ModelUnavailable(
        f"{file.path} of {spec.id} is not the file it should be: {reason} (sha256).",
        code="HASH_MISMATCH",
        hint="Nothing of it was kept. Try once more; if it stays so the file was changed at its "
        "source, or something between here and the hub changes it.",
    )


def _files(spec: ModelSpec, models_dir: Path) -> Iterator[tuple[ModelFile, Path]]:
    """Each file of a model with where it lies, or would lie."""
    seen = records.read(models_dir, spec.id)
    files = spec.files or tuple(ModelFile(e.role, path) for path, e in seen.files.items())
    if not files:
        files = ModelFile("weights", "(checkpoint)"), ModelFile("vocab", "vocab.txt")
    # Without their sizes, so that a file that was cut is found to be changed, not to be missing.
    anyhow = replace(spec, files=tuple(replace(file, size=None) for file in files))
    for file in files:
        found = locate(anyhow, (file.role,), hub_caches(models_dir), models_dir)
        folder = repo_folder(models_dir / HUB_FOLDER, file.repo or spec.repo) / "snapshots"
        commit = file.revision or spec.revision or seen.revision or "main"
        yield file, found.paths[file.role] if found else folder / commit / file.path


def _check(
    models_dir: Path, record_id: str, file: ModelFile, path: Path, on_progress: OnProgress
) -> FileCheck:
    seen = records.read(models_dir, record_id)
    wanted = expected(file, seen)
    if not path.is_file():
        return FileCheck(path, "missing", wanted, None)
    try:
        found = digest(path, file.path, on_progress)
    except OSError as error:
        raise unreadable(path, error) from None
    if wanted is not None:
        return FileCheck(path, "ok" if found.sha256 == wanted else "changed", wanted, found.sha256)
    record(models_dir, record_id, file, path, found)
    return FileCheck(path, "recorded", None, found.sha256)

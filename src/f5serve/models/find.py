"""Which weights are already on this machine; asked at every start, so it only looks.

A model id and folders flow in, `ModelFiles` or None flows out, within milliseconds: names, sizes
and one small record are read, nothing is hashed and nobody is called. This module must not know
the hub or torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from f5serve.errors import ModelUnavailable
from f5serve.models import documents, records, synced
from f5serve.models.registry import PUBLISHED, ModelFile, ModelSpec, Registry, Role

HUB_FOLDER = "hub"
ARTIFACTS_FOLDER = "artifacts"
_LONGEST_REF = 200
OTHER_CACHES = (
    Path("~/.cache/huggingface/hub"),  # what other programs of this user have pulled
    Path("/runpod-volume/huggingface-cache/hub"),  # where RunPod puts an endpoint's cached model
)


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
class Snapshot:
    """Files of one model in one cache, by role, with where each lies in its repository."""

    paths: dict[Role, Path]
    files: dict[Role, ModelFile]
    revision: str


def find(
    model_id: str,
    models_dir: Path,
    extra_dirs: Sequence[Path] = (),
    registry: Registry = PUBLISHED,
) -> ModelFiles | None:
    """The model on local disk, None if absent.

    The artifact that was converted here goes first, then what came from the store, then the
    published file.

    Args:
        models_dir: holds artifacts/<model id>.safetensors, synced/<model id>/ and hub/, a Hugging
            Face cache.
        extra_dirs: more Hugging Face caches, looked into before those of `OTHER_CACHES`.

    Raises:
        ModelUnavailable: code UNKNOWN_MODEL.
    """
    artifact = _find_artifact(model_id, models_dir, extra_dirs, registry)
    here = artifact or find_synced(model_id, models_dir)
    return here or find_published(model_id, models_dir, extra_dirs, registry)


def find_unsynced(
    model_id: str, models_dir: Path, extra_dirs: Sequence[Path] = (), registry: Registry = PUBLISHED
) -> ModelFiles | None:
    """As `find`, without what came from the store."""
    artifact = _find_artifact(model_id, models_dir, extra_dirs, registry)
    return artifact or find_published(model_id, models_dir, extra_dirs, registry)


def find_synced(model_id: str, folder: Path) -> ModelFiles | None:
    """The model as it was brought from the store into a folder; None unless it is complete."""
    version = synced.complete(folder, model_id)
    return files_of(version) if version else None


def files_of(version: synced.Version) -> ModelFiles:
    """Paths of a version that came from the store."""
    about = version.manifest.about
    paths = {file.role: version.path(file) for file in version.manifest.files}
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


def find_published(
    model_id: str,
    models_dir: Path,
    extra_dirs: Sequence[Path] = (),
    registry: Registry = PUBLISHED,
) -> ModelFiles | None:
    """The model as published, with its vocabulary and vocoder; None unless all are there."""
    spec = registry.get(model_id)
    caches = hub_caches(models_dir, extra_dirs)
    model = locate(spec, ("weights", "vocab"), caches, models_dir)
    vocoder = locate(registry.vocoder, ("vocoder",), caches, models_dir)
    if model is None or vocoder is None:
        return None
    paths = {**vocoder.paths, **model.paths}
    return _model_files(spec, paths, model.revision)


def _find_artifact(
    model_id: str, models_dir: Path, extra_dirs: Sequence[Path], registry: Registry
) -> ModelFiles | None:
    spec = registry.get(model_id)
    weights = artifact_path(models_dir, spec.id)
    folder = weights.parent
    if not weights.is_file():
        return None
    caches = hub_caches(models_dir, extra_dirs)
    vocab = locate(spec, ("vocab",), caches, models_dir)
    vocoder = locate(registry.vocoder, ("vocoder",), caches, models_dir)
    paths: dict[Role, Path] = {"weights": weights}
    paths |= (vocoder.paths if vocoder else {}) | (vocab.paths if vocab else {})
    names_beside: dict[Role, tuple[str, ...]] = {
        "vocab": (f"{spec.id}.vocab.txt",),
        "vocoder": ("vocos.safetensors", "vocos.bin"),
    }
    for role, names in names_beside.items():
        beside = next((folder / name for name in names if (folder / name).is_file()), None)
        if beside is not None:
            paths[role] = beside
    if not {"vocab", "vocoder"} <= paths.keys():
        return None
    revision = records.read(models_dir, spec.id).revision or spec.revision or ""
    return _model_files(spec, paths, revision)


def _model_files(spec: ModelSpec, paths: dict[Role, Path], revision: str) -> ModelFiles:
    return ModelFiles(
        model=spec.id,
        arch=spec.arch,
        weights=paths["weights"],
        vocab=paths["vocab"],
        vocoder=paths["vocoder"],
        license=spec.license,
        commercial=spec.commercial,
        revision=revision,
    )


def artifact_path(models_dir: Path, model_id: str) -> Path:
    """Where the converted weights of a model lie."""
    return models_dir / ARTIFACTS_FOLDER / f"{model_id}.safetensors"


def hub_caches(models_dir: Path, extra_dirs: Iterable[Path] = ()) -> tuple[Path, ...]:
    """The Hugging Face caches that are looked into, our own first."""
    others = (path.expanduser() for path in OTHER_CACHES)
    return (models_dir / HUB_FOLDER, *extra_dirs, *others)


def repo_folder(cache: Path, repo: str) -> Path:
    """Where a cache keeps a model repository."""
    return cache / f"models--{repo.replace('/', '--')}"


def locate(
    spec: ModelSpec, roles: Sequence[Role], caches: Iterable[Path], models_dir: Path
) -> Snapshot | None:
    """The files of those roles in the first cache and snapshot that has them all; or None.

    The pinned or recorded revision goes before any other. Another one is taken, too, as long as
    the sizes that are known agree: a cache filled by somebody else holds whatever was newest.
    """
    seen = records.read(models_dir, spec.id)
    for cache in caches:
        with contextlib.suppress(OSError):  # a cache that may not be read holds nothing for us
            for folder in _snapshots(repo_folder(cache, spec.repo), spec.revision or seen.revision):
                files = {f.role: f for f in named_files(spec, seen, folder)}
                if found := _in_snapshot(files, roles, folder, cache):
                    return found
    return None


def _in_snapshot(
    files: dict[Role, ModelFile], roles: Sequence[Role], folder: Path, cache: Path
) -> Snapshot | None:
    paths: dict[Role, Path] = {}
    for role in roles:
        path = _path(files[role], folder, cache) if role in files else None
        if path is None:
            return None
        paths[role] = path
    return Snapshot(paths, {role: files[role] for role in roles}, folder.name)


def named_files(spec: ModelSpec, seen: records.Seen, folder: Path) -> tuple[ModelFile, ...]:
    """The files of a model: as registered, else as recorded, else picked from a snapshot."""
    if spec.files:
        return spec.files
    if seen.files:
        return tuple(ModelFile(e.role, path, e.size) for path, e in seen.files.items())
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    try:
        return pick_files(spec, names)
    except ModelUnavailable:
        return ()


def pick_files(spec: ModelSpec, names: Iterable[str]) -> tuple[ModelFile, ...]:
    """Checkpoint and vocabulary among the files of a repository whose names nobody wrote down.

    A single .safetensors goes before a single .pt.

    Raises:
        ModelUnavailable: code AMBIGUOUS_FILES, naming the candidates.
    """
    names = sorted(names)
    vocab = [n for n in names if n.rsplit("/", 1)[-1] == "vocab.txt"]
    weights = [n for n in names if n.endswith(".safetensors")]
    weights = weights or [n for n in names if n.endswith((".pt", ".pth"))]
    for what, found in (("checkpoint", weights), ("vocab.txt", vocab)):
        if len(found) != 1:
            raise ModelUnavailable(
                f"{spec.repo} holds {len(found)} files that could be the {what} of {spec.id}: "
                f"{', '.join(found[:8]) or 'none'}.",
                code="AMBIGUOUS_FILES",
                hint="Download the one you want yourself and name it in F5_CKPT, its vocabulary "
                "in F5_VOCAB and its architecture in F5_ARCH.",
            )
    return ModelFile("weights", weights[0]), ModelFile("vocab", vocab[0])


def _snapshots(folder: Path, revision: str | None) -> Iterator[Path]:
    """Snapshot folders of a repository, best first."""
    snapshots = folder / "snapshots"
    names: list[str] = [revision] if revision else []
    main = folder / "refs" / "main"
    if main.is_file():
        with main.open("rb") as file:
            names.append(file.read(_LONGEST_REF).decode(errors="replace").strip())
    if snapshots.is_dir():
        names += sorted(p.name for p in snapshots.iterdir())
    return (
        snapshots / name
        for name in dict.fromkeys(names)
        if documents.is_revision(name) and (snapshots / name).is_dir()
    )


def _path(file: ModelFile, folder: Path, cache: Path) -> Path | None:
    if file.repo is not None:
        others = _snapshots(repo_folder(cache, file.repo), file.revision)
    else:
        others = iter((folder,))
    for snapshot in others:
        path = snapshot / file.path
        if path.is_file() and (size := path.stat().st_size) and size == (file.size or size):
            return path
    return None

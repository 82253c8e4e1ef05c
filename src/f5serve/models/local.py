"""Models on a local disk: the layout of a models folder, and which files of it to use.

    <models folder>/artifacts/<model id>.safetensors    what `models convert` wrote
    <models folder>/hub/                                a Hugging Face cache: what `pull` fetched
    <models folder>/synced/<model id>/<first 16 of the manifest's hash>/    what `sync` fetched
    <models folder>/synced/<model id>/current.json      which of them is current; written last
    <models folder>/seen/<model id>.json                hashes that were accepted (`hashes`)

Finding a model reads names, sizes and small records within milliseconds; it hashes nothing and
asks no network. In synced/ a manifest.json is written when the files around it are complete, and
what is complete is never changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from f5serve.errors import F5Error, ModelUnavailable
from f5serve.models import manifest as manifests
from f5serve.models.disk import write_atomic
from f5serve.models.hashes import KnownHashes, read_record
from f5serve.models.manifest import MANIFEST_NAME, Description, Manifest, StoredFile
from f5serve.models.registry import PUBLISHED, ModelFile, ModelSpec, Registry, Role

HUB_FOLDER = "hub"
ARTIFACTS_FOLDER = "artifacts"
SYNCED_FOLDER = "synced"
OTHER_CACHES = (
    Path("~/.cache/huggingface/hub"),  # what other programs of this user have pulled
    Path("/runpod-volume/huggingface-cache/hub"),  # where RunPod puts an endpoint's cached model
)
_POINTER_NAME = "current.json"
_LONGEST_REF = 200  # bytes
_BESIDE_ARTIFACT: dict[Role, tuple[str, ...]] = {
    "vocab": ("{id}.vocab.txt",),
    "vocoder": ("vocos.safetensors", "vocos.bin"),
}


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
    """Files of one model in one Hugging Face cache, by role: as registered, and on disk."""

    paths: dict[Role, Path]
    files: dict[Role, ModelFile]
    revision: str


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """One version of a model that was synced from a store, or is being synced."""

    manifest: Manifest
    folder: Path

    @classmethod
    def of(cls, manifest: Manifest, models_dir: Path) -> Self:
        """The version of a manifest at its place in a models folder, present or not."""
        model_id = manifests.check_model_id(manifest.about.model)
        return cls(manifest, models_dir / SYNCED_FOLDER / model_id / manifest.sha256[:16])

    def path(self, file: StoredFile) -> Path:
        """Where a file of it is, or is going to be."""
        return self.folder / file.path

    def has(self, file: StoredFile) -> bool:
        """Whether a file of it is there in the right size."""
        path = self.path(file)
        return path.is_file() and path.stat().st_size == file.size

    @property
    def files(self) -> ModelFiles:
        """Its files, as an engine takes them."""
        about = self.manifest.about
        paths = {file.role: self.path(file) for file in self.manifest.files}
        return _model_files(about.model, about, paths, about.revision)


def find(model_id: str, models_dir: Path, registry: Registry = PUBLISHED) -> ModelFiles | None:
    """The model on local disk, None if absent.

    The artifact that was converted here goes first, then what was synced, then the published file.

    Raises:
        ModelUnavailable: code UNKNOWN_MODEL.
    """
    if artifact := find_artifact(model_id, models_dir, registry):
        return artifact
    if installed := find_installed(model_id, models_dir):
        return installed.files
    return find_published(model_id, models_dir, registry)


def find_artifact(
    model_id: str, models_dir: Path, registry: Registry = PUBLISHED
) -> ModelFiles | None:
    """The converted model, with a vocabulary and vocoder from beside it or from a cache."""
    spec = registry.get(model_id)
    weights = artifact_path(models_dir, spec.id)
    if not weights.is_file():
        return None
    paths: dict[Role, Path] = {"weights": weights}
    for role, names in _BESIDE_ARTIFACT.items():
        source = registry.vocoder if role == "vocoder" else spec
        beside = (weights.with_name(name.format(id=spec.id)) for name in names)
        path = next((path for path in beside if path.is_file()), None)
        if path is None and (cached := find_snapshot(source, (role,), models_dir)):
            path = cached.paths[role]
        if path is None:
            return None
        paths[role] = path
    revision = read_record(models_dir, spec.id).revision or spec.revision or ""
    return _model_files(spec.id, spec, paths, revision)


def find_published(
    model_id: str, models_dir: Path, registry: Registry = PUBLISHED
) -> ModelFiles | None:
    """The model as published, with its vocabulary and vocoder; None unless all are there."""
    spec = registry.get(model_id)
    model = find_snapshot(spec, ("weights", "vocab"), models_dir)
    vocoder = find_snapshot(registry.vocoder, ("vocoder",), models_dir)
    if model is None or vocoder is None:
        return None
    return _model_files(spec.id, spec, {**vocoder.paths, **model.paths}, model.revision)


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


def _model_files(
    model_id: str, about: ModelSpec | Description, paths: Mapping[Role, Path], revision: str
) -> ModelFiles:
    return ModelFiles(
        model=model_id,
        arch=about.arch,
        weights=paths["weights"],
        vocab=paths["vocab"],
        vocoder=paths["vocoder"],
        license=about.license,
        commercial=about.commercial,
        revision=revision,
    )


def artifact_path(models_dir: Path, model_id: str) -> Path:
    """Where the converted weights of a model are."""
    return models_dir / ARTIFACTS_FOLDER / f"{model_id}.safetensors"


def find_installed(model_id: str, models_dir: Path) -> InstalledModel | None:
    """The current version of what was synced; None unless all files have the right size.

    Raises:
        InvalidRequest: BAD_MODEL_ID.
    """
    home = models_dir / SYNCED_FOLDER / manifests.check_model_id(model_id)
    try:
        pointer = manifests.read_document(home / _POINTER_NAME)
        sha256 = manifests.read_pointer(pointer, model_id)
        if sha256 is None:
            return None
        data = manifests.read_document(home / sha256[:16] / MANIFEST_NAME)
        manifest = manifests.read(data, model_id)
    except (OSError, F5Error):
        return None
    if manifest is None or hashlib.sha256(data).hexdigest() != sha256:
        return None
    installed = InstalledModel(manifest, home / sha256[:16])
    return installed if all(installed.has(file) for file in manifest.files) else None


def mark_installed(version: InstalledModel) -> None:
    """Make a version current, after all its files were hashed.

    Raises:
        StorageFailed: NO_SPACE or NOT_WRITABLE.
    """
    write_atomic(version.folder / MANIFEST_NAME, version.manifest.data)
    pointer = manifests.write_pointer(version.manifest.sha256)
    write_atomic(version.folder.parent / _POINTER_NAME, pointer)


def remove_other_versions(version: InstalledModel) -> None:
    """Remove all other versions of the model, and its quarantine, to make room.

    A process that has mapped one keeps it until it ends; one that is about to open it fails.
    """
    for other in version.folder.parent.iterdir():
        if other.is_dir() and other != version.folder:
            shutil.rmtree(other, ignore_errors=True)


def hub_caches(models_dir: Path) -> tuple[Path, ...]:
    """The Hugging Face caches to look into, our own first."""
    return (models_dir / HUB_FOLDER, *(path.expanduser() for path in OTHER_CACHES))


def repo_folder(cache: Path, repo: str) -> Path:
    """Where a Hugging Face cache keeps a model repository."""
    return cache / f"models--{repo.replace('/', '--')}"


def find_snapshot(
    spec: ModelSpec,
    roles: Sequence[Role],
    models_dir: Path,
    caches: Iterable[Path] | None = None,
) -> Snapshot | None:
    """The files of those roles in the first cache and snapshot that has them all, or None.

    The pinned or recorded revision goes before any other. Another one is taken, too, as long as
    the sizes that are known agree: a cache filled by another program holds whatever was newest.

    Args:
        caches: instead of `hub_caches`.
    """
    known = read_record(models_dir, spec.id)
    for cache in hub_caches(models_dir) if caches is None else caches:
        with contextlib.suppress(OSError):  # a cache that may not be read counts as empty
            for folder in _snapshots(
                repo_folder(cache, spec.repo), spec.revision or known.revision
            ):
                files = {file.role: file for file in _files_of(spec, known, folder)}
                found = {role: _path(files[role], folder, cache) for role in roles if role in files}
                paths = {role: path for role, path in found.items() if path}
                if len(paths) == len(roles):
                    return Snapshot(paths, {role: files[role] for role in roles}, folder.name)
    return None


def _files_of(spec: ModelSpec, known: KnownHashes, folder: Path) -> tuple[ModelFile, ...]:
    """The files of a model: as registered, else as recorded, else picked from a snapshot."""
    if spec.files or known.files:
        return named_files(spec, known)
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    try:
        return pick_files(spec, names)
    except ModelUnavailable:
        return ()


def named_files(spec: ModelSpec, known: KnownHashes) -> tuple[ModelFile, ...]:
    """The files of a model: as registered, else as recorded; empty when neither names any."""
    recorded = (ModelFile(entry.role, path, entry.size) for path, entry in known.files.items())
    return spec.files or tuple(recorded)


def pick_files(spec: ModelSpec, names: Iterable[str]) -> tuple[ModelFile, ...]:
    """Checkpoint and vocabulary among the files of a repository that the registry does not name.

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
        if manifests.is_revision(name) and (snapshots / name).is_dir()
    )


def _path(file: ModelFile, folder: Path, cache: Path) -> Path | None:
    """Where a file of a snapshot is, or None when it is missing or of another size."""
    folders: Iterable[Path] = (folder,)
    if file.repo is not None:
        folders = _snapshots(repo_folder(cache, file.repo), file.revision)
    for snapshot in folders:
        path = snapshot / file.path
        if path.is_file() and (size := path.stat().st_size) and size == (file.size or size):
            return path
    return None

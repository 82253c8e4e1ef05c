"""Layouts of models that are only read: Hugging Face caches, and that of f5serve before 0.2.

    ~/.cache/huggingface/hub, RunPod's cached model, <models folder>/hub    Hugging Face caches
    <models folder>/artifacts/<model id>.safetensors    a converted model of an earlier f5serve
    <models folder>/synced/<model id>/                  as `installed`, by the same
    <models folder>/seen/<record>.json                  hashes that the same had accepted

A cache names large files by their sha256, so what is in one can be checked without a record. The
last three are read until f5serve 0.3 (docs/decisions/0037-one-layout-of-models.md).
"""

from __future__ import annotations

import contextlib
import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from f5serve.errors import ModelUnavailable
from f5serve.models import manifest as manifests
from f5serve.models.registry import ModelFile, ModelSpec, Registry, Role
from f5serve.store.json_documents import InvalidDocument

OLD_SYNCED_FOLDER = "synced"
OTHER_CACHES = (
    Path("~/.cache/huggingface/hub"),  # what other programs of this user have pulled
    Path("/runpod-volume/huggingface-cache/hub"),  # where RunPod puts an endpoint's cached model
)

_HUB_FOLDER = "hub"
_OLD_ARTIFACTS_FOLDER = "artifacts"
_OLD_RECORDS_FOLDER = "seen"
_LONGEST_REF = 200  # bytes
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BESIDE_ARTIFACT: dict[Role, tuple[str, ...]] = {
    "vocab": ("{id}.vocab.txt",),
    "vocoder": ("vocos.safetensors", "vocos.bin"),
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Files of one model in one Hugging Face cache, by role, and their revision."""

    paths: dict[Role, Path]
    revision: str


def hub_caches(models_dir: Path) -> tuple[Path, ...]:
    """The Hugging Face caches to look into, that of the models folder first."""
    return (models_dir / _HUB_FOLDER, *(path.expanduser() for path in OTHER_CACHES))


def find_snapshots(
    spec: ModelSpec, roles: Sequence[Role], models_dir: Path, *, any_size: bool = False
) -> Iterator[Snapshot]:
    """Snapshots that hold the files of those roles, the pinned revision of each cache first.

    Another revision is taken, too, as long as the sizes that are known agree: a cache filled by
    another program holds whatever was newest.

    Args:
        any_size: whether files of other sizes count as well.
    """
    for cache in hub_caches(models_dir):
        with contextlib.suppress(OSError):  # a cache that may not be read counts as empty
            for folder in _snapshots(_repo_folder(cache, spec.repo), spec.revision):
                files = {file.role: file for file in _files_of(spec, folder)}
                found = {
                    role: _path(files[role], folder, cache, any_size=any_size)
                    for role in roles
                    if role in files
                }
                paths = {role: path for role, path in found.items() if path}
                if len(paths) == len(roles):
                    yield Snapshot(paths, folder.name)


def _repo_folder(cache: Path, repo: str) -> Path:
    """Where a Hugging Face cache keeps a model repository."""
    return cache / f"models--{repo.replace('/', '--')}"


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


def _files_of(spec: ModelSpec, folder: Path) -> tuple[ModelFile, ...]:
    """The files of a model: as registered, else picked from a snapshot."""
    if spec.names_its_files:
        return spec.files
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    try:
        return pick_files(spec, names)
    except ModelUnavailable:
        return ()


def pick_files(spec: ModelSpec, names: Iterable[str]) -> tuple[ModelFile, ...]:
    """Checkpoint and vocabulary among the files of a repository that the registry does not name.

    Without a pattern a single .safetensors goes before a single .pt. Of several vocabularies the
    one nearest above the checkpoint is taken.

    Raises:
        ModelUnavailable: code AMBIGUOUS_FILES, naming the candidates.
    """
    names = sorted(names)
    known = {file.role: file for file in spec.files}
    if "weights" in known:
        weights = fnmatch.filter(names, known["weights"].path)
    else:
        weights = [n for n in names if n.endswith(".safetensors")]
        weights = weights or [n for n in names if n.endswith((".pt", ".pth"))]
    vocab = [n for n in names if n.rsplit("/", 1)[-1] == "vocab.txt"]
    if len(vocab) > 1 and len(weights) == 1:
        folders = [str(folder) for folder in PurePosixPath(weights[0]).parents]
        above = [n for n in vocab if str(PurePosixPath(n).parent) in folders]
        vocab = sorted(above, key=len)[-1:] or vocab
    for what, found in (("checkpoint", weights), ("vocab.txt", vocab)):
        if len(found) != 1:
            raise ModelUnavailable(
                f"{spec.repo} holds {len(found)} files that could be the {what} of {spec.id}: "
                f"{', '.join(found[:8]) or 'none'}.",
                code="AMBIGUOUS_FILES",
                hint="Download the one you want yourself and name it in F5_CKPT, its vocabulary "
                "in F5_VOCAB and its architecture in F5_ARCH.",
            )
    return (
        replace(known.get("weights", ModelFile("weights", "")), path=weights[0]),
        replace(known.get("vocab", ModelFile("vocab", "")), path=vocab[0]),
    )


def _path(file: ModelFile, folder: Path, cache: Path, *, any_size: bool) -> Path | None:
    """Where a file of a snapshot is, or None when it is missing or of another size."""
    folders: Iterable[Path] = (folder,)
    if file.repo is not None:
        folders = _snapshots(_repo_folder(cache, file.repo), file.revision)
    for snapshot in folders:
        path = snapshot / file.path
        if path.is_file():
            size = path.stat().st_size
            if any_size or (size and size == (file.size or size)):
                return path
    return None


def hash_by_name(path: Path) -> str | None:
    """The sha256 that a Hugging Face cache names a file by; None where it has another name."""
    try:
        name = path.resolve().name
    except (OSError, RuntimeError):  # a loop of links
        return None
    return name if _SHA256.fullmatch(name) else None


def is_old_artifact(path: Path, models_dir: Path) -> bool:
    """Whether an earlier f5serve converted it."""
    return path.parent == models_dir / _OLD_ARTIFACTS_FOLDER


def find_old_artifact(spec: ModelSpec, models_dir: Path) -> dict[Role, Path]:
    """The files of a model that an earlier f5serve converted, by role, as far as they are there.

    Without its weights there are none; it may have no vocoder of its own.
    """
    weights = models_dir / _OLD_ARTIFACTS_FOLDER / f"{spec.id}.safetensors"
    if not weights.is_file():
        return {}
    paths: dict[Role, Path] = {"weights": weights}
    if snapshot := next(find_snapshots(spec, ("vocab",), models_dir), None):
        paths["vocab"] = snapshot.paths["vocab"]
    for role, names in _BESIDE_ARTIFACT.items():
        for name in reversed(names):
            path = weights.with_name(name.format(id=spec.id))
            if path.is_file():
                paths[role] = path
    return paths


def old_hash(spec: ModelSpec, path: Path, models_dir: Path) -> str | None:
    """The sha256 of a file in the record that an earlier f5serve kept; None if it has none."""
    record_id = f"{spec.id}.artifact" if is_old_artifact(path, models_dir) else spec.id
    record = models_dir / _OLD_RECORDS_FOLDER / f"{record_id}.json"
    try:
        files = manifests.object_field(
            manifests.load_object(manifests.read_document(record)), "files"
        )
        for name in files:
            if name.rsplit("/", 1)[-1] == path.name:
                return manifests.sha256_field(manifests.object_field(files, name), "sha256")
    except (OSError, InvalidDocument):
        pass
    return None


def vocoder_snapshots(registry: Registry, models_dir: Path) -> Iterator[Path]:
    """Vocoders in Hugging Face caches."""
    for snapshot in find_snapshots(registry.vocoder, ("vocoder",), models_dir):
        yield snapshot.paths["vocoder"]

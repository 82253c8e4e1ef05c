"""Publishes a local model into a store: its files are collected, hashed and sent.

Blobs are sent first, then the manifest, read back, then the pointer (layout in `manifest`), so a
reader never gets half a model. What the store has already is not sent again, so a publisher that
was killed is started once more, and several at once do no harm. It reads and sends hundreds of
megabytes: never call it in a process that serves.
"""

from __future__ import annotations

import json
import logging
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from f5serve.build import stamp
from f5serve.errors import F5Error, ModelUnavailable, StorageFailed
from f5serve.models import manifest as manifests
from f5serve.models.bucket import current_manifest
from f5serve.models.disk import OnProgress, Progress, digest, no_progress, unreadable
from f5serve.models.installed import (
    LocalFile,
    ModelFiles,
    find_installed,
    home_of,
    install,
    remove_version,
    versions,
)
from f5serve.models.local import describe, find, find_published, get_published, known_hashes
from f5serve.models.manifest import (
    ARTIFACT_API,
    MAX_BYTES,
    PUBLISHED_API,
    Description,
    Manifest,
    StoredFile,
)
from f5serve.models.registry import PUBLISHED, ModelSpec, Registry, Role
from f5serve.store.base import ObjectStore

_log = logging.getLogger(__name__)

WeightsFormat = Literal["fp16", "fp32", "published"]
"""Converted in one of two precisions, or as the authors published it."""

Convert = Callable[[Path, Path, str], None]
"""Called with a published checkpoint, the path of its artifact, and "fp16" or "fp32"."""

_JSON = "application/json"
_MOST_HEADER_BYTES = 16 << 20
_PRECISIONS: dict[str, Literal["fp16", "fp32"]] = {"F16": "fp16", "F32": "fp32"}


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """A complete model that is to be published."""

    about: Description
    files: tuple[LocalFile, ...]


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What publishing changed in the store.

    Attributes:
        sent: names of the files whose bytes were sent; the others were there.
        sent_bytes: of those.
        changed: whether the current model is another one than before.
    """

    manifest: Manifest
    sent: tuple[str, ...]
    sent_bytes: int
    changed: bool


def collect_files(
    model_id: str,
    weights_format: WeightsFormat,
    models_dir: Path,
    convert: Convert | None = None,
    registry: Registry = PUBLISHED,
) -> UploadPlan:
    """The files of a local model, with the hashes that are known of them.

    Args:
        convert: makes an artifact where there is none in that precision; None refuses then.

    Raises:
        ModelUnavailable: UNKNOWN_MODEL, MODEL_NOT_PULLED, MODEL_NOT_CONVERTED, or as `convert`.
    """
    spec = registry.get(model_id)
    published = find_published(spec.id, models_dir, registry)
    if weights_format == "published":
        files, api = get_published(spec.id, models_dir, registry), PUBLISHED_API
    else:
        files = _converted(spec, weights_format, models_dir, convert, registry)
        api = ARTIFACT_API
    revision = files.revision or (published.revision if published else "")
    hashes = known_hashes(files, models_dir, registry)
    sources: tuple[tuple[Role, Path], ...] = (
        ("weights", files.weights),
        ("vocab", files.vocab),
        ("vocoder", files.vocoder),
    )
    return UploadPlan(
        describe(spec, revision, api),
        tuple(LocalFile(role, path, hashes[path]) for role, path in sources),
    )


def _converted(
    spec: ModelSpec, precision: str, models_dir: Path, convert: Convert | None, registry: Registry
) -> ModelFiles:
    """The model converted to that precision: the one in use, another version, or a new one."""
    in_use = find(spec.id, models_dir, registry)
    candidates = [in_use] if in_use else []
    for version in versions(spec.id, models_dir):
        if version.is_converted and version.is_complete:
            candidates.append(version.files)
    for files in candidates:
        if precision_of(files.weights) == precision:
            return files
    published = get_published(spec.id, models_dir, registry)
    if convert is None:
        raise ModelUnavailable(
            f"{spec.id} has not been converted to {precision} on this machine.",
            code="MODEL_NOT_CONVERTED",
            hint=f"Run: f5serve models convert {spec.id} --dtype {precision}",
        )
    new = converted_path(models_dir, spec.id)
    convert(published.weights, new, precision)
    is_first = in_use is None or precision_of(in_use.weights) is None
    make_current = is_first and precision == "fp16"
    return install_converted(spec, new, published, models_dir, make_current=make_current)


def converted_path(models_dir: Path, model_id: str) -> Path:
    """Where converted weights are written before they are installed."""
    return home_of(model_id, models_dir) / "converted.safetensors"


def install_converted(
    spec: ModelSpec,
    weights: Path,
    published: ModelFiles,
    models_dir: Path,
    *,
    make_current: bool = True,
) -> ModelFiles:
    """Install converted weights with the vocabulary and the vocoder of the published model.

    They replace weights that were converted here before and are in use.

    Raises:
        ModelUnavailable, StorageFailed: as `installed.install`.
    """
    about = describe(spec, published.revision, ARTIFACT_API)
    files = (
        LocalFile("weights", weights),
        LocalFile("vocab", published.vocab),
        LocalFile("vocoder", published.vocoder),
    )
    before = find_installed(spec.id, models_dir)
    version = install(about, files, models_dir, make_current=make_current)
    is_own = before and before.is_converted and not before.manifest.about.version  # not synced
    if make_current and before and is_own and before != version:
        remove_version(before)
    return version.files


def precision_of(weights: Path) -> Literal["fp16", "fp32"] | None:
    """Precision of an artifact by its header; None for anything else, a published file included."""
    try:
        with weights.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(size, _MOST_HEADER_BYTES)))
        if header.pop("__metadata__", {}).get("format") != ARTIFACT_API:
            return None
        sizes = Counter[str]()
        for tensor in header.values():
            start, end = tensor["data_offsets"]
            sizes[tensor["dtype"]] += end - start
    except (OSError, struct.error, ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return None
    return _PRECISIONS.get(sizes.most_common(1)[0][0]) if sizes else None


def publish(
    store: ObjectStore, plan: UploadPlan, on_progress: OnProgress = no_progress, force: bool = False
) -> PublishResult:
    """Put a model into the store and make it the current one.

    Args:
        force: send every byte, whatever the store has; heals a store whose copy is damaged.

    Raises:
        ModelUnavailable: HASH_MISMATCH for a local file that is not what it should be.
        StorageFailed: NOT_READABLE, FILE_CHANGED, NOT_READ_BACK, or the store's own code.
        InvalidRequest: BAD_MODEL_ID.
    """
    about = replace(plan.about, version=stamp().version, commit=stamp().commit)
    manifests.check_model_id(about.model)  # before the long work
    hashed = [_hash(local, on_progress) for local in plan.files]
    manifest = manifests.write(about, tuple(file.stored for file in hashed))
    try:
        before = current_manifest(store, about.model)
    except ModelUnavailable:  # damaged, and about to be replaced
        before = None
    if before is not None and before.is_same_model_as(manifest):
        manifest = before  # so that a newer f5serve does not make everybody fetch it anew
    missing = [file for file in hashed if force or not _is_stored(store, file.stored)]
    for file in missing:
        _send(store, file, on_progress)
    _publish_manifest(store, manifest)
    _abort_old_uploads(store)
    return PublishResult(
        manifest,
        tuple(file.stored.path for file in missing),
        sum(file.stored.size for file in missing),
        before is None or before.sha256 != manifest.sha256,
    )


@dataclass(frozen=True, slots=True)
class _HashedFile:
    """A local file, its size and hash, and its `_stat_key` before it was hashed."""

    source: Path
    stored: StoredFile
    stat_key: tuple[int, int, int]


def _hash(local: LocalFile, on_progress: OnProgress) -> _HashedFile:
    try:
        stat_key = _stat_key(local.path)
        sha256 = digest(local.path, local.name, on_progress).sha256
    except OSError as error:
        raise unreadable(local.path, error) from None
    if local.sha256 not in (None, sha256):
        raise ModelUnavailable(
            f"{local.path} is not the file it should be: {local.sha256} is expected, "
            f"{sha256} was found (sha256).",
            code="HASH_MISMATCH",
            hint="Nothing was published. `f5serve models verify` tells which files are wrong; "
            "remove those and pull the model again.",
        )
    stored = StoredFile(local.role, local.name, stat_key[0], sha256)
    return _HashedFile(local.path, stored, stat_key)


def _stat_key(path: Path) -> tuple[int, int, int]:
    """Size, mtime_ns and inode: what differs when a file was changed."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _is_stored(store: ObjectStore, file: StoredFile) -> bool:
    """Whether the blob is there in full size.

    A listing knows sizes and may be old; asking for the blob itself shows that it is still there.
    """
    key = manifests.blob_key(file.sha256)
    listed = any(entry.key == key and entry.size == file.size for entry in store.list(key))
    return listed and store.exists(key)


def _send(store: ObjectStore, file: _HashedFile, on_progress: OnProgress) -> None:
    stored, key = file.stored, manifests.blob_key(file.stored.sha256)

    def report(done: int) -> None:
        on_progress(Progress(stored.path, "upload", done, stored.size))

    report(0)
    store.put_file(key, file.source, on_progress=report)
    try:
        is_unchanged = _stat_key(file.source) == file.stat_key
    except OSError as error:
        raise unreadable(file.source, error) from None
    if not is_unchanged:
        store.delete(key)  # it may hold other bytes than its name says
        raise StorageFailed(
            f"{file.source} was changed while it was read.",
            code="FILE_CHANGED",
            hint="Nothing was published. Try again when no program writes to it.",
            retryable=True,
        )


def _publish_manifest(store: ObjectStore, manifest: Manifest) -> None:
    """Write the manifest and then the pointer, reading back everything on the way."""
    model_id = manifest.about.model
    for file in manifest.files:
        key = manifests.blob_key(file.sha256)
        if not store.exists(key):
            raise _not_read_back(key, "it is not there")
    key = manifests.manifest_key(model_id, manifest.sha256)
    store.put(key, manifest.data, _JSON)
    if _read(store, key) != manifest.data:
        raise _not_read_back(key, "it holds something else")
    key = manifests.pointer_key(model_id)
    store.put(key, manifests.write_pointer(manifest.sha256), _JSON)
    manifests.read_pointer(_read(store, key), model_id)  # another publisher may have replaced it


def _abort_old_uploads(store: ObjectStore) -> None:
    """Remove what killed publishers left of their uploads, which costs money."""
    try:
        if found := store.abort_old_uploads(manifests.BLOBS):
            _log.info("%d old uploads that were never completed were removed", found)
    except F5Error as error:  # not every key may
        _log.info("old uploads are not looked for: %s", error.message)


def _read(store: ObjectStore, key: str) -> bytes:
    try:
        return store.get(key, MAX_BYTES)
    except F5Error as error:
        raise _not_read_back(key, error.message.rstrip(".")) from error


def _not_read_back(key: str, what: str) -> StorageFailed:
    return StorageFailed(
        f"{key!r} was put into the store and cannot be read back: {what}.",
        code="NOT_READ_BACK",
        hint="The model that counted before still does. Try again; see whether the key may read, "
        "and that no other program cleans the store.",
        retryable=True,
    )

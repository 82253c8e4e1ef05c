"""A model from this machine into the store, so that no reader ever meets half of it.

A `Release` and a store flow in, `Published` flows out. Blobs first, then the manifest, read back,
then the pointer (layout in `manifest`). What is in the store already is not sent again, so a
publisher that was killed is simply started once more, and several at once do no harm. It reads and
sends hundreds of megabytes: never to be called in a process that serves. This module must not know
the hub, or how weights are converted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from f5serve.build import stamp
from f5serve.errors import F5Error, ModelUnavailable, StorageFailed
from f5serve.models import manifest as documents
from f5serve.models.current import read_current
from f5serve.models.disk import unreadable
from f5serve.models.hashes import OnProgress, Progress, digest, quiet
from f5serve.models.manifest import Description, Manifest, StoredFile
from f5serve.models.registry import Role
from f5serve.store.base import ObjectStore

_log = logging.getLogger(__name__)

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine that is to be published.

    Attributes:
        source: where it is; it must not be written to meanwhile.
        path: its name in the manifest.
        sha256: what it must hash to, or None when that is not known.
    """

    role: Role
    source: Path
    path: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A model, complete, as it is to be published; who publishes it is filled in."""

    about: Description
    files: tuple[LocalFile, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing came to.

    Attributes:
        sent: names of the files whose bytes were sent; the others were there.
        sent_bytes: of those.
        changed: whether the model that counts is another one than before.
    """

    manifest: Manifest
    sent: tuple[str, ...]
    sent_bytes: int
    changed: bool


def publish(
    store: ObjectStore, release: Release, on_progress: OnProgress = quiet, again: bool = False
) -> Published:
    """Put a model into the store and make it the one that counts.

    Args:
        again: send every byte, whatever the store says it has; heals a store whose copy is damaged.

    Raises:
        ModelUnavailable: HASH_MISMATCH for a local file that is not what it should be.
        StorageFailed: NOT_READABLE, FILE_CHANGED, NOT_READ_BACK, or the store's own code.
        InvalidRequest: BAD_MODEL_ID.
    """
    about = replace(release.about, version=stamp().version, commit=stamp().commit)
    documents.check_model_id(about.model)  # before the long work
    offers = [_look_at(local, on_progress) for local in release.files]
    manifest = documents.write(about, tuple(offer.stored for offer in offers))
    before = _before(store, about.model)
    if before is not None and before.is_same_model_as(manifest):
        manifest = before  # so that a newer f5serve does not make everybody fetch it anew
    missing = [offer for offer in offers if again or not _is_there(store, offer.stored)]
    for offer in missing:
        _send(store, offer, on_progress)
    _check_blobs(store, manifest)
    _put_manifest(store, manifest)
    _put_pointer(store, manifest)
    _sweep(store)
    return Published(
        manifest,
        tuple(offer.stored.path for offer in missing),
        sum(offer.stored.size for offer in missing),
        before is None or before.sha256 != manifest.sha256,
    )


@dataclass(frozen=True, slots=True)
class _Offer:
    """A file that has been hashed, and how it looked before."""

    source: Path
    stored: StoredFile
    facts: tuple[int, int, int]

    @property
    def key(self) -> str:
        return documents.blob_key(self.stored.sha256)


def _look_at(local: LocalFile, on_progress: OnProgress) -> _Offer:
    facts = _facts(local.source)
    try:
        found = digest(local.source, local.path, on_progress)
    except OSError as error:
        raise unreadable(local.source, error) from None
    if local.sha256 not in (None, found.sha256):
        raise ModelUnavailable(
            f"{local.source} is not the file it should be: {local.sha256} is expected, "
            f"{found.sha256} was found (sha256).",
            code="HASH_MISMATCH",
            hint="Nothing was published. `f5serve models verify` tells which files are wrong; "
            "remove those and pull the model again.",
        )
    return _Offer(local.source, StoredFile(local.role, local.path, facts[0], found.sha256), facts)


def _facts(path: Path) -> tuple[int, int, int]:
    """Size, time of the last change, and which file it is: what differs when it was changed."""
    try:
        stat = path.stat()
    except OSError as error:
        raise unreadable(path, error) from None
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _before(store: ObjectStore, model_id: str) -> Manifest | None:
    """What counts until now; a damaged one counts for nothing, as it is about to be replaced."""
    try:
        return read_current(store, model_id)
    except ModelUnavailable:
        return None


def _is_there(store: ObjectStore, file: StoredFile) -> bool:
    """Whether the blob is there in full size.

    A listing knows sizes and may be old; asking for the blob itself shows that it is still there.
    """
    key = documents.blob_key(file.sha256)
    listed = any(entry.key == key and entry.size == file.size for entry in store.list(key))
    return listed and store.exists(key)


def _send(store: ObjectStore, offer: _Offer, on_progress: OnProgress) -> None:
    stored = offer.stored

    def tell(done: int) -> None:
        on_progress(Progress(stored.path, "upload", done, stored.size))

    tell(0)
    store.put_file(offer.key, offer.source, on_progress=tell)
    if _facts(offer.source) != offer.facts:
        store.delete(offer.key)  # it may hold other bytes than its name says
        raise StorageFailed(
            f"{offer.source} was changed while it was read.",
            code="FILE_CHANGED",
            hint="Nothing was published. Try again when nobody writes to it.",
            retryable=True,
        )


def _check_blobs(store: ObjectStore, manifest: Manifest) -> None:
    for file in manifest.files:
        if not store.exists(documents.blob_key(file.sha256)):
            raise _not_read_back(documents.blob_key(file.sha256), "it is not there")


def _put_manifest(store: ObjectStore, manifest: Manifest) -> None:
    key = documents.manifest_key(manifest.about.model, manifest.sha256)
    store.put(key, manifest.data, _JSON)
    if _read(store, key) != manifest.data:
        raise _not_read_back(key, "it holds something else")


def _put_pointer(store: ObjectStore, manifest: Manifest) -> None:
    """Make the manifest the one that counts; another publisher may replace it at any moment."""
    key = documents.pointer_key(manifest.about.model)
    store.put(key, documents.write_pointer(manifest.sha256), _JSON)
    documents.read_pointer(_read(store, key), manifest.about.model)


def _sweep(store: ObjectStore) -> None:
    """Remove what publishers that were killed have left of their uploads, which costs money."""
    try:
        if found := store.abort_old_uploads(documents.BLOBS):
            _log.info("%d old uploads that nobody completed were removed", found)
    except F5Error as error:  # not every key may
        _log.info("old uploads are not looked for: %s", error.message)


def _read(store: ObjectStore, key: str) -> bytes:
    try:
        return store.get(key, documents.MAX_BYTES)
    except F5Error as error:
        raise _not_read_back(key, error.message.rstrip(".")) from error


def _not_read_back(key: str, what: str) -> StorageFailed:
    return StorageFailed(
        f"{key!r} was put into the store and cannot be read back: {what}.",
        code="NOT_READ_BACK",
        hint="The model that counted before still does. Try again; see whether the key may read, "
        "and whether somebody else cleans the store.",
        retryable=True,
    )

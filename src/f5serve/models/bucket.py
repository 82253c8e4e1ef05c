"""Models in a store: which version is current, and its download to a local disk.

All files of a version are fetched at once and hashed while they are written; they are found
together when the last one is complete. Files that a killed download completed are kept, after
hashing them again. The layout in the store is that of `manifest`.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from f5serve.errors import KeyMissing, ModelUnavailable, StorageFailed
from f5serve.models import manifest as manifests
from f5serve.models.disk import (
    FileLock,
    OnProgress,
    Progress,
    digest,
    hold_lock,
    no_progress,
    no_space,
)
from f5serve.models.installed import InstalledModel, ModelFiles, find_installed, mark_installed
from f5serve.models.local import remove_leftovers
from f5serve.models.manifest import MAX_BYTES, Manifest, StoredFile
from f5serve.store.atomic import remove_stale
from f5serve.store.base import ObjectStore

_TRIES = 3  # of reading what another machine may have written a moment ago
_PAUSE_S = 0.2
_LOCK_STALE_S = 20.0  # without a heartbeat of the process that fetches the same model


def current_manifest(store: ObjectStore, model_id: str) -> Manifest | None:
    """The current version; None when there is none, or none that this program can use.

    Costs two small reads. A manifest that is missing or not whole is read again, with the
    pointer: both may have been written a moment ago, and some stores show such writes one by one.

    Raises:
        ModelUnavailable: MODEL_CORRUPT.
        InvalidRequest: BAD_MODEL_ID.
        StorageFailed: the store's own code.
    """
    problem = ""
    for attempt in range(_TRIES):
        time.sleep(_PAUSE_S * attempt)
        try:
            pointer = _read(store, manifests.pointer_key(model_id), model_id)
        except KeyMissing:
            return None
        sha256 = manifests.read_pointer(pointer, model_id)
        if sha256 is None:
            return None
        try:
            data = _read(store, manifests.manifest_key(model_id, sha256), model_id)
        except KeyMissing:
            problem = "its manifest is missing"
            continue
        if hashlib.sha256(data).hexdigest() == sha256:
            return manifests.read(data, model_id)
        problem = "its manifest does not have the hash it is named by"
    raise manifests.corrupt(model_id, problem)


def _read(store: ObjectStore, key: str, model_id: str) -> bytes:
    try:
        return store.get(key, MAX_BYTES)
    except StorageFailed as error:
        if error.code != "OBJECT_TOO_LARGE":
            raise
        raise manifests.corrupt(model_id, f"{key} is larger than it can be") from error


def published_ids(store: ObjectStore) -> list[str]:
    """Ids of the models that the store holds some version of; one listing."""
    keys = (entry.key.split("/") for entry in store.list("models/"))
    return sorted(parts[1] for parts in keys if len(parts) == 3 and parts[2] == "current.json")


def sync(
    store: ObjectStore, model_id: str, models_dir: Path, on_progress: OnProgress = no_progress
) -> ModelFiles:
    """Download the current version, unless it is in `models_dir` already.

    Raises:
        ModelUnavailable: MODEL_NOT_IN_STORE, or MODEL_CORRUPT.
        StorageFailed: NO_SPACE or NOT_WRITABLE of the folder, or the store's own code.
        InvalidRequest: BAD_MODEL_ID.
    """
    manifest = current_manifest(store, model_id)
    if manifest is None:
        raise ModelUnavailable(
            f"{model_id} is not in the store ({store.describe()}), or only for another version.",
            code="MODEL_NOT_IN_STORE",
            hint=f"Put it there from a machine that has it: f5serve models push {model_id}",
        )
    return download(store, manifest, models_dir, on_progress)


def download(
    store: ObjectStore,
    manifest: Manifest,
    models_dir: Path,
    on_progress: OnProgress = no_progress,
) -> ModelFiles:
    """Download the version of a manifest; a disk that becomes full is left as it was.

    Any number of processes may do so at once. One fetches and the others wait, as long as it
    advances; should two fetch, both succeed.

    Raises:
        ModelUnavailable, StorageFailed: as `sync`.
    """
    version = InstalledModel.of(manifest, models_dir)
    lock = version.folder.parent / "sync.lock"
    remove_leftovers(models_dir)
    remove_stale(version.folder)
    try:
        with hold_lock(lock, _LOCK_STALE_S) as held:
            _Download(store, version, on_progress, held).run()
            mark_installed(version)
    except StorageFailed as error:
        if error.code != "NO_SPACE":
            raise
        here = find_installed(manifest.about.model, models_dir)
        if here is None or here.folder != version.folder:
            shutil.rmtree(version.folder, ignore_errors=True)
        raise no_space(models_dir, manifest.size) from error  # names the folder and the whole need
    return version.files


class _Stopped(Exception):
    """Another file of the model has failed."""


@dataclass(slots=True)
class _Download:
    """One call of `download`: files that come at the same time, and their progress added up."""

    store: ObjectStore
    version: InstalledModel
    on_progress: OnProgress
    held: FileLock
    stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _done: dict[str, int] = field(default_factory=dict)
    _most: int = 0

    def run(self) -> None:
        """Fetch all files at once; the first failure ends the others."""
        files = self.version.manifest.files
        pool = ThreadPoolExecutor(len(files), thread_name_prefix="f5-sync")
        is_complete = False
        try:
            futures: list[Future[None]] = [pool.submit(self._obtain, file) for file in files]
            is_complete = not wait(futures, return_when=FIRST_EXCEPTION).not_done
        finally:  # Ctrl-C must not wait for the rest either
            self.stopped = not is_complete
            pool.shutdown(wait=True)
        failures = [future.exception() for future in futures]
        for failure in sorted(filter(None, failures), key=lambda f: isinstance(f, _Stopped)):
            raise failure

    def _obtain(self, file: StoredFile) -> None:
        if not self._is_here(file):
            self._fetch(file)
        self._report(file, file.size)

    def _is_here(self, file: StoredFile) -> bool:
        path = self.version.path(file)
        try:
            return self.version.has(file) and digest(path).sha256 == file.sha256
        except OSError:  # of another user, or on a disk that fails
            return False

    def _fetch(self, file: StoredFile) -> None:
        """Fetch one file; a blob that is not there yet is asked for again.

        A copy that was damaged on the way is fetched once more by the store itself.
        """
        model_id = self.version.manifest.about.model
        key, path = manifests.blob_key(file.sha256), self.version.path(file)
        for attempt in range(_TRIES):
            time.sleep(_PAUSE_S * attempt)
            try:
                self.store.download(
                    key, path, file.size, file.sha256, lambda done: self._report(file, done)
                )
                return
            except KeyMissing:
                continue
            except StorageFailed as error:
                if error.code != "OBJECT_CORRUPT":
                    raise
                what = f"{file.path} does not have the size and hash of its manifest"
                raise manifests.corrupt(model_id, what) from error
        raise manifests.corrupt(model_id, f"{file.path} is missing")

    def _report(self, file: StoredFile, done: int) -> None:
        """Add up the bytes of all files; called from several threads.

        Raises:
            _Stopped: another file has failed.
        """
        if self.stopped:
            raise _Stopped
        manifest = self.version.manifest
        with self._lock:
            self._done[file.path] = done
            total = sum(self._done.values())
            self.on_progress(Progress(manifest.about.model, "download", total, manifest.size))
            if total > self._most:  # a holder that only repeats itself is not worth waiting for
                self._most = total
                self.held.beat()

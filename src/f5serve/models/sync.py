"""A model from the store onto a disk, whole and checked, or not at all.

A store, a model id and a folder flow in, `ModelFiles` flows out. All files of a model are fetched
at once, hashed while they are written, and shown to `find` together when the last one is there
(layout in `synced`). What an earlier, killed attempt completed is kept, after hashing it again.
This module must not know the hub or torch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from f5serve.errors import KeyMissing, ModelUnavailable, StorageFailed
from f5serve.models import leftovers, synced
from f5serve.models import manifest as documents
from f5serve.models.current import PAUSE_S, TRIES, read_current
from f5serve.models.disk import SignsOfLife, cannot_write, hold_lock, no_space, unreadable
from f5serve.models.find import ModelFiles, files_of
from f5serve.models.hashes import OnProgress, Progress, digest, quiet
from f5serve.models.manifest import Manifest, StoredFile
from f5serve.models.registry import Role
from f5serve.models.synced import Version
from f5serve.models.verify import FileCheck
from f5serve.store.base import ObjectStore
from f5serve.store.files import sweep

__all__ = ["OnFile", "check_synced", "download", "read_current", "sync", "verify_synced"]

OnFile = Callable[[Role, Path], None]
"""Called from another thread with a file that is complete and checked, as soon as it is."""

_PATIENCE_S = 20.0  # of waiting for a process that fetches the same and makes no headway


def _ignore(_: Role, __: Path) -> None:
    """Wait for the whole model."""


def sync(
    store: ObjectStore,
    model_id: str,
    folder: Path,
    on_progress: OnProgress = quiet,
    on_file: OnFile = _ignore,
) -> ModelFiles:
    """Bring the version that counts onto this machine; only its name is asked when it is here.

    Raises:
        ModelUnavailable: MODEL_NOT_IN_STORE, or MODEL_CORRUPT.
        StorageFailed: NO_SPACE or NOT_WRITABLE of the folder, or the store's own code.
        InvalidRequest: BAD_MODEL_ID.
    """
    manifest = read_current(store, model_id)
    if manifest is None:
        raise ModelUnavailable(
            f"{model_id} is not in the store ({store.describe()}), or only for another version.",
            code="MODEL_NOT_IN_STORE",
            hint=f"Put it there from a machine that has it: f5serve models push {model_id}",
        )
    return download(store, manifest, folder, on_progress, on_file)


def download(
    store: ObjectStore,
    manifest: Manifest,
    folder: Path,
    on_progress: OnProgress = quiet,
    on_file: OnFile = _ignore,
) -> ModelFiles:
    """The second half of `sync`, for who looked at `read_current` first, to find room for it.

    Any number of processes may do so at once. One fetches and the others wait, as long as they
    see it advance; should two fetch, both succeed.
    """
    version = synced.place(folder, manifest)
    lock = version.folder.parent / "sync.lock"
    try:
        version.folder.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise cannot_write(folder, manifest.size, error) from None
    leftovers.sweep(folder)
    sweep(version.folder)
    try:
        with hold_lock(lock, _PATIENCE_S):
            _Sync(store, version, _Meter(manifest, on_progress, lock)).finish(on_file)
            synced.mark_complete(version)
    except StorageFailed as error:
        if error.code != "NO_SPACE":
            raise
        raise no_space(folder, manifest.size) from error  # names the folder and the whole need
    return files_of(version)


def verify_synced(
    folder: Path, model_id: str, on_progress: OnProgress = quiet
) -> ModelFiles | None:
    """The model that `sync` brought, after hashing it all; None when it is absent or damaged.

    What was found changed is put aside. Hashing leaves the interpreter free, so this may run in a
    thread beside an import.
    """
    version = synced.verify(folder, model_id, on_progress)
    return files_of(version) if version else None


def check_synced(folder: Path, model_id: str, on_progress: OnProgress = quiet) -> list[FileCheck]:
    """The verdict on each file of the model that `sync` brought; changes nothing.

    Raises:
        StorageFailed: NOT_READABLE.
    """
    version = synced.complete(folder, model_id)
    if version is None:
        return []
    return [_check(version.path(file), file, on_progress) for file in version.manifest.files]


def _check(path: Path, file: StoredFile, on_progress: OnProgress) -> FileCheck:
    try:
        found = digest(path, file.path, on_progress).sha256
    except OSError as error:
        raise unreadable(path, error) from None
    return FileCheck(path, "ok" if found == file.sha256 else "changed", file.sha256, found)


class _Stopped(Exception):
    """Another file of the model has failed."""


class _Meter:
    """Adds up the bytes of files that come at the same time; safe for threads."""

    def __init__(self, manifest: Manifest, on_progress: OnProgress, lock: Path) -> None:
        self._manifest = manifest
        self._on_progress = on_progress
        self._signs = SignsOfLife(lock)
        self._gate = threading.Lock()
        self._done: dict[str, int] = {}
        self._most = 0
        self.stopped = False

    def tell(self, file: StoredFile, done: int) -> None:
        """`done` bytes of a file are here.

        Raises:
            _Stopped: nobody wants the rest.
        """
        if self.stopped:
            raise _Stopped
        with self._gate:
            self._done[file.path] = done
            total = sum(self._done.values())
            self._on_progress(
                Progress(self._manifest.about.model, "download", total, self._manifest.size)
            )
            if total > self._most:  # a holder that only repeats itself is none to wait for
                self._most = total
                self._signs.give()


class _Sync:
    """One call of `download`."""

    def __init__(self, store: ObjectStore, version: Version, meter: _Meter) -> None:
        self._store = store
        self._version = version
        self._meter = meter

    def finish(self, on_file: OnFile) -> None:
        """Bring all files, at once; the first failure ends the others."""
        files = self._version.manifest.files
        pool = ThreadPoolExecutor(len(files), thread_name_prefix="f5-sync")
        try:
            futures: list[Future[None]] = [pool.submit(self._bring, f, on_file) for f in files]
            _, unfinished = wait(futures, return_when=FIRST_EXCEPTION)
            self._meter.stopped = bool(unfinished)
            failures = [f.exception() for f in futures]
        except BaseException:  # the person at the terminal does not want to wait for the rest
            self._meter.stopped = True
            raise
        finally:
            pool.shutdown(wait=True)
        for failure in sorted(filter(None, failures), key=lambda f: isinstance(f, _Stopped)):
            raise failure

    def _bring(self, file: StoredFile, on_file: OnFile) -> None:
        path = self._version.path(file)
        if not synced.is_intact(self._version, file):
            self._fetch(file, path)
        self._meter.tell(file, file.size)
        on_file(file.role, path)

    def _fetch(self, file: StoredFile, path: Path) -> None:
        """Fetch one file; a blob that is not there yet is asked for again.

        Damage on the way is the store's business: it fetches a damaged copy once more.
        """
        model_id = self._version.manifest.about.model
        key = documents.blob_key(file.sha256)
        for attempt in range(TRIES):
            time.sleep(PAUSE_S * attempt)
            try:
                self._store.download(
                    key, path, file.size, file.sha256, lambda done: self._meter.tell(file, done)
                )
                return
            except KeyMissing:
                continue
            except StorageFailed as error:
                if error.code != "OBJECT_CORRUPT":
                    raise
                what = f"{file.path} does not have the size and hash of its manifest"
                raise documents.corrupt(model_id, what) from error
        raise documents.corrupt(model_id, f"{file.path} is missing")

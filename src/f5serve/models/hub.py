"""Pulls models from the hub into models_dir/hub, and publishes no file before it was verified.

The layout is the one of Hugging Face's own cache, so its tools and other programs find the files:

    hub/models--OWNER--NAME/{blobs/ETAG, snapshots/COMMIT/PATH -> blobs/ETAG, refs/main}

A file is written as blobs/ETAG.incomplete, hashed, and only then renamed and linked, so `local`
finds verified files alone, whatever was killed when.
"""

from __future__ import annotations

import logging
import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from f5serve.errors import ModelUnavailable, StorageFailed
from f5serve.models.cleanup import quarantine, remove_leftovers
from f5serve.models.disk import (
    Digest,
    DiskReservation,
    OnProgress,
    Progress,
    cannot_write,
    digest,
    hold_lock,
    no_progress,
    write_atomic,
)
from f5serve.models.hashes import read_record, record_file, write_record
from f5serve.models.hub_client import (
    Download,
    HubSource,
    RemoteFile,
    fetch,
    file_metadata,
    import_hub,
    newest_revision,
)
from f5serve.models.local import (
    HUB_FOLDER,
    ModelFiles,
    find_published,
    find_snapshot,
    hub_caches,
    named_files,
    pick_files,
    repo_folder,
)
from f5serve.models.registry import PUBLISHED, ModelFile, ModelSpec, Registry

_log = logging.getLogger(__name__)

_ATTEMPTS = 3
_RECORD_BYTES = 64 << 10  # for links and records, out of what was reserved beyond the files


def pull(
    model_id: str,
    source: HubSource,
    models_dir: Path,
    on_progress: OnProgress = no_progress,
    registry: Registry = PUBLISHED,
) -> ModelFiles:
    """Fetch a model and its vocoder; asks no hub when both are on this machine.

    Raises:
        ModelUnavailable: UNKNOWN_MODEL, HASH_MISMATCH, AMBIGUOUS_FILES, HUB_FORBIDDEN,
            HUB_NOT_FOUND, ENGINE_NOT_INSTALLED.
        StorageFailed: NO_SPACE, NOT_WRITABLE, NOT_A_HUB, and retryable HUB_UNREACHABLE,
            HUB_STALLED, HUB_CUT, HUB_FAILED.
        InvalidRequest: NOT_A_MODEL for the vocoder, which is pulled with each model.
    """
    spec = registry.get_model(model_id)
    lock = models_dir / HUB_FOLDER / ".locks" / "f5serve.lock"
    with hold_lock(lock, stale_after_s=2 * source.timeout_s + 5) as held:

        def report(progress: Progress) -> None:
            held.beat()
            on_progress(progress)

        _Pull(source, models_dir, report, held.is_held).run((spec, registry.vocoder))
    found = find_published(model_id, models_dir, registry=registry)
    if found is None:  # removed by another program just now
        raise StorageFailed(
            f"{model_id} was pulled into {models_dir} and is gone from there.",
            code="MODEL_VANISHED",
            hint="See whether another program cleans that folder.",
            retryable=True,
        )
    return found


@dataclass(frozen=True, slots=True)
class _PendingFile:
    """A file that has to be fetched."""

    spec: ModelSpec
    file: ModelFile
    remote: RemoteFile
    part: Path

    @property
    def repo(self) -> str:
        return self.file.repo or self.spec.repo

    @property
    def missing(self) -> int:
        have = self.part.stat().st_size if self.part.exists() else 0
        return max(0, (self.remote.size or 0) - have)


@dataclass(slots=True)
class _Pull:
    """One call of `pull`, with what all its steps need."""

    source: HubSource
    models_dir: Path
    on_progress: OnProgress
    has_lock: bool

    @property
    def hub_dir(self) -> Path:
        return self.models_dir / HUB_FOLDER

    def run(self, specs: tuple[ModelSpec, ...]) -> None:
        """Local files first; then room for all that is missing; then file after file."""
        absent = [spec for spec in specs if not self._is_cached(spec)]
        if not absent:
            return
        hub = import_hub()
        remove_leftovers(self.models_dir)
        try:
            pending = [file for spec in absent for file in self._plan(spec)]
            with DiskReservation(self.hub_dir, sum(file.missing for file in pending)) as room:
                for file in pending:
                    self._download_file(file, room)
        finally:
            hub.close_session()

    def _is_cached(self, spec: ModelSpec) -> bool:
        """Whether what is needed is on this machine, hashed now unless it has been before."""
        roles = tuple(f.role for f in spec.files if f.role != "config") or ("weights", "vocab")
        for cache in hub_caches(self.models_dir):
            found = find_snapshot(spec, roles, self.models_dir, (cache,))
            if found and all(
                self._accept(spec, file, found.paths[role]) for role, file in found.files.items()
            ):
                self._record_revision(spec, found.revision)
                return True
        return False

    def _accept(self, spec: ModelSpec, file: ModelFile, path: Path) -> bool:
        """Whether a file on disk is the right one; a wrong one of our own is quarantined."""
        known = read_record(self.models_dir, spec.id)
        if known.matches_stat(file.path, path):
            recorded = known.files[file.path].sha256
            if known.mismatch(file, recorded) is None:
                return True
        try:
            found = digest(path, file.path, self.on_progress)
        except OSError as error:  # of another user, or on a disk that fails
            _log.warning("%s cannot be read and is not used: %s", path, error)
            return False
        reason = known.mismatch(file, found.sha256)
        if reason is None:
            record_file(self.models_dir, spec.id, file, path, found.sha256)
            return True
        _log.warning("%s is not what it should be and is not used: %s", path, reason)
        if path.is_relative_to(self.hub_dir):
            quarantine(path, self.hub_dir)
        return False

    def _plan(self, spec: ModelSpec) -> list[_PendingFile]:
        """What has to be fetched of a model, as the hub describes it now."""
        known = read_record(self.models_dir, spec.id)
        files = named_files(spec, known)
        revision = spec.revision or known.revision
        if revision is None or not files:
            newest, names = newest_revision(self.source, spec.repo)
            revision, files = revision or newest, files or pick_files(spec, names)
            main = repo_folder(self.hub_dir, spec.repo) / "refs" / "main"
            write_atomic(main, revision.encode())
        pending = []
        for file in files:
            folder = repo_folder(self.hub_dir, file.repo or spec.repo)
            commit = file.revision or revision
            path = folder / "snapshots" / commit / file.path
            if path.is_file() and self._accept(spec, file, path):
                continue
            remote = file_metadata(self.source, file.repo or spec.repo, commit, file.path)
            announced = remote.etag.lower()
            if len(announced) == 64 and (reason := known.mismatch(file, announced)):
                raise _hash_mismatch(spec, file, reason)  # before the first byte
            name = remote.etag if self.has_lock else f"{remote.etag}.{uuid.uuid4().hex[:8]}"
            pending.append(
                _PendingFile(spec, file, remote, folder / "blobs" / f"{name}.incomplete")
            )
        return pending

    def _download_file(self, pending: _PendingFile, room: DiskReservation) -> None:
        """Fetch, hash and publish one file."""
        reason = ""
        for _ in range(_ATTEMPTS):
            resumed = pending.part.exists()
            try:
                pending.part.parent.mkdir(parents=True, exist_ok=True)
                found, reason = self._fetch(pending, room)
                if not reason:
                    room.release(_RECORD_BYTES)
                    self._publish(pending, found.sha256)
                    return
            except FileNotFoundError:
                continue  # another process without the lock was faster
            except OSError as error:
                raise cannot_write(self.hub_dir, pending.missing, error) from error
            finally:
                if not self.has_lock:  # no later pull can resume a part of that name
                    pending.part.unlink(missing_ok=True)
            if not resumed:  # else the older bytes may be to blame
                break
        raise _hash_mismatch(
            pending.spec, pending.file, reason or "it vanished while it was written"
        )

    def _fetch(self, pending: _PendingFile, room: DiskReservation) -> tuple[Digest, str]:
        """The hashes of the fetched part, and why it is refused or ""; then it is removed."""

        def on_bytes(done: int) -> None:
            self.on_progress(Progress(pending.file.path, "download", done, pending.remote.size))

        name = f"{pending.repo}/{pending.file.path}"
        fetch(self.source, Download(name, pending.remote, pending.part, room, on_bytes))
        git = len(pending.remote.etag) == 40
        found = digest(pending.part, pending.file.path, self.on_progress, git=git)
        known = read_record(self.models_dir, pending.spec.id)
        reason = known.mismatch(pending.file, found.sha256) or ""
        if not reason and not found.matches(pending.remote.etag):
            reason = f"the hub announced {pending.remote.etag}, {found.sha256} arrived"
        if reason:
            pending.part.unlink(missing_ok=True)
        return found, reason

    def _publish(self, pending: _PendingFile, sha256: str) -> None:
        """Rename and link a verified part, and record its hash."""
        folder = repo_folder(self.hub_dir, pending.repo)
        blob = folder / "blobs" / pending.remote.etag
        link = folder / "snapshots" / pending.remote.commit / pending.file.path
        pending.part.replace(blob)
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh = link.with_name(f".{link.name}.{uuid.uuid4().hex[:8]}")
        try:
            fresh.symlink_to(os.path.relpath(blob, link.parent))
        except OSError:  # some network volumes have no links
            blob.replace(fresh)
        fresh.replace(link)
        record_file(self.models_dir, pending.spec.id, pending.file, link, sha256)
        self._record_revision(
            pending.spec, pending.remote.commit if pending.file.repo is None else None
        )

    def _record_revision(self, spec: ModelSpec, revision: str | None) -> None:
        known = read_record(self.models_dir, spec.id)
        if revision and revision != known.revision:
            write_record(self.models_dir, spec.id, replace(known, revision=revision))


def _hash_mismatch(spec: ModelSpec, file: ModelFile, reason: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"{file.path} of {spec.id} is not the file it should be: {reason} (sha256).",
        code="HASH_MISMATCH",
        hint="Nothing of it was kept. Try once more; if it stays so the file was changed at its "
        "source, or something between here and the hub changes it.",
    )

"""Models from the hub into models_dir/hub, verified before anybody can meet them there.

A model id flows in, `ModelFiles` flows out. The layout is the one of Hugging Face's own cache, so
its tools and other programs find the files:

    hub/models--OWNER--NAME/{blobs/ETAG, snapshots/COMMIT/PATH -> blobs/ETAG, refs/main}

A file gathers as blobs/ETAG.incomplete, is hashed, and only then renamed and linked: what
`find` sees has been verified, whatever was killed when. This module must not know torch.
"""

from __future__ import annotations

import logging
import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.models import leftovers, records
from f5serve.models.disk import (
    Reservation,
    SignsOfLife,
    cannot_write,
    hold_lock,
    write_atomic,
)
from f5serve.models.fetch import Download, fetch
from f5serve.models.find import (
    HUB_FOLDER,
    ModelFiles,
    find_published,
    hub_caches,
    locate,
    pick_files,
    repo_folder,
)
from f5serve.models.hashes import Digest, OnProgress, Progress, digest, quiet
from f5serve.models.quarantine import put_aside
from f5serve.models.registry import PUBLISHED, ModelFile, ModelSpec, Registry
from f5serve.models.remote import HubSource, RemoteFile, describe, library, resolve
from f5serve.models.verify import mismatch, reason_to_refuse, record

__all__ = ["HubSource", "Progress", "pull"]

logger = logging.getLogger(__name__)

_ATTEMPTS = 3
_RECORDS_SIZE = 64 << 10  # for links and records, out of what was reserved beyond the files


def pull(
    model_id: str,
    source: HubSource,
    models_dir: Path,
    on_progress: OnProgress = quiet,
    registry: Registry = PUBLISHED,
) -> ModelFiles:
    """Bring a model and its vocoder onto this machine; ask nobody when they are here.

    Raises:
        ModelUnavailable: UNKNOWN_MODEL, HASH_MISMATCH, AMBIGUOUS_FILES, HUB_FORBIDDEN,
            HUB_NOT_FOUND, ENGINE_NOT_INSTALLED.
        StorageFailed: NO_SPACE, NOT_WRITABLE, NOT_A_HUB, and retryable HUB_UNREACHABLE,
            HUB_STALLED, HUB_CUT, HUB_FAILED.
        InvalidRequest: NOT_A_MODEL for the vocoder, which is pulled with each model.
    """
    spec = registry.get(model_id)
    if spec is registry.vocoder:
        raise InvalidRequest(
            f"{model_id} is the vocoder, not a model.",
            code="NOT_A_MODEL",
            hint="It is pulled with every model; name one of those.",
        )
    lock = models_dir / HUB_FOLDER / ".locks" / "f5serve.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise cannot_write(models_dir, 0, error) from None
    with hold_lock(lock, patience_s=2 * source.timeout_s + 5) as alone:
        signs = SignsOfLife(lock)

        def report(progress: Progress) -> None:
            signs.give()
            on_progress(progress)

        _Pull(source, models_dir, report, alone).bring((spec, registry.vocoder))
    found = find_published(model_id, models_dir, registry=registry)
    if found is None:  # somebody removed it in this moment
        raise StorageFailed(
            f"{model_id} was pulled into {models_dir} and is gone from there.",
            code="MODEL_VANISHED",
            hint="See whether another program cleans that folder.",
            retryable=True,
        )
    return found


@dataclass(frozen=True, slots=True)
class _Want:
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
    alone: bool

    @property
    def hub_dir(self) -> Path:
        return self.models_dir / HUB_FOLDER

    def bring(self, specs: tuple[ModelSpec, ...]) -> None:
        """Local files first; then room for all that is missing; then file after file."""
        absent = [spec for spec in specs if not self._is_here(spec)]
        if not absent:
            return
        hub = library()
        leftovers.sweep(self.models_dir)
        try:
            wants = [want for spec in absent for want in self._plan(spec)]
            with Reservation(self.hub_dir, sum(want.missing for want in wants)) as room:
                for want in wants:
                    self._obtain(want, room)
        finally:
            hub.close_session()

    def _is_here(self, spec: ModelSpec) -> bool:
        """Whether what is needed is on this machine, hashed now unless it has been before."""
        roles = tuple(f.role for f in spec.files if f.role != "config") or ("weights", "vocab")
        for cache in hub_caches(self.models_dir):
            found = locate(spec, roles, (cache,), self.models_dir)
            if found and all(
                self._accept(spec, file, found.paths[role]) for role, file in found.files.items()
            ):
                self._keep_revision(spec, found.revision)
                return True
        return False

    def _accept(self, spec: ModelSpec, file: ModelFile, path: Path) -> bool:
        """Whether a file on disk is the right one; a wrong one of our own is put aside."""
        seen = records.read(self.models_dir, spec.id)
        if seen.unchanged(file.path, path):
            known = seen.files[file.path].sha256
            if reason_to_refuse(file, seen, known) is None:
                return True
        try:
            found = digest(path, file.path, self.on_progress)
        except OSError as error:  # of another user, or on a disk that fails
            logger.warning("%s cannot be read and is not used: %s", path, error)
            return False
        reason = reason_to_refuse(file, seen, found.sha256)
        if reason is None:
            record(self.models_dir, spec.id, file, path, found)
            return True
        logger.warning("%s is not what it should be and is not used: %s", path, reason)
        if path.is_relative_to(self.hub_dir):
            put_aside(path, self.hub_dir)
        return False

    def _plan(self, spec: ModelSpec) -> list[_Want]:
        """What has to be fetched of a model, as the hub describes it now."""
        seen = records.read(self.models_dir, spec.id)
        files = spec.files or tuple(ModelFile(e.role, p) for p, e in seen.files.items())
        revision = spec.revision or seen.revision
        if revision is None or not files:
            newest, names = resolve(self.source, spec.repo)
            revision, files = revision or newest, files or pick_files(spec, names)
            main = repo_folder(self.hub_dir, spec.repo) / "refs" / "main"
            write_atomic(main, revision.encode())
        wants = []
        for file in files:
            folder = repo_folder(self.hub_dir, file.repo or spec.repo)
            commit = file.revision or revision
            path = folder / "snapshots" / commit / file.path
            if path.is_file() and self._accept(spec, file, path):
                continue
            remote = describe(self.source, file.repo or spec.repo, commit, file.path)
            announced = remote.etag.lower()
            if len(announced) == 64 and (reason := reason_to_refuse(file, seen, announced)):
                raise mismatch(spec, file, reason)  # before the first byte
            name = remote.etag if self.alone else f"{remote.etag}.{uuid.uuid4().hex[:8]}"
            wants.append(_Want(spec, file, remote, folder / "blobs" / f"{name}.incomplete"))
        return wants

    def _obtain(self, want: _Want, room: Reservation) -> None:
        """Fetch, hash and publish one file."""
        reason = ""
        for _ in range(_ATTEMPTS):
            resumed = want.part.exists()
            try:
                want.part.parent.mkdir(parents=True, exist_ok=True)
                found, reason = self._fetch(want, room)
                if not reason:
                    room.release(_RECORDS_SIZE)
                    self._publish(want, found)
                    return
            except FileNotFoundError:
                continue  # another process, which the lock did not hold back, was faster
            except OSError as error:
                raise cannot_write(self.hub_dir, want.missing, error) from error
            finally:
                if not self.alone:  # nobody can go on with a part of that name
                    want.part.unlink(missing_ok=True)
            if not resumed:  # else the older bytes may be to blame
                break
        raise mismatch(want.spec, want.file, reason or "it vanished while it was written")

    def _fetch(self, want: _Want, room: Reservation) -> tuple[Digest, str]:
        """The hashes of the fetched part, and why it is refused or ""; then it is removed."""

        def on_bytes(done: int) -> None:
            self.on_progress(Progress(want.file.path, "download", done, want.remote.size))

        name = f"{want.repo}/{want.file.path}"
        fetch(self.source, Download(name, want.remote, want.part, room, on_bytes))
        git = len(want.remote.etag) == 40
        found = digest(want.part, want.file.path, self.on_progress, git=git)
        seen = records.read(self.models_dir, want.spec.id)
        reason = reason_to_refuse(want.file, seen, found.sha256) or ""
        if not reason and not found.matches(want.remote.etag):
            reason = f"the hub announced {want.remote.etag}, {found.sha256} arrived"
        if reason:
            want.part.unlink(missing_ok=True)
        return found, reason

    def _publish(self, want: _Want, found: Digest) -> None:
        """Show a verified part to the world, and write down what it was."""
        folder = repo_folder(self.hub_dir, want.repo)
        blob = folder / "blobs" / want.remote.etag
        link = folder / "snapshots" / want.remote.commit / want.file.path
        want.part.replace(blob)
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh = link.with_name(f".{link.name}.{uuid.uuid4().hex[:8]}")
        try:
            fresh.symlink_to(os.path.relpath(blob, link.parent))
        except OSError:  # some network volumes have no links
            blob.replace(fresh)
        fresh.replace(link)
        record(self.models_dir, want.spec.id, want.file, link, found)
        self._keep_revision(want.spec, want.remote.commit if want.file.repo is None else None)

    def _keep_revision(self, spec: ModelSpec, revision: str | None) -> None:
        seen = records.read(self.models_dir, spec.id)
        if revision and revision != seen.revision:
            records.write(self.models_dir, spec.id, replace(seen, revision=revision))

"""Pulls models from the hub and installs them; no file gets its name before it was verified.

A file is written as incoming/ETAG.incomplete in the model's folder (`installed`), hashed, and only
then renamed. When all are there they become a version, whose manifest holds the revision and the
hashes that later pulls have to meet.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from f5serve.errors import ModelUnavailable
from f5serve.models.disk import (
    Digest,
    DiskReservation,
    OnProgress,
    Progress,
    cannot_write,
    digest,
    hold_lock,
    no_progress,
)
from f5serve.models.hub_client import (
    Download,
    HubSource,
    RemoteFile,
    fetch,
    file_metadata,
    import_hub,
    newest_revision,
)
from f5serve.models.installed import (
    INCOMING_FOLDER,
    INSTALLED_FOLDER,
    InstalledModel,
    LocalFile,
    ModelFiles,
    find_installed,
    home_of,
    install,
    model_files,
    versions,
)
from f5serve.models.local import (
    describe,
    expected_hash,
    find_damage,
    problem_of,
    published,
    remove_leftovers,
    vocoders,
)
from f5serve.models.other_layouts import find_snapshots, pick_files
from f5serve.models.registry import PUBLISHED, ModelFile, ModelSpec, Registry, Role

_ATTEMPTS = 3
_RECORD_BYTES = 64 << 10  # for documents, out of what was reserved beyond the files


def pull(
    model_id: str,
    source: HubSource,
    models_dir: Path,
    on_progress: OnProgress = no_progress,
    registry: Registry = PUBLISHED,
) -> ModelFiles:
    """Fetch a model and its vocoder; asks no hub when both are on this machine, hashed now.

    Raises:
        ModelUnavailable: UNKNOWN_MODEL, HASH_MISMATCH, AMBIGUOUS_FILES, HUB_FORBIDDEN,
            HUB_NOT_FOUND, ENGINE_NOT_INSTALLED.
        StorageFailed: NO_SPACE, NOT_WRITABLE, NOT_A_HUB, and retryable HUB_UNREACHABLE,
            HUB_STALLED, HUB_CUT, HUB_FAILED.
        InvalidRequest: NOT_A_MODEL for the vocoder, which is pulled with each model.
    """
    spec = registry.get_model(model_id)
    with _pull_one_at_a_time(spec, source, models_dir, on_progress, registry) as one:
        return one.run()


def pull_alone(
    spec: ModelSpec,
    source: HubSource,
    models_dir: Path,
    on_progress: OnProgress = no_progress,
) -> InstalledModel:
    """Fetch what no vocoder goes with; asks no hub when it is installed, hashed now.

    Raises:
        ModelUnavailable, StorageFailed: as `pull`.
    """
    registry = Registry((), spec)
    with _pull_one_at_a_time(spec, source, models_dir, on_progress, registry) as one:
        return one.install(spec, None)


@contextlib.contextmanager
def _pull_one_at_a_time(
    spec: ModelSpec,
    source: HubSource,
    models_dir: Path,
    on_progress: OnProgress,
    registry: Registry,
) -> Iterator[_Pull]:
    lock = models_dir / INSTALLED_FOLDER / "pull.lock"
    with hold_lock(lock, stale_after_s=2 * source.timeout_s + 5) as held:

        def report(progress: Progress) -> None:
            held.beat()
            on_progress(progress)

        yield _Pull(spec, source, models_dir, report, registry, held.is_held)


@dataclass(frozen=True, slots=True)
class _PendingFile:
    """A file that has to be fetched.

    Attributes:
        part: what has arrived of it.
        to: where it is put when it was verified.
        expected: sha256 that is published or was accepted before, or None.
    """

    owner: ModelSpec
    file: ModelFile
    remote: RemoteFile
    part: Path
    to: Path
    expected: str | None

    @property
    def missing(self) -> int:
        have = self.part.stat().st_size if self.part.exists() else 0
        return max(0, (self.remote.size or 0) - have)

    def mismatch(self, sha256: str) -> str:
        """Why a file of that hash is refused, or ""."""
        if self.expected in (None, sha256):
            return ""
        source = "is published" if self.file.sha256 else "was accepted at first"
        return f"{self.expected} {source}, {sha256} was found"


@dataclass(slots=True)
class _Pull:
    """One call of `pull` or `pull_alone`, with what all its steps need."""

    spec: ModelSpec
    source: HubSource
    models_dir: Path
    on_progress: OnProgress
    registry: Registry
    has_lock: bool

    def run(self) -> ModelFiles:
        """What is here and sound; else it is fetched and installed."""
        for files in published(self.spec.id, self.models_dir, self.registry):
            if not find_damage(files, self.models_dir, self.on_progress, self.registry):
                return files
        owner = self.registry.vocoder
        here = (p for p in vocoders(self.models_dir, self.registry) if self._is_sound(owner, p))
        vocoder = next(here, None)
        for snapshot in find_snapshots(self.spec, ("weights", "vocab"), self.models_dir):
            paths = snapshot.paths
            if all(self._is_sound(self.spec, path, role) for role, path in paths.items()):
                vocoder = vocoder or self.install(owner, None).paths["vocoder"]
                about = describe(self.spec, snapshot.revision)
                return model_files(about, {**paths, "vocoder": vocoder})
        return self.install(self.spec, vocoder).files

    def _is_sound(self, owner: ModelSpec, path: Path, role: Role = "vocoder") -> bool:
        expected = expected_hash(owner, role, path, self.models_dir)
        return not problem_of(path, expected, self.on_progress)

    def install(self, spec: ModelSpec, vocoder: Path | None) -> InstalledModel:
        """Fetch what no folder of the model holds yet, room for all of it first; install it."""
        hub = import_hub()
        remove_leftovers(self.models_dir)
        home = home_of(spec.id, self.models_dir)
        name = INCOMING_FOLDER if self.has_lock else f"{INCOMING_FOLDER}-{uuid.uuid4().hex[:8]}"
        incoming = home / name
        current = find_installed(spec.id, self.models_dir)
        try:
            incoming.mkdir(parents=True, exist_ok=True)
            revision, files, pending = self._plan(spec, incoming)
            if vocoder is not None:
                files.append(LocalFile("vocoder", vocoder))
            elif spec is not self.registry.vocoder:
                _, own, more = self._plan(self.registry.vocoder, incoming)
                files, pending = files + own, pending + more
            with DiskReservation(incoming, sum(file.missing for file in pending)) as room:
                for file in pending:
                    files.append(self._download_file(file, room))
            keep = current is not None and current.is_converted
            return install(describe(spec, revision), files, self.models_dir, make_current=not keep)
        except OSError as error:
            raise cannot_write(incoming, 0, error) from None
        finally:
            hub.close_session()
            if not self.has_lock:  # no later pull can resume from a folder of that name
                shutil.rmtree(incoming, ignore_errors=True)
            with contextlib.suppress(OSError):  # it may hold parts
                incoming.rmdir()

    def _plan(
        self, spec: ModelSpec, incoming: Path
    ) -> tuple[str, list[LocalFile], list[_PendingFile]]:
        """The revision, the files that are here, and what has to be fetched of a model."""
        found = (one for one in versions(spec.id, self.models_dir) if not one.is_converted)
        known = next((version.manifest for version in found), None)
        revision = spec.revision or (known.about.revision if known else "")
        files = spec.files if spec.names_its_files else ()
        if not revision or not files:
            newest, names = newest_revision(self.source, spec.repo)
            revision, files = revision or newest, files or pick_files(spec, names)
        accepted = {file.role: file.sha256 for file in known.files} if known else {}
        folders = [incoming, *(path for path in incoming.parent.iterdir() if path.is_dir())]
        here, pending = [], []
        for file in files:
            if file.role == "config":  # which nothing reads
                continue
            to = incoming / f"{file.role}{Path(file.path).suffix}"
            expected = file.sha256 or accepted.get(file.role)
            if expected and (path := self._find(to.name, folders, expected)):
                here.append(LocalFile(file.role, path, expected))
                continue
            repo, commit = file.repo or spec.repo, file.revision or revision
            remote = file_metadata(self.source, repo, commit, file.path)
            if not expected and (path := self._find(to.name, folders, remote.etag)):
                here.append(LocalFile(file.role, path))
                continue
            part = incoming / f"{remote.etag}.incomplete"
            one = _PendingFile(spec, file, remote, part, to, expected)
            if len(remote.etag) == 64 and (reason := one.mismatch(remote.etag.lower())):
                raise _hash_mismatch(one, reason)  # before the first byte
            pending.append(one)
        return revision, here, pending

    def _find(self, name: str, folders: Iterable[Path], wanted: str) -> Path | None:
        """A file that an earlier pull has brought; `wanted` is its sha256 or git blob id."""
        for path in (folder / name for folder in folders):
            with contextlib.suppress(OSError):
                git = len(wanted) == 40
                if path.is_file() and digest(path, name, self.on_progress, git=git).has(wanted):
                    return path
        return None

    def _download_file(self, pending: _PendingFile, room: DiskReservation) -> LocalFile:
        """Fetch, hash and rename one file."""
        reason = ""
        for _ in range(_ATTEMPTS):
            resumed = pending.part.exists()
            try:
                found, reason = self._fetch(pending, room)
                if not reason:
                    room.release(_RECORD_BYTES)
                    pending.part.replace(pending.to)
                    return LocalFile(pending.file.role, pending.to, found.sha256)
            except FileNotFoundError:  # locks do not hold here, and another process was faster
                wanted = pending.expected or pending.remote.etag
                if path := self._find(pending.to.name, (pending.to.parent,), wanted):
                    return LocalFile(pending.file.role, path)
                continue
            if not resumed:  # else the older bytes may be to blame
                break
        raise _hash_mismatch(pending, reason or "it vanished while it was written")

    def _fetch(self, pending: _PendingFile, room: DiskReservation) -> tuple[Digest, str]:
        """The hashes of the fetched part, and why it is refused or ""; then it is removed."""

        def on_bytes(done: int) -> None:
            self.on_progress(Progress(pending.file.path, "download", done, pending.remote.size))

        name = f"{pending.file.repo or pending.owner.repo}/{pending.file.path}"
        etag = pending.remote.etag
        fetch(self.source, Download(name, pending.remote, pending.part, room, on_bytes))
        found = digest(pending.part, pending.file.path, self.on_progress, git=len(etag) == 40)
        reason = pending.mismatch(found.sha256)
        if not reason and not found.matches(etag):
            reason = f"the hub announced {etag}, {found.sha256} arrived"
        if reason:
            pending.part.unlink(missing_ok=True)
        return found, reason


def _hash_mismatch(pending: _PendingFile, reason: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"{pending.file.path} of {pending.owner.id} is not the file it should be: {reason} "
        "(sha256).",
        code="HASH_MISMATCH",
        hint="Nothing of it was kept. Try once more; if it stays so the file was changed at its "
        "source, or something between here and the hub changes it.",
    )

"""A store in a folder of this machine, or of a volume that several machines mount.

Each value is the file of its key; a person may look at it and drop files in. Values are written
under private names in `.tmp` and renamed, so readers and a crash meet whole ones. Safe for any
number of threads and processes. No bytes are ever read through a link that leaves the folder.

What is written can be read by its owner alone (0600, folders 0700), whatever the umask: it is
people's voices and what they had said. A folder with the setgid bit, as `chmod 2770` makes it, is
meant to be shared: there the group is permitted what it is permitted in the folder.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.base import (
    Progress,
    SkippedNames,
    StoredObject,
    check_after,
    check_key,
    check_prefix,
    corrupt,
    is_key,
    too_large,
)
from f5serve.store.files import (
    OWNER_ONLY,
    Access,
    PrivateFile,
    cannot_read,
    cannot_write,
    make_folder,
    not_a_file,
    sweep,
)

_TMP = ".tmp"
_BLOCK = 1 << 20


class FolderStore:
    """Values as files under `root`, which is made by the first `put`."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        sweep(self.root / _TMP)

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.get`."""
        with self._open(key) as file:
            try:
                data = file.read(-1 if max_bytes is None else max_bytes + 1)
            except OSError as error:
                raise cannot_read(key, error) from None
        if max_bytes is not None and len(data) > max_bytes:
            raise too_large(key, max_bytes)
        return data

    def get_part(self, key: str, start: int, size: int) -> bytes:
        """See `ObjectStore.get_part`."""
        with self._open(key) as file:
            try:
                file.seek(start)
                return file.read(size)
            except OSError as error:
                raise cannot_read(key, error) from None

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        """See `ObjectStore.put`; KEY_CONFLICT when one key would be the folder of another."""
        path = self._path(key)
        with self._new_file(key) as file:
            file.write_at(0, data)
            file.publish(path)

    def put_file(
        self,
        key: str,
        path: Path,
        content_type: str = "",
        on_progress: Progress | None = None,
    ) -> None:
        """See `ObjectStore.put_file`."""
        target = self._path(key)
        try:
            source = path.open("rb")
        except OSError as error:
            raise cannot_read(path.name, error) from None
        with source, self._new_file(key, os.fstat(source.fileno()).st_size) as file:
            size = _copy(source, file, key, lambda block: None, on_progress)
            file.truncate(size)
            file.publish(target)

    def download(
        self,
        key: str,
        to: Path,
        size: int | None = None,
        sha256: str | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """See `ObjectStore.download`."""
        with self._open(key) as source:
            found = os.fstat(source.fileno()).st_size
            if size is not None and found != size:
                raise corrupt(key, f"it has {found} bytes, not {size}")
            digest = hashlib.sha256()
            with PrivateFile(to.parent, key, found) as file:
                copied = _copy(source, file, key, digest.update, on_progress)
                if copied != found:
                    raise corrupt(key, f"it had {found} bytes, and {copied} could be read")
                if sha256 is not None and digest.hexdigest() != sha256.lower():
                    raise corrupt(key, "its sha256 differs")
                file.publish(to)

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`; folders that become empty go too."""
        path = self._path(key)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        except OSError as error:
            raise cannot_write(key, 0, error) from None
        with contextlib.suppress(OSError):  # not empty, or somebody was faster
            for folder in path.parents:
                if folder == self.root:
                    return
                folder.rmdir()

    def list(self, prefix: str = "", *, deep: bool = True) -> Iterator[StoredObject]:
        """See `ObjectStore.list`; what comes or goes meanwhile may be listed or not."""
        folder, _, _ = check_prefix(prefix).rpartition("/")
        skipped = SkippedNames(prefix)
        yield from self._walk(folder, prefix, skipped, deep)
        skipped.warn()

    def _walk(
        self, folder: str, prefix: str, skipped: SkippedNames, deep: bool
    ) -> Iterator[StoredObject]:
        try:
            with os.scandir(self.root / folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise cannot_read(folder, error) from None
        for entry in found:
            key = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name == _TMP or not (key.startswith(prefix) or prefix.startswith(key + "/")):
                continue
            if entry.is_dir(follow_symlinks=False):
                if deep:
                    yield from self._walk(key, prefix, skipped, deep)
            elif not is_key(key) or not entry.is_file(follow_symlinks=False):
                skipped.add(key)
            else:
                with contextlib.suppress(FileNotFoundError):  # gone since
                    facts = entry.stat(follow_symlinks=False)
                    modified = datetime.fromtimestamp(facts.st_mtime, UTC)
                    yield StoredObject(key, facts.st_size, modified)

    def page(self, prefix: str, after: str = "", limit: int = 1000) -> builtins.list[StoredObject]:
        """See `ObjectStore.page`; folders that lie before `after` are not looked into."""
        folder, _, _ = check_prefix(prefix).rpartition("/")
        return builtins.list(islice(self._ordered(folder, prefix, check_after(after)), limit))

    def _ordered(self, folder: str, prefix: str, after: str) -> Iterator[StoredObject]:
        try:
            with os.scandir(self.root / folder) as entries:
                # A folder stands where its keys do: "a-b" comes before "a/b".
                names = sorted(
                    entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries
                )
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise cannot_read(folder, error) from None
        for name in names:
            key = f"{folder}/{name}" if folder else name
            fits = key.startswith(prefix)
            if key.endswith("/"):
                fits = (fits or prefix.startswith(key)) and name != f"{_TMP}/"
                if fits and (key > after or after.startswith(key)):
                    yield from self._ordered(key[:-1], prefix, after)
            elif fits and key > after and is_key(key) and (found := self._facts(key)) is not None:
                yield found

    def _facts(self, key: str) -> StoredObject | None:
        """What a listing tells of a file; None for a link, a pipe, and what is gone since."""
        try:
            facts = os.lstat(self.root / key)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(facts.st_mode):
            return None
        return StoredObject(key, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`."""
        try:
            with self._open(key):
                return True
        except KeyMissing:
            return False

    def abort_old_uploads(self, prefix: str = "", older_than_s: float = 24 * 3600) -> int:
        """Files that were being written go when the store is opened; there are no others."""
        return 0

    def url(
        self, key: str, expires_s: float = 3600, filename: str = "", content_type: str = ""
    ) -> str:
        """`file:///...`, for programs on this machine; it does not expire."""
        return self._path(key).as_uri()

    def now(self) -> float:
        """The clock of this machine."""
        return time.time()

    def describe(self) -> str:
        """One line for logs."""
        return f"folder {self.root}"

    def _path(self, key: str) -> Path:
        """Where the value of a key lies; a folder of links may lead elsewhere, but not out."""
        path = self.root / check_key(key)
        if not self._has_links(key):  # nearly always; looking where links lead costs far more
            return path
        if Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(self.root)):
            return path
        raise StorageFailed(
            f"{key!r} lies behind a link that leads out of the store.",
            code="LINK_LEADS_OUT",
            hint="Replace the link by a folder, or let F5_STORE name the folder it leads to.",
        )

    def _has_links(self, key: str) -> bool:
        """Whether a folder of this key, below the root, is a link, or may be one."""
        folder = os.fspath(self.root)
        for name in key.split("/")[:-1]:
            folder = f"{folder}/{name}"
            try:
                if stat.S_ISLNK(os.lstat(folder).st_mode):
                    return True
            except FileNotFoundError:
                return False
            except OSError:
                return True
        return False

    def _new_file(self, key: str, size: int = 0) -> PrivateFile:
        access = OWNER_ONLY
        try:
            mode = self.root.stat().st_mode
            if mode & stat.S_ISGID:
                group = mode & 0o070
                access = Access(0o600 | group & 0o060, stat.S_ISGID | 0o700 | group, is_exact=True)
        except OSError:  # the first put makes it; what lies above it is for everybody
            with contextlib.suppress(OSError):
                make_folder(self.root.parent)
        return PrivateFile(self.root / _TMP, key, size, access)

    def _open(self, key: str) -> IO[bytes]:
        path = self._path(key)
        try:
            # A link may lead anywhere, and a named pipe would wait for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise KeyMissing(key) from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
                raise not_a_file(key) from None
            raise cannot_read(key, error) from None
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise KeyMissing(key)
        raise not_a_file(key)


def _copy(
    source: IO[bytes],
    file: PrivateFile,
    key: str,
    feed: Callable[[bytes], None],
    on_progress: Progress | None = None,
) -> int:
    """Copy all of `source`, showing every block to `feed`; returns the number of bytes."""
    at = 0
    while True:
        try:
            block = source.read(_BLOCK)
        except OSError as error:
            raise cannot_read(key, error) from None
        if not block:
            return at
        file.write_at(at, block)
        feed(block)
        at += len(block)
        if on_progress is not None:
            on_progress(at)

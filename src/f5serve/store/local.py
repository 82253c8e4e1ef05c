"""A store in a folder of this machine, or of a volume that several machines mount.

Each value is the file of its key, so people can look at values and drop files in. Values are
written to `.tmp` and renamed, so readers see whole ones, also after a crash. Safe for any number
of threads and processes. No link that leaves the folder is followed.

Files have mode 0600 and folders 0700, whatever the umask: they hold voices and texts of people. A
folder with the setgid bit, as `chmod 2770` sets it, is shared: there the group has the rights that
it has on the folder.
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
from f5serve.store.atomic import (
    OWNER_ONLY,
    Access,
    AtomicFile,
    make_folder,
    read_error,
    remove_stale,
    write_error,
)
from f5serve.store.base import (
    IgnoredKeys,
    Progress,
    StoredObject,
    check_after,
    check_key,
    check_prefix,
    is_key,
    object_corrupt_error,
    object_too_large_error,
)

_TMP = ".tmp"
_BLOCK = 1 << 20


class LocalStore:
    """Values as files under `root`, which the first `put` makes."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        remove_stale(self.root / _TMP)

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.get`."""
        with self._open(key) as file:
            try:
                data = file.read(-1 if max_bytes is None else max_bytes + 1)
            except OSError as error:
                raise read_error(key, error) from None
        if max_bytes is not None and len(data) > max_bytes:
            raise object_too_large_error(key, max_bytes)
        return data

    def get_part(self, key: str, start: int, size: int) -> bytes:
        """See `ObjectStore.get_part`."""
        with self._open(key) as file:
            try:
                file.seek(start)
                return file.read(size)
            except OSError as error:
                raise read_error(key, error) from None

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        """See `ObjectStore.put`; KEY_CONFLICT when one key would be the folder of another."""
        path = self._path(key)
        with self._new_file(key) as file:
            file.write_at(0, data)
            file.publish(path)

    def put_file(
        self, key: str, path: Path, content_type: str = "", on_progress: Progress | None = None
    ) -> None:
        """See `ObjectStore.put_file`."""
        target = self._path(key)
        try:
            source = path.open("rb")
        except OSError as error:
            raise read_error(path.name, error) from None
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
                raise object_corrupt_error(key, f"it has {found} bytes, not {size}")
            digest = hashlib.sha256()
            with AtomicFile(to.parent, key, found) as file:
                copied = _copy(source, file, key, digest.update, on_progress)
                if copied != found:
                    raise object_corrupt_error(
                        key, f"it had {found} bytes, and {copied} could be read"
                    )
                if sha256 is not None and digest.hexdigest() != sha256.lower():
                    raise object_corrupt_error(key, "its sha256 differs")
                file.publish(to)

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`; removes folders that become empty, too."""
        path = self._path(key)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        except OSError as error:
            raise write_error(key, 0, error) from None
        with contextlib.suppress(OSError):  # not empty, or another process was faster
            for folder in path.parents:
                if folder == self.root:
                    return
                folder.rmdir()

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[StoredObject]:
        """See `ObjectStore.list`; in the order of keys."""
        folder, _, _ = check_prefix(prefix).rpartition("/")
        ignored = IgnoredKeys(prefix)
        yield from self._walk(folder, prefix, "", recursive, ignored)
        ignored.warn()

    def page(self, prefix: str, after: str = "", limit: int = 1000) -> builtins.list[StoredObject]:
        """See `ObjectStore.page`; folders before `after` are not read."""
        folder, _, _ = check_prefix(prefix).rpartition("/")
        found = self._walk(folder, prefix, check_after(after), True, IgnoredKeys(prefix))
        return builtins.list(islice(found, limit))

    def _walk(
        self, folder: str, prefix: str, after: str, recursive: bool, ignored: IgnoredKeys
    ) -> Iterator[StoredObject]:
        try:
            with os.scandir(self.root / folder) as entries:
                # Sorted as keys are: "a-b" comes before "a/b".
                names = sorted(
                    entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries
                )
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise read_error(folder, error) from None
        for name in names:
            key = f"{folder}/{name}" if folder else name
            if key.endswith("/"):
                has_keys = key.startswith(prefix) or prefix.startswith(key)
                is_behind = key > after or after.startswith(key)
                if recursive and has_keys and is_behind and name != f"{_TMP}/":
                    yield from self._walk(key[:-1], prefix, after, recursive, ignored)
            elif key.startswith(prefix) and key > after:
                try:
                    facts = os.lstat(f"{self.root}/{key}")
                except FileNotFoundError:  # removed meanwhile
                    continue
                if stat.S_ISREG(facts.st_mode) and is_key(key):
                    modified = datetime.fromtimestamp(facts.st_mtime, UTC)
                    yield StoredObject(key, facts.st_size, modified)
                else:
                    ignored.add(key)

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`."""
        try:
            with self._open(key):
                return True
        except KeyMissing:
            return False

    def abort_old_uploads(self, prefix: str = "", older_than_s: float = 24 * 3600) -> int:
        """Returns 0: opening the store removes the files of killed processes."""
        return 0

    def url(
        self, key: str, expires_s: float = 3600, filename: str = "", content_type: str = ""
    ) -> str:
        """A `file:///` URL, for programs on this machine; it does not expire."""
        return self._path(key).as_uri()

    def now(self) -> float:
        """The clock of this machine."""
        return time.time()

    def describe(self) -> str:
        """One line for logs."""
        return f"folder {self.root}"

    def _path(self, key: str) -> Path:
        """The path of a key; links between its folders must not leave the store."""
        path = self.root / check_key(key)
        if not self._has_links(key):  # nearly always; resolving links costs far more
            return path
        if Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(self.root)):
            return path
        raise StorageFailed(
            f"{key!r} lies behind a link that leads out of the store.",
            code="LINK_LEADS_OUT",
            hint="Replace the link by a folder, or let F5_STORE name the folder it leads to.",
        )

    def _has_links(self, key: str) -> bool:
        """Whether a folder of this key, below the root, is or may be a link."""
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

    def _new_file(self, key: str, size: int = 0) -> AtomicFile:
        access = OWNER_ONLY
        try:
            mode = self.root.stat().st_mode
            if mode & stat.S_ISGID:
                group = mode & 0o070
                access = Access(0o600 | group & 0o060, stat.S_ISGID | 0o700 | group, is_exact=True)
        except OSError:  # the first put makes it; folders above it get the usual bits
            with contextlib.suppress(OSError):
                make_folder(self.root.parent)
        return AtomicFile(self.root / _TMP, key, size, access)

    def _open(self, key: str) -> IO[bytes]:
        path = self._path(key)
        try:
            # A link may lead anywhere, and opening a named pipe would wait for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise KeyMissing(key) from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
                raise _not_a_file(key) from None
            raise read_error(key, error) from None
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise KeyMissing(key)
        raise _not_a_file(key)


def _copy(
    source: IO[bytes],
    file: AtomicFile,
    key: str,
    feed: Callable[[bytes], None],
    on_progress: Progress | None = None,
) -> int:
    """Copy all of `source`, and pass every block to `feed`; returns the number of bytes."""
    at = 0
    while True:
        try:
            block = source.read(_BLOCK)
        except OSError as error:
            raise read_error(key, error) from None
        if not block:
            return at
        file.write_at(at, block)
        feed(block)
        at += len(block)
        if on_progress is not None:
            on_progress(at)


def _not_a_file(key: str) -> StorageFailed:
    """The error for a link, a pipe or a device where the file of a key belongs."""
    return StorageFailed(
        f"{key!r} cannot be read: it is no file.",
        code="NOT_A_FILE",
        hint="Put a file there; links are not followed.",
    )

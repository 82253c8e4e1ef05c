"""Files that agents may read and write: those under one folder, links followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from f5serve.errors import InvalidRequest
from f5serve.store.atomic import AtomicFile
from f5serve.types import AudioFormat

FORMATS: dict[str, AudioFormat] = {
    **{f".{name}": name for name in get_args(AudioFormat)},
    ".ogg": "opus",
    ".raw": "pcm",
}
"""Formats of audio by the ending of a file."""

_SHOWN = 200


class Folder:
    """One folder and all below it.

    Args:
        root: must exist.

    Raises:
        InvalidRequest: FOLDER_UNREADABLE.
    """

    def __init__(self, root: Path) -> None:
        try:
            self.root = root.resolve(strict=True)
            is_folder = self.root.is_dir()
        except (OSError, ValueError, RuntimeError):  # a NUL in the name; links in a circle
            is_folder = False
        if not is_folder:
            raise InvalidRequest(
                f"There is no folder {str(root)[-_SHOWN:]!r}.",
                code="FOLDER_UNREADABLE",
                hint="Give the folder that the agent may use with --folder.",
            )

    def read(self, name: str, max_bytes: int) -> bytes:
        """The bytes of a file, at most one more than `max_bytes`.

        Raises:
            InvalidRequest: PATH_NOT_ALLOWED, FILE_UNREADABLE.
        """
        path = self._find(name)
        try:
            # A pipe would not end, and opening one waits for its writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise _unreadable(name, "it is no file")
                return file.read(max_bytes + 1)
        except OSError as error:
            raise _unreadable(name, error.strerror or str(error)) from None

    def check_new(self, name: str, overwrite: bool) -> Path:
        """Where a file of audio can be written.

        Raises:
            InvalidRequest: PATH_NOT_ALLOWED, UNKNOWN_FORMAT, FILE_EXISTS.
        """
        path = self._find(name)
        if path.suffix.lower() not in FORMATS:  # nothing but audio is ever replaced
            raise InvalidRequest(
                f"The ending of {name[-_SHOWN:]!r} is no audio format.",
                code="UNKNOWN_FORMAT",
                hint=f"Use one of {', '.join(FORMATS)}.",
            )
        if os.path.lexists(path) and not (overwrite and path.is_file()):
            raise InvalidRequest(
                f"{name[-_SHOWN:]!r} is there already.",
                code="FILE_EXISTS",
                hint="Give another path, or overwrite=true for a file that may be replaced.",
            )
        return path

    def write(self, name: str, parts: Iterable[bytes], overwrite: bool = False) -> Path:
        """Write a file of audio, which appears when it is complete; folders are made for it.

        Raises:
            InvalidRequest: as `check_new`.
            StorageFailed: NO_SPACE, NOT_WRITABLE.
        """
        path = self.check_new(name, overwrite)
        at = 0
        with AtomicFile(path.parent, path.name) as file:
            for part in parts:
                file.write_at(at, part)
                at += len(part)
            file.publish(self.check_new(name, overwrite))
        return path

    def _find(self, name: str) -> Path:
        """The file of this name, with every link followed.

        Raises:
            InvalidRequest: PATH_NOT_ALLOWED.
        """
        try:
            path = (self.root / name).resolve()
            if path != self.root and path.is_relative_to(self.root):
                return path
        except (OSError, ValueError, RuntimeError):
            pass
        raise InvalidRequest(
            f"{name[-_SHOWN:]!r} is no file below the folder of this server.",
            code="PATH_NOT_ALLOWED",
            hint=f"Give a path below {self.root}, relative to it or in full.",
        )


def _unreadable(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name[-_SHOWN:]!r} cannot be read: {why}.",
        code="FILE_UNREADABLE",
        hint="Check the name and its permissions.",
    )

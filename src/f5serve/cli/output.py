"""Output of `say` and `align`: checked before the work, written whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from f5serve.errors import StorageFailed

STDOUT = "-"


class Output:
    """A file, standard output (`-`) or a device.

    Args:
        name: as given on the command line.

    Raises:
        StorageFailed: OUTPUT_UNWRITABLE.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = None if name == STDOUT else Path(name)
        if self.path is not None:
            self._check(self.path)

    def write(self, data: bytes) -> None:
        """Write everything; a file appears under its name only when it is complete.

        Raises:
            StorageFailed: OUTPUT_UNWRITABLE.
        """
        self.write_parts([data])

    def write_parts(
        self, parts: Iterable[bytes], finish: Callable[[BinaryIO], None] | None = None
    ) -> None:
        """Write what comes as it comes; a file appears only when all has come.

        Args:
            parts: whose errors are passed on; it raises none of the system's own.
            finish: called with a file that has everything, to be corrected where that is possible.

        Raises:
            StorageFailed: OUTPUT_UNWRITABLE.
            BrokenPipeError: its reader has closed it.
        """
        try:
            if self.path is None:
                for part in parts:
                    sys.stdout.buffer.write(part)
                    sys.stdout.buffer.flush()
            elif _is_plain(self.path):
                _write_beside(self.path.resolve(), parts, finish)
            else:  # a device or a pipe takes bytes but no other file in its place
                with self.path.open("wb", buffering=0) as file:
                    for part in parts:
                        file.write(part)
        except BrokenPipeError:  # the reader has enough, which is no fault of the output
            raise
        except OSError as error:
            raise _unwritable(self.name, error.strerror or str(error)) from None

    def _check(self, path: Path) -> None:
        try:
            if path.is_dir():
                raise _unwritable(self.name, "it is a folder")
            if path.exists() and not os.access(path, os.W_OK):
                raise _unwritable(self.name, "it may not be changed")
            if _is_plain(path):
                probe = _beside(path.resolve())
                probe.touch(exist_ok=False)
                probe.unlink()
        except FileNotFoundError:
            raise _unwritable(self.name, f"the folder {path.parent} does not exist") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise _unwritable(self.name, getattr(error, "strerror", "") or str(error)) from None


def _is_plain(path: Path) -> bool:
    return path.is_file() or not path.exists()


def _beside(path: Path) -> Path:
    return path.with_name(f".f5serve-{os.getpid()}.part")


def _write_beside(
    path: Path, parts: Iterable[bytes], finish: Callable[[BinaryIO], None] | None
) -> None:
    beside = _beside(path)
    try:
        with beside.open("x+b") as file:
            for part in parts:
                file.write(part)
            if finish is not None:
                finish(file)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _unwritable(name: str, reason: str) -> StorageFailed:
    name = name if len(name) <= 100 else f"...{name[-97:]}"
    return StorageFailed(
        f"{name!r} cannot be written: {reason}.",
        code="OUTPUT_UNWRITABLE",
        hint="Give another file with -o.",
    )

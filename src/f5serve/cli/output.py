"""What commands write: a file, checked before the work and written whole; progress on stderr.

Progress is bars on a terminal, lines elsewhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from f5serve.errors import StorageFailed
from f5serve.models.disk import Progress, format_bytes

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
            raise unwritable(self.name, error.strerror or str(error)) from None

    def _check(self, path: Path) -> None:
        try:
            if path.is_dir():
                raise unwritable(self.name, "it is a folder")
            if path.exists() and not os.access(path, os.W_OK):
                raise unwritable(self.name, "it may not be changed")
            if _is_plain(path):
                probe = _beside(path.resolve())
                probe.touch(exist_ok=False)
                probe.unlink()
        except FileNotFoundError:
            raise unwritable(self.name, f"the folder {path.parent} does not exist") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise unwritable(self.name, getattr(error, "strerror", "") or str(error)) from None


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """A folder that is there while the block runs; made if need be, and removed if that fails.

    Raises:
        StorageFailed: OUTPUT_UNWRITABLE.
    """
    made: list[Path] = []
    try:
        try:
            for path in (*reversed(folder.parents), folder):
                if not path.exists():
                    path.mkdir()
                    made.append(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = getattr(error, "strerror", "") or str(error)
            raise unwritable(str(folder), reason) from None
        yield
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):  # something else was put there
                path.rmdir()
        raise


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


def unwritable(name: str, reason: str) -> StorageFailed:
    """The error for an output that cannot be written; code OUTPUT_UNWRITABLE."""
    name = name if len(name) <= 100 else f"...{name[-97:]}"
    return StorageFailed(
        f"{name!r} cannot be written: {reason}.",
        code="OUTPUT_UNWRITABLE",
        hint="Give another file with -o.",
    )


class ProgressBar:
    """Progress of downloads and checks: a bar on a terminal, else a line every tenth of a file."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._showing = ""
        self._tenth = -1
        self._show = self._draw if sys.stderr.isatty() else self._print

    def __call__(self, progress: Progress) -> None:
        """Take one step of progress; given to `pull` and `verify` as it is."""
        self._show(progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _is_new(self, progress: Progress) -> bool:
        title = f"{progress.phase} {progress.path}"
        is_new, self._showing = title != self._showing, title
        return is_new

    def _draw(self, progress: Progress) -> None:
        if self._is_new(progress):
            from tqdm import tqdm

            if self._bar is not None:
                self._bar.close()
            self._bar = tqdm(
                desc=self._showing, total=progress.total, unit="B", unit_scale=True, leave=True
            )
        self._bar.update(progress.done - self._bar.n)

    def _print(self, progress: Progress) -> None:
        if self._is_new(progress):
            self._tenth = -1
        tenth = progress.done * 10 // progress.total if progress.total else 0
        if tenth != self._tenth:
            self._tenth = tenth
            total = f" of {format_bytes(progress.total)}" if progress.total else ""
            print(f"{self._showing}: {format_bytes(progress.done)}{total}", file=sys.stderr)


@contextmanager
def show_utterances() -> Iterator[Callable[[int, int], None]]:
    """Progress of a text: a bar, or a line for each utterance; nothing for a single one."""
    bars: list[Any] = []

    def show(done: int, total: int) -> None:
        if total == 1:
            return
        if not sys.stderr.isatty():
            print(f"spoken {done} of {total}", file=sys.stderr, flush=True)
            return
        if not bars:
            from tqdm import tqdm

            bars.append(tqdm(total=total, unit="part", leave=False, file=sys.stderr))
        bars[0].n = done
        bars[0].refresh()  # tqdm alone would leave out what comes quickly

    try:
        yield show
    finally:
        for bar in bars:
            bar.close()

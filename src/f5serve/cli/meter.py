"""How far a download or a check has come, for the person at the terminal or the reader of a log.

Progress flows in, text on stderr flows out. Knows nothing about models.
"""

from __future__ import annotations

import sys
from typing import Any, Self

from f5serve.models.disk import Progress, format_bytes


class Meter:
    """Progress on stderr: a bar on a terminal, elsewhere a line for every tenth of a file."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._showing = ""
        self._tenth = -1
        self._show = self._draw if sys.stderr.isatty() else self._say

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

    def _say(self, progress: Progress) -> None:
        if self._is_new(progress):
            self._tenth = -1
        tenth = progress.done * 10 // progress.total if progress.total else 0
        if tenth != self._tenth:
            self._tenth = tenth
            total = f" of {format_bytes(progress.total)}" if progress.total else ""
            print(f"{self._showing}: {format_bytes(progress.done)}{total}", file=sys.stderr)

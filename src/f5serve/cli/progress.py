"""Progress on stderr: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from f5serve.models.disk import Progress, format_bytes


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

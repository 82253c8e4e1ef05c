"""Timeline of a start: named steps, from the start of the process to "ready"."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SHOWN_FROM_S = 0.05
"""Unaccounted time below this is not shown."""


@dataclass(slots=True)
class Step:
    """One thing that took time.

    Attributes:
        name: e.g. "weights"; a second one of the same name is another step.
        start_s: seconds from the beginning of the timeline.
        seconds: how long it took.
        note: what there is to say about it, e.g. "store, 420 MB at 131 MB/s".
        concurrent: whether it ran beside other steps, so that nothing waited for it alone.
    """

    name: str
    start_s: float
    seconds: float = 0.0
    note: str = ""
    concurrent: bool = False

    def as_dict(self) -> dict[str, Any]:
        """JSON shape; `note` and `beside` only where they are set."""
        step: dict[str, Any] = {
            "name": self.name,
            "start_s": round(self.start_s, 3),
            "seconds": round(self.seconds, 3),
        }
        if self.note:
            step["note"] = self.note
        if self.concurrent:
            step["beside"] = True
        return step

    def __str__(self) -> str:
        notes = ([self.note] if self.note else []) + (["beside"] if self.concurrent else [])
        return f"{self.name} {self.seconds:.1f}" + (f" ({', '.join(notes)})" if notes else "")


class Timeline:
    """Steps of one start; any thread may add to it.

    Args:
        began: where it begins by `time.monotonic`; now, when None.
    """

    def __init__(self, began: float | None = None) -> None:
        self._began = time.monotonic() if began is None else began
        self._steps: list[Step] = []
        self._lock = threading.Lock()
        self._ready_s: float | None = None

    @classmethod
    def of_process(cls) -> Timeline:
        """A timeline that begins when this process did."""
        return cls(time.monotonic() - process_age_s())

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def ready_s(self) -> float:
        """When `ready` was called; until then, now."""
        return self.now_s if self._ready_s is None else self._ready_s

    @contextmanager
    def step(self, name: str, note: str = "", *, concurrent: bool = False) -> Iterator[Step]:
        """Time a block; its note may be written while it runs, and it counts if it fails, too."""
        one = Step(name, self.now_s, note=note, concurrent=concurrent)
        try:
            yield one
        finally:
            one.seconds = self.now_s - one.start_s
            self.add(one)

    def mark(self, name: str, until: float | None = None) -> None:
        """Record the time since the last blocking step under this name.

        Args:
            until: by `time.monotonic`; now, when None.
        """
        last = max((s.start_s + s.seconds for s in self.steps if not s.concurrent), default=0.0)
        end = self.now_s if until is None else until - self._began
        self.add(Step(name, last, max(end - last, 0.0)))

    def ready(self) -> None:
        """Stop the clock."""
        self._ready_s = self.now_s

    @property
    def steps(self) -> list[Step]:
        """All steps that are over, by when they began."""
        with self._lock:
            return sorted(self._steps, key=lambda step: step.start_s)

    @property
    def unaccounted_s(self) -> float:
        """Time before `ready_s` in which no blocking step ran."""
        at = named = 0.0
        for step in self.steps:
            end = min(step.start_s + step.seconds, self.ready_s)
            if not step.concurrent and end > at:
                named += end - max(step.start_s, at)
                at = end
        return max(self.ready_s - named, 0.0)

    def as_dict(self) -> dict[str, Any]:
        """JSON shape: ready_s and steps, each with name, start_s and seconds."""
        return {
            "ready_s": round(self.ready_s, 3),
            "steps": [step.as_dict() for step in self.steps],
        }

    def __str__(self) -> str:
        parts = [str(step) for step in self.steps]
        if self.unaccounted_s >= _SHOWN_FROM_S:
            parts.append(f"other {self.unaccounted_s:.1f}")
        return f"ready in {self.ready_s:.1f} s: {', '.join(parts)}"

    def add(self, step: Step) -> None:
        """Add a step that was timed elsewhere."""
        with self._lock:
            self._steps.append(step)


def process_age_s(proc: Path = Path("/proc")) -> float:
    """Seconds since this process was started, to a hundredth; 0.0 where that is not known."""
    try:
        fields = (proc / "self" / "stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # since the machine was booted
        return max(time.clock_gettime(time.CLOCK_BOOTTIME) - started, 0.0)
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0

"""C1 cold start and C6 memory: processes started one after the other, both sides in turn."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cases import FIRST_REQUEST, Size
from processes import Worker
from stats import Measure, row

Start = Callable[[], Worker]
Say = Callable[[str], None]
Run = dict[str, float]
Runs = dict[str, list[Run]]

UPSTREAM = "upstream"
KINDS = {
    UPSTREAM: ("published", ""),
    "published": ("published", "engine"),
    "artifact-float16": ("artifact-float16", "engine"),
    "artifact-float32": ("artifact-float32", "engine"),
    "boot-published": ("published", "boot"),
    "boot-artifact-float16": ("artifact-float16", "boot"),
}
"""Each kind of start: weights it reads, and what loads them."""
MEASURES = (
    ("C1.{}.import", "imports", "cpu s", "import_cpu"),
    ("C1.{}.load", "vocoder and model", "cpu s", "load_cpu"),
    ("C1.{}.ready", "start to ready", "cpu s", "ready_cpu"),
    ("C1.{}.ready-wall", "start to ready, wall", "s", "ready_wall"),
    ("C1.{}.wave", "start to first wave", "cpu s", "wave_cpu"),
    ("C1.{}.modules", "modules imported", "", "modules"),
    ("C6.{}", "peak memory after the first wave", "MB", "peak_mb"),
    ("C6.{}.anon", "anonymous memory after the first wave", "MB", "anon_mb"),
)
MEASURES_DROPPED = (
    ("C1.{}.dropped.ready-wall", "dropped from the page cache: to ready", "s", "ready_wall"),
    ("C1.{}.dropped.wave-wall", "dropped from the page cache: to first wave", "s", "wave_wall"),
)


class ColdStarts:
    """Starts processes of every kind and turns what they tell into rows.

    Args:
        upstream, ours: start a worker.
        load: what every load command carries, paths included.
    """

    def __init__(self, upstream: Start, ours: Start, load: dict[str, Any], say: Say) -> None:
        self._starts = {UPSTREAM: upstream}
        self._ours = ours
        self._load = load
        self._say = say

    def measure(self, size: Size) -> tuple[list[dict[str, Any]], Runs]:
        """Rows of C1 and C6, and every single start they come from."""
        for kind in (UPSTREAM, "published", "boot-published"):
            self._start(kind)  # fills the page cache and writes bytecode; not counted
        runs = self._alternate(size.starts, dropped=False)
        rows = _rows(runs, MEASURES) + self._bytes()
        if any(run["gpu_mb"] for run in runs[UPSTREAM]):
            rows += _rows(runs, (("C6.gpu.{}", "peak GPU memory", "MB", "gpu_mb"),))
        if not size.dropped_starts:
            return rows, runs
        dropped = self._alternate(size.dropped_starts, dropped=True)
        rows += _rows(dropped, MEASURES_DROPPED)
        return rows, runs | {f"{kind}.dropped": found for kind, found in dropped.items()}

    def _alternate(self, count: int, dropped: bool) -> Runs:
        runs: Runs = defaultdict(list)
        for turn in range(count):
            for kind in list(KINDS)[:: -1 if turn % 2 else 1]:
                if dropped:
                    self._drop(kind)
                runs[kind].append(self._start(kind))
        return dict(runs)

    def _start(self, kind: str) -> Run:
        """One process from nothing to its first wave."""
        weights, through = KINDS[kind]
        with self._starts.get(kind, self._ours)() as worker:
            load = self._load | {"weights": self._load[weights], "through": through}
            stages = worker.ask("load", **load)["stages"]
            out = f"{self._load['work']}/first.npy"
            wave = worker.ask("request", **FIRST_REQUEST, out=out)["state"]
            started = worker.started
        ready = stages["model"]
        run = {
            "import_cpu": stages["import"]["cpu"],
            "load_cpu": ready["cpu"] - stages["import"]["cpu"],
            "ready_cpu": ready["cpu"],
            "ready_wall": ready["at"] - started,
            "ready_mb": ready["peak_mb"],
            "modules": ready["modules"],
            "wave_cpu": wave["cpu"],
            "wave_wall": wave["at"] - started,
            "peak_mb": wave["peak_mb"],
            "anon_mb": wave["anon_mb"],
            "disk_mb": wave["disk_mb"],
            "gpu_mb": wave["gpu_mb"],
        }
        if "vocoder" in stages:
            run["vocoder_cpu"] = stages["vocoder"]["cpu"] - stages["import"]["cpu"]
        self._say(
            f"{kind}: ready {run['ready_cpu']:.2f} cpu s ({run['ready_wall']:.2f} s), "
            f"first wave {run['wave_cpu']:.2f} cpu s, peak {run['peak_mb']:.0f} MB "
            f"({run['anon_mb']:.0f} anonymous)"
        )
        return run

    def _drop(self, kind: str) -> None:
        """Take the files of this kind out of the page cache."""
        for path in (self._load[KINDS[kind][0]], f"{self._load['vocoder']}/pytorch_model.bin"):
            with Path(path).open("rb") as file:
                os.fsync(file.fileno())  # only what is on the disk can be dropped
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _bytes(self) -> list[dict[str, Any]]:
        def megabytes(name: str) -> float:
            return Path(self._load[name]).stat().st_size / 1e6

        return [
            row(
                Measure(f"C1.{name}.bytes", f"weights to load, {name}", "MB"),
                [megabytes("published")],
                [megabytes(name)],
            )
            for name in ("artifact-float16", "artifact-float32")
        ]


def _rows(runs: Runs, measures: tuple[tuple[str, str, str, str], ...]) -> list[dict[str, Any]]:
    return [
        row(
            Measure(key.format(kind), f"{says}, {kind}", unit),
            [run[field] for run in runs[UPSTREAM]],
            [run[field] for run in ours],
        )
        for key, says, unit, field in measures
        for kind, ours in runs.items()
        if kind != UPSTREAM
    ]

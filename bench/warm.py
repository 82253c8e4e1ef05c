"""C2 one step and C3 whole requests: workers that stay loaded and take turns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cases import FIRST_REQUEST, REF_TEXT, Size, speech_text, step_flop
from processes import Worker
from stats import Measure, row

FRAMES_PER_S = 93.75
UPSTREAM = "upstream"
Say = Callable[[str], None]
Timing = dict[str, float]


@dataclass
class Warm:
    """Loaded workers by name: "upstream" and ours by precision, e.g. "fp32", "bf16".

    Attributes:
        clock: "cpu", "wall" or "cuda": which time is compared.
        flop_per_s: measured rate of matrix products, for the floor.
        budget_s: time that one case of C3 may take.
    """

    workers: dict[str, Worker]
    arch: dict[str, Any]
    clock: str
    work: Path
    flop_per_s: float
    budget_s: float
    say: Say

    def steps(self, frames: Sequence[int], size: Size, prefix: str = "") -> list[dict[str, Any]]:
        """Rows of C2."""
        rows = []
        for n in frames:
            for name, worker in self.workers.items():
                tokens = self.arch["vocab_size"] - 1
                worker.ask("prepare", frames=n, tokens=tokens, out=self._out(name))
            repeat = dict(size.repeat).get(n, 1)
            times = self._alternate(size.rounds, "step", {"repeat": repeat})
            rows += self._compare(
                times, f"C2.{prefix}{{}}.{n}", f"{prefix}{{}}: step of {n} frames", n, 1
            )
        return rows

    def requests(self, size: Size) -> tuple[list[dict[str, Any]], list[str]]:
        """Rows of C3, and a sentence for each case that the budget leaves out."""
        rows, skipped = [], []
        for name, worker in self.workers.items():
            worker.ask("request", **FIRST_REQUEST, out=self._out(name))
        for ref_s, gen_s, nfe in size.requests:
            frames = round((ref_s + gen_s) * FRAMES_PER_S)
            case = f"{ref_s:g}+{gen_s:g} s, {nfe} steps"
            floor_s = nfe * step_flop(self.arch, frames) / self.flop_per_s
            pair_s = 1.4 * floor_s * len(self.workers)
            rounds = min(size.rounds, int(self.budget_s // pair_s))
            if rounds < 1:
                skipped.append(f"{case}: about {pair_s:.0f} s a round, more than the budget")
                continue
            arguments = {
                "ref_s": ref_s,
                "ref_text": REF_TEXT,
                "text": speech_text(gen_s),
                "frames": frames,
                "nfe_step": nfe,
                "seed": 5,
            }
            times = self._alternate(rounds, "request", arguments)
            key = f"C3.{{}}.{ref_s:g}+{gen_s:g}.{nfe}"
            rows += self._compare(times, key, f"{{}}: request {case}", frames, nfe)
        return rows, skipped

    def _alternate(
        self, rounds: int, do: str, arguments: dict[str, Any]
    ) -> dict[str, list[Timing]]:
        times: dict[str, list[Timing]] = defaultdict(list)
        for turn in range(rounds):
            for name in list(self.workers)[:: -1 if turn % 2 else 1]:
                sent = arguments | ({"out": self._out(name)} if do == "request" else {})
                answer = self.workers[name].ask(do, **sent)
                times[name].append(answer.get("timing", answer))
        return times

    def _compare(
        self, times: dict[str, list[Timing]], key: str, case: str, frames: int, nfe: int
    ) -> list[dict[str, Any]]:
        floor_s = nfe * step_flop(self.arch, frames) / self.flop_per_s
        rows = []
        for name in times:
            if name == UPSTREAM:
                continue
            theirs, ours = ([t[self.clock] for t in times[side]] for side in (UPSTREAM, name))
            made = row(Measure(key.format(name), case.format(name), "s", "speed"), theirs, ours)
            made["error"] = self._error(name)
            made["floor_share"] = floor_s / made["ours"]
            made["wall"] = {side: [t["wall"] for t in times[side]] for side in (UPSTREAM, name)}
            self.say(f"{made['case']}: {made['ratio']:.2f}x, relative error {made['error']:.1e}")
            rows.append(made)
        return rows

    def _error(self, name: str) -> float:
        """Relative difference between what both sides computed last."""
        theirs, ours = (np.load(self._out(side)) for side in (UPSTREAM, name))
        if theirs.shape != ours.shape:
            return float("inf")
        return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))

    def _out(self, name: str) -> str:
        return str(self.work / f"{name}.npy")

"""What is measured, at which size, and what the numbers should be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much of everything one run measures.

    Attributes:
        starts: process starts of each kind, files in the page cache; then with them dropped.
        frames: lengths of the steps (C2); `e2_frames` those of E2-TTS.
        requests: (reference s, speech s, steps) of C3.
        repeat: forwards inside of one timing, by length; 1 where not given.
    """

    name: Literal["small", "usual", "full"]
    starts: int = 5
    dropped_starts: int = 3
    rounds: int = 5
    frames: tuple[int, ...] = (64, 300, 600, 1200)
    e2_frames: tuple[int, ...] = (300,)
    requests: tuple[tuple[float, float, int], ...] = ()
    repeat: tuple[tuple[int, int], ...] = ((64, 3),)


SIZES = {
    "small": Size(
        "small",
        starts=1,
        dropped_starts=0,
        frames=(64, 150),
        e2_frames=(64,),
        requests=((1.0, 1.0, 7),),
        repeat=((64, 10), (150, 5)),
    ),
    "usual": Size("usual"),
    "full": Size(
        "full",
        requests=tuple((ref, gen, n) for ref, gen in ((3, 3), (6, 10)) for n in (7, 16, 32)),
    ),
}

REF_TEXT = "Some call me nature."
SENTENCE = "The kettle clicked off before anyone had found the cups, and nobody said a word. "
CHARACTERS_PER_S = 15

FIRST_REQUEST = {
    "ref_s": 0.4,
    "ref_text": REF_TEXT,
    "text": "Hello there, world.",
    "frames": 96,
    "nfe_step": 7,
    "seed": 1,
}
"""The request that a cold start is measured to, and that comes before those of C3."""


def speech_text(seconds: float) -> str:
    """Text of about that length when spoken."""
    count = max(10, round(seconds * CHARACTERS_PER_S))
    return (SENTENCE * (count // len(SENTENCE) + 1))[:count].strip()


def step_flop(arch: dict[str, Any], frames: int) -> float:
    """Multiplications and additions of one step with guidance: both halves."""
    d, depth, ff = (int(arch[name]) for name in ("dim", "depth", "ff_mult"))
    layer = (8 + 4 * ff) * d * d + 4 * frames * d
    skips = depth / 2 * 4 * d * d if arch["backbone"] == "unett" else 0
    convolutions = 2 * 2 * 31 * (d // 16) * d
    return 2 * frames * (depth * layer + skips + convolutions + 4 * 100 * d)


@dataclass(frozen=True)
class Target:
    """A bound for the rows whose key matches.

    Attributes:
        of: which number of the row: the median of paired ratios, or best against best.
    """

    says: str
    keys: str
    sign: Literal["<=", ">="]
    bound: float
    of: Literal["ratio", "best"] = "ratio"

    def matches(self, row: Row) -> bool:
        return re.fullmatch(self.keys, row["key"]) is not None

    def met(self, row: Row) -> bool:
        value = row[self.of]
        return bool(value <= self.bound if self.sign == "<=" else value >= self.bound)


CPU_TARGETS = (
    Target("start to ready, engine alone", r"C1\.(published|artifact-\w+)\.ready", "<=", 0.20),
    Target("start to ready, through f5serve", r"C1\.boot-[\w-]+\.ready", "<=", 0.30),
    Target("bytes to load, artifact", r"C1\.artifact-float16\.bytes", "<=", 0.32),
    Target("peak memory, artifact", r"C6\.artifact-\w+", "<=", 0.40),
    Target("peak memory, published file", r"C6\.published", "<=", 0.60),
    Target("step, fp32, 64 frames", r"C2\.fp32\.64", ">=", 1.15),
    Target("step, fp32, 300 frames and more", r"C2\.fp32\.(300|600|1200)", ">=", 1.03),
    Target("step, int8", r"C2\.int8\.\d+", ">=", 1.5),
    Target("step, bf16", r"C2\.bf16\.\d+", ">=", 1.5),
    Target("request 3+3 s, 16 steps, fp32", r"C3\.fp32\.3\+3\.16", ">=", 1.03),
    Target("no fp32 ratio below 1", r"C[23]\.fp32\..*", ">=", 1.0, "best"),
    Target("no fp32 ratio of E2-TTS below 0.97", r"C2\.e2-fp32\..*", ">=", 0.97, "best"),
)
GPU_TARGETS = (
    Target("start to ready, engine alone", r"C1\.(published|artifact-\w+)\.ready", "<=", 0.25),
    Target("bytes to load, artifact", r"C1\.artifact-float16\.bytes", "<=", 0.32),
    Target("peak GPU memory", r"C6\.gpu\..*", "<=", 0.7),
    Target("step, 600 frames and less", r"C2\.fp16\.(64|300|600)", ">=", 5.0),
    Target("step, 1200 frames", r"C2\.fp16\.1200", ">=", 2.5),
)


def checks(rows: list[Row], device: str, size: str) -> list[dict[str, Any]]:
    """Each target against each row it speaks of; none for reduced models."""
    if size == "small":
        return []
    return [
        {
            "target": target.says,
            "row": row["key"],
            "bound": f"{target.sign} {target.bound:g}",
            "value": row[target.of],
            "passed": target.met(row),
            "noisy": row["noisy"],
        }
        for target in (GPU_TARGETS if device == "cuda" else CPU_TARGETS)
        for row in rows
        if target.matches(row)
    ]

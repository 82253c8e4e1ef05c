"""Who asks for what and when, and what is read off the answers."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from statistics import mean
from typing import Any

from cases import CHARACTERS_PER_S, REF_TEXT, speech_text

FRAMES_PER_S = 93.75
SAMPLE_RATE = 24_000
SHORT_SHARE = 0.75
"""Of all requests; the others are long."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Mix:
    """Sizes of the requests.

    Attributes:
        ref_s: length of the reference of all.
        short_s: speech of a short request, one utterance.
        long_s: of each utterance of a long one, which has `long_parts`.
        pause: mean of a client's pauses, as a share of what a request takes alone on average.
    """

    ref_s: float
    short_s: float
    long_s: float
    long_parts: int
    nfe_step: int
    pause: float = 0.5


MIXES = {
    "small": Mix(ref_s=0.6, short_s=0.8, long_s=2.0, long_parts=2, nfe_step=5),
    "usual": Mix(ref_s=0.8, short_s=1.2, long_s=3.0, long_parts=3, nfe_step=7),
    "full": Mix(ref_s=5.0, short_s=3.0, long_s=10.0, long_parts=4, nfe_step=16),
}


def part(mix: Mix, seconds: float, seed: int) -> dict[str, Any]:
    """One utterance; its frames are those that f5-tts gives to the text by itself."""
    # Both sides reckon from the reference how long a text takes.
    characters_per_s = len(REF_TEXT) / mix.ref_s
    text = speech_text(seconds * characters_per_s / CHARACTERS_PER_S)
    text = text.ljust(10, ".")  # below 10 bytes f5-tts slows down
    ref_frames = round(mix.ref_s * SAMPLE_RATE) // 256
    spoken = len((REF_TEXT + " ").encode())
    frames = ref_frames + int(ref_frames / spoken * len(text.encode()))
    return {"text": text, "frames": frames, "seed": seed}


def request(mix: Mix, kind: str, seed: int, pause_s: float = 0.0) -> Record:
    """A short or a long request."""
    seconds = [mix.short_s] if kind == "short" else [mix.long_s] * mix.long_parts
    return {
        "kind": kind,
        "pause_s": pause_s,
        "ref_s": mix.ref_s,
        "ref_text": REF_TEXT,
        "nfe_step": mix.nfe_step,
        "parts": [part(mix, s, seed + i) for i, s in enumerate(seconds)],
    }


def plan(mix: Mix, clients: int, each: int, alone_s: dict[str, float], seed: int) -> list[Any]:
    """Requests of each client: kinds shuffled in a fixed share, pauses drawn as Poisson's are."""
    rng = random.Random(seed)
    count = clients * each
    shorts = round(SHORT_SHARE * count)
    kinds = ["short"] * shorts + ["long"] * (count - shorts)
    rng.shuffle(kinds)
    mean_s = mix.pause * mean(alone_s[kind] for kind in kinds)
    made = [
        request(mix, kind, seed=100 * i, pause_s=rng.expovariate(1 / mean_s))
        for i, kind in enumerate(kinds)
    ]
    return [made[i::clients] for i in range(clients)]


def figures(records: list[Record], alone_s: dict[str, float]) -> dict[str, float]:
    """What a run of all clients comes to; seconds from each request's arrival."""
    shorts = [r for r in records if r["kind"] == "short"]
    span_s = max(r["done"] for r in records) - min(r["arrived"] for r in records)
    audio_s = sum(r["samples"] for r in records) / SAMPLE_RATE
    made = {"audio_per_s": audio_s / span_s, "audio_s": audio_s}
    for name, chosen in {"": records, "short_": shorts}.items():
        latencies = [r["done"] - r["arrived"] for r in chosen]
        firsts = [r["first"] - r["arrived"] for r in chosen]
        made |= {f"{name}p{p}": percentile(latencies, p) for p in (50, 95, 99)}
        made |= {f"{name}first_p{p}": percentile(firsts, p) for p in (50, 95)}
    fair = equal_shares(records, alone_s)
    slowest = [(r["done"] - r["arrived"]) / fair_s for r, fair_s in zip(records, fair, strict=True)]
    return made | {"beyond_fair_share": max(slowest)}


def percentile(values: list[float], p: int) -> float:
    """The smallest value that p % of them do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * p / 100) - 1)]


def equal_shares(records: list[Record], alone_s: dict[str, float]) -> list[float]:
    """Seconds that each request would take if all present were served at once, equally fast."""
    now, took = 0.0, [0.0] * len(records)
    left = [alone_s[r["kind"]] for r in records]
    while any(left):
        here = [i for i, r in enumerate(records) if r["arrived"] <= now and left[i]]
        coming = min((r["arrived"] for r in records if r["arrived"] > now), default=math.inf)
        if not here:
            now = coming
            continue
        first = min(here, key=lambda i: left[i])
        until = min(coming, now + left[first] * len(here))
        for i in here:
            left[i] -= (until - now) / len(here)
        if until < coming:
            left[first] = 0.0
        for i in here:
            if left[i] <= 1e-9:
                left[i], took[i] = 0.0, until - records[i]["arrived"]
        now = until
    return took

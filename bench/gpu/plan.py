"""Which sections there are, how long each takes, and which two calls hold all of them."""

from __future__ import annotations

from typing import NamedTuple


class Section(NamedTuple):
    """One process of a run.

    Attributes:
        expected_s: on an H100, estimated until one has been seen.
        limit_s: after which it is ended; what it told until then counts.
    """

    says: str
    expected_s: int
    limit_s: int


SECTIONS = {
    "info": Section("the card: peak TFLOP/s, bandwidth, launches, products of a step", 25, 60),
    "material": Section("random weights of the real shapes, and our artifact of them", 30, 90),
    "tests": Section("tests/gpu, one process for each file", 90, 150),
    "steps": Section("ms a step by rows, tokens, time points, graphs; share of the floor", 60, 110),
    "requests": Section("whole requests of one caller, and their stages", 60, 110),
    "parity": Section("the GPU against fp32 on the CPU: mels, batches, waves, replays", 50, 100),
    "cold": Section("process start to ready and to the first wave", 35, 90),
    "profile": Section("torch.profiler over steps, a beginning and an end", 40, 80),
    "upstream": Section("the f5-tts package beside us: steps, requests, memory, error", 150, 230),
    "clients": Section("8 clients at 7, 16 and 32 steps, graphs on and off", 60, 110),
    "crowd": Section("8 clients, the f5-tts package in both its modes beside us", 80, 140),
    "dtypes": Section("fp32, fp16, bf16, fp8: error and speed", 50, 100),
    "fused": Section("steps by our own kernels, compiled here or ahead, and without", 60, 110),
    "soak": Section("clients without pause: memory, failures, drift", 50, 60),
}
"""In the order in which they run: what is needed most comes first."""

CALLS = {
    "first": ("info", "material", "tests", "steps", "requests", "parity", "cold", "profile"),
    "second": ("material", "upstream", "clients", "crowd", "dtypes", "fused", "soak"),
}
"""Each call is meant for a machine of its own, hence the material in both."""

CALL_S = 540.0
"""What one call may take: a little less than the ten minutes that such a machine is lent for."""
NEEDED_S = 15.0
"""With less time left no section is begun."""


def named(words: list[str]) -> list[str]:
    """Sections that were asked for, by their own names or those of a call, each once.

    Raises:
        ValueError: a name that is neither, with those that are.
    """
    found = [name for word in words for name in CALLS.get(word, (word,))]
    unknown = [name for name in found if name not in SECTIONS]
    if unknown:
        known = ", ".join([*CALLS, *SECTIONS])
        raise ValueError(f"There is no section {unknown[0]!r}; there are {known}.")
    return list(dict.fromkeys(found))


def listing() -> str:
    """The plan as text."""
    lines = []
    for call, sections in CALLS.items():
        total = sum(SECTIONS[name].expected_s for name in sections)
        lines.append(f"{call}: about {total} of {CALL_S:.0f} s, estimated for an H100")
        for name in sections:
            section = SECTIONS[name]
            lines.append(
                f"  {name:9} {section.expected_s:4} s, ended after {section.limit_s:3} s: "
                f"{section.says}"
            )
    return "\n".join(lines)

"""What the numbers should be, and which lines of a result tell them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

Line = dict[str, Any]
Find = Callable[[list[Line]], float | None]


class Target(NamedTuple):
    """A bound for one number.

    Attributes:
        find: the number in the lines of a card; None where it was not measured.
        where: the section that measures it.
    """

    says: str
    sign: Literal["<=", ">="]
    bound: float
    where: str
    find: Find

    def met(self, value: float) -> bool:
        """Whether the value keeps to the bound."""
        return value <= self.bound if self.sign == "<=" else value >= self.bound


def found(lines: list[Line], section: str, what: str, **match: Any) -> list[Line]:
    """Lines of that kind whose fields have these values."""
    wanted = {"section": section, "what": what, **match}
    return [line for line in lines if wanted.items() <= line.items()]


def number(section: str, what: str, field: str, **match: Any) -> Find:
    """One field of the only line of that kind."""

    def find(lines: list[Line]) -> float | None:
        values = [line[field] for line in found(lines, section, what, **match) if field in line]
        return values[-1] if values else None

    return find


def ratio(above: Find, below: Find) -> Find:
    """One number over another."""

    def find(lines: list[Line]) -> float | None:
        upper, lower = above(lines), below(lines)
        return None if upper is None or not lower else upper / lower

    return find


def tests_failed(lines: list[Line]) -> float | None:
    """How many of tests/gpu did not pass; None where none ran."""
    tests = found(lines, "tests", "test")
    ran = [test for test in tests if test["how"] != "skipped"]
    return float(sum(test["how"] != "passed" for test in ran)) if ran else None


def graph_failures(lines: list[Line]) -> float | None:
    """Recordings that failed or differed, in all sections."""
    counts = [line["graph_failures"] for line in lines if "graph_failures" in line]
    return float(max(counts)) if counts else None


def _request(case: str, nfe: int, field: str = "p50_ms") -> Find:
    return number("requests", "request", field, case=case, nfe=nfe, graphs=True)


def _load(nfe: int, field: str) -> Find:
    return number("clients", "load", field, clients=8, nfe=nfe, graphs=True)


def _step(frames: int) -> Find:
    return number("upstream", "compared", "ratio", key=f"C2.fp16.{frames}")


def _audio(contender: str) -> Find:
    return number("crowd", "contender", "audio_per_s", clients=8, contender=contender)


def _error(side: str, field: str) -> Find:
    return number("upstream", "error", field, side=side)


def _file(name: str) -> Find:
    return number("material", "file", "mb", name=name)


_START = {"weights": "artifact-float16", "through": "boot"}

TARGETS = (
    Target("tests/gpu that do not pass", "<=", 0, "tests", tests_failed),
    Target("recorded steps that failed or differed", "<=", 0, "all", graph_failures),
    Target("request 6+10 s, 32 steps, ms", "<=", 140, "requests", _request("6+10", 32)),
    Target("request 6+10 s, 16 steps, ms", "<=", 75, "requests", _request("6+10", 16)),
    Target("request 6+10 s, 7 steps, ms", "<=", 38, "requests", _request("6+10", 7)),
    Target("request 3+3 s, 16 steps, ms", "<=", 30, "requests", _request("3+3", 16)),
    Target(
        "request 6+10 s, 32 steps, share of the card's own rate",
        ">=",
        0.45,
        "requests",
        _request("6+10", 32, "share_of_ideal"),
    ),
    Target("step of 300 frames, times as fast as f5-tts", ">=", 5, "upstream", _step(300)),
    Target("step of 600 frames, times as fast as f5-tts", ">=", 5, "upstream", _step(600)),
    Target("step of 1500 frames, times as fast as f5-tts", ">=", 2.5, "upstream", _step(1500)),
    Target("8 clients, 32 steps, audio s per s", ">=", 96, "clients", _load(32, "audio_per_s")),
    Target("8 clients, 16 steps, audio s per s", ">=", 190, "clients", _load(16, "audio_per_s")),
    Target("8 clients, 7 steps, audio s per s", ">=", 440, "clients", _load(7, "audio_per_s")),
    Target(
        "8 clients, 16 steps, share of the card's own rate",
        ">=",
        0.6,
        "clients",
        _load(16, "share_of_ideal"),
    ),
    Target("8 clients, 16 steps, p95 over p50", "<=", 2.5, "clients", _load(16, "p95_over_p50")),
    Target(
        "8 clients, times the audio of f5-tts one by one",
        ">=",
        3,
        "crowd",
        ratio(_audio("step"), _audio("f5-tts serial")),
    ),
    Target(
        "start to ready with the artifact on the disk, wall s",
        "<=",
        3,
        "cold",
        number("cold", "start", "ready_s", **_START),
    ),
    Target(
        "bytes to load, share of the published file",
        "<=",
        0.32,
        "material",
        ratio(_file("artifact-float16"), _file("published")),
    ),
    Target(
        "GPU memory, share of f5-tts",
        "<=",
        0.7,
        "upstream",
        ratio(_error("ours", "gpu_mb"), _error("theirs", "gpu_mb")),
    ),
    Target(
        "error of fp16, times that of f5-tts",
        "<=",
        1,
        "upstream",
        ratio(_error("ours", "error"), _error("theirs", "error")),
    ),
)
"""For an H100; other cards are held to the ratios and shares only, see `report`."""
OF_ANY_CARD = ("share", "times", "tests", "recorded", "p95", "bytes", "start")
"""Targets whose words hold one of these do not depend on how fast the card is."""


def checks(lines: list[Line], card: str) -> list[Line]:
    """Each target with its value and whether it was met, None for either where it is open."""
    made = []
    for target in TARGETS:
        value = target.find(lines)
        told = target._asdict() | {"value": value, "passed": None}
        held = "H100" in card or "H200" in card or any(w in target.says for w in OF_ANY_CARD)
        if value is not None and held:
            told["passed"] = target.met(value)
        made.append(told)
    return made

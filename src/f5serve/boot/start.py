"""The story of a start: choose, fetch, import beside it, load, warm up."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from f5serve.boot.choice import Choice, choose
from f5serve.boot.engines import import_engine, library, load_engine, warm_up
from f5serve.boot.timeline import Timeline
from f5serve.settings import Settings

if TYPE_CHECKING:
    from f5serve.speech import Speech

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Booted:
    """A Speech, and how it came to be."""

    speech: Speech
    choice: Choice
    timeline: Timeline = field(default_factory=Timeline)

    @property
    def stages_s(self) -> dict[str, float]:
        """Seconds by stage: "import" and "load"."""
        seconds = {step.name: step.seconds for step in self.timeline.steps}
        return {
            "import": seconds.get(library(self.choice.kind), 0.0),
            "load": seconds.get("load", 0.0),
        }


def boot(settings: Settings, weights: str = "") -> Booted:
    """Choose an engine, load it and wrap it.

    Args:
        weights: "" for real ones, or "random:ARCH" for tests and benchmarks of the real engine.

    Raises:
        ModelUnavailable: MODEL_MISSING, ENGINE_NOT_INSTALLED, LICENSE_FORBIDS, UNKNOWN_MODEL or
            what is wrong with the weights.
        InvalidRequest: BAD_OPTION, CHECKPOINT_INCOMPLETE, UNKNOWN_ARCH, NO_GPU.
    """
    return start(choose(settings, weights), settings)


def start(
    choice: Choice, settings: Settings, timeline: Timeline | None = None, *, warm: bool = False
) -> Booted:
    """The second half of `boot`: load what was chosen.

    Args:
        warm: speak once before it counts as ready.
    """
    timeline = timeline or Timeline()
    with timeline.step(library(choice.kind)):
        import_engine(choice.kind)
    with timeline.step("load"):
        engine = load_engine(choice, settings)
    if warm and choice.kind != "standin":
        with timeline.step("warm-up"):
            warm_up(engine)
    timeline.ready()
    from f5serve.speech import Speech

    notes = (choice.note,) if choice.note else ()
    return Booted(Speech(engine, settings.max_text_chars, notes), choice, timeline)

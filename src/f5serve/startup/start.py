"""The story of a start: choose, fetch, import beside it, load, warm up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from f5serve.models.registry import PUBLISHED, Registry
from f5serve.settings import Settings
from f5serve.startup.choice import Choice
from f5serve.startup.engines import Kind, import_engine, library, load_engine, warm_up
from f5serve.startup.timeline import Timeline
from f5serve.startup.weights import Chosen, fetches, settle
from f5serve.synthesis.recognition import SpeechRecognition

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from f5serve.models.resolve import ResolvedModel
    from f5serve.synthesis.synthesizer import Synthesizer

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Booted:
    """A Synthesizer, and how it came to be.

    Attributes:
        obtained: where the weights came from; None when they were not looked for beyond the disk.
    """

    speech: Synthesizer
    choice: Choice
    timeline: Timeline = field(default_factory=Timeline)
    obtained: ResolvedModel | None = None

    @property
    def stages_s(self) -> dict[str, float]:
        """Seconds by stage: "import" and "load"."""
        seconds = {step.name: step.seconds for step in self.timeline.steps}
        return {
            "import": seconds.get(library(self.choice.kind), 0.0),
            "load": seconds.get("load", 0.0),
        }


@dataclass(frozen=True, slots=True)
class Start:
    """How to start, apart from the settings.

    Attributes:
        weights: "" for real ones, or "random:ARCH" for tests and benchmarks of the real engine.
        timeline: takes the steps; None begins one now.
        warm: speak once before it counts as ready.
        stop: ends a download when it is set, with `weights.Stopped`.
        ears: who hears what was spoken; None makes them by the settings.
    """

    weights: str = ""
    timeline: Timeline | None = None
    warm: bool = False
    registry: Registry = PUBLISHED
    stop: Event = field(default_factory=Event)
    ears: SpeechRecognition | None = None


def boot(settings: Settings, weights: str = "", how: Start | None = None) -> Booted:
    """Choose an engine, get its weights, load it and wrap it.

    Args:
        weights: see `Start`.

    Raises:
        ModelUnavailable: MODEL_MISSING, ENGINE_NOT_INSTALLED, LICENSE_FORBIDS, UNKNOWN_MODEL or
            what is wrong with the weights.
        InvalidRequest: BAD_OPTION, CHECKPOINT_INCOMPLETE, UNKNOWN_ARCH, NO_GPU.
        StorageFailed: NO_SPACE for weights that were to be fetched.
    """
    how = how or Start(weights)
    timeline = how.timeline or Timeline()
    imported = None
    if fetches(settings, how.weights):
        imported = _beside("import", lambda: _import("f5", timeline, beside=True))
    with timeline.step("weights") as step:
        chosen = settle(settings, how.weights, how.stop, how.registry)
        step.note = chosen.note
    if imported is not None and not imported.done():
        with timeline.step("waiting for torch"):
            imported.result()
    return _finish(chosen, settings, timeline, how)


def begin(settings: Settings, how: Start) -> Future[Booted]:
    """As `boot`, in a thread of its own; the future tells the result or the error."""
    return _beside("boot", lambda: boot(settings, how.weights, how))


def start(choice: Choice, settings: Settings, ears: SpeechRecognition | None = None) -> Booted:
    """The second half of `boot`: load what was chosen."""
    return _finish(Chosen(choice), settings, Timeline(), Start(ears=ears))


def _finish(chosen: Chosen, settings: Settings, timeline: Timeline, how: Start) -> Booted:
    choice = chosen.choice
    if library(choice.kind) not in (step.name for step in timeline.steps):
        _import(choice.kind, timeline)
    with timeline.step("load"):
        engine = load_engine(choice, settings)
    if how.warm and choice.kind != "standin":
        with timeline.step("warm-up"):
            warm_up(engine)
    from f5serve.synthesis.synthesizer import Synthesizer

    ears = how.ears or SpeechRecognition(settings)
    aligners = ears.aligners()
    notes = (choice.note,) if choice.note else ()
    speech = Synthesizer(
        engine, settings.max_text_chars, notes, ears.verification_policy(), aligners
    )
    timeline.ready()
    if how.warm and choice.kind != "standin":  # which tells its times itself
        aligners.begin()
    return Booted(speech, choice, timeline, chosen.obtained)


def _import(kind: Kind, timeline: Timeline, *, beside: bool = False) -> None:
    with timeline.step(library(kind), beside=beside):
        import_engine(kind)


def _beside(name: str, work: Callable[[], T]) -> Future[T]:
    """Run `work` in a thread of its own."""
    pool = ThreadPoolExecutor(1, f"f5-{name}")
    future = pool.submit(work)
    pool.shutdown(wait=False)  # the thread ends with its work
    return future

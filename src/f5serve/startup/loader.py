"""Loads the engine: select, download weights, import libraries meanwhile, load, warm up."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TYPE_CHECKING, Literal, TypeVar

from f5serve.errors import ModelUnavailable
from f5serve.models.registry import Registry
from f5serve.settings import Settings
from f5serve.startup.select import EngineSpec
from f5serve.startup.timeline import Timeline
from f5serve.startup.weights import ResolvedWeights, resolve_weights, should_download
from f5serve.synthesis.recognition import SpeechRecognition

if TYPE_CHECKING:
    from collections.abc import Callable

    from f5serve.engine.device import SharedDevice
    from f5serve.models.disk import OnProgress
    from f5serve.models.resolve import ResolvedModel
    from f5serve.synthesis.synthesizer import Synthesizer
    from f5serve.types import Engine

T = TypeVar("T")
Kind = Literal["f5", "random", "standin"]

WARM_UP_STEPS = 7
"""A schedule that every converted artifact carries."""

_WARM_UP_ROWS = {
    "cuda": ((600, WARM_UP_STEPS), (640, WARM_UP_STEPS), (620, 16)),
    "cpu": ((16, WARM_UP_STEPS),),
}
"""Frames and steps of the utterances, by device. A CPU only has to read its weights. A GPU loads
each kernel when it is first needed, and which one goes by the size of what it gets: here are rows
of different lengths, at one time point and at several, two that end together, one that goes on
alone."""
_WARM_UP_TEXTS = ("A", "a", "你", "я", "ا")  # one that the vocabulary of the model has


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A synthesizer that is ready, and how it was loaded.

    Attributes:
        resolved: which source had the weights; None when nothing but the disk was asked.
    """

    synthesizer: Synthesizer
    spec: EngineSpec
    timeline: Timeline = field(default_factory=Timeline)
    resolved: ResolvedModel | None = None

    @property
    def stages_s(self) -> dict[str, float]:
        """Seconds by stage: "import" and "load"."""
        seconds = {step.name: step.seconds for step in self.timeline.steps}
        return {
            "import": seconds.get(library(self.spec.kind), 0.0),
            "load": seconds.get("load", 0.0),
        }


@dataclass(slots=True, eq=False)
class LoadedDevice:
    """What the models of this process share, once the first one is loaded.

    Attributes:
        loading: held while one is loaded.
    """

    shared: SharedDevice | None = None
    loading: Lock = field(default_factory=Lock)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load, apart from the settings.

    Attributes:
        spec: what to load, where it was selected already.
        weights: "" for real ones, or "random:ARCH" for tests and benchmarks of the real engine.
        timeline: takes the steps; None begins one now.
        warm_up: generate once before it counts as ready.
        registry: of the models; None is `known_models`.
        stop: ends a download when it is set, with `weights.Aborted`.
        recognition: recogniser and aligners; None makes them by the settings.
        device: what models that are loaded with it share.
        on_progress: follows a download.
    """

    spec: EngineSpec | None = None
    weights: str = ""
    timeline: Timeline | None = None
    warm_up: bool = False
    registry: Registry | None = None
    stop: Event = field(default_factory=Event)
    recognition: SpeechRecognition | None = None
    device: LoadedDevice = field(default_factory=LoadedDevice)
    on_progress: OnProgress | None = None


def load(settings: Settings, options: LoadOptions | None = None) -> LoadedModel:
    """Select an engine, get its weights, load it and wrap it.

    Raises:
        ModelUnavailable: MODEL_MISSING, ENGINE_NOT_INSTALLED, LICENSE_FORBIDS, UNKNOWN_MODEL or
            what is wrong with the weights.
        InvalidRequest: BAD_OPTION, CHECKPOINT_INCOMPLETE, UNKNOWN_ARCH, NO_GPU.
        StorageFailed: NO_SPACE for weights that were to be downloaded.
    """
    options = options or LoadOptions()
    timeline = options.timeline or Timeline()
    if options.spec is not None:
        return _load(ResolvedWeights(options.spec), settings, timeline, options)
    imported = None
    if should_download(settings, options.weights):
        imported = _run_in_thread("import", lambda: _import("f5", timeline, concurrent=True))
    with timeline.step("weights") as step:
        weights = resolve_weights(
            settings, options.weights, options.stop, options.registry, options.on_progress
        )
        step.note = weights.note
    if imported is not None and not imported.done():
        with timeline.step("waiting for torch"):
            imported.result()
    return _load(weights, settings, timeline, options)


def load_in_background(settings: Settings, options: LoadOptions) -> Future[LoadedModel]:
    """As `load`, in a thread of its own."""
    return _run_in_thread("load", lambda: load(settings, options))


def _load(
    weights: ResolvedWeights, settings: Settings, timeline: Timeline, options: LoadOptions
) -> LoadedModel:
    spec = weights.spec
    if library(spec.kind) not in (step.name for step in timeline.steps):
        _import(spec.kind, timeline)
    with timeline.step("load"), options.device.loading:
        engine = load_engine(spec, settings, options.device)
    if options.warm_up and spec.kind != "standin":
        with timeline.step("warm-up"):
            warm_up(engine)
    from f5serve.synthesis.synthesizer import Synthesizer

    recognition = options.recognition or SpeechRecognition(settings)
    aligners = recognition.aligners()
    notes = (spec.note,) if spec.note else ()
    synthesizer = Synthesizer(
        engine, settings.max_text_chars, notes, recognition.verification_policy(), aligners
    )
    timeline.ready()
    if options.warm_up and spec.kind != "standin":  # which knows its own durations
        aligners.load_in_background()
    return LoadedModel(synthesizer, spec, timeline, weights.resolved)


def _import(kind: Kind, timeline: Timeline, *, concurrent: bool = False) -> None:
    with timeline.step(library(kind), concurrent=concurrent):
        import_engine(kind)


def _run_in_thread(name: str, work: Callable[[], T]) -> Future[T]:
    pool = ThreadPoolExecutor(1, f"f5-{name}")
    future = pool.submit(work)
    pool.shutdown(wait=False)  # the thread ends with its work
    return future


def library(kind: Kind) -> str:
    """The heavy package behind a kind of engine."""
    return "onnxruntime" if kind == "standin" else "torch"


def import_engine(kind: Kind) -> None:
    """Import what takes long, apart from loading, so that it can be timed and run beside it.

    Raises:
        ModelUnavailable: ENGINE_NOT_INSTALLED.
    """
    try:
        if kind == "standin":
            import f5serve.fallback.kokoro
        else:
            import f5serve.engine.engine  # noqa: F401
    except ModuleNotFoundError as error:
        extra = "local" if kind == "standin" else "engine"
        raise ModelUnavailable(
            f"The engine needs the package {error.name}, which is not installed.",
            code="ENGINE_NOT_INSTALLED",
            hint=f"Run: pip install 'f5serve[{extra}]'",
        ) from error


def load_engine(spec: EngineSpec, settings: Settings, device: LoadedDevice | None = None) -> Engine:
    """The engine on the files of the spec, on the device that others were loaded on.

    Raises:
        ModelUnavailable, InvalidRequest: as `engine.engine.load`.
    """
    if spec.kind == "standin":
        from f5serve.fallback.kokoro import Kokoro

        return Kokoro(settings.threads)
    from f5serve.engine.engine import EngineOptions, load, load_random

    options = EngineOptions(
        device=settings.device,
        dtype=settings.dtype,
        threads=settings.threads,
        model=spec.model,
        original=spec.original,
        batch_frames=settings.batch_frames,
        cuda_graphs=settings.cuda_graphs != "off",
        fused_kernels=settings.fused_kernels != "off",
        shared=device.shared if device else None,
        text=spec.text,
    )
    files = spec.files
    if files is None:
        engine = load_random(spec.arch, options)
    else:
        engine = load(files.weights, files.vocab, files.vocoder, files.arch, options)
    if device:
        device.shared = engine.shared
    return engine


def warm_up(engine: Engine) -> None:
    """Generate a few utterances, so that the first caller does not wait for kernels.

    Raises:
        EngineFailed: the engine cannot speak at all; better known now than by the first caller.
    """
    import numpy as np

    from f5serve.types import HOP_LENGTH, SamplingOptions, Utterance, Voice, Wave

    text = next((text for text in _WARM_UP_TEXTS if not engine.unspeakable(text)), "")
    if not text:
        return
    rows = _WARM_UP_ROWS["cuda" if engine.description.startswith("cuda") else "cpu"]
    half = min(frames for frames, _ in rows) // 2
    noise = np.random.default_rng(0).standard_normal(half * HOP_LENGTH, dtype=np.float32)
    voice = Voice("warm-up", Wave(noise * np.float32(0.1)), text, revision="warm-up")
    engine.generate(
        [
            Utterance(text, voice, frames, 0, SamplingOptions(nfe_step=steps))
            for frames, steps in rows
        ]
    )

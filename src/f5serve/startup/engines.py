"""A choice becomes an engine: import its libraries, load its weights, make it speak once.

A `Choice` flows in, a warm `Engine` flows out. This module must not know where weights came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from f5serve.errors import ModelUnavailable
from f5serve.settings import Settings

if TYPE_CHECKING:
    from f5serve.startup.choice import Choice
    from f5serve.types import Engine

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
            import f5serve.engine.load  # noqa: F401
    except ModuleNotFoundError as error:
        extra = "local" if kind == "standin" else "engine"
        raise ModelUnavailable(
            f"The engine needs the package {error.name}, which is not installed.",
            code="ENGINE_NOT_INSTALLED",
            hint=f"Run: pip install 'f5serve[{extra}]'",
        ) from error


def load_engine(choice: Choice, settings: Settings) -> Engine:
    """The engine on the files of the choice.

    Raises:
        ModelUnavailable, InvalidRequest: as `engine.load.load`.
    """
    if choice.kind == "standin":
        from f5serve.fallback.kokoro import Kokoro

        return Kokoro(settings.threads)
    from f5serve.engine.load import EngineOptions, load, load_random

    options = EngineOptions(
        device=settings.device,
        dtype=settings.dtype,
        threads=settings.threads,
        model=choice.model,
        original=choice.original,
        batch_frames=settings.batch_frames,
        cuda_graphs=settings.cuda_graphs != "off",
        fused_kernels=settings.fused_kernels != "off",
    )
    files = choice.files
    if files is None:
        return load_random(choice.arch, options)
    return load(files.weights, files.vocab, files.vocoder, files.arch, options)


def warm_up(engine: Engine) -> None:
    """Speak to nobody, so that the first caller does not wait for kernels.

    Raises:
        EngineFailed: the engine cannot speak at all; better known now than by the first caller.
    """
    import numpy as np

    from f5serve.types import SamplingOptions, Utterance, Voice, Wave
    from f5serve.units import HOP_LENGTH

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

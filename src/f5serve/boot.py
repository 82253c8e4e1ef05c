"""Settings to a Speech that is ready to speak: which engine, on which files.

    Settings -> Choice (looks at disk, imports nothing heavy) -> Engine -> Speech

Everything that can be refused is refused before torch or onnxruntime is imported. This module
must not know about requests or doors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.model_cache.find import ModelFiles, find, find_published, hub_caches, locate
from f5serve.model_cache.registry import VOCODER, check_license, get
from f5serve.settings import Settings
from f5serve.speech import Speech
from f5serve.types import Engine, SamplingOptions

QUALITY_STEPS = {"fast": 7, "balanced": 16, "quality": 32}
"""ODE steps of each quality preset."""

RANDOM = "random:"
"""Prefix of `weights` that stands for random weights of an architecture."""

OnStage = Callable[[str, float], None]
"""Called with the name of a stage that is over and the seconds it took."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which engine is to start, and on what.

    Attributes:
        kind: "f5" on files, "random" for the same engine on random weights, or "standin".
        files: of the model, for "f5".
        original: published checkpoint behind a converted one, when it is there too.
        note: what callers must be told about this choice, or empty.
    """

    kind: Literal["f5", "random", "standin"]
    model: str = ""
    arch: str = ""
    files: ModelFiles | None = None
    original: Path | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Booted:
    """A Speech, and how long it took to get there: seconds by stage, "import" and "load"."""

    speech: Speech
    choice: Choice
    stages_s: dict[str, float] = field(default_factory=dict)


def boot(settings: Settings, weights: str = "", on_stage: OnStage | None = None) -> Booted:
    """Choose an engine, load it and wrap it.

    Args:
        weights: "" for real ones, or "random:ARCH" for tests and benchmarks of the real engine.
        on_stage: told about each stage as it ends.

    Raises:
        ModelUnavailable: MODEL_MISSING, ENGINE_NOT_INSTALLED, LICENSE_FORBIDS, UNKNOWN_MODEL or
            what is wrong with the weights.
        InvalidRequest: BAD_OPTION, CHECKPOINT_INCOMPLETE, UNKNOWN_ARCH, NO_GPU.
    """
    return start(choose(settings, weights), settings, on_stage)


def start(choice: Choice, settings: Settings, on_stage: OnStage | None = None) -> Booted:
    """The second half of `boot`: load what was chosen."""
    stages_s: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        stages_s[name] = time.perf_counter() - began
        if on_stage is not None:
            on_stage(name, stages_s[name])

    with stage("import"):
        _import_engine(choice)
    with stage("load"):
        engine = _load_engine(choice, settings)
    notes = (choice.note,) if choice.note else ()
    return Booted(Speech(engine, settings.max_text_chars, notes), choice, stages_s)


def default_options(settings: Settings) -> SamplingOptions:
    """Sampling options of a request that names none."""
    return SamplingOptions(nfe_step=QUALITY_STEPS[settings.quality])


def choose(settings: Settings, weights: str = "") -> Choice:
    """Which engine the settings and this machine's disk lead to; see `boot` for errors."""
    if weights:
        return _choose_random(settings, weights)
    if settings.engine == "standin":
        return Choice("standin")
    if settings.ckpt or settings.vocab or settings.arch:
        return _choose_own_checkpoint(settings)
    return _choose_published(settings)


def _choose_random(settings: Settings, weights: str) -> Choice:
    from f5serve.engine.config import preset

    if not weights.startswith(RANDOM) or settings.engine == "standin":
        raise InvalidRequest(
            f"Weights {weights!r} cannot be used with engine {settings.engine}.",
            code="BAD_OPTION",
            hint="Only random:ARCH with engine f5 is known, e.g. random:F5TTS_v1_Base; "
            "for a file of your own use --ckpt, --vocab and --arch.",
        )
    arch = preset(weights.removeprefix(RANDOM)).name
    note = "The weights are random: this is noise for tests and benchmarks, not speech."
    return Choice("random", model=weights, arch=arch, note=note)


def _choose_own_checkpoint(settings: Settings) -> Choice:
    from f5serve.engine.config import preset

    if not (settings.ckpt and settings.vocab and settings.arch):
        given = {"ckpt": settings.ckpt, "vocab": settings.vocab, "arch": settings.arch}
        missing = ", ".join(name for name, value in given.items() if not value)
        raise InvalidRequest(
            f"A checkpoint of your own also needs: {missing}.",
            code="CHECKPOINT_INCOMPLETE",
            hint="Give all of --ckpt, --vocab and --arch (F5_CKPT, F5_VOCAB, F5_ARCH); "
            "the architecture cannot be told from the file.",
        )
    for path in (settings.ckpt, settings.vocab):
        if not path.is_file():
            raise ModelUnavailable(
                f"There is no file {path}.",
                code="MODEL_MISSING",
                hint="Check --ckpt and --vocab (F5_CKPT, F5_VOCAB).",
            )
    files = ModelFiles(
        model=settings.ckpt.stem,
        arch=preset(settings.arch).name,
        weights=settings.ckpt,
        vocab=settings.vocab,
        vocoder=_find_vocoder(settings),
        license="",
        commercial=False,
        revision="",
    )
    return Choice("f5", model=files.model, arch=files.arch, files=files)


def _find_vocoder(settings: Settings) -> Path:
    if settings.vocoder is not None:
        return settings.vocoder
    caches = hub_caches(settings.models_dir)
    found = locate(VOCODER, ("vocoder",), caches, settings.models_dir)
    if found is None:
        raise _missing(VOCODER.id)
    return found.paths["vocoder"]


def _choose_published(settings: Settings) -> Choice:
    spec = get(settings.model)
    files = find(spec.id, settings.models_dir)
    if files is None:
        if settings.engine == "f5":
            raise _missing(spec.id)
        return Choice("standin")
    if settings.engine == "auto" and find_spec("torch") is None:
        note = f"{spec.id} is on this machine but torch is not: pip install 'f5serve[engine]'"
        return Choice("standin", note=note)
    check_license(spec, settings.require_commercial_license)
    published = find_published(spec.id, settings.models_dir)
    original = published.weights if published else None
    return Choice("f5", model=files.model, arch=files.arch, files=files, original=original)


def _missing(model: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"The weights of {model} are not on this machine.",
        code="MODEL_MISSING",
        hint=f"Run: f5serve models pull {model}",
    )


def _import_engine(choice: Choice) -> None:
    """Import what takes long, apart from loading, so that both can be timed."""
    try:
        if choice.kind == "standin":
            import f5serve.standin.kokoro
        else:
            import f5serve.engine.load  # noqa: F401
    except ModuleNotFoundError as error:
        extra = "local" if choice.kind == "standin" else "engine"
        raise ModelUnavailable(
            f"The engine needs the package {error.name}, which is not installed.",
            code="ENGINE_NOT_INSTALLED",
            hint=f"Run: pip install 'f5serve[{extra}]'",
        ) from error


def _load_engine(choice: Choice, settings: Settings) -> Engine:
    if choice.kind == "standin":
        from f5serve.standin.kokoro import Kokoro

        return Kokoro(settings.threads)
    from f5serve.engine.load import EngineOptions, load, load_random

    options = EngineOptions(
        device=settings.device,
        dtype=settings.dtype,
        threads=settings.threads,
        model=choice.model,
        original=choice.original,
    )
    files = choice.files
    if files is None:
        return load_random(choice.arch, options)
    return load(files.weights, files.vocab, files.vocoder, files.arch, options)

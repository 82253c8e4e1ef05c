"""/v1/models: what can speak here, with licences.

Ids flow in, entries of OpenAI's list flow out. Which of them a request may name is decided in
`model_ids`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from f5serve.http import errors
from f5serve.http.model_answers import Model, describe, describe_all
from f5serve.http.service import Served

router = APIRouter(tags=["models"])


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
async def list_models(service: Served) -> ModelList:
    """The model that speaks comes first; the last ones are what this server could be set up with.

    Each is told with its licence, and whether that permits commercial use.
    """
    return ModelList(data=await service.operations.work("list_models", describe_all, service))


@router.get(
    "/v1/models/{model_id}",
    operation_id="get_model",
    summary="Look at one model",
    responses=errors.documented(404),
)
async def get_model(
    model_id: Annotated[str, Path(description="Its id, or a name of OpenAI's.")], service: Served
) -> Model:
    """One of the list, or a dated name of OpenAI's."""
    return await service.operations.work("get_model", describe, service, model_id)


@router.get(
    "/v1/audio/models",
    operation_id="list_audio_models",
    summary="List models for a menu",
)
async def list_audio_models(service: Served) -> AudioModels:
    """What requests for speech may name as their model, in the shape that Open WebUI asks for."""
    found = await service.operations.work("list_models", describe_all, service)
    told = [model for model in found if model.state == "loaded"]
    if not told:  # it is being loaded: OpenAI's names will do
        told = [model for model in found if model.kind is None]
    return AudioModels(
        models=[
            AudioModel(
                id=model.id, name=f"{model.id} ({model.alias_of})" if model.alias_of else model.id
            )
            for model in told
        ]
    )

"""POST /v1/text: the words that would be spoken for a text, without speech."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from f5serve.http import errors
from f5serve.http.request_body import JsonRoute
from f5serve.http.scopes import needs
from f5serve.http.state import StateDep
from f5serve.secrets import SPEAK
from f5serve.service.text_preview import TextRequest

router = APIRouter(tags=["speech"], route_class=JsonRoute)


class TextChange(BaseModel):
    """A part of the text that is spoken in other words, or not at all."""

    start: int = Field(description="First character in `text`.", examples=[9])
    end: int = Field(description="The one behind the last.", examples=[14])
    written: str = Field(examples=["$3.50"])
    spoken: str = Field(
        description='"" for what is not spoken, such as an emoji.',
        examples=["three dollars and fifty cents"],
    )


class PlannedUtterance(BaseModel):
    """A part of the text that is generated as a whole."""

    text: str = Field(examples=["It costs three dollars and fifty cents."])
    duration: float = Field(description="Planned length in seconds.", examples=[2.7])


class ScriptPart(BaseModel):
    """A part of a script; null is what the request says."""

    text: str = Field(description="Without tags.", examples=["Hello there."])
    voice: str | None = Field(examples=["ana"])
    style: str | None = Field(examples=["happy"])
    speed: float | None
    seed: int | None
    pause: float | None = Field(description="Seconds of silence behind it.", examples=[1.2])
    start: int = Field(description="First character in the text that was sent.")
    end: int = Field(description="The one behind the last.")


class SpokenText(BaseModel):
    """What would be spoken."""

    text: str = Field(description="As it was understood.", examples=["It costs $3.50."])
    language: str | None = Field(
        description="Of the text, ISO 639-1; null if unknown.", examples=["en"]
    )
    spoken_text: str = Field(examples=["It costs three dollars and fifty cents."])
    changes: list[TextChange]
    parts: list[ScriptPart] = Field(description="Of a script; none where the text has no tag.")
    utterances: list[PlannedUtterance]
    unspeakable: list[str] | None = Field(
        description="Characters that the model has no sound for; null while no model is loaded."
    )
    warnings: list[str] = Field(description="What is left as it is, and may be read wrongly.")


@router.post(
    "/v1/text",
    operation_id="preview_text",
    summary="See which words are spoken for a text",
    response_model=SpokenText,
    responses=errors.error_responses(400, 404, 503, 504),
)
@needs(SPEAK)
async def preview_text(body: TextRequest, state: StateDep) -> dict[str, Any]:
    """The words after lexicon and normalization, and the utterances; nothing is synthesized."""
    return await state.operations.preview_text(body)

"""The operation `preview_text`: its request, and what a text would be spoken as."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from f5serve.errors import InvalidRequest
from f5serve.service.dependencies import Dependencies
from f5serve.service.fields import Name, Request, TextFields, own_fields_first, within
from f5serve.service.requests import DEFAULT_VOICE
from f5serve.settings import MAX_CHARS, Settings
from f5serve.synthesis.spoken_request import preview, preview_as_dict
from f5serve.text.clean import clean_text
from f5serve.types import SamplingOptions, SpeechRequest, Voice
from f5serve.voices.names import is_url


class TextRequest(Request, TextFields):
    """A text whose words are wanted, without speech."""

    model_config = ConfigDict(json_schema_extra=own_fields_first)

    text: Annotated[
        str, Field(min_length=1, max_length=MAX_CHARS, strict=True, examples=["It costs $3.50."])
    ] = Field(description="As /v1/audio/speech would get it; F5_MAX_TEXT_CHARS is the longest.")
    voice: Name | None = Field(
        None, description="A voice of the library: its pace decides the lengths.", examples=["ana"]
    )
    speed: Annotated[float, within("speed")] | None = Field(None, description="Of the speech.")

    def speech_request(self, voice: Voice, max_text_chars: int, normalize: str) -> SpeechRequest:
        """The request that would be spoken.

        Raises:
            InvalidRequest: as `clean_text`.
        """
        return SpeechRequest(
            text=clean_text(self.text, max_text_chars),
            voice=voice,
            options=SamplingOptions(speed=self.speed or 1.0),
            language=self.language or "",
            unnormalized=self.unnormalized(voice, normalize),
        )


def preview_text(deps: Dependencies, settings: Settings, request: TextRequest) -> dict[str, Any]:
    """The words, the utterances and what cannot be spoken; blocks, and needs no model.

    Raises:
        InvalidRequest: as `clean_text`; VOICE_NOT_FOUND; BAD_VOICE_NAME for a URL.
        StorageFailed: the voice or its lexicon cannot be read.
    """
    speaker = request.voice or DEFAULT_VOICE
    if is_url(speaker):
        raise InvalidRequest(
            f"{speaker[:80]!a} is a URL; a preview takes the name of a voice.",
            code="BAD_VOICE_NAME",
            hint="Leave voice out: words are the same in every voice without a lexicon.",
        )
    speech = request.speech_request(
        deps.voices.get(speaker), settings.max_text_chars, settings.normalize
    )
    lexicon = deps.lexicons.for_voice(speaker)
    loaded = deps.executor.loaded
    engine = None if loaded is None else loaded.engine
    found = preview(speech, engine, request.rules.over(lexicon.lexicon))
    shown = preview_as_dict(found)
    return {**shown, "warnings": [*shown["warnings"], *lexicon.warnings]}

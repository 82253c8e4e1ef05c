"""The operation `preview_text`: its request, and what a text would be spoken as."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from f5serve.errors import InvalidRequest
from f5serve.service.dependencies import Dependencies
from f5serve.service.fields import (
    Flag,
    Name,
    Request,
    TextFields,
    lower,
    own_fields_first,
    within,
)
from f5serve.service.library_cast import LibraryCast
from f5serve.service.requests import DEFAULT_VOICE
from f5serve.settings import MAX_CHARS, Settings
from f5serve.synthesis.preview import preview, preview_as_dict
from f5serve.synthesis.script_request import (
    Cast,
    CastScript,
    ScriptSyntax,
    cast_text,
)
from f5serve.text.clean import clean_text
from f5serve.text_kinds import Markup
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
    style: Name | None = Field(None, description="Of the voice.", examples=["happy"])
    speed: Annotated[float, within("speed")] | None = Field(None, description="Of the speech.")
    markup: Annotated[Markup, BeforeValidator(lower)] | None = Field(
        None, description="As /v1/audio/speech has it; `parts` of the answer are the script."
    )
    ssml: Flag | None = Field(None, description="The text is SSML.")

    @property
    def speaker(self) -> str:
        """Name of the voice."""
        return self.voice or DEFAULT_VOICE

    def script(self, cast: Cast, max_text_chars: int) -> CastScript:
        """The parts of the text with their voices; none where it has no tag.

        Raises:
            F5Error: as `cast_text`.
        """
        syntax = ScriptSyntax(self.markup or "auto", bool(self.ssml), self.speed or 1.0)
        return cast_text(self.text, cast, syntax, max_text_chars)

    def speech_request(self, voice: Voice, normalize: str) -> SpeechRequest:
        """The request that would be spoken; its text is not clean yet."""
        return SpeechRequest(
            text=self.text,
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
    speaker = request.speaker
    if is_url(speaker):
        raise InvalidRequest(
            f"{speaker[:80]!a} is a URL; a preview takes the name of a voice.",
            code="BAD_VOICE_NAME",
            hint="Leave voice out: words are the same in every voice without a lexicon.",
        )
    voice = deps.voices.get(speaker, request.style)
    found = deps.lexicons.for_voice(speaker)
    lexicon = request.rules.over(found.lexicon)
    reading = partial(request.unnormalized, default=settings.normalize)
    cast = LibraryCast(deps.voices, deps.lexicons, speaker, voice, lexicon, request.rules, reading)
    script = request.script(cast, settings.max_text_chars)
    speech = request.speech_request(voice, settings.normalize)
    if script.parts:
        speech = replace(speech, language=speech.language or script.language)
    else:
        speech = replace(speech, text=clean_text(speech.text, settings.max_text_chars))
    loaded = deps.executor.loaded
    engine = None if loaded is None else loaded.engine
    shown = preview_as_dict(preview(speech, engine, lexicon, script.parts))
    warnings = [*shown["warnings"], *found.warnings, *script.warnings]
    return {**shown, "warnings": list(dict.fromkeys(warnings))}

"""The operation `preview_text`: what a text would be spoken as."""

from __future__ import annotations

from typing import Any

from f5serve.errors import InvalidRequest
from f5serve.service.dependencies import Dependencies
from f5serve.service.requests import DEFAULT_VOICE, TextRequest
from f5serve.settings import Settings
from f5serve.synthesis.spoken_request import preview, preview_as_dict
from f5serve.voices.names import is_url


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

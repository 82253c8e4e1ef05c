"""Errors as ElevenLabs' error body, {"detail": {"status", "message", "type", "code", "param"}}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field
from starlette.types import Scope

PREFIXES = (
    "/v1/text-to-speech/",
    "/v1/text-to-dialogue",
    "/v1/speech-to-text",
    "/v1/forced-alignment",
    "/v1/voices",
    "/v2/voices",
    "/v1/user",
)
"""Paths that are ElevenLabs' alone."""

SHARED_PATHS = ("/v1/models",)
"""Paths that OpenAI has as well: those who send `xi-api-key` mean ElevenLabs'."""

KEY_HEADER = b"xi-api-key"

STATUSES = {
    "missing_api_key": "needs_authorization",
    "text_too_long": "max_character_limit_exceeded",
    "rate_limited": "too_many_concurrent_requests",
    "too_many_requests": "too_many_concurrent_requests",
    "busy": "system_busy",
}
"""Where programs know a condition by another name than our code."""

_PARAMS = {
    **dict.fromkeys(["text_too_long", "empty_text", "not_text", "bad_unicode"], "text"),
    **dict.fromkeys(["text_not_speakable", "bad_pinyin", "answer_too_large"], "text"),
    **dict.fromkeys(["bad_markup", "bad_ssml"], "text"),
    **dict.fromkeys(["voice_not_found", "bad_voice_name", "reserved_voice_name"], "voice_id"),
    **dict.fromkeys(["unknown_model", "model_not_loaded"], "model_id"),
}
"""The field that an error is about, by the error's code."""


class ElevenLabsProblem(BaseModel):
    """What happened, the value and what to do about it."""

    status: str = Field(description="ElevenLabs' name of the condition, else the code.")
    message: str
    type: str
    code: str | None = Field(None, description="As of all errors here; it is stable.")
    param: str | None = None


class ElevenLabsErrorBody(BaseModel):
    """ElevenLabs' error body."""

    detail: ElevenLabsProblem


def has_own_key(scope: Scope) -> bool:
    """Whether a request has a key in ElevenLabs' header."""
    return any(name == KEY_HEADER for name, _ in scope.get("headers", ()))


def speaks_elevenlabs(scope: Scope) -> bool:
    """Whether the sender of a request expects ElevenLabs' answers."""
    path = scope.get("path", "")
    return path.startswith(PREFIXES) or (path in SHARED_PATHS and has_own_key(scope))


def translate(body: Mapping[str, Any]) -> dict[str, Any]:
    """Our error body in ElevenLabs' shape."""
    problem = body["error"]
    code = problem["code"]
    return {
        "detail": {
            **problem,
            "status": STATUSES.get(code, code),
            "message": problem["message"].replace("GET /v1/audio/voices", "GET /v1/voices"),
            "param": problem["param"] or _PARAMS.get(code),
        }
    }

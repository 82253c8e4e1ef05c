"""The operations that make speech, each with its request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from f5serve.service.chapters import CHAPTER, ChapterRequest
from f5serve.service.dubs import DUB, DubRequest
from f5serve.service.requests import TTSRequest

SPEECH: Final[Mapping[str, type[TTSRequest]]] = {
    "tts": TTSRequest,
    DUB: DubRequest,
    CHAPTER: ChapterRequest,
}

PUBLIC: Final = ("tts", DUB)
"""Those that callers send; chapters come from queues."""


def parse_speech(payload: Mapping[str, Any]) -> TTSRequest:
    """The request in the payload of such an operation, by its `endpoint`; errors as
    `Request.parse`."""
    endpoint = payload.get("endpoint")
    kind = SPEECH.get(endpoint, TTSRequest) if isinstance(endpoint, str) else TTSRequest
    return kind.parse(payload)

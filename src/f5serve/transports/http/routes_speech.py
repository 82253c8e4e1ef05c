"""POST /v1/audio/speech: OpenAI's contract, streamed as it is made."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["speech"])

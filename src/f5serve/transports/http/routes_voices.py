"""/v1/audio/voices: the library."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["voices"])

"""POST /v1/audio/alignments: a recording and its text to word times and subtitles."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["alignments"])

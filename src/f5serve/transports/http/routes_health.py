"""/ping, /health and /metrics: what this server is and how it is."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["health"])

"""/v1/models: what can speak here, with licences."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["models"])

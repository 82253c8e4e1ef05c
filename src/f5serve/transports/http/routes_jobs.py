"""/v1/jobs: speech that is fetched later."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["jobs"])

"""The studio page at /: files of web/, with headers of their own."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["studio"])

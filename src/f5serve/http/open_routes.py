"""Paths that are answered without a key."""

from __future__ import annotations

PUBLIC_PATHS = frozenset(
    {"/", "/ping", "/health", "/docs", "/openapi.json", "/favicon.ico", "/favicon.svg"}
)
PUBLIC_PREFIX = "/studio/"
"""Files of the page at /."""


def is_public(path: str) -> bool:
    """Whether a request for this path needs no key."""
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIX)

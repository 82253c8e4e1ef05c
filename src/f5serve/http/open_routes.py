"""Which routes ask nobody for a key; all others do."""

from __future__ import annotations

from starlette.types import Scope

PATHS = frozenset(
    {"/", "/ping", "/health", "/docs", "/openapi.json", "/favicon.ico", "/favicon.svg"}
)
PAGE_FILES = "/studio/"
"""Below this lie the files of the page at /."""


def is_open(scope: Scope) -> bool:
    """Whether a request is answered without a key."""
    return is_open_path(scope["path"])


def is_open_path(path: str) -> bool:
    """Whether nobody is asked for a key there."""
    return path in PATHS or path.startswith(PAGE_FILES)

"""File descriptors that are left for new work."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from f5serve.errors import too_many_files
from f5serve.http.connections import Connections
from f5serve.http.middleware.rate_limit import is_public
from f5serve.process import FileDescriptors

CLOSE_DELAY_S = 0.01
"""Seconds until a closed connection has given its descriptor back."""

_READING = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods that begin no work."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """File descriptors of one process, for connections and for work."""

    descriptors: FileDescriptors
    connections: Connections

    async def is_available(self) -> bool:
        """Whether new work may begin; connections that only wait make room for it."""
        missing = self.descriptors.shortage()
        if missing and self.connections.close_idle(missing):
            await asyncio.sleep(CLOSE_DELAY_S)
            missing = self.descriptors.shortage()
        return not missing


class CapacityMiddleware:
    """Refuses new work without descriptors for it; public routes are always answered.

    Raises:
        StorageFailed: TOO_MANY_OPEN_FILES.
    """

    def __init__(self, app: ASGIApp, capacity: Capacity | None) -> None:
        self._app, self._capacity = app, capacity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_public(scope["path"]):
            is_full = scope.get("state", {}).get("has_no_room", False)
            if is_full or not (
                self._capacity is None
                or scope.get("method") in _READING
                or await self._capacity.is_available()
            ):
                raise too_many_files()
        await self._app(scope, receive, send)

"""Whether there are file descriptors left for a request, before anything of it is begun.

Requests flow through, or are refused; `connections` and `descriptors` count. Asking how the server
is costs nothing and is answered as long as it can be.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from f5serve.descriptors import Descriptors
from f5serve.errors import too_many_files
from f5serve.http.connections import Connections
from f5serve.http.open_routes import is_public

CLOSING_S = 0.01
"""What a connection that was closed takes to give its descriptor back."""

_READING = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods that begin no work."""


@dataclass(frozen=True, slots=True)
class Room:
    """Of one process, for connections and for work."""

    descriptors: Descriptors
    connections: Connections

    async def is_there(self) -> bool:
        """Whether new work may begin; connections that only wait make room for it."""
        missing = self.descriptors.missing()
        if missing and self.connections.close_idle(missing):
            await asyncio.sleep(CLOSING_S)
            missing = self.descriptors.missing()
        return not missing


class Roomy:
    """`app`, for requests that there are descriptors for.

    Raises:
        StorageFailed: TOO_MANY_OPEN_FILES.
    """

    def __init__(self, app: ASGIApp, room: Room | None) -> None:
        self._app, self._room = app, room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_public(scope["path"]):
            is_full = scope.get("state", {}).get("has_no_room", False)
            if is_full or not (
                self._room is None or scope["method"] in _READING or await self._room.is_there()
            ):
                raise too_many_files()
        await self._app(scope, receive, send)

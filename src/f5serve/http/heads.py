"""How long the URL of a request may be, and how many headers it may have.

Requests flow through, or are refused before anything of them is parsed. Their bytes all together
are bounded by `connection`.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from f5serve.errors import InvalidRequest

MAX_URL_BYTES = 8_192
"""As most servers and proxies take."""

MAX_HEADERS = 200


class Heads:
    """`app`, for heads within these bounds.

    Raises:
        InvalidRequest: URL_TOO_LONG, TOO_MANY_HEADERS.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = len(scope.get("raw_path") or scope["path"]) + len(scope.get("query_string", b""))
        if size > MAX_URL_BYTES:
            raise InvalidRequest(
                f"The URL has {size:,} bytes; {MAX_URL_BYTES:,} is the most.",
                code="URL_TOO_LONG",
                hint="Texts belong into the body of a POST.",
            )
        count = len(scope["headers"])
        if count > MAX_HEADERS:
            raise InvalidRequest(
                f"The request has {count:,} headers; {MAX_HEADERS} is the most.",
                code="TOO_MANY_HEADERS",
                hint="Send those alone that this server needs.",
            )
        await self._app(scope, receive, send)

"""Scopes of routes: each declares the one that a key needs for it, beside its path.

    @router.post("/v1/jobs", ...)
    @needs(SPEAK)
    async def create_job(...)

`ScopeMiddleware` refuses keys without it, for HTTP and WebSockets alike, and no application is made
of a route that declares none. Paths that are open to everybody declare none: see `is_public`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from f5serve.errors import InvalidRequest
from f5serve.http.errors import error_response
from f5serve.http.middleware.rate_limit import is_public
from f5serve.secrets import SCOPES, ApiKey

F = TypeVar("F", bound=Callable[..., object])

_ATTRIBUTE = "__f5serve_scope__"


def needs(scope: str) -> Callable[[F], F]:
    """Declare the scope of the routes whose endpoint is decorated."""
    if scope not in SCOPES:
        raise ValueError(scope)

    def declare(endpoint: F) -> F:
        setattr(endpoint, _ATTRIBUTE, scope)
        return endpoint

    return declare


def scope_of(route: BaseRoute) -> str:
    """The scope that a route has declared; "" for one that is open to everybody.

    Raises:
        TypeError: it has declared none and is not open, or both.
    """
    path = str(getattr(route, "path", ""))
    scope = str(getattr(getattr(route, "endpoint", None), _ATTRIBUTE, ""))
    if bool(scope) is is_public(path):
        raise TypeError(
            f"{route!r} is open to everybody, so @needs has no effect"
            if scope
            else f"{route!r} says not what a key needs for it: add @needs(SPEAK), @needs(VOICES) "
            "or @needs(ADMIN) below its path"
        )
    return scope


def check_scope(key: ApiKey | None, scope: str) -> None:
    """Refuse a key without the scope; None is a caller of a server that asks for no keys, and ""
    the scope of what everybody may do.

    Raises:
        InvalidRequest: MISSING_SCOPE.
    """
    if key is not None and scope and not key.may(scope):
        raise InvalidRequest(
            f"The key {key.name} does not have the scope {scope}, which this route needs.",
            code="MISSING_SCOPE",
            hint="The operator of this server gives scopes to keys.",
        )


def has_scope(connection: HTTPConnection, scope: str) -> bool:
    """Whether the caller of a route that is open to everybody may see what needs the scope."""
    state = connection.state
    key: ApiKey | None = getattr(state, "key", None)
    return getattr(state, "is_known", True) and (key is None or key.may(scope))


class ScopeMiddleware:
    """Refuses keys without the scope of the route that they ask for, before a body is read.

    Where a route finds its key later, as in the first message of a WebSocket, it calls
    `check_scope` itself.

    Args:
        routes: those of `app`, in its order.

    Raises:
        TypeError: as `scope_of`.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._scopes = [(route, scope_of(route)) for route in routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key: ApiKey | None = scope.get("state", {}).get("key")
        if key is not None and not all(map(key.may, SCOPES)):
            try:
                check_scope(key, self._needed(scope))
            except InvalidRequest as error:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _needed(self, scope: Scope) -> str:
        """The scope of the route that will be called; "" where none is needed."""
        for route, needed in self._scopes:
            if route.matches(scope)[0] is Match.FULL:
                return needed
        return ""

"""Which route is where."""

from __future__ import annotations

import copy
import logging

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIRouter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from f5serve import build
from f5serve.errors import InvalidRequest
from f5serve.http import errors, openapi
from f5serve.http.connections import Room, Roomy
from f5serve.http.errors import answer_to
from f5serve.http.middleware.auth import WRONG_KEYS_PER_MINUTE, Callers
from f5serve.http.middleware.body_limit import Bodies, BodyLimits, Heads
from f5serve.http.middleware.origin import Sites, cors, is_loopback, parse_origins
from f5serve.http.middleware.rate_limit import Limits
from f5serve.http.middleware.security_headers import Headers
from f5serve.http.routers import alignments, docs, health, jobs, models, speech, studio, voices
from f5serve.http.state import Service
from f5serve.settings import Settings

ROOMS = (speech, voices, models, jobs, alignments, health, docs, studio)


def make_app(service: Service) -> FastAPI:
    """The application over `service`; `guard.protect` and `observed.observe` wrap it."""
    app = assemble()
    app.state.service = service
    return app


def assemble() -> FastAPI:
    """All routes, over nothing yet; its OpenAPI document is complete."""
    app = FastAPI(
        title="f5serve",
        version=build.stamp().version,
        license_info={"name": "Apache-2.0"},
        openapi_url=None,  # see `docs`: FastAPI would make the document in the event loop
        docs_url=None,
        redoc_url=None,
    )
    for room in ROOMS:
        _add_head(room.router)
        app.include_router(room.router)
    errors.install(app, [route for room in ROOMS for route in room.router.routes])
    openapi.install(app)
    app.state.writer = docs.Writer()
    return app


def _add_head(router: APIRouter) -> None:
    """Have HEAD answered wherever GET is, as GET without its body, which the server leaves out.

    `openapi` documents it. A route with a HEAD of its own, which does less, keeps it.
    """
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    have = {route.path for route in routes if "HEAD" in (route.methods or ())}
    for route in routes:
        if "GET" in (route.methods or ()) and route.path not in have:
            twin = copy.copy(route)
            twin.methods = {"HEAD"}
            twin.include_in_schema = False
            router.routes.append(twin)


_log = logging.getLogger(__name__)

PLAIN_BODY_BYTES = 2_000_000
"""Largest body without files; more where texts may be so long that they need it."""

_BYTES_PER_CHAR = 12
"""Of a character in JSON at most: two escaped halves of a surrogate pair."""


def protect(
    app: ASGIApp,
    settings: Settings,
    wrong_keys_per_minute: int = WRONG_KEYS_PER_MINUTE,
    room: Room | None = None,
) -> ASGIApp:
    """The application behind its guard.

    Args:
        settings: `host` is where the server listens; "" is 127.0.0.1.
        wrong_keys_per_minute: from one address, before more are answered with 429.
        room: for connections and work; without it there is always some.

    Raises:
        InvalidRequest: KEYS_NEEDED, BAD_SETTING, CORS_NEEDS_KEYS.
    """
    is_asking = settings.auth == "keys"
    keys = settings.api_keys if is_asking else ()
    is_local = is_loopback(settings.host)
    if is_asking and not keys and not is_local:
        raise InvalidRequest(
            f"Everybody who reaches {settings.host} could use this server: F5_API_KEYS is not set.",
            code="KEYS_NEEDED",
            hint="Set it to what `f5serve keys new` prints, or F5_AUTH=none if something in front "
            "of the server asks for keys, or F5_HOST=127.0.0.1.",
        )
    _warn(settings)
    origins = parse_origins(settings.cors_origins, bool(keys))
    inner: ASGIApp = Bodies(app, body_limits(settings))
    inner = Roomy(inner, room)
    inner = Limits(inner, settings.rate_per_minute, settings.key_concurrency)
    inner = Callers(inner, keys, wrong_keys_per_minute)
    if not keys:
        # By where it listens, not by F5_AUTH: what is in front cannot tell a page's requests apart.
        inner = Sites(inner, origins, is_local=is_local)
    return _HttpOnly(Headers(cors(_Answers(Heads(inner)), origins)), app)


def body_limits(settings: Settings) -> BodyLimits:
    """How large bodies may be."""
    files = settings.max_body_mb * 1_000_000
    chars = max(settings.max_text_chars, settings.openai_max_chars)
    return BodyLimits(files, min(files, max(PLAIN_BODY_BYTES, chars * _BYTES_PER_CHAR)))


def _warn(settings: Settings) -> None:
    clear = ", ".join(key.name for key in settings.api_keys if key.was_clear)
    if clear:
        _log.warning(
            "F5_API_KEYS holds keys in clear text (%s); `f5serve keys hash` tells what to put there"
            " instead",
            clear,
        )
    if settings.api_keys and settings.auth == "none":
        _log.warning("F5_AUTH is none, so nobody is asked for the keys of F5_API_KEYS")


class _HttpOnly:
    """Nothing here speaks WebSocket; the server's own start and end pass to `app` itself."""

    def __init__(self, guarded: ASGIApp, app: ASGIApp) -> None:
        self._guarded, self._app = guarded, app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._guarded(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _Answers:
    """`app`, whose refusals and faults become answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = has_ended = False

        async def tell(message: Message) -> None:
            nonlocal has_begun, has_ended
            has_begun = True
            has_ended = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        try:
            await self._app(scope, receive, tell)
        except Exception as error:
            if has_ended:  # the application has told and logged it, and raises it again
                return
            if has_begun:  # the connection has to end, or the answer would look complete
                raise
            await answer_to(error)(scope, receive, tell)

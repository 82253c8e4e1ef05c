"""The ASGI application: routers, and the middleware around them.

Middleware from the outside in:

    AccessLogMiddleware        counts and logs every request (added by `serve`)
    SecurityHeadersMiddleware  security headers on every answer
    CORSMiddleware             starlette's, if F5_CORS_ORIGINS names origins
    ErrorMiddleware            length of the URL, number of headers; errors as answers
    OriginMiddleware           without keys: no foreign pages, no foreign host names
    APIKeyMiddleware           the key, its owner and tenant
    RateLimitMiddleware        requests of one caller, and of a tenant, per minute and at a time
    CapacityMiddleware         file descriptors that are left for new work
    BodyLimitMiddleware        size and time of a body

All are plain ASGI: nothing is buffered, and a disconnect is noticed at once (docs/decisions/0021).
WebSockets pass all of it; what refuses one before it is open is answered as for HTTP. uvicorn is
set up to pass no lifespan.
"""

from __future__ import annotations

import copy
import logging
from functools import partial

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIRouter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from f5serve import build
from f5serve.errors import InvalidRequest
from f5serve.http import errors, openapi
from f5serve.http.errors import error_response
from f5serve.http.middleware.auth import WRONG_KEYS_PER_MINUTE, APIKeyMiddleware
from f5serve.http.middleware.body_limit import BodyLimitMiddleware, body_limits_of, check_head
from f5serve.http.middleware.capacity import Capacity, CapacityMiddleware
from f5serve.http.middleware.origin import (
    OriginMiddleware,
    SecurityHeadersMiddleware,
    cors,
    is_loopback,
    parse_origins,
)
from f5serve.http.middleware.rate_limit import CallerLimits, RateLimitMiddleware
from f5serve.http.routers import (
    alignments,
    book_sentences,
    books,
    consents,
    docs,
    dubs,
    elevenlabs_dialogue,
    elevenlabs_recordings,
    elevenlabs_speech,
    elevenlabs_stream,
    elevenlabs_user,
    elevenlabs_voices,
    health,
    jobs,
    lexicons,
    models,
    speech,
    speech_batch,
    speech_stream,
    studio,
    text,
    transcriptions,
    voices,
)
from f5serve.http.scopes import ScopeMiddleware, scope_of
from f5serve.http.sockets import SocketLimits
from f5serve.http.state import AppState
from f5serve.settings import Settings

ROUTERS = (
    *(speech, speech_batch, speech_stream, text, voices, consents, lexicons, models, jobs, dubs),
    *(books, book_sentences, alignments, transcriptions),
    *(elevenlabs_speech, elevenlabs_stream, elevenlabs_dialogue, elevenlabs_recordings),
    *(elevenlabs_voices, elevenlabs_user),
    *(health, docs, studio),
)

_log = logging.getLogger(__name__)


_LAST = ("http.response.body", "websocket.http.response.body", "websocket.close")


def make_app(state: AppState) -> FastAPI:
    """The application over `state`, without middleware."""
    app = assemble()
    app.state.service = state
    return app


def assemble() -> FastAPI:
    """All routes without a state; enough for the OpenAPI document.

    Raises:
        TypeError: a route does not say which scope a key needs for it.
    """
    app = FastAPI(
        title="f5serve",
        version=build.stamp().version,
        license_info={"name": "Apache-2.0"},
        openapi_url=None,  # see `docs`: FastAPI would make the document in the event loop
        docs_url=None,
        redoc_url=None,
    )
    for each in ROUTERS:
        _add_head(each.router)
        app.include_router(each.router)
    routes = [route for each in ROUTERS for route in each.router.routes]
    for route in routes:
        scope_of(route)
    app.add_middleware(ScopeMiddleware, routes=routes)  # made with the first request
    errors.install(app, routes)
    openapi.install(app, routes)
    app.router.default = partial(_not_found, app.router.default)
    app.state.writer = docs.Writer()
    app.state.socket_limits = SocketLimits()
    return app


async def _not_found(default: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "websocket":
        await default(scope, receive, send)
        return
    raise InvalidRequest(
        f"There is no WebSocket {scope['path'][:100]}.",
        code="NO_SUCH_ROUTE",
        hint="docs/reference/websockets.md lists them.",
    )


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


def build_middleware(
    app: ASGIApp,
    settings: Settings,
    wrong_keys_per_minute: int = WRONG_KEYS_PER_MINUTE,
    capacity: Capacity | None = None,
) -> ASGIApp:
    """`app` within the middleware, but for AccessLogMiddleware.

    Args:
        settings: `host` is where the server listens; "" is 127.0.0.1.
        wrong_keys_per_minute: from one address, before more are answered with 429.
        capacity: descriptors for connections and work; None is no limit.

    Raises:
        InvalidRequest: KEYS_NEEDED, BAD_SETTING, CORS_NEEDS_KEYS.
    """
    requires_key = settings.auth == "keys"
    keys = settings.api_keys if requires_key else ()
    is_local = is_loopback(settings.host)
    if requires_key and not keys and not is_local:
        raise InvalidRequest(
            f"Everybody who reaches {settings.host} could use this server: F5_API_KEYS is not set.",
            code="KEYS_NEEDED",
            hint="Set it to what `f5serve keys new` prints, or F5_AUTH=none if something in front "
            "of the server asks for keys, or F5_HOST=127.0.0.1.",
        )
    _warn(settings)
    origins = parse_origins(settings.cors_origins, bool(keys))
    inner: ASGIApp = BodyLimitMiddleware(app, body_limits_of(settings))
    inner = CapacityMiddleware(inner, capacity)
    of_key = CallerLimits(settings.rate_per_minute, settings.key_concurrency)
    of_tenant = CallerLimits(settings.tenant_rate_per_minute, settings.tenant_concurrency)
    inner = RateLimitMiddleware(inner, of_key, of_tenant, settings.tenant)
    inner = APIKeyMiddleware(inner, keys, wrong_keys_per_minute)
    if not keys:
        # By where it listens, not by F5_AUTH: what is in front cannot tell a page's requests apart.
        inner = OriginMiddleware(inner, origins, is_local=is_local)
    return SecurityHeadersMiddleware(cors(ErrorMiddleware(inner), origins))


def _warn(settings: Settings) -> None:
    clear = ", ".join(key.name for key in settings.api_keys if key.was_clear)
    if clear:
        _log.warning(
            "F5_API_KEYS holds keys in clear text (%s); `f5serve keys hash` tells what to put there"
            " instead",
            clear,
        )
    if settings.api_keys and settings.auth == "none":
        _log.warning("F5_AUTH is none, so the keys of F5_API_KEYS are not required")


class ErrorMiddleware:
    """Answers errors that `check_head` or `app` raises before an answer has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_started = has_ended = False

        async def send_noted(message: Message) -> None:
            nonlocal has_started, has_ended
            has_started = True
            has_ended = message["type"] in _LAST and not message.get("more_body")
            await send(message)

        try:
            check_head(scope)
            await self._app(scope, receive, send_noted)
        except Exception as error:  # outermost: every fault becomes an answer
            if has_ended:  # FastAPI has answered and logged it, and raises it again
                return
            if has_started:  # the connection has to end, or the answer would look complete
                if scope["type"] != "websocket":
                    raise
                errors.internal_error(error)
                await send({"type": "websocket.close", "code": 1011, "reason": "internal"})
                return
            await error_response(error, scope)(scope, receive, send_noted)

"""Who may call, and how much: all that a request passes before the application, outside in.

    Headers    security headers on every answer
    cors       pages of other origins, if F5_CORS_ORIGINS names them; none otherwise
    _Answers   what the layers below refuse, as an answer
    Heads      length of the URL, number of headers
    Sites      without keys: no foreign pages, no foreign host names
    Callers    the key, and whose it is
    Limits     requests of one caller in a minute, and at a time
    Roomy      file descriptors that are left for work
    Bodies     size and time of a request's body

All are plain ASGI: nothing is buffered, and a caller who goes away is noticed at once. Why so is in
docs/decisions/0021-who-may-call.md.
"""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from f5serve.errors import InvalidRequest
from f5serve.http.bodies import Bodies, BodyLimits
from f5serve.http.errors import answer_to
from f5serve.http.headers import Headers
from f5serve.http.heads import Heads
from f5serve.http.keys import WRONG_KEYS_PER_MINUTE, Callers
from f5serve.http.limits import Limits
from f5serve.http.origins import Sites, cors, is_loopback, parse_origins
from f5serve.http.room import Room, Roomy
from f5serve.settings import Settings

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

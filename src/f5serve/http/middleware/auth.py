"""API keys: finds the key of a request, and refuses requests without a valid one.

Sets in `scope["state"]`:

    key        the `ApiKey`, None without one
    caller     its name, "" without one
    is_known   whether the caller may see all: the key is valid, or the server needs none
    take_key   of a WebSocket without a key: takes the one of its first message, or raises
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from f5serve.errors import F5Error, InvalidRequest
from f5serve.http.elevenlabs.errors import KEY_HEADER
from f5serve.http.errors import RateLimited
from f5serve.http.middleware.rate_limit import TokenBuckets, client_address, is_public
from f5serve.secrets import ApiKey, find_key

WRONG_KEYS_PER_MINUTE = 20
"""Wrong keys from one address, before they are refused with 429; right ones pass all the time."""

SOCKET_PARAMETERS = frozenset({"api_key", "xi-api-key"})
"""Where browsers send the key of a WebSocket, for which they set no headers; it is not logged."""

KEY_IN_FIRST_MESSAGE = re.compile(
    r"/v1/audio/speech/stream|/v1/text-to-speech/(public/)?[^/]+/(multi-)?stream-input"
)
"""Paths of WebSockets that call `take_key` before anything else."""

_HOW = "Send it as `Authorization: Bearer KEY`, `X-API-Key: KEY` or `xi-api-key: KEY`."

_IN_URL = frozenset(
    {"key", "api_key", "api-key", "apikey", "x-api-key", "token", "access_token", "authorization"}
    | {"xi-api-key", "xi_api_key"}
)


class APIKeyMiddleware:
    """Refuses requests without one of `keys`, but on public paths; without keys it refuses none.

    Raises:
        InvalidRequest: MISSING_API_KEY, INVALID_API_KEY, API_KEY_EXPIRED, API_KEY_IN_URL.
        RateLimited: RATE_LIMITED, for too many wrong keys.

    Args:
        clock: seconds since 1970.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Sequence[ApiKey],
        wrong_per_minute: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._keys = keys
        self._wrong = TokenBuckets(wrong_per_minute)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = list(_sent(scope)) if self._keys else []
        state = scope.setdefault("state", {})
        state |= {"key": None, "caller": "", "is_known": not self._keys}
        if self._keys and not sent and takes_key_later(scope):
            state["take_key"] = partial(self._take_key, scope)
        else:
            found = self._identify(scope, sent)
            if not state["is_known"] and not is_public(scope["path"]):
                raise self._error(scope, sent, found)
        await self._app(scope, receive, send)

    def _identify(self, scope: Scope, sent: Sequence[bytes]) -> Sequence[ApiKey]:
        """Note the first valid key among those that were sent; returns all that were found."""
        found = [key for each in sent if (key := find_key(self._keys, each))]
        key = next((key for key in found if key.seconds_left(self._clock()) > 0), None)
        if key is not None:
            scope["state"] |= {"key": key, "caller": key.name, "is_known": True}
        return found

    def _error(self, scope: Scope, sent: Sequence[bytes], found: Sequence[ApiKey]) -> F5Error:
        return _expired(found[0]) if found else self._refusal(scope, bool(sent))

    def _take_key(self, scope: Scope, text: str) -> None:
        sent = [text.encode("utf-8", "replace")] if text else []
        found = self._identify(scope, sent)
        if not scope["state"]["is_known"]:
            raise self._error(scope, sent, found)

    def _refusal(self, scope: Scope, has_sent: bool) -> F5Error:
        if not has_sent and _is_in_url(scope):
            return InvalidRequest(
                "A key in a URL is not accepted, because URLs are written into logs.",
                code="API_KEY_IN_URL",
                hint=f"{_HOW} If the key is real, have it replaced.",
            )
        if not has_sent:
            return InvalidRequest(
                "This server requires an API key.", code="MISSING_API_KEY", hint=_HOW
            )
        wait_s = self._wrong.take(client_address(scope))
        if wait_s:
            return RateLimited(
                "Too many wrong keys came from this address.",
                code="RATE_LIMITED",
                hint="Correct the key; a correct key is accepted at once.",
                after_s=math.ceil(wait_s),
            )
        return InvalidRequest(
            "The API key is not valid.",
            code="INVALID_API_KEY",
            hint=f"{_HOW} The operator of this server issues keys.",
        )


def _expired(key: ApiKey) -> InvalidRequest:
    return InvalidRequest(
        f"The API key {key.name} expired at the end of {key.last_day}, UTC.",
        code="API_KEY_EXPIRED",
        hint="The operator of this server issues keys.",
    )


def _sent(scope: Scope) -> Iterator[bytes]:
    """The keys of a request; a proxy's own may be among them."""
    if scope["type"] == "websocket":
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
        for parameter, text in query:
            if parameter.lower() in SOCKET_PARAMETERS:
                yield text.encode("utf-8", "replace")
    for name, value in scope["headers"]:
        if name in (b"x-api-key", KEY_HEADER):
            yield value.strip()
        elif name == b"authorization":
            scheme, _, rest = value.strip().partition(b" ")
            yield rest.strip() if scheme.lower() == b"bearer" else value


def takes_key_later(scope: Scope) -> bool:
    """Whether the key of this request may come with the first message of its WebSocket."""
    is_socket = scope["type"] == "websocket"
    return is_socket and KEY_IN_FIRST_MESSAGE.fullmatch(scope["path"]) is not None


def _is_in_url(scope: Scope) -> bool:
    pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    return any(name.lower() in _IN_URL for name, _ in pairs)

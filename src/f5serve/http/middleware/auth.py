"""API keys: finds the key of a request, and refuses requests without a valid one.

Sets in `scope["state"]`:

    key        the `ApiKey`, None without one
    caller     its name, "" without one
    is_known   whether the caller may see all: the key is valid, or the server needs none
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from f5serve.errors import F5Error, InvalidRequest
from f5serve.http.errors import RateLimited
from f5serve.http.middleware.rate_limit import TokenBuckets, client_address, is_public
from f5serve.secrets import ApiKey, find_key

WRONG_KEYS_PER_MINUTE = 20
"""Wrong keys from one address, before they are refused with 429; right ones pass all the time."""

_HOW = "Send it as `Authorization: Bearer KEY` or as `X-API-Key: KEY`."

_IN_URL = frozenset(
    {"key", "api_key", "api-key", "apikey", "x-api-key", "token", "access_token", "authorization"}
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
        found = [key for each in sent if (key := find_key(self._keys, each))]
        key = next((key for key in found if key.seconds_left(self._clock()) > 0), None)
        state = scope.setdefault("state", {})
        state["key"] = key
        state["caller"] = key.name if key else ""
        state["is_known"] = key is not None or not self._keys
        if not state["is_known"] and not is_public(scope["path"]):
            raise _expired(found[0]) if found else self._refusal(scope, bool(sent))
        await self._app(scope, receive, send)

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
    """The keys in a request's headers; a proxy's own may be among them."""
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            yield value.strip()
        elif name == b"authorization":
            scheme, _, rest = value.strip().partition(b" ")
            yield rest.strip() if scheme.lower() == b"bearer" else value


def _is_in_url(scope: Scope) -> bool:
    pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    return any(name.lower() in _IN_URL for name, _ in pairs)

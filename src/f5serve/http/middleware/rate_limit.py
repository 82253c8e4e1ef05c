"""Limits on the requests of one caller, per minute and at a time; paths without limits."""

from __future__ import annotations

import contextlib
import ipaddress
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from f5serve.http.errors import RateLimited

CONCURRENCY_RETRY_S = 1
"""Retry-After in seconds of callers with too many requests at a time."""


class RateLimitMiddleware:
    """Refuses callers beyond their limits; 0 is no limit, and public paths have none.

    A WebSocket counts when it is opened; what is spoken over it counts by `state["admitted"]`, a
    context as `admitted` for the caller.

    Raises:
        RateLimited: RATE_LIMITED, TOO_MANY_REQUESTS.
    """

    def __init__(self, app: ASGIApp, per_minute: int, max_concurrent: int) -> None:
        self._app = app
        self._per_minute, self._max_concurrent = per_minute, max_concurrent
        self._buckets = TokenBuckets(per_minute)
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        with self.admitted(scope):
            if scope["type"] != "websocket":
                await self._app(scope, receive, send)
                return
        scope["state"]["admitted"] = partial(self.admitted, scope)
        await self._app(scope, receive, send)

    @contextlib.contextmanager
    def admitted(self, scope: Scope) -> Iterator[None]:
        """Count one request of the caller; it is under way until the context ends."""
        caller = scope["state"]["caller"] or client_address(scope)
        self._admit(caller)
        self._running[caller] += 1
        try:
            yield
        finally:  # the answer has ended, or the client has disconnected
            self._running[caller] -= 1
            if not self._running[caller]:
                del self._running[caller]

    def _admit(self, caller: str) -> None:
        if self._max_concurrent and self._running[caller] >= self._max_concurrent:
            raise RateLimited(
                f"{self._running[caller]} of your requests are running.",
                code="TOO_MANY_REQUESTS",
                hint=f"{self._max_concurrent} may be at a time; send the next when one has ended.",
                after_s=CONCURRENCY_RETRY_S,
            )
        wait_s = self._buckets.take(caller) if self._per_minute else 0.0
        if wait_s:
            raise RateLimited(
                f"You have sent {self._per_minute} requests in a minute.",
                code="RATE_LIMITED",
                hint="Retry-After says when there is room for the next.",
                after_s=math.ceil(wait_s),
            )


MAX_CALLERS = 10_000
"""Callers whose buckets are remembered; the one that was seen longest ago is forgotten."""


PUBLIC_PATHS = frozenset(
    {"/", "/ping", "/health", "/docs", "/openapi.json", "/favicon.ico", "/favicon.svg"}
)
PUBLIC_PREFIX = "/studio/"
"""Files of the page at /."""


def is_public(path: str) -> bool:
    """Whether a request for this path needs no key."""
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIX)


class TokenBuckets:
    """A bucket of tokens for each caller, refilled steadily.

    Args:
        per_minute: tokens added per minute; also the size of a bucket.
    """

    def __init__(
        self,
        per_minute: int,
        max_callers: int = MAX_CALLERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = float(per_minute)
        self._per_s = per_minute / 60
        self._max_callers, self._clock = max_callers, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, caller: str) -> float:
        """0.0 after a token was taken; else the seconds until there is one."""
        now = self._clock()
        tokens, then = self._buckets.pop(caller, (self._size, now))
        tokens = min(self._size, tokens + (now - then) * self._per_s)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / self._per_s
        self._buckets[caller] = (tokens if wait_s else tokens - 1, now)
        if len(self._buckets) > self._max_callers:
            self._buckets.popitem(last=False)
        return wait_s


def client_address(scope: Scope) -> str:
    """The client's IP address; of IPv6 the /64 network, as one host has many addresses."""
    host = str((scope.get("client") or ("", 0))[0])
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))

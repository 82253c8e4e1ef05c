"""How much one caller may ask for: requests in a minute, and under way at a time.

Callers are names of keys, or addresses where nobody has one. What is remembered is bounded, however
many there are.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from f5serve.http.errors import TryLater
from f5serve.http.open_routes import is_public

MOST_CALLERS = 10_000
"""Callers whose buckets are remembered; the one that was seen longest ago is forgotten."""

SOON_S = 1
"""What a caller is asked to wait for one of his own requests to end."""


class Buckets:
    """A bucket of tokens for each caller, refilled steadily.

    Args:
        per_minute: tokens that flow in; as many fit in.
    """

    def __init__(
        self,
        per_minute: int,
        most: int = MOST_CALLERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = float(per_minute)
        self._per_s = per_minute / 60
        self._most, self._clock = most, clock
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
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait_s


class Limits:
    """`app`, for callers who stay within their limits; 0 is none. Open routes have none.

    Raises:
        TryLater: RATE_LIMITED, TOO_MANY_REQUESTS.
    """

    def __init__(self, app: ASGIApp, per_minute: int, at_a_time: int) -> None:
        self._app = app
        self._per_minute, self._at_a_time = per_minute, at_a_time
        self._buckets = Buckets(per_minute)
        self._under_way: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        caller = scope["state"]["caller"] or address_of(scope)
        self._admit(caller)
        self._under_way[caller] += 1
        try:
            await self._app(scope, receive, send)
        finally:  # the answer has ended, or whoever waited for it is gone
            self._under_way[caller] -= 1
            if not self._under_way[caller]:
                del self._under_way[caller]

    def _admit(self, caller: str) -> None:
        if self._at_a_time and self._under_way[caller] >= self._at_a_time:
            raise TryLater(
                f"{self._under_way[caller]} of your requests are under way.",
                code="TOO_MANY_REQUESTS",
                hint=f"{self._at_a_time} may be at a time; send the next when one has ended.",
                after_s=SOON_S,
            )
        wait_s = self._buckets.take(caller) if self._per_minute else 0.0
        if wait_s:
            raise TryLater(
                f"You have sent {self._per_minute} requests in a minute.",
                code="RATE_LIMITED",
                hint="Retry-After says when there is room for the next.",
                after_s=math.ceil(wait_s),
            )


def address_of(scope: Scope) -> str:
    """Who calls, where no key tells; of IPv6 the network, as one host has many addresses."""
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

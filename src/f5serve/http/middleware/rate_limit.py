"""Limits on the requests of one caller and of one tenant, per minute and at a time; paths without
limits."""

from __future__ import annotations

import contextlib
import ipaddress
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from f5serve.http.errors import RateLimited
from f5serve.secrets import ApiKey

CONCURRENCY_RETRY_S = 1
"""Retry-After in seconds of callers with too many requests at a time."""


@dataclass(frozen=True, slots=True)
class CallerLimits:
    """Limits of one caller, or of one tenant; 0 is no limit.

    Attributes:
        per_minute: requests that are begun in a minute.
        max_concurrent: requests under way at a time.
    """

    per_minute: int = 0
    max_concurrent: int = 0


class RateLimitMiddleware:
    """Refuses requests beyond the limits of their key, or of all keys of its tenant together;
    public paths have none.

    Args:
        default_tenant: of keys that name none; "" for no tenant, which has no limits.

    Raises:
        RateLimited: RATE_LIMITED, TOO_MANY_REQUESTS.
    """

    def __init__(
        self,
        app: ASGIApp,
        of_key: CallerLimits,
        of_tenant: CallerLimits | None = None,
        default_tenant: str = "",
    ) -> None:
        self._app = app
        self._of_key = _Limiter(of_key, "You have", "of your requests are running")
        self._of_tenant = _Limiter(
            of_tenant or CallerLimits(),
            "The keys of your tenant have together",
            "requests with the keys of your tenant are running",
        )
        self._default_tenant = default_tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        state = scope["state"]
        key: ApiKey | None = state["key"]
        tenant = (key.tenant or self._default_tenant) if key else ""
        with (
            self._of_tenant.admit(tenant) if tenant else contextlib.nullcontext(),
            self._of_key.admit(state["caller"] or client_address(scope)),
        ):
            await self._app(scope, receive, send)


class _Limiter:
    """Limits of one kind of caller.

    Args:
        has_sent, running: of errors.
    """

    def __init__(self, limits: CallerLimits, has_sent: str, running: str) -> None:
        self._limits, self._has_sent, self._running_text = limits, has_sent, running
        self._buckets = TokenBuckets(limits.per_minute)
        self._running: Counter[str] = Counter()

    @contextlib.contextmanager
    def admit(self, caller: str) -> Iterator[None]:
        """Inside, a request of this caller runs."""
        self._check(caller)
        self._running[caller] += 1
        try:
            yield
        finally:  # the answer has ended, or the client has disconnected
            self._running[caller] -= 1
            if not self._running[caller]:
                del self._running[caller]

    def _check(self, caller: str) -> None:
        limits = self._limits
        if limits.max_concurrent and self._running[caller] >= limits.max_concurrent:
            raise RateLimited(
                f"{self._running[caller]} {self._running_text}.",
                code="TOO_MANY_REQUESTS",
                hint=f"{limits.max_concurrent} may be at a time; send the next when one has ended.",
                after_s=CONCURRENCY_RETRY_S,
            )
        wait_s = self._buckets.take(caller) if limits.per_minute else 0.0
        if wait_s:
            raise RateLimited(
                f"{self._has_sent} sent {limits.per_minute} requests in a minute.",
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

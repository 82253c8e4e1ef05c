"""Limits on the requests of one caller: per minute, and at a time."""

from __future__ import annotations

import math
from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from f5serve.http.errors import RateLimited
from f5serve.http.middleware.auth import is_public
from f5serve.http.token_buckets import TokenBuckets, client_address

CONCURRENCY_RETRY_S = 1
"""Retry-After in seconds of callers with too many requests at a time."""


class RateLimitMiddleware:
    """Refuses callers beyond their limits; 0 is no limit, and public paths have none.

    Raises:
        TryLater: RATE_LIMITED, TOO_MANY_REQUESTS.
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
        caller = scope["state"]["caller"] or client_address(scope)
        self._admit(caller)
        self._running[caller] += 1
        try:
            await self._app(scope, receive, send)
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

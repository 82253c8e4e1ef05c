"""Token buckets, one for each caller, and the address of a caller."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import Scope

MAX_CALLERS = 10_000
"""Callers whose buckets are remembered; the one that was seen longest ago is forgotten."""


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

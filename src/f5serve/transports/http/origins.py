"""From which pages and under which host names the server may be called.

A page that somebody happens to visit can send requests to 127.0.0.1. Where no key is asked for,
these rules are all that stands between such a page and the server: it is called by a name of this
machine, and nothing is changed for pages of other sites, unless F5_CORS_ORIGINS names them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from f5serve.errors import InvalidRequest

EXPOSED = (
    *("X-F5-Job-Id", "X-F5-Seed", "X-F5-Voice", "X-F5-Warning"),
    *("X-Request-Id", "Retry-After", "Location", "Content-Disposition", "ETag"),
)
"""Headers that scripts of other origins may read."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Sites:
    """`app`, for callers that a page of a foreign site cannot be.

    Args:
        origins: whose pages may call as well.
        is_local: whether only names of this machine are taken as its host (DNS rebinding).

    Raises:
        InvalidRequest: HOST_NOT_ALLOWED, ORIGIN_NOT_ALLOWED.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str], is_local: bool) -> None:
        self._app = app
        self._origins, self._is_local = origins, is_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if self._is_local and not (hosts and all(map(_is_local_name, hosts))):
            raise InvalidRequest(
                f"This server is not called {(hosts or [''])[0][:100]!r}.",
                code="HOST_NOT_ALLOWED",
                hint="Without F5_API_KEYS it answers to localhost and 127.0.0.1 alone.",
            )
        if scope["method"] not in _SAFE and self._is_foreign(headers):
            raise InvalidRequest(
                f"Pages of {headers.get('origin', 'other sites')[:100]} may not call this server.",
                code="ORIGIN_NOT_ALLOWED",
                hint="Name their origin in F5_CORS_ORIGINS if they should.",
            )
        await self._app(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin in self._origins:
            return False
        if site is not None:  # browsers say it themselves; pages cannot forge it
            return site not in ("same-origin", "none")
        return origin is not None and origin.partition("://")[2] != headers.get("host")


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach what listens there; "" means 127.0.0.1."""
    return not host or _is_local_name(f"[{host}]" if ":" in host else host)


def _is_local_name(host: str) -> bool:
    """Whether a Host header, port or not, names this machine and nothing else."""
    closing = host.find("]")
    name = host[1:closing] if host.startswith("[") else host.partition(":")[0]
    name = name.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def parse_origins(text: str, is_asking: bool) -> tuple[str, ...]:
    """The origins of F5_CORS_ORIGINS.

    Args:
        is_asking: whether callers are asked for keys; only then every page, `*`, may call.

    Raises:
        InvalidRequest: BAD_SETTING, CORS_NEEDS_KEYS.
    """
    origins = tuple(item.strip().rstrip("/") for item in text.split(",") if item.strip())
    for origin in origins:
        if origin == "*" and not is_asking:
            raise InvalidRequest(
                "F5_CORS_ORIGINS is '*', and this server asks for no keys.",
                code="CORS_NEEDS_KEYS",
                hint="Name the origins, or set F5_API_KEYS: else any page could use it.",
            )
        if origin != "*" and not _is_origin(origin):
            raise InvalidRequest(
                f"F5_CORS_ORIGINS holds {origin[:100]!r}.",
                code="BAD_SETTING",
                hint="It takes origins such as https://example.com or http://localhost:3000.",
            )
    return origins


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    shown = f":{port}" if port else ""
    host = parts.hostname or ""
    name = f"[{host}]" if ":" in host else host
    return (
        bool(host)
        and not re.search(r"\s", text)
        and text.lower() == f"{parts.scheme}://{name}{shown}"
    )


def cors(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """`app` for scripts of these origins; cookies are never asked for, so `*` opens nothing."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "HEAD", "POST", "DELETE"),
        allow_headers=("*",),
        expose_headers=EXPOSED,
    )

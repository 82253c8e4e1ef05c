"""Host and origin checks, so that no web page uses a server without keys; security headers.

Any page in a browser can send requests to 127.0.0.1. Without keys the Host has to name this
machine, and requests that change something, and WebSockets, have to come from a page of this
server, or of an origin in F5_CORS_ORIGINS.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from f5serve.errors import InvalidRequest

EXPOSED = (
    *("X-F5-Job-Id", "X-F5-Seed", "X-F5-Style", "X-F5-Voice", "X-F5-Warning"),
    *("X-Word-Timestamps", "request-id", "character-cost"),
    *("X-Request-Id", "Retry-After", "Location", "Content-Disposition", "ETag"),
)
"""Headers that scripts of other origins may read."""

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z_.-]+))(?::\d{0,5})?", re.ASCII)
"""A Host header: an address in brackets or a name, and a port or none."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII)
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.ASCII)
_PORTS = {"http": 80, "https": 443}

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class OriginMiddleware:
    """Refuses requests with a foreign Host, or from pages of foreign sites.

    Args:
        origins: whose pages may call as well.
        is_local: whether only names of this machine, and those of `origins`, are taken as its host
            (DNS rebinding).

    Raises:
        InvalidRequest: HOST_NOT_ALLOWED, ORIGIN_NOT_ALLOWED.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str], is_local: bool) -> None:
        self._app = app
        self._origins, self._is_local = origins, is_local
        self._hosts = {origin.partition("://")[2] for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        are_own = (_is_local_name(host) or host.lower() in self._hosts for host in hosts)
        if self._is_local and not (hosts and all(are_own)):
            raise InvalidRequest(
                f"This server does not accept the host {(hosts or [''])[0][:100]!r}.",
                code="HOST_NOT_ALLOWED",
                hint="Without keys, a server on 127.0.0.1 accepts only the names "
                "localhost, 127.0.0.1 and those in F5_CORS_ORIGINS; a proxy can send "
                "one of them as Host.",
            )
        if scope.get("method") not in _SAFE and self._is_foreign(headers):
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
    """Whether only this machine can reach the address; "" means 127.0.0.1."""
    return not host or _is_local_name(f"[{host}]" if ":" in host else host)


def _is_local_name(host: str) -> bool:
    """Whether a Host header, port or not, names this machine and nothing else."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match[1] or match[2]).lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def parse_origins(text: str, requires_key: bool) -> tuple[str, ...]:
    """The origins of F5_CORS_ORIGINS.

    Args:
        requires_key: whether callers are asked for keys; only then every page, `*`, may call.

    Raises:
        InvalidRequest: BAD_SETTING, CORS_NEEDS_KEYS.
    """
    origins = dict.fromkeys(item.strip() for item in text.split(",") if item.strip())
    if "*" in origins and not requires_key:
        raise InvalidRequest(
            "F5_CORS_ORIGINS is '*', and this server requires no keys.",
            code="CORS_NEEDS_KEYS",
            hint="Name the origins, or set F5_API_KEYS: else any page could use it.",
        )
    return tuple(dict.fromkeys("*" if origin == "*" else _as_sent(origin) for origin in origins))


def _as_sent(text: str) -> str:
    """An origin as browsers send it: in lower case and ASCII, without the default port.

    Raises:
        InvalidRequest: BAD_SETTING, for what no browser sends.
    """
    try:
        parts = urlsplit(text.rstrip("/"))
        port, host, scheme = parts.port, _host_as_sent(parts.hostname or ""), parts.scheme.lower()
        has_more = parts.path or parts.query or parts.fragment or "@" in parts.netloc
        if has_more or not _SCHEME.fullmatch(scheme) or not host or re.search(r"\s", text):
            raise ValueError(text)
    except ValueError:
        raise InvalidRequest(
            f"F5_CORS_ORIGINS holds {text[:100]!r}, which no browser sends as an origin.",
            code="BAD_SETTING",
            hint="It takes origins such as https://example.com or http://localhost:3000, separated "
            "by commas, each in full; there are no patterns.",
        ) from None
    shown = f":{port}" if port is not None and port != _PORTS.get(scheme) else ""
    return f"{scheme}://{host}{shown}"


def _host_as_sent(host: str) -> str:
    """The host of an origin, "" for none.

    Raises:
        ValueError: it is no name and no address.
    """
    if ":" in host:
        return f"[{ipaddress.IPv6Address(host).compressed}]"
    name = host if host.isascii() else host.encode("idna").decode()
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", name.rstrip(".").rpartition(".")[2]):
        return str(ipaddress.IPv4Address(name))  # browsers take nothing else for one
    if name and not _NAME.fullmatch(name):
        raise ValueError(name)
    return name


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


PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page of this server may load: its own files, and what it has made itself."""

_DATA_POLICY = "default-src 'none'; media-src 'self'; frame-ancestors 'none'"
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
}
_HTTPS_ALONE = "max-age=31536000"


class SecurityHeadersMiddleware:
    """Adds the headers to every answer of `app`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                message["headers"] = headers.raw
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
                is_page = headers.get("content-type", "").startswith("text/html")
                policy = PAGE_POLICY if is_page else _DATA_POLICY
                headers.setdefault("Content-Security-Policy", policy)
                if scope["path"].startswith("/v1/"):  # shared caches must not keep what needs a key
                    kept = "private, no-cache" if "etag" in headers else "no-store"
                    headers.setdefault("Cache-Control", kept)
                if scope.get("scheme") in ("https", "wss"):
                    headers.setdefault("Strict-Transport-Security", _HTTPS_ALONE)
            await send(message)

        await self._app(scope, receive, send_with_headers)

"""Parses URLs from callers strictly, and makes the errors of downloads.

What other parsers repair (backslashes, tabs, a missing slash, full-width letters, short and octal
IPv4) is refused, because two programs may repair a URL to different ones. Error messages never
contain an address, a path, a query (which may hold a signature) or the target of a redirect.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from f5serve.errors import InvalidRequest, StorageFailed

MAX_URL_CHARS = 8192
_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)")
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PRIVATE_DOMAINS = (
    "localhost",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "home.arpa",
)
_UNQUOTED = "!#$%&'()*+,/:;=?@[]~"  # characters of a path or query that go out unchanged
_WRITE_ASCII = "Write the host in ASCII letters, an international one in its xn-- form."


@dataclass(frozen=True, slots=True)
class SafeUrl:
    """A parsed URL.

    Attributes:
        scheme: http or https.
        host: lower-case name, or a canonical address without brackets.
        port: TCP port.
        path: path and query, percent-encoded ASCII.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_address(self) -> bool:
        """Whether `host` is an address rather than a name."""
        return ":" in self.host or self.host.rpartition(".")[2].isdecimal()

    @property
    def host_header(self) -> str:
        """The Host header: brackets around IPv6, the port unless it is the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL in its canonical form."""
        return f"{self.scheme}://{self.host_header}{self.path}"


def parse_url(text: str, what: str, *, allow_http: bool = False) -> SafeUrl:
    """Parse an absolute URL.

    Args:
        what: name of its content in errors.
        allow_http: whether http is allowed beside https.

    Raises:
        InvalidRequest: code URL_NOT_ALLOWED.
    """
    check_characters(text, what)
    parts = _URL.fullmatch(text)
    if parts is None:
        raise not_allowed(what, "it does not begin with https:// and a host")
    scheme = parts["scheme"].lower()
    if scheme not in ("http", "https"):
        raise not_allowed(what, f"{scheme[:20]}:// is not a way to fetch files here")
    if scheme == "http" and not allow_http:
        raise not_allowed(what, "http is off, https is needed", "Give an https URL.")
    host, port = _split(parts["authority"], what)
    rest = parts["rest"].partition("#")[0]
    path = quote(rest if rest.startswith("/") else f"/{rest}", safe=_UNQUOTED)
    return SafeUrl(scheme, _host(host, what), port or _DEFAULT_PORTS[scheme], path)


def resolve_redirect(base: SafeUrl, location: str, what: str, *, allow_http: bool) -> SafeUrl:
    """The target of a redirect from `base`.

    Args:
        location: value of the header, each character one byte of it.

    Raises:
        InvalidRequest: code URL_NOT_ALLOWED.
    """
    encoded = "".join(c if c.isascii() else f"%{ord(c) & 0xFF:02X}" for c in location)
    check_characters(encoded, what)  # urljoin silently drops some of them
    try:
        joined = urljoin(base.url, encoded)
    except ValueError:
        raise not_allowed(what, "it redirects to something that is no URL") from None
    return parse_url(joined, what, allow_http=allow_http)


def check_characters(text: str, what: str) -> None:
    """Refuse characters that no URL contains and that some parsers drop or repair.

    Raises:
        InvalidRequest: code URL_NOT_ALLOWED.
    """
    if len(text) > MAX_URL_CHARS:
        raise not_allowed(what, f"it has more than {MAX_URL_CHARS:,} characters")
    if "\\" in text:
        raise not_allowed(what, "it holds a backslash")
    if any(unicodedata.category(c)[0] in "CZ" for c in text):
        raise not_allowed(
            what, "it holds a space or an invisible character", "Write a space as %20."
        )


def _split(authority: str, what: str) -> tuple[str, int | None]:
    if not authority.isascii():
        raise not_allowed(what, "its host holds characters that are not ASCII", _WRITE_ASCII)
    if "@" in authority:
        raise not_allowed(what, "it holds a user name or password")
    if "%" in authority:
        raise not_allowed(what, "its host is percent-encoded", _WRITE_ASCII)
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None or not parts["host"]:
        raise not_allowed(what, "its host cannot be read")
    if parts["port"] is None:
        return parts["host"].lower(), None
    if not _PORT.fullmatch(parts["port"]) or int(parts["port"]) > 65535:
        raise not_allowed(what, "its port is no number from 1 to 65535")
    return parts["host"].lower(), int(parts["port"])


def _host(host: str, what: str) -> str:
    """The host in its canonical form; hosts with several readings are refused."""
    if host.startswith("["):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise not_allowed(what, "the address in brackets is no IPv6 address") from None
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # resolvers read such hosts as addresses, in several ways
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise not_allowed(
                what, "its host is an address that is not written as four decimal numbers"
            ) from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise not_allowed(what, "its host is no valid domain name")
    if len(labels) < 2 or any(f".{host}".endswith(f".{own}") for own in _PRIVATE_DOMAINS):
        raise not_allowed(what, "its host is a name of a private network")
    return host


def not_allowed(what: str, why: str, hint: str = "") -> InvalidRequest:
    """The URL is not allowed; `why` continues "the URL is not allowed: "."""
    return InvalidRequest(
        f"Failed to download {what}: the URL is not allowed: {why}.",
        code="URL_NOT_ALLOWED",
        hint=hint or "Give an https URL of a file on the public internet.",
    )


def too_large(what: str, max_bytes: int) -> InvalidRequest:
    """More bytes than the limit, announced or sent."""
    return InvalidRequest(
        f"Failed to download {what}: it is larger than the limit of {max_bytes:,} bytes.",
        code="URL_TOO_LARGE",
        hint="Give a shorter or compressed file.",
    )


def timed_out(what: str, why: str) -> StorageFailed:
    """The server is too slow or silent; `why` is a clause."""
    return StorageFailed(
        f"Failed to download {what}: {why}.",
        code="URL_TIMEOUT",
        hint="Try again, or put the file on a faster server.",
        retryable=True,
    )


def failed(what: str, why: str) -> StorageFailed:
    """The server cannot be reached, or does not answer in valid HTTP; `why` is a clause."""
    return StorageFailed(
        f"Failed to download {what}: {why}.",
        code="URL_FAILED",
        hint="Try again, and open the URL in a browser to see whether it works there.",
        retryable=True,
    )


def wrong(what: str, why: str, hint: str) -> InvalidRequest:
    """The answer shows that a retry of this URL will fail, too."""
    return InvalidRequest(f"Failed to download {what}: {why}.", code="URL_FAILED", hint=hint)

"""Downloads a URL that a caller sent, without access to our own network, or decodes base64 text.

Each redirect passes the same checks as the URL itself. Nothing is decompressed.
docs/decisions/0008-url-inputs.md gives the reasons.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

from f5serve.download.connection import Deadline, NetworkPolicy, get, resolve
from f5serve.download.safe_url import (
    failed,
    not_allowed,
    parse_url,
    resolve_redirect,
    timed_out,
    too_large,
    wrong,
)
from f5serve.errors import InvalidRequest, StorageFailed

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRYABLE = frozenset({408, 425, 429})  # of 4xx; others are no fault of the server
_BLOCK_BYTES = 65_536
# Some object stores send aws-chunked with bodies that were only uploaded so and are plain.
_PLAIN = frozenset({"", "identity", "aws-chunked"})
_DATA_PREFIX = re.compile(
    r"data:[A-Za-z0-9.+-]{1,64}/[A-Za-z0-9.+-]{1,64}(?:;[A-Za-z0-9-]{1,32}=[A-Za-z0-9.,+-]{1,64}){0,4}"
    r";base64,"
)
_BASE64_HINT = (
    "Send standard base64 with its padding, without line breaks, e.g. of `base64 -w0 FILE`."
)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Limits of one download.

    Attributes:
        max_bytes: of the body.
        timeout_s: for everything, redirects included.
        idle_timeout_s: longest silence, and the time over which the rate is measured.
        min_bytes_per_s: lowest rate over `idle_timeout_s`.
        max_redirects: redirects that are followed.
        allow_http: whether http URLs are allowed beside https.
    """

    max_bytes: int = 20_000_000
    timeout_s: float = 60.0
    idle_timeout_s: float = 10.0
    min_bytes_per_s: float = 4_000.0
    max_redirects: int = 3
    allow_http: bool = False


def fetch_url(
    url: str, limits: FetchLimits, *, what: str = "file", network: NetworkPolicy | None = None
) -> bytes:
    """Download `url`.

    Args:
        url: absolute https URL (http by `limits.allow_http`) of a host on the public internet.
        what: its name in errors: "Failed to download WHAT: ...".
        network: allowed addresses and name resolution; the real ones by default.

    Raises:
        InvalidRequest: URL_NOT_ALLOWED, URL_TOO_LARGE, or URL_FAILED where a retry would fail too
            (HTTP 4xx, no valid certificate, too many redirects, compressed content).
        StorageFailed: URL_TIMEOUT or URL_FAILED, both retryable.
    """
    with _map_errors(what, limits):
        return _fetch(url, limits, what, network or NetworkPolicy())


@contextlib.contextmanager
def _map_errors(what: str, limits: FetchLimits) -> Iterator[None]:
    """Turn errors of the network into ours, without the addresses in them."""
    try:
        yield
    except TimeoutError:
        raise timed_out(
            what,
            f"the server was silent for {limits.idle_timeout_s:g} s or did not deliver it within "
            f"{limits.timeout_s:g} s",
        ) from None
    except ssl.SSLCertVerificationError:
        raise wrong(
            what,
            "the server has no valid certificate for this host",
            "Use a server whose certificate browsers accept.",
        ) from None
    except ssl.SSLError:
        raise failed(what, "the server and we found no way to encrypt the connection") from None
    except OSError as error:
        reason = f" ({error.strerror})" if error.strerror else ""
        raise failed(what, f"the server cannot be reached or broke off{reason}") from None
    except http.client.HTTPException:
        raise _not_http(what) from None


def _fetch(url: str, limits: FetchLimits, what: str, network: NetworkPolicy) -> bytes:
    deadline = Deadline(limits.timeout_s, limits.idle_timeout_s)
    target = parse_url(url, what, allow_http=limits.allow_http)
    addresses = resolve(target, what, network, deadline)
    for _ in range(limits.max_redirects + 1):
        with get(target, addresses, network, deadline) as response:
            if response.status not in _REDIRECTS:
                return _body(response, limits, what)
            location = response.headers.get("location")
        if location is None:
            raise failed(what, "the server redirects without saying where to")
        with _hide_redirect(what):
            target = resolve_redirect(target, location, what, allow_http=limits.allow_http)
            addresses = resolve(target, what, network, deadline)
    raise wrong(what, f"it redirects more than {limits.max_redirects} times", "Give the final URL.")


@contextlib.contextmanager
def _hide_redirect(what: str) -> Iterator[None]:
    """Report that a redirect is refused, without its target."""
    try:
        yield
    except InvalidRequest:
        raise not_allowed(
            what, "it redirects to a place that is not allowed", "Give the final URL."
        ) from None


def _body(response: http.client.HTTPResponse, limits: FetchLimits, what: str) -> bytes:
    if response.status != 200:
        why = f"the server answered with HTTP status {response.status}"
        if not 400 <= response.status < 500 or response.status in _RETRYABLE:
            raise failed(what, why)
        raise wrong(what, why, "Look at the URL; if it is a signed one it may have expired.")
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding not in _PLAIN:
        raise wrong(
            what,
            "the server sends it compressed, which was not asked for",
            "Store the file without a Content-Encoding.",
        )
    if response.headers.get("transfer-encoding", "chunked").strip().lower() != "chunked":
        raise _not_http(what)
    announced = response.length
    if announced is not None and announced > limits.max_bytes:
        raise too_large(what, limits.max_bytes)
    data = _read(response, announced, limits, what)
    if announced is not None and len(data) < announced:
        raise failed(what, f"the server broke off after {len(data):,} of {announced:,} bytes")
    return data


def _read(
    response: http.client.HTTPResponse, announced: int | None, limits: FetchLimits, what: str
) -> bytes:
    """The body up to its announced length or its end, within the limits of size and rate."""
    data = bytearray()
    span_start, span_bytes = time.monotonic(), 0
    while announced is None or len(data) < announced:
        block = response.read1(_BLOCK_BYTES)
        if not block:
            break
        data += block
        span_bytes += len(block)
        if len(data) > limits.max_bytes:
            raise too_large(what, limits.max_bytes)
        elapsed_s = time.monotonic() - span_start
        if elapsed_s >= limits.idle_timeout_s:
            if span_bytes < limits.min_bytes_per_s * elapsed_s:
                raise timed_out(what, "the server sends it too slowly")
            span_start, span_bytes = time.monotonic(), 0
    return bytes(data)


def _not_http(what: str) -> StorageFailed:
    return failed(what, "the server does not answer as a web server should")


def decode_base64(text: str, max_bytes: int, what: str) -> bytes:
    """The bytes in `text`, which may have a prefix such as `data:audio/wav;base64,`.

    Args:
        text: standard alphabet, padded, no white space.
        max_bytes: of the result; checked before anything is decoded.
        what: its name in errors, e.g. "voice_file".

    Raises:
        InvalidRequest: code BASE64_TOO_LARGE or BASE64_INVALID.
    """
    prefix = _DATA_PREFIX.match(text)
    start = prefix.end() if prefix else 0
    if len(text) - start > -(-max_bytes // 3) * 4:
        raise _base64_too_large(what, max_bytes)
    if len(text) == start:
        raise InvalidRequest(f"{what} is empty.", code="BASE64_INVALID", hint=_BASE64_HINT)
    try:
        data = base64.b64decode(text[start:], validate=True)
    except ValueError:
        raise InvalidRequest(
            f"{what} is not valid base64.", code="BASE64_INVALID", hint=_BASE64_HINT
        ) from None
    if len(data) > max_bytes:
        raise _base64_too_large(what, max_bytes)
    return data


def _base64_too_large(what: str, max_bytes: int) -> InvalidRequest:
    return InvalidRequest(
        f"{what} is larger than the limit of {max_bytes:,} bytes.",
        code="BASE64_TOO_LARGE",
        hint="Send a shorter or compressed file, or its URL.",
    )

"""Every way in which a URL or inline data is refused: sentence, code and hint, in one place.

In flow what was to be downloaded and why it was not, out flows the error to raise. A sentence names
the host at most when the caller wrote it himself, never an address, a path, a query (which may
hold a signature) or what a redirect led to.
"""

from __future__ import annotations

from f5serve.errors import F5Error, InvalidRequest, StorageFailed

_BUSY = frozenset({408, 425, 429})


def not_allowed(what: str, why: str, hint: str = "") -> InvalidRequest:
    """The URL may not be asked; `why` continues "the URL is not allowed: "."""
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
    """Too slow, or silent; `why` is a clause."""
    return StorageFailed(
        f"Failed to download {what}: {why}.",
        code="URL_TIMEOUT",
        hint="Try again, or put the file on a faster server.",
        retryable=True,
    )


def failed(what: str, why: str) -> StorageFailed:
    """The server could not be reached or did not answer as a web server should."""
    return StorageFailed(
        f"Failed to download {what}: {why}.",
        code="URL_FAILED",
        hint="Try again, and open the URL in a browser to see whether it works there.",
        retryable=True,
    )


def answered(what: str, status: int) -> F5Error:
    """An HTTP status other than 200; 4xx says that the URL is at fault, not the server."""
    if not 400 <= status < 500 or status in _BUSY:
        return failed(what, f"the server answered with HTTP status {status}")
    return wrong(
        what,
        f"the server answered with HTTP status {status}",
        "Look at the URL; if it is a signed one it may have expired.",
    )


def wrong(what: str, why: str, hint: str) -> InvalidRequest:
    """The answer shows that this URL will not work when it is tried again."""
    return InvalidRequest(f"Failed to download {what}: {why}.", code="URL_FAILED", hint=hint)

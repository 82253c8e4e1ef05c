"""The errors of downloads, with message, code and hint.

A message never contains an address, a path, a query (which may hold a signature) or the target of
a redirect.
"""

from __future__ import annotations

from f5serve.errors import F5Error, InvalidRequest, StorageFailed

_BUSY = frozenset({408, 425, 429})


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


def answered(what: str, status: int) -> F5Error:
    """An HTTP status other than 200; most of 4xx are no fault of the server, so not retryable."""
    if not 400 <= status < 500 or status in _BUSY:
        return failed(what, f"the server answered with HTTP status {status}")
    return wrong(
        what,
        f"the server answered with HTTP status {status}",
        "Look at the URL; if it is a signed one it may have expired.",
    )


def wrong(what: str, why: str, hint: str) -> InvalidRequest:
    """The answer shows that a retry of this URL will fail, too."""
    return InvalidRequest(f"Failed to download {what}: {why}.", code="URL_FAILED", hint=hint)

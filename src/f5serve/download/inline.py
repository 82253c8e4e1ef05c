"""Decodes base64 text in a request, strictly and within a limit."""

from __future__ import annotations

import base64
import binascii
import re

from f5serve.errors import InvalidRequest

_DATA_PREFIX = re.compile(
    r"data:[A-Za-z0-9.+-]{1,64}/[A-Za-z0-9.+-]{1,64}(?:;[A-Za-z0-9-]{1,32}=[A-Za-z0-9.,+-]{1,64}){0,4}"
    r";base64,"
)
_HINT = "Send standard base64 with its padding, without line breaks, e.g. of `base64 -w0 FILE`."


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
        raise _too_large(what, max_bytes)
    if len(text) == start:
        raise InvalidRequest(f"{what} is empty.", code="BASE64_INVALID", hint=_HINT)
    try:
        data = base64.b64decode(text[start:], validate=True)
    except (binascii.Error, ValueError):  # the second for characters outside of ASCII
        raise InvalidRequest(
            f"{what} is not valid base64.", code="BASE64_INVALID", hint=_HINT
        ) from None
    if len(data) > max_bytes:
        raise _too_large(what, max_bytes)
    return data


def _too_large(what: str, max_bytes: int) -> InvalidRequest:
    return InvalidRequest(
        f"{what} is larger than the limit of {max_bytes:,} bytes.",
        code="BASE64_TOO_LARGE",
        hint="Send a shorter or compressed file, or its URL.",
    )

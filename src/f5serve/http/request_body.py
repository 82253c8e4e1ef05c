"""Bodies of requests: JSON within bounds, and uploads of recordings.

JSON is bounded by its number of values and its depth before it is parsed, because each value costs
a hundred times its bytes once it is validated. An upload is refused while it is read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import UploadFile
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope

from f5serve.audio.decode import audio_error
from f5serve.books.limits import too_large
from f5serve.errors import F5Error, InvalidRequest
from f5serve.http.errors import BadField
from f5serve.http.middleware.body_limit import declared_bytes
from f5serve.store.json_documents import is_sendable

MAX_VALUES = 1_000
"""Objects, lists and what they hold, all together; a request has two dozen fields."""

MAX_DEPTH = 32
"""Objects and lists within one another."""

MAX_DIGITS = 4_000
"""Of a whole number; Python itself takes 4,300."""

_BRACKETS = re.compile(rb"[\[\]{}]")


_OTHER_FIELDS_BYTES = 1_000_000
"""For all that a body holds beside the recording."""


def _body_route(
    taken: re.Pattern[str],
    shown: str,
    code: str,
    hint: str,
    make_request: Callable[[Scope, Receive], Request],
) -> type[APIRoute]:
    """A class of routes that take bodies of one Content-Type.

    Args:
        taken: Content-Types; others are refused before the body is read.
        shown, code, hint: what errors say of it.
        make_request: makes the request that the route reads.
    """

    class BodyRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()
            takes_body = self.body_field is not None

            async def handle_wrapped(request: Request) -> Response:
                # Without a body, the error of the field that is missing says more.
                length = request.headers.get("content-length", "0")
                has_body = length != "0" or "transfer-encoding" in request.headers
                kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
                if takes_body and has_body and not taken.fullmatch(kind):
                    problem = (
                        f"body's Content-Type is {kind[:60]!r}"
                        if kind
                        else "body has no Content-Type"
                    )
                    raise InvalidRequest(
                        f"The {problem}; this route takes {shown}.", code=code, hint=hint
                    )
                return await handle(make_request(request.scope, request.receive))

            return handle_wrapped

    return BodyRoute


class _JsonRequest(Request):
    async def json(self) -> Any:
        """The body's value; see `parse`."""
        return parse(await self.body())


JsonRoute = _body_route(
    re.compile(r"application/(json|[\w.-]+\+json)", re.ASCII),
    "application/json",
    "NOT_JSON",
    "Send the header `Content-Type: application/json`; curl takes it after -H.",
    _JsonRequest,
)
"""Routes whose body, where they take one, is JSON."""


def parse(body: bytes) -> Any:
    """The value of a body.

    Raises:
        InvalidRequest: INVALID_JSON, BODY_TOO_COMPLEX, BAD_UNICODE.
    """
    check_shape(body)
    try:
        text = body.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_no_constant, parse_float=_float, parse_int=_int)
    except UnicodeDecodeError as error:
        raise _invalid(f"byte {error.start + 1} is not UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        problem = error.msg.removesuffix(" starting at")
        raise _invalid(f"{where}: {problem[:1].lower()}{problem[1:]}") from None
    if rb"\u" in body:  # only an escape can be half of a character: the rest was UTF-8
        for name, item in value.items() if isinstance(value, dict) else [("", value)]:
            _check_unicode(name, name)
            _check_unicode(item, name)
    return value


def check_shape(body: bytes) -> None:
    """Refuse a body of too many or too deep values, in time and memory in line with its bytes.

    Raises:
        InvalidRequest: BODY_TOO_COMPLEX.
    """
    if _openings(body) <= MAX_DEPTH and _openings(body) + body.count(b",") <= MAX_VALUES:
        return  # even if none of it is within a text
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"")
    if bare.count(b'"') > 4 * MAX_VALUES:  # two for a name and two for its value
        raise _too_complex(f"more than {MAX_VALUES:,} values")
    outside = b"".join(bare.split(b'"')[::2])
    if _openings(outside) + outside.count(b",") > MAX_VALUES:
        raise _too_complex(f"more than {MAX_VALUES:,} values")
    depth = 0
    for bracket in _BRACKETS.finditer(outside):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise _too_complex(f"values more than {MAX_DEPTH} deep")
        if depth < 0:
            return  # it is no JSON, which the parser will find at this place


def _openings(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")


def _check_unicode(value: Any, name: str) -> None:
    if isinstance(value, str):
        if not is_sendable(value):
            raise BadField(
                f"{name[:40]!a} holds half of a surrogate pair, which is no character.",
                code="BAD_UNICODE",
                hint="Send the text as UTF-8, or both halves of each pair.",
                param=name if name.isprintable() else None,
            )
    elif isinstance(value, list):
        for item in value:
            _check_unicode(item, name)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_unicode(key, name)
            _check_unicode(item, name)


def _no_constant(name: str) -> NoReturn:
    raise _invalid(f"{name} is no number in JSON")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _invalid(f"the number {text[:40]} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _invalid(f"a number has {len(text):,} digits, and {MAX_DIGITS:,} is the most")
    return int(text)


def _invalid(why: str) -> InvalidRequest:
    return InvalidRequest(f"The body cannot be read as JSON: {why}.", code="INVALID_JSON")


def _too_complex(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"The body holds {what}.",
        code="BODY_TOO_COMPLEX",
        hint="A request has a few fields; send several requests for several texts.",
    )


TooLarge = Callable[[int, int], F5Error]
"""The error for a file of so many bytes, of which so many are taken."""


def _recording_error(size: int, max_bytes: int) -> F5Error:
    return audio_error("AUDIO_TOO_LARGE", size, max_bytes)


def book_error(size: int, max_bytes: int) -> F5Error:
    """As `TooLarge`, for books; code BOOK_TOO_LARGE."""
    return too_large(f"The book has {size:,} bytes; {max_bytes:,} is the limit.")


def upload_route(max_bytes: int, error: TooLarge = _recording_error) -> type[APIRoute]:
    """A class of routes whose bodies hold a file of at most `max_bytes`."""
    return _body_route(
        re.compile(r"multipart/form-data"),
        "multipart/form-data",
        "NOT_MULTIPART",
        "Send it as a file of a form; curl does with -F.",
        # What `_Body` raises comes out of FastAPI as the cause of another error: see `errors`.
        lambda scope, receive: Request(scope, _Body(scope, receive, max_bytes, error).receive),
    )


class _Body:
    """Counts what it passes on, and stops."""

    def __init__(self, scope: Scope, receive: Receive, max_bytes: int, error: TooLarge) -> None:
        self._error = error
        self._announced = declared_bytes(Headers(scope=scope))
        self._receive = receive
        self._max_bytes = max_bytes
        self._bytes = 0

    async def receive(self) -> Message:
        self._check(self._announced)
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        self._check(self._bytes)
        return message

    def _check(self, size: int) -> None:
        if size > self._max_bytes + _OTHER_FIELDS_BYTES:
            raise self._error(size, self._max_bytes)


def read_upload(file: UploadFile, max_bytes: int, error: TooLarge = _recording_error) -> bytes:
    """All of a file; blocks.

    Raises:
        F5Error: `error`, AUDIO_TOO_LARGE without it.
    """
    data = file.file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise error(file.size or len(data), max_bytes)
    return data

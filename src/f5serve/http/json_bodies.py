"""Bodies that are JSON: bounded before they are parsed, and refused with line and column.

The bytes of a body flow in, plain values flow out. A body is bounded by its number of values and
its depth, because each value costs a hundred times its bytes once it is parsed and validated. What
the fields mean is not known here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from f5serve.errors import InvalidRequest
from f5serve.http.bodies import check_type
from f5serve.http.errors import BadField
from f5serve.store.json_documents import is_sendable

MAX_VALUES = 1_000
"""Objects, lists and what they hold, all together; a request has two dozen fields."""

MAX_DEPTH = 32
"""Objects and lists within one another."""

MAX_DIGITS = 4_000
"""Of a whole number; Python itself takes 4,300."""

_BRACKETS = re.compile(rb"[\[\]{}]")
_JSON = re.compile(r"application/(json|[\w.-]+\+json)", re.ASCII)
_HOW = "Send the header `Content-Type: application/json`; curl takes it after -H."


class JsonRoute(APIRoute):
    """A kind of route whose body, where it takes one, is JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's, for a request that parses its body within bounds."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def within(request: Request) -> Response:
            if takes_body:
                check_type(request, _JSON, "application/json", "NOT_JSON", _HOW)
            return await handle(_JsonRequest(request.scope, request.receive))

        return within


class _JsonRequest(Request):
    async def json(self) -> Any:
        """The body's value; see `parse`."""
        return parse(await self.body())


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
        said = error.msg.removesuffix(" starting at")
        raise _invalid(f"{where}: {said[:1].lower()}{said[1:]}") from None
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

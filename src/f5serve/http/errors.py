"""Errors as OpenAI's error body, {"error": {"message", "type", "param", "code"}}, with a status;
on ElevenLabs' routes as theirs.

No traceback, path or host leaves the server: a fault in f5serve is answered with a trace id.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from f5serve.errors import (
    TOO_MANY_FILES,
    BadAudio,
    EngineFailed,
    F5Error,
    InvalidRequest,
    KeyMissing,
    ModelUnavailable,
    StorageFailed,
)
from f5serve.http.elevenlabs.errors import speaks_elevenlabs, translate
from f5serve.service.active_jobs import SHUT_DOWN_CODE

_log = logging.getLogger(__name__)

RETRY_AFTER_S = 5
"""What a caller is asked to wait where nothing better is known."""

STATUSES: dict[str, int] = {
    **dict.fromkeys(["INVALID_API_KEY", "MISSING_API_KEY", "API_KEY_IN_URL"], 401),
    "API_KEY_EXPIRED": 401,
    **dict.fromkeys(["HOST_NOT_ALLOWED", "ORIGIN_NOT_ALLOWED"], 403),
    **dict.fromkeys(["MISSING_SCOPE", "VOICE_READ_ONLY"], 403),
    **dict.fromkeys(
        ["VOICE_NOT_FOUND", "UNKNOWN_VOICE", "STYLE_NOT_FOUND", "UNKNOWN_MODEL", "NO_SUCH_ROUTE"],
        404,
    ),
    "CONSENT_NOT_FOUND": 404,
    **dict.fromkeys(["INVALID_JOB_ID", "NO_TIMINGS", "NO_TAKE", "RESULT_GONE"], 404),
    **dict.fromkeys(["BOOK_NOT_FOUND", "CHAPTER_NOT_FOUND", "SENTENCE_NOT_FOUND"], 404),
    "BODY_TOO_SLOW": 408,
    **dict.fromkeys(["JOB_ID_CONFLICT", "JOB_NOT_COMPLETE", "VOICE_NAME_TAKEN"], 409),
    **dict.fromkeys(["JOB_FAILED", "RECORD_DAMAGED", "RECORD_TOO_NEW"], 409),
    **dict.fromkeys(["LEXICON_DAMAGED", "LEXICON_TOO_NEW"], 409),
    **dict.fromkeys(["RESERVED_STYLE_NAME", "TOO_MANY_STYLES", "CONSENT_IN_USE"], 409),
    **dict.fromkeys(["JOB_CANCELLED", "VOICE_CHANGING", "RESERVED_VOICE_NAME"], 409),
    **dict.fromkeys(["CHAPTER_NOT_SPOKEN", "BOOK_PAUSED", "TOO_MANY_BOOKS"], 409),
    **dict.fromkeys(["BODY_TOO_LARGE", "RESULT_TOO_LARGE", "AUDIO_TOO_LARGE"], 413),
    **dict.fromkeys(["ANSWER_TOO_LARGE", "BOOK_TOO_LARGE"], 413),
    "BOOKS_EXTRA_MISSING": 501,
    "URL_TOO_LONG": 414,
    **dict.fromkeys(["NOT_JSON", "NOT_MULTIPART"], 415),
    "TOO_MANY_HEADERS": 431,
    **dict.fromkeys(["RATE_LIMITED", "TOO_MANY_REQUESTS"], 429),
    **dict.fromkeys(["NOT_BUILT", "RECOGNISER_NOT_INSTALLED", "TRANSLATION_NOT_SUPPORTED"], 501),
    **dict.fromkeys(["BUSY", SHUT_DOWN_CODE, "MODEL_LOADING", "DEVICE_BROKEN"], 503),
    TOO_MANY_FILES: 503,
    "DEADLINE_PASSED": 504,
}
"""Status of an error by its code, where its kind does not decide it."""

_KINDS: tuple[tuple[type[F5Error], int], ...] = (
    (InvalidRequest, 400),
    (BadAudio, 400),
    (KeyMissing, 404),
    (ModelUnavailable, 503),
    (StorageFailed, 503),
    (EngineFailed, 500),
)

_SHOWN_CHARS = 300
"""Of a validator's own sentence, which may list what a field takes."""

_NO_FILE = "Value error, Expected UploadFile"

_KIND_NAMES = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
"""JSON values that are no object, as callers know them."""

_ROUTES = {
    "list_voices": "GET /v1/audio/voices",
    "timing_format of tts": "timing_format of POST /v1/jobs",
    "; a job that still waits in the platform's own queue is not known yet": "",
}
"""Names of operations in hints, and what they are called over HTTP."""

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class RateLimited(InvalidRequest):
    """Too much was asked at once; `after_s` says when to come again, in seconds."""

    def __init__(self, message: str, *, code: str, hint: str = "", after_s: int) -> None:
        super().__init__(message, code=code, hint=hint, retryable=True)
        self.after_s = after_s


class BadField(InvalidRequest):
    """A field of the body cannot be used; `param` is its name."""

    def __init__(self, message: str, *, code: str, hint: str = "", param: str | None) -> None:
        super().__init__(message, code=code, hint=hint)
        self.param = param


class Problem(BaseModel):
    """What happened, the value and what to do about it; a stable code; the field it is about."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """OpenAI's error body."""

    error: Problem


def status_of(error: F5Error) -> int:
    """The HTTP status that fits an error."""
    if error.code in STATUSES:
        return STATUSES[error.code]
    return next((status for kind, status in _KINDS if isinstance(error, kind)), 500)


def error_body(
    message: str, status: int, code: str | None, param: str | None = None
) -> dict[str, Any]:
    """An error body; `type` follows from the status."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    # Half of a surrogate pair, quoted from a request, cannot be sent.
    message = message.encode("utf-8", "backslashreplace").decode()
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def to_response(
    error: F5Error, param: str | None = None
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers of the answer to an error."""
    status = status_of(error)
    message = " ".join(filter(None, (error.message, http_hint(error.hint))))
    headers = {}
    if status in (429, 503):
        headers["Retry-After"] = str(
            error.after_s if isinstance(error, RateLimited) else RETRY_AFTER_S
        )
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    # The rest of the request is not read, or the descriptor is needed.
    if status in (408, 413) or error.code == TOO_MANY_FILES:
        headers["Connection"] = "close"
    if isinstance(error, BadField):
        param = param or error.param
    return status, error_body(message, status, error.code.lower(), param), headers


def http_hint(hint: str) -> str:
    """A hint in the words of this server's routes."""
    for name, route in _ROUTES.items():
        hint = hint.replace(name, route)
    return hint


def internal_error(error: Exception) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Log a fault in f5serve under a trace id; status, body and headers hold only that id."""
    trace = secrets.token_hex(6)
    _log.error("trace %s: %s", trace, type(error).__name__, exc_info=error)
    message = (
        "Something unexpected failed. Report it with the trace id "
        f"{trace}, under which the server's log tells more."
    )
    return 500, error_body(message, 500, "internal"), {}


def error_response(error: Exception, scope: Scope | None = None) -> JSONResponse:
    """The answer to whatever was raised before anything was sent.

    Args:
        scope: of the request, which decides the shape.
    """
    status, body, headers = (
        to_response(error) if isinstance(error, F5Error) else internal_error(error)
    )
    return _shaped(body, status, headers, scope)


def _shaped(
    body: dict[str, Any], status: int, headers: Mapping[str, str] | None, scope: Scope | None
) -> JSONResponse:
    if scope is not None and speaks_elevenlabs(scope):
        body = translate(body)
    return JSONResponse(body, status, headers)


def deadline_passed(timeout_s: float) -> F5Error:
    """The error of a request that took too long."""
    return F5Error(
        f"The request was not done within {timeout_s:g} s.",
        code="DEADLINE_PASSED",
        hint="Send less at a time, or raise F5_REQUEST_TIMEOUT_S of the server.",
    )


def install(app: FastAPI, routes: Iterable[BaseRoute] = ()) -> None:
    """Have `app` answer every error in this shape.

    Args:
        routes: all routes, for the Allow header of a 405.
    """

    async def on_f5(request: Request, error: Exception) -> JSONResponse:
        return error_response(error, request.scope)

    async def on_invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return _shaped(invalid_body(error), 400, None, request.scope)

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if isinstance(error.__cause__, F5Error):  # FastAPI wraps what was raised in a body
            return error_response(error.__cause__, request.scope)
        if error.status_code == 405:
            error = _with_all_methods(error, request, routes)
        status = error.status_code
        code = {404: "no_such_route", 405: "method_not_allowed"}.get(status, "bad_request")
        body = error_body(_sentence(error, request), status, code)
        return _shaped(body, status, error.headers, request.scope)

    app.add_exception_handler(F5Error, on_f5)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_f5)


def error_responses(
    *statuses: int, model: type[BaseModel] = ErrorBody
) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that may answer with these errors."""
    return {status: {"model": model, "description": _MEANINGS[status]} for status in statuses}


_MEANINGS = {
    400: "The request cannot be answered as it was sent; `message` names the field and its value.",
    401: "A key is needed, or the one that was sent is not known or has expired.",
    403: "The key does not have the scope of this route, the voice is read-only, or the request "
    "comes from a host or origin that may not ask.",
    404: "There is nothing under that name or id.",
    405: "This route takes other methods; `Allow` names them.",
    408: "The body of the request did not come in time.",
    409: "It is in another state than the request needs.",
    413: "The request or its answer is too large.",
    414: "The URL is too long.",
    415: "The body is of another kind than this route takes.",
    416: "The range lies outside the file; `Content-Range` tells how long that is.",
    429: "Too many requests with this key; `Retry-After` says when to come again.",
    431: "There are too many headers.",
    500: "A fault in f5serve; `message` holds the id under which its log tells more.",
    501: "What this needs is not installed here; `message` says how to get it.",
    503: "The model is not ready, the line is too long, or the store does not answer.",
    504: "It took longer than F5_REQUEST_TIMEOUT_S.",
}


def invalid_body(error: RequestValidationError) -> dict[str, Any]:
    """The first thing that is wrong with a request, named by its field."""
    first = _most_particular(error.errors())
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    # The types of a union are no fields; OpenAI's lists in forms are, such as include[].
    place = [part for part in place if "[" not in part or part.endswith("[]")]
    name = ".".join(place)[:100]
    given = first.get("input")
    if not name:
        kind = "empty" if first["type"] == "missing" else _KIND_NAMES.get(type(given), "a number")
        message = f'The body is {kind}; this route takes a JSON object such as {{"name": "value"}}.'
        return error_body(message, 400, "bad_option")
    given = given[:60] if isinstance(given, str) else given
    shown = "" if isinstance(given, dict | list | bytes) or given is None else f" is {given!r:.60}"
    message = str(first["msg"])[:_SHOWN_CHARS]
    if message.startswith(_NO_FILE):
        message = f"It takes a file; curl sends one with -F {name}=@FILE"
    return error_body(f"{name}{shown}: {message}.", 400, "bad_option", name)


def _most_particular(found: Sequence[Any]) -> Mapping[str, Any]:
    """Of the errors of the first field, that of the choice of types that fits its value best."""
    field = found[0]["loc"][:2]
    of_field: list[Mapping[str, Any]] = [error for error in found if error["loc"][:2] == field]
    return max(of_field, key=lambda error: len(error["loc"]))


def _with_all_methods(
    error: HTTPException, request: Request, routes: Iterable[BaseRoute]
) -> HTTPException:
    """The error, whose Allow names all methods of the path; each route knows its own alone."""
    methods = set((error.headers or {}).get("Allow", "").split(", "))
    for route in routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return HTTPException(405, error.detail, {"Allow": ", ".join(sorted(methods - {""}))})


def _sentence(error: HTTPException, request: Request) -> str:
    if error.status_code == 404:
        return f"There is no {request.method} {request.url.path[:100]}. /docs shows what there is."
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return f"{request.url.path[:100]} takes {allowed or 'other methods'}, not {request.method}."
    return str(error.detail)

"""The OpenAPI document: what FastAPI reads off the routes, and what the guard adds to all of them.

An application flows in, its document flows out; /openapi.json, /docs and docs/reference are made of
it. Routes list what they answer themselves; what can be answered before a route is reached is added
here, in one place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from f5serve.http.errors import ErrorBody, documented
from f5serve.http.open_routes import is_public
from f5serve.http.speech_body import SpeechDelta, SpeechDone, SpeechError

DESCRIPTION = """\
Text to speech in a cloned voice with F5-TTS.

`POST /v1/audio/speech` is OpenAI's: point any client of theirs at this server. What takes longer
than a connection should is a job; voices are recordings of a few seconds.

**Keys.** Where the server asks for keys, send one as `Authorization: Bearer KEY` or as
`X-API-Key: KEY`, never in a URL.

**Errors** are `{"error": {"message", "type", "param", "code"}}`. The message says what happened,
with the value, and what to do; `code` is stable. Where waiting helps, `Retry-After` tells how long.
Any route refuses a URL of more than 8,192 bytes with 414, and more than 200 headers with 431.

**HEAD** is answered wherever GET is, with its status and headers and without its body.
"""

TAGS = {
    "speech": "Text to speech, streamed as it is made.",
    "voices": "Recordings that can be spoken like.",
    "jobs": "Speech that is fetched later, and what was made before.",
    "alignments": "When each word of a recording is heard.",
    "models": "What can speak here, with licences.",
    "health": "Whether the server is ready, and how it is.",
}

_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "One of the server's F5_API_KEYS.",
    },
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key, where Authorization is taken, as by a proxy.",
    },
}
_BESIDE = (ErrorBody, SpeechDelta, SpeechDone, SpeechError)
_ASKING: list[dict[str, list[str]]] = [{"bearer": []}, {"header": []}]
_ALWAYS = (500,)
_GUARDED = (401, 403, 429)
_WITH_BODY = (408, 413, 415)
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def install(app: FastAPI) -> None:
    """Have `app` tell its whole contract."""

    def openapi() -> dict[str, Any]:
        app.openapi_schema = app.openapi_schema or document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def document(app: FastAPI) -> dict[str, Any]:
    """The document, complete; the same for the same routes."""
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        license_info=app.license_info,
        tags=[{"name": name, "description": said} for name, said in TAGS.items()],
        servers=[{"url": "/", "description": "This server."}],
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    schemas |= _schemas_beside()
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own; ours are told as 400
        schemas.pop(name, None)
    made["components"]["securitySchemes"] = _SCHEMES
    for path, operation in operations(made):
        _complete(path, operation)
        _settle_form(operation, schemas)
    for item in made["paths"].values():
        if "get" in item:
            item["head"] = _head(item["get"])
    return made


def operations(made: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and operation, for all of a document."""
    for path, item in made["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, operation


def _head(get: dict[str, Any]) -> dict[str, Any]:
    """HEAD of a path that takes GET: the same, and no answer has a body."""
    answers = {
        status: {name: value for name, value in answer.items() if name != "content"}
        for status, answer in get["responses"].items()
        if status not in ("206", "416")  # ranges are of a body
    }
    return {
        **get,
        "operationId": f"{get['operationId']}_head",
        "summary": f"{get['summary']}, without the body",
        "description": "As GET, whose status and headers it answers.",
        "responses": answers,
    }


def _complete(path: str, operation: dict[str, Any]) -> None:
    is_guarded = not is_public(path)
    answers = operation.setdefault("responses", {})
    if answers.pop("422", None):
        answers.setdefault("400", _answer(400))
    wanted = _ALWAYS + (_GUARDED if is_guarded else ())
    for status in wanted + (_WITH_BODY if "requestBody" in operation else ()):
        answers.setdefault(str(status), _answer(status))
    for answer in answers.values():
        if answer["description"] == "Successful Response":  # FastAPI's, where a route says nothing
            answer["description"] = "Done."
    operation["responses"] = dict(sorted(answers.items()))
    operation["security"] = _ASKING if is_guarded else [{}, *_ASKING]


def _settle_form(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A field of a form is there or is not; unlike in JSON, it cannot be null."""
    body = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
    if not body:
        return
    form = schemas[body["schema"]["$ref"].rpartition("/")[2]]
    for field in form["properties"].values():
        kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            del field["anyOf"]
            field |= kinds[0]
        if field.get("contentMediaType") == "application/octet-stream":
            field["format"] = "binary"  # by which tools before OpenAPI 3.1 know a file


def _answer(status: int) -> dict[str, Any]:
    said = documented(status)[status]["description"]
    schema = {"$ref": "#/components/schemas/ErrorBody"}
    return {"description": said, "content": {"application/json": {"schema": schema}}}


def _schemas_beside() -> dict[str, Any]:
    """Models that no route names as its own."""
    _, told = models_json_schema(
        [(kind, "serialization") for kind in _BESIDE], ref_template="#/components/schemas/{model}"
    )
    return dict(told["$defs"])

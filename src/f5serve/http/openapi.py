"""The OpenAPI document of the routes, and its content in an order for reading."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from f5serve.http.elevenlabs.errors import ElevenLabsErrorBody
from f5serve.http.elevenlabs.schemas import TimedSpeechLine
from f5serve.http.errors import ErrorBody, error_responses
from f5serve.http.scopes import scope_of
from f5serve.http.speech_schemas import SpeechDelta, SpeechDone, SpeechError
from f5serve.http.transcription_schemas import TranscriptDelta, TranscriptDone
from f5serve.http.word_timestamps import SpeechWords

DESCRIPTION = """\
Text to speech in a cloned voice with F5-TTS.

`POST /v1/audio/speech` is OpenAI's: point any client of theirs at this server, and any client of
ElevenLabs at `/v1/text-to-speech/{voice_id}` and what belongs to it. What takes longer
than a connection should is a job; voices are recordings of a few seconds.

**Keys.** Where the server asks for keys, send one as `Authorization: Bearer KEY`, as
`X-API-Key: KEY` or as `xi-api-key: KEY`, never in a URL. Each operation names the scope that the
key must have: `speak`, `voices` or `admin`.

**Errors** are `{"error": {"message", "type", "param", "code"}}`, and on ElevenLabs' routes the same
in their shape, as `detail`. The message says what happened, with the value, and what to do; `code`
is stable. Where waiting helps, `Retry-After` tells how long.
Any route refuses a URL of more than 8,192 bytes with 414, and more than 200 headers with 431.

**HEAD** is answered wherever GET is, with its status and headers and without its body.
"""

ELEVENLABS = "elevenlabs"
"""Tag of the routes whose errors have ElevenLabs' shape."""

TAGS = {
    "speech": "Text to speech, streamed as it is made.",
    "voices": "Recordings that can be spoken like.",
    "lexicons": "How words are spoken, in all voices or in one.",
    "jobs": "Speech that is fetched later, and what was made before.",
    "books": "Books that are spoken chapter by chapter.",
    "alignments": "When each word of a recording is heard.",
    "transcriptions": "The words of a recording.",
    "models": "What can speak here, with licences.",
    ELEVENLABS: "What programs for ElevenLabs ask: speech, voices and the account.",
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
_BESIDE = (
    ErrorBody,
    ElevenLabsErrorBody,
    TimedSpeechLine,
    SpeechDelta,
    SpeechWords,
    SpeechDone,
    SpeechError,
    TranscriptDelta,
    TranscriptDone,
)
_ALWAYS = (500,)
_GUARDED = (401, 403, 429)
_WITH_BODY = (408, 413, 415)
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

_REF = "#/components/schemas/"


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Have `app` tell its whole contract; `routes` as `document`."""

    def openapi() -> dict[str, Any]:
        app.openapi_schema = app.openapi_schema or document(app, routes)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def document(app: FastAPI, routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The document, complete; the same for the same routes.

    Args:
        routes: all that the application has, as they were declared.
    """
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        license_info=app.license_info,
        tags=[{"name": name, "description": description} for name, description in TAGS.items()],
        servers=[{"url": "/", "description": "This server."}],
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    schemas |= _schemas_beside()
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own; ours are 400
        schemas.pop(name, None)
    made["components"]["securitySchemes"] = _SCHEMES
    scopes = _scopes(routes)
    for path, method, operation in _each_operation(made):
        _complete(operation, scopes[path, method])
        _settle_form(operation, schemas)
    for item in made["paths"].values():
        if "get" in item:
            item["head"] = _head(item["get"])
    return made


def _scopes(routes: Sequence[BaseRoute]) -> dict[tuple[str, str], str]:
    """The scope of each path and method; "" of those that are open to everybody."""
    return {
        (route.path_format, method.lower()): scope_of(route)
        for route in routes
        if isinstance(route, APIRoute)
        for method in (route.methods or ())
    }


def _each_operation(made: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation, for all of a document."""
    for path, item in made["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, method, operation


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


def _complete(operation: dict[str, Any], scope: str) -> None:
    answers = operation.setdefault("responses", {})
    model = ElevenLabsErrorBody if ELEVENLABS in operation.get("tags", ()) else ErrorBody
    if answers.pop("422", None):
        answers.setdefault("400", _error_answer(400, model))
    wanted = _ALWAYS + (_GUARDED if scope else ())
    for status in wanted + (_WITH_BODY if "requestBody" in operation else ()):
        answers.setdefault(str(status), _error_answer(status, model))
    for answer in answers.values():
        if answer["description"] == "Successful Response":  # FastAPI's, where a route says nothing
            answer["description"] = "Done."
    operation["responses"] = dict(sorted(answers.items()))
    # OpenAPI 3.1 has the names of roles there, for schemes that have no scopes of their own.
    keys: list[dict[str, list[str]]] = [{name: [scope] if scope else []} for name in _SCHEMES]
    operation["security"] = keys if scope else [{}, *keys]


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
        for one in (field, field.get("items", {})):
            if one.get("contentMediaType") == "application/octet-stream":
                one["format"] = "binary"  # by which tools before OpenAPI 3.1 know a file


def _error_answer(status: int, model: type[BaseModel]) -> dict[str, Any]:
    description = error_responses(status)[status]["description"]
    schema = {"$ref": f"{_REF}{model.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _schemas_beside() -> dict[str, Any]:
    """Models that no route names as its own."""
    _, spec = models_json_schema(
        [(kind, "serialization") for kind in _BESIDE], ref_template="#/components/schemas/{model}"
    )
    return dict(spec["$defs"])


@dataclass(frozen=True, slots=True)
class Entry:
    """A parameter of an operation, or a field of a model; `kind` is what it takes, in words."""

    name: str
    kind: str
    is_required: bool
    default: str
    description: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer by its status, with the kinds of content that it has."""

    status: str
    description: str
    content: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Attributes:
        bodies: content type and model of what it takes.
        answers: when all went well.
        errors: the statuses of all others, whose body is ErrorBody.
        scope: what a key needs for it; "" where it is open to everybody.
    """

    id: str
    method: str
    path: str
    tag: str
    summary: str
    description: str
    entries: tuple[Entry, ...]
    bodies: tuple[str, ...]
    answers: tuple[Answer, ...]
    errors: tuple[str, ...]
    scope: str


@dataclass(frozen=True, slots=True)
class Model:
    """A named object, in a request or an answer."""

    name: str
    description: str
    fields: tuple[Entry, ...]


def operations(document: Mapping[str, Any]) -> dict[str, list[Operation]]:
    """Tag -> its operations, both in the document's order."""
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, spec in item.items():
            if method == "head":  # as GET
                continue
            operation = _operation(method, path, spec)
            found.setdefault(operation.tag, []).append(operation)
    return {tag: listed for tag, listed in found.items() if listed}


def models(document: Mapping[str, Any]) -> list[Model]:
    """All models by name."""
    schemas = document["components"]["schemas"]
    return [
        Model(name, schema.get("description", ""), tuple(_fields(schema)))
        for name, schema in sorted(schemas.items())
    ]


def errors(document: Mapping[str, Any]) -> dict[str, str]:
    """Status -> what it means, of all errors that any operation answers."""
    found = {
        status: answer["description"]
        for item in document["paths"].values()
        for spec in item.values()
        for status, answer in spec["responses"].items()
        if _is_error(answer)
    }
    return dict(sorted(found.items()))


def kind_of(schema: Mapping[str, Any]) -> str:
    """What a schema takes, in words; a model by its name in brackets."""
    if "$ref" in schema:
        return f"[{schema['$ref'].removeprefix(_REF)}]"
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return " | ".join(dict.fromkeys(kind_of(part) for part in schema[word]))
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {kind_of(schema.get('items', {}))}{_bounds(schema)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {kind_of(schema['additionalProperties'])}"
    if schema.get("contentMediaType") or schema.get("format") == "binary":
        return "file"
    return f"{kind}{_bounds(schema)}"


def _bounds(schema: Mapping[str, Any]) -> str:
    for low, high, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ):
        if high in schema:
            return f", {_shown(schema.get(low, 0))} to {_shown(schema[high])}{unit}"
        if low in schema:
            return f", at least {_shown(schema[low])}{unit}"
    if "pattern" in schema:
        return f", as {schema['pattern']}"
    return ""


def _shown(number: float) -> str:
    return f"{int(number) if number == int(number) else number:,}"


def _operation(method: str, path: str, spec: Mapping[str, Any]) -> Operation:
    bodies = spec.get("requestBody", {}).get("content", {})
    answers = list(spec["responses"].items())
    return Operation(
        id=spec["operationId"],
        method=method.upper(),
        path=path,
        tag=spec.get("tags", ["other"])[0],
        summary=spec.get("summary", ""),
        description=spec.get("description", ""),
        entries=tuple(_parameter(each) for each in spec.get("parameters", [])),
        bodies=tuple(f"{kind}: {kind_of(body['schema'])}" for kind, body in bodies.items()),
        answers=tuple(_answer(*each) for each in answers if not _is_error(each[1])),
        errors=tuple(status for status, each in answers if _is_error(each)),
        scope="".join(spec.get("security", [{}])[0].get("bearer", ())),
    )


def _is_error(answer: Mapping[str, Any]) -> bool:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return schema.get("$ref") in (f"{_REF}ErrorBody", f"{_REF}ElevenLabsErrorBody")


def _answer(status: str, spec: Mapping[str, Any]) -> Answer:
    content = spec.get("content", {})
    kinds = [
        f"{kind}: {kind_of(body['schema'])}" if body.get("schema") else kind
        for kind, body in content.items()
    ]
    return Answer(status, spec["description"], tuple(kinds))


def _parameter(spec: Mapping[str, Any]) -> Entry:
    schema = spec.get("schema", {})
    description = spec.get("description", schema.get("description", ""))
    required = bool(spec.get("required"))
    return Entry(
        spec["name"], kind_of(schema), required, _default(schema), description, where=spec["in"]
    )


def _fields(schema: Mapping[str, Any]) -> Iterator[Entry]:
    required = schema.get("required", ())
    for name, spec in schema.get("properties", {}).items():
        description = spec.get("description", "")
        yield Entry(name, kind_of(spec), name in required, _default(spec), description)


def _default(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema["default"]) if schema.get("default") is not None else ""

"""An OpenAPI document in an order for reading: operations by tag, models by name.

A document flows in, plain values flow out; the page at /docs and docs/reference/http.md show them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_REF = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Entry:
    """A parameter of an operation, or a field of a model; `kind` is what it takes, in words."""

    name: str
    kind: str
    is_required: bool
    default: str
    said: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer by its status, with the kinds of content that it has."""

    status: str
    said: str
    content: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Attributes:
        bodies: content type and model of what it takes.
        answers: when all went well.
        errors: the statuses of all others, whose body is ErrorBody.
    """

    id: str
    method: str
    path: str
    tag: str
    summary: str
    said: str
    entries: tuple[Entry, ...]
    bodies: tuple[str, ...]
    answers: tuple[Answer, ...]
    errors: tuple[str, ...]
    is_open: bool


@dataclass(frozen=True, slots=True)
class Model:
    """A named object, in a request or an answer."""

    name: str
    said: str
    fields: tuple[Entry, ...]


def operations(document: Mapping[str, Any]) -> dict[str, list[Operation]]:
    """Tag -> its operations, both in the document's order."""
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, told in item.items():
            if method == "head":  # as GET, which is told once for all
                continue
            operation = _operation(method, path, told)
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
        for told in item.values()
        for status, answer in told["responses"].items()
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


def _operation(method: str, path: str, told: Mapping[str, Any]) -> Operation:
    bodies = told.get("requestBody", {}).get("content", {})
    answers = list(told["responses"].items())
    return Operation(
        id=told["operationId"],
        method=method.upper(),
        path=path,
        tag=told.get("tags", ["other"])[0],
        summary=told.get("summary", ""),
        said=told.get("description", ""),
        entries=tuple(_parameter(each) for each in told.get("parameters", [])),
        bodies=tuple(f"{kind}: {kind_of(body['schema'])}" for kind, body in bodies.items()),
        answers=tuple(_answer(*each) for each in answers if not _is_error(each[1])),
        errors=tuple(status for status, each in answers if _is_error(each)),
        is_open={} in told.get("security", []),
    )


def _is_error(answer: Mapping[str, Any]) -> bool:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return bool(schema.get("$ref") == f"{_REF}ErrorBody")


def _answer(status: str, told: Mapping[str, Any]) -> Answer:
    content = told.get("content", {})
    kinds = [
        f"{kind}: {kind_of(body['schema'])}" if body.get("schema") else kind
        for kind, body in content.items()
    ]
    return Answer(status, told["description"], tuple(kinds))


def _parameter(told: Mapping[str, Any]) -> Entry:
    schema = told.get("schema", {})
    said = told.get("description", schema.get("description", ""))
    required = bool(told.get("required"))
    return Entry(told["name"], kind_of(schema), required, _default(schema), said, where=told["in"])


def _fields(schema: Mapping[str, Any]) -> Iterator[Entry]:
    required = schema.get("required", ())
    for name, told in schema.get("properties", {}).items():
        said = told.get("description", "")
        yield Entry(name, kind_of(told), name in required, _default(told), said)


def _default(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema["default"]) if schema.get("default") is not None else ""

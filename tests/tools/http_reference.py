"""docs/reference/http.md and openapi.json: what the HTTP server takes and answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from f5serve.http.app import assemble
from f5serve.http.openapi import Entry, Model, Operation, errors, models, operations


def openapi_document() -> dict[str, Any]:
    """The document that the server answers at /openapi.json."""
    made: dict[str, Any] = assemble().openapi()
    return made


def openapi_file() -> str:
    """It as a file."""
    return json.dumps(openapi_document(), indent=2, ensure_ascii=False) + "\n"


def http_page() -> str:
    """It as a page to read."""
    document = openapi_document()
    descriptions = {tag["name"]: tag.get("description", "") for tag in document["tags"]}
    parts = [
        "# HTTP\n",
        document["info"]["description"],
        "For tools there is [openapi.json](openapi.json); a running server shows this page at",
        "`/docs`.\n",
    ]
    for tag, listed in operations(document).items():
        parts += [f"## {tag.capitalize()}\n", f"{descriptions.get(tag, '')}\n"]
        parts += [line for operation in listed for line in _operation(operation)]
    parts.append("## Errors\n")
    parts += table(("status", "meaning"), list(errors(document).items()))
    parts.append("## Objects\n")
    parts += [line for model in models(document) for line in _model(model)]
    return "\n".join(parts).rstrip() + "\n"


def _operation(spec: Operation) -> Iterator[str]:
    yield f"### {spec.method} {spec.path}\n"
    yield f"{spec.summary}. {_flat(spec.description)}\n"
    yield from _entries(spec.entries, ("parameter", "in", "takes", "default", "meaning"))
    if spec.bodies:
        yield f"Takes {'; '.join(_linked(body) for body in spec.bodies)}\n"
    rows = [
        (a.status, "<br>".join(map(_linked, a.content)), _flat(a.description)) for a in spec.answers
    ]
    yield from table(("status", "content", "meaning"), rows)
    yield f"[Errors](#errors): {', '.join(spec.errors)}\n"


def _model(spec: Model) -> Iterator[str]:
    yield f"### {spec.name}\n"
    if spec.description:
        yield f"{_flat(spec.description)}\n"
    yield from _entries(spec.fields, ("field", "", "takes", "default", "meaning"))


def _entries(entries: Sequence[Entry], heads: Sequence[str]) -> Iterator[str]:
    if not entries:
        return
    rows = [
        (
            f"`{each.name}`",
            each.where,
            _linked(each.kind),
            "required" if each.is_required else f"`{each.default}`" if each.default else "",
            _flat(each.description),
        )
        for each in entries
    ]
    kept = [column for column, head in enumerate(heads) if head]
    yield from table([heads[c] for c in kept], [[row[c] for c in kept] for row in rows])


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table, and the blank line behind it."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def _linked(kind: str) -> str:
    return re.sub(r"\[(\w+)\]", lambda name: f"[{name[1]}](#{name[1].lower()})", kind)


def _flat(text: str) -> str:
    return " ".join(text.split())

"""GET /openapi.json, and /docs: the same document as a page without scripts."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from f5serve.http.openapi import Entry, Model, Operation, errors, models, operations

router = APIRouter()

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 60rem; }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
nav ul { columns: 18rem; padding-left: 1.2rem; }
section { border-top: 1px solid #8886; margin-top: 2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { border-bottom: 1px solid #8884; padding: .3rem .8rem .3rem 0; text-align: left;
  vertical-align: top; }
h3 code { font-size: 1em; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MODEL = re.compile(r"\[(\w+)\]")
_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")


class Writer:
    """Writes an application's document once, at the first request for it: half a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: tuple[bytes, bytes] | None = None

    def write(self, app: FastAPI) -> tuple[bytes, bytes]:
        """The document as JSON and as HTML. Blocks."""
        with self._lock:  # other requests wait rather than write the same
            if self._written is None:
                document = app.openapi()
                file = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
                self._written = file.encode(), page(document).encode()
            return self._written


@router.get("/openapi.json", include_in_schema=False)
def read_openapi(request: Request) -> Response:
    """The document for tools."""
    return Response(_written(request)[0], media_type="application/json")


@router.get("/docs", include_in_schema=False)
def read_docs(request: Request) -> HTMLResponse:
    """The page."""
    return HTMLResponse(_written(request)[1], headers={"Content-Security-Policy": _POLICY})


def _written(request: Request) -> tuple[bytes, bytes]:
    writer: Writer = request.app.state.writer
    return writer.write(request.app)


def page(document: dict[str, Any]) -> str:
    """The document as HTML."""
    info, tags = document["info"], operations(document)
    title = html.escape(f"{info['title']} {info['version']}")
    rows = [(status, _inline(description)) for status, description in errors(document).items()]
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style><main><h1>{title}</h1>",
        _text(info["description"]),
        '<p>As a file for tools: <a href="openapi.json">openapi.json</a>.</p>',
        _contents(tags),
        *(part for tag in tags for part in _tag(document, tag, tags[tag])),
        '<section id="errors"><h2>Errors</h2>',
        _table("All are ErrorBody", ("status", "meaning"), rows),
        "</section><section><h2>Objects</h2>",
        *map(_model, models(document)),
        "</section></main></html>",
    ]
    return "\n".join(parts)


def _contents(tags: dict[str, list[Operation]]) -> str:
    lines = [
        f'<li><a href="#{each.id}"><code>{each.method} {html.escape(each.path)}</code></a></li>'
        for listed in tags.values()
        for each in listed
    ]
    return f'<nav aria-label="Operations"><ul>{"".join(lines)}</ul></nav>'


def _tag(document: dict[str, Any], tag: str, listed: list[Operation]) -> Iterator[str]:
    descriptions = {each["name"]: each.get("description", "") for each in document["tags"]}
    yield f"<section><h2>{html.escape(tag)}</h2>{_text(descriptions.get(tag, ''))}"
    yield from map(_operation, listed)
    yield "</section>"


def _operation(spec: Operation) -> str:
    parts = [
        f'<h3 id="{spec.id}"><code>{spec.method} {html.escape(spec.path)}</code></h3>',
        f"<p><strong>{_inline(spec.summary)}</strong></p>{_text(spec.description)}",
        f"<p>Needs a key with the scope <code>{html.escape(spec.scope)}</code>, where the server "
        "asks for keys.</p>"
        if spec.scope
        else "",
        _entries(spec.entries, "Parameters"),
        *(f"<p>Takes <code>{_linked(body)}</code></p>" for body in spec.bodies),
    ]
    rows = [
        (answer.status, "<br>".join(map(_linked, answer.content)), _inline(answer.description))
        for answer in spec.answers
    ]
    parts.append(_table("Answers", ("status", "content", "meaning"), rows))
    parts.append(f'<p><a href="#errors">Errors</a>: {" ".join(spec.errors)}</p>')
    return "\n".join(filter(None, parts))


def _model(spec: Model) -> str:
    heading = f'<h3 id="{spec.name}"><code>{html.escape(spec.name)}</code></h3>'
    return heading + _text(spec.description) + _entries(spec.fields, f"Fields of {spec.name}")


def _entries(entries: Sequence[Entry], caption: str) -> str:
    if not entries:
        return ""
    rows = [
        (
            f"<code>{html.escape(each.name)}</code>{' in ' + each.where if each.where else ''}",
            _linked(each.kind),
            "required" if each.is_required else f"<code>{html.escape(each.default)}</code>",
            _inline(each.description),
        )
        for each in entries
    ]
    return _table(caption, ("name", "takes", "default", "meaning"), rows)


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead>{body}</table>"


def _linked(kind: str) -> str:
    return _MODEL.sub(r'<a href="#\1">\1</a>', html.escape(kind))


def _text(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n") if part.strip())


def _inline(text: str) -> str:
    return _STRONG.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", html.escape(text)))

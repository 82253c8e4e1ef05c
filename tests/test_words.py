"""Names and sentences of the source use the words of the field, not words of our own."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "f5serve"

# A part of a name, and what to write in its place.
NAMES = {
    "begun": "running, started",
    "door": "handler, entrypoint",
    "draft": "sequence, temporary file",
    "drafts": "sequences, temporary files",
    "ear": "recogniser",
    "ears": "recognisers",
    "flights": "active jobs",
    "hear": "transcribe",
    "heard": "transcript, recognised",
    "hears": "transcribes",
    "house": "server, service",
    "misfit": "incompatibility",
    "misfits": "incompatibilities",
    "moment": "step, time",
    "nobody": "none, unused",
    "said": "text, fields",
    "shelf": "storage",
    "somebody": "caller, reader",
    "story": "results, summary",
    "told": "sent, reported, logged",
    "traced": "spanned",
    "whoever": "caller, reader",
}

# In docstrings and comments, and what to write in its place.
PHRASES = {
    r"flows? (in|out)": "state arguments and results",
    r"not known here": "leave it out: the layers are tested",
    r"\bin vain\b": "without result",
    r"\bknows nothing\b": "does not depend on",
    r"\bwhoever\b": "the caller, the reader",
    r"\b(no|some|any)body\b": "no caller, a caller, a process",
    r"\b(is|are|was|be|been) told\b": "is logged, is sent, is reported",
}


def parts(name: str) -> list[str]:
    """The words of a name, in lower case: `_InFlight` and `in_flight` give in, flight."""
    return [part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


@cache
def names(path: Path) -> set[str]:
    """All names of a module: its own, of its classes, functions, arguments and variables."""
    found = {path.stem}
    for node in ast.walk(ast.parse(path.read_text())):
        for field in ("name", "id", "attr", "arg", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                found.update(value.split("."))
    return found


@cache
def prose(path: Path) -> list[str]:
    """All docstrings, of attributes too, and all comments."""
    text, found = path.read_text(), []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.append(" ".join(str(node.value.value).split()))
    comments = [
        token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    ]
    return [*found, " ".join(comments)]


@pytest.mark.parametrize("word", NAMES)
def test_names_are_the_fields_words(word: str) -> None:
    found = [
        f"{path.relative_to(SOURCE)}: {name}"
        for path in sorted(SOURCE.rglob("*.py"))
        for name in sorted(names(path))
        if word in parts(name)
    ]
    assert not found, f"not {word!r} but {NAMES[word]}: {found}"


@pytest.mark.parametrize("phrase", PHRASES)
def test_sentences_are_plain(phrase: str) -> None:
    found = [
        f"{path.relative_to(SOURCE)}: {text[max(0, hit.start() - 40) : hit.end() + 40]}"
        for path in sorted(SOURCE.rglob("*.py"))
        for text in prose(path)
        for hit in re.finditer(phrase, text, flags=re.IGNORECASE)
    ]
    assert not found, f"not {phrase!r} but {PHRASES[phrase]}: {found}"

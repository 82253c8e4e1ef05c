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

# A part of a name: what to write in its place, and in how many files' names it may stand.
NAMES = {
    "begun": ("running, started", 1),
    "door": ("handler, entrypoint", 0),
    "draft": ("sequence, temporary file", 0),
    "drafts": ("sequences, temporary files", 0),
    "ear": ("recogniser", 0),
    "ears": ("recognisers", 0),
    "flights": ("active jobs", 0),
    "hear": ("transcribe", 0),
    "heard": ("transcript, recognised", 1),
    "hears": ("transcribes", 0),
    "house": ("server, service", 0),
    "misfit": ("incompatibility", 0),
    "misfits": ("incompatibilities", 0),
    "moment": ("step, time", 0),
    "nobody": ("none, unused", 0),
    "said": ("text, fields", 2),
    "shelf": ("storage", 0),
    "somebody": ("caller, reader", 0),
    "story": ("results, summary", 0),
    "tell": ("log, report, publish", 2),  # of files: tell()
    "told": ("sent, reported, logged", 3),
    "traced": ("spanned", 0),
    "whoever": ("caller, reader", 0),
}

# In docstrings and comments: what to write in its place, and how often it may stand.
PHRASES = {
    r"flows? (in|out)": ("state arguments and results", 0),
    r"not known here": ("leave it out: the layers are tested", 1),
    r"\bin vain\b": ("without result", 0),
    r"\bknows nothing\b": ("does not depend on", 0),
    r"\bwhoever\b": ("the caller, the reader", 3),
    r"\b(no|some|any)body\b": ("no caller, a caller, a process", 5),
    r"\b(is|are|was|be|been) told\b": ("is logged, is sent, is reported", 2),
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
    instead, most = NAMES[word]
    found = [
        f"{path.relative_to(SOURCE)}: {name}"
        for path in sorted(SOURCE.rglob("*.py"))
        for name in sorted(names(path))
        if word in parts(name)
    ]
    listed = "\n".join(found)
    assert len(found) <= most, f"{len(found)} names with {word!r}; write {instead}:\n{listed}"


@pytest.mark.parametrize("phrase", PHRASES)
def test_sentences_are_plain(phrase: str) -> None:
    instead, most = PHRASES[phrase]
    found = [
        f"{path.relative_to(SOURCE)}: {text[max(0, hit.start() - 40) : hit.end() + 40]}"
        for path in sorted(SOURCE.rglob("*.py"))
        for text in prose(path)
        for hit in re.finditer(phrase, text, flags=re.IGNORECASE)
    ]
    listed = "\n".join(found)
    assert len(found) <= most, f"{len(found)} times {phrase!r}; write {instead}:\n{listed}"

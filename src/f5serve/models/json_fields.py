"""Strict readers of JSON documents and their fields, for manifests, pointers and records.

Documents on a disk or in a store are input. Whatever is malformed, too large, too deep or of a
wrong type raises `InvalidDocument`, and nothing else.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from f5serve.store.json_documents import InvalidDocument as InvalidDocument
from f5serve.store.json_documents import parse_object

MAX_BYTES = 65_536
MAX_TEXT = 500
MAX_SIZE = 1 << 50
"""Bytes of a file; more than any model has."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # becomes the name of a folder
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def load(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`.

    Raises:
        InvalidDocument: there is none.
    """
    if len(data) > MAX_BYTES:
        raise InvalidDocument("it is too large")
    return parse_object(data)


def read_file(path: Path) -> bytes:
    """A document on a disk, cut just above `MAX_BYTES`.

    Raises:
        OSError: it cannot be read, or is no file: reading a pipe would not end.
    """
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "no file", str(path))
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def text(value: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A field that can be printed in one line; `default` where it is absent, if there is one."""
    found = value.get(name, default)
    if not isinstance(found, str) or len(found) > MAX_TEXT or _NOT_SHOWN.search(found):
        raise InvalidDocument(name)
    return found


def whole(value: Mapping[str, Any], name: str, most: int = MAX_SIZE) -> int:
    """A field that is a whole number from 0 to `most`."""
    found = value.get(name)
    if type(found) is not int or not 0 <= found <= most:
        raise InvalidDocument(name)
    return found


def sha256(value: Mapping[str, Any], name: str) -> str:
    """A field that is a hash in lower-case hexadecimal."""
    found = value.get(name)
    if not isinstance(found, str) or not _SHA256.fullmatch(found):
        raise InvalidDocument(name)
    return found


def part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A field that is an object; an empty one where it is absent or null."""
    found = value.get(name)
    if found is not None and not isinstance(found, dict):
        raise InvalidDocument(name)
    return found or {}


def is_revision(name: str) -> bool:
    """Whether a commit or branch can be the name of a folder."""
    return _REVISION.fullmatch(name) is not None


def is_inside(path: str) -> bool:
    """Whether a path of a repository stays below the folder that it is put into."""
    plain = 0 < len(path) <= MAX_TEXT and not _NOT_SHOWN.search(path) and "\\" not in path
    return plain and not path.startswith("/") and ".." not in PurePosixPath(path).parts

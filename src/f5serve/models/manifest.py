"""The manifest of a model: which files, by hash, make up one version.

In a store:

    models/_blobs/<sha256>                       the bytes of a file; written once
    models/<model id>/manifests/<sha256>.json    which files belong together; written once
    models/<model id>/current.json               hash of the current manifest; overwritten, last

Everything but the pointer current.json is named by its own hash, so a reader gets one consistent
version or an error. The same documents lie beside a model that was synced to a disk (`local`).
"""

from __future__ import annotations

import errno
import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.models.registry import ROLES, Role
from f5serve.store.base import is_key
from f5serve.store.json_documents import InvalidDocument, canonical_json, parse_object

_log = logging.getLogger(__name__)

SCHEMA = 1
"""Raised when a reader of the number before could no longer use what is written."""

ARTIFACT_API = "f5serve-1"
"""Weights as `f5serve models convert` writes them."""

PUBLISHED_API = "published"
"""Weights as their authors published them."""

READABLE_APIS = frozenset({ARTIFACT_API, PUBLISHED_API})
BLOBS = "models/_blobs/"
MANIFEST_NAME = "manifest.json"

MAX_BYTES = 65_536
"""Of a document; a larger one is refused."""

MAX_TEXT = 500
MAX_SIZE = 1 << 50
"""Bytes of a file; more than any model has."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # becomes the name of a folder
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

MODEL_ROLES: frozenset[Role] = frozenset({"weights", "vocab", "vocoder"})
NO_ROLES: frozenset[Role] = frozenset()
"""On a disk the vocoder may be there alone, for models that are in a cache without one; and an
aligner has none."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a version.

    Attributes:
        path: its name beside the others, without folders.
        size: bytes.
        sha256: lower-case hex; names the blob.
    """

    role: Role
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Description:
    """What a model is, apart from its files.

    Attributes:
        model: its id.
        model_api: which loader takes the weights, one of `READABLE_APIS`.
        arch: engine preset.
        repo, revision: where it was published, or "".
        version, commit: of the f5serve that put it into the store.
    """

    model: str
    model_api: str
    arch: str
    license: str
    commercial: bool
    repo: str = ""
    revision: str = ""
    version: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version of one model.

    Attributes:
        data: the document as it is stored, with whatever fields other versions put there.
    """

    about: Description
    files: tuple[StoredFile, ...]
    data: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """Names this version."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    def is_same_model_as(self, other: Manifest) -> bool:
        """Whether both differ at most in the f5serve that published them."""
        same = replace(self.about, version=other.about.version, commit=other.about.commit)
        return (same, self.files) == (other.about, other.files)


def blob_key(sha256: str) -> str:
    """Store key of the bytes of a file."""
    return f"{BLOBS}{sha256}"


def manifest_key(model_id: str, sha256: str) -> str:
    """Store key of a manifest."""
    return f"models/{check_model_id(model_id)}/manifests/{sha256}.json"


def pointer_key(model_id: str) -> str:
    """Store key of the pointer to the current manifest."""
    return f"models/{check_model_id(model_id)}/current.json"


def check_model_id(model_id: str) -> str:
    """Return the id if it can be a folder of the store and of a disk.

    Raises:
        InvalidRequest: code BAD_MODEL_ID.
    """
    if "/" in model_id or model_id.startswith("_") or not is_key(model_id):
        raise InvalidRequest(
            f"{model_id[:80]!r} cannot be the id of a model in the store.",
            code="BAD_MODEL_ID",
            hint="Use letters, digits, _, - and ., starting with a letter or digit.",
        )
    return model_id


def write(about: Description, files: tuple[StoredFile, ...]) -> Manifest:
    """The manifest of those files, as canonical JSON."""
    value = {
        "schema": SCHEMA,
        "model_api": about.model_api,
        "model": about.model,
        "arch": about.arch,
        "license": about.license,
        "commercial": about.commercial,
        "source": {"repo": about.repo, "revision": about.revision},
        "producer": {"version": about.version, "commit": about.commit},
        "files": [asdict(file) for file in files],
    }
    return Manifest(about, files, canonical_json(value))


def read(data: bytes, model_id: str, needed: frozenset[Role] = MODEL_ROLES) -> Manifest | None:
    """The manifest in `data`; None, with a line in the log, for an unknown schema or API.

    Raises:
        ModelUnavailable: MODEL_CORRUPT for what is no manifest of that model.
    """
    try:
        value = _load(data)
        if not _is_known(value, "schema", {SCHEMA}, model_id):
            return None
        text_field(value, "model_api")
        if not _is_known(value, "model_api", READABLE_APIS, model_id):
            return None
        manifest = Manifest(_description(value), _files(value.get("files"), needed), data)
    except InvalidDocument:
        raise corrupt(model_id, "its manifest cannot be read") from None
    if manifest.about.model != model_id:
        raise corrupt(model_id, "its manifest is that of another model")
    return manifest


def write_pointer(sha256: str) -> bytes:
    """The document that makes the manifest of that hash the current one."""
    return canonical_json({"schema": SCHEMA, "manifest": sha256})


def read_pointer(data: bytes, model_id: str) -> str | None:
    """The hash in a pointer; None, with a line in the log, for an unknown schema.

    Raises:
        ModelUnavailable: MODEL_CORRUPT for what is no pointer.
    """
    try:
        value = _load(data)
        is_known = _is_known(value, "schema", {SCHEMA}, model_id)
        return sha256_field(value, "manifest") if is_known else None
    except InvalidDocument:
        raise corrupt(model_id, "its pointer cannot be read") from None


def corrupt(model_id: str, what: str) -> ModelUnavailable:
    """The error for a model in the store that is damaged."""
    return ModelUnavailable(
        f"{model_id} is damaged in the store: {what}.",
        code="MODEL_CORRUPT",
        hint=f"Publish it again from a machine that has it: f5serve models push {model_id} --again",
    )


def _load(data: bytes) -> dict[str, Any]:
    value = load_object(data)
    if type(value.get("schema")) is not int:
        raise InvalidDocument("schema")
    return value


def _is_known(
    value: Mapping[str, Any], name: str, known: frozenset[str] | set[int], model_id: str
) -> bool:
    if value[name] in known:
        return True
    _log.warning(
        "%s in the store is of another version of f5serve (%s %r) and counts as absent",
        model_id,
        name,
        str(value[name])[:40],  # a few digits of a number that may have thousands
    )
    return False


def _description(value: Mapping[str, Any]) -> Description:
    source, producer = object_field(value, "source"), object_field(value, "producer")
    if not isinstance(value.get("commercial"), bool):
        raise InvalidDocument("commercial")
    return Description(
        model=text_field(value, "model"),
        model_api=text_field(value, "model_api"),
        arch=text_field(value, "arch"),
        license=text_field(value, "license"),
        commercial=value["commercial"],
        repo=text_field(source, "repo", ""),
        revision=text_field(source, "revision", ""),
        version=text_field(producer, "version", ""),
        commit=text_field(producer, "commit", ""),
    )


def _files(entries: object, needed: frozenset[Role]) -> tuple[StoredFile, ...]:
    """The files of roles known here, each role once; their names become paths.

    Raises:
        InvalidDocument: they cannot be those of a model.
    """
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidDocument("files")
    files = tuple(_file(entry) for entry in entries if text_field(entry, "role") in ROLES)
    roles = {file.role for file in files}
    names = {file.path.lower() for file in files} | {MANIFEST_NAME}
    if not roles >= needed or len(roles) < len(files) or len(names) <= len(files):
        raise InvalidDocument("files")
    return files


def _file(entry: Mapping[str, Any]) -> StoredFile:
    path = text_field(entry, "path")
    if not is_key(path) or "/" in path:
        raise InvalidDocument("path")
    return StoredFile(entry["role"], path, int_field(entry, "size"), sha256_field(entry, "sha256"))


def load_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`.

    Raises:
        InvalidDocument: there is none.
    """
    if len(data) > MAX_BYTES:
        raise InvalidDocument("it is too large")
    return parse_object(data)


def read_document(path: Path) -> bytes:
    """A document on a disk, cut just above `MAX_BYTES`.

    Raises:
        OSError: it cannot be read, or is no file: reading a pipe would not end.
    """
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "no file", str(path))
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def text_field(value: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A field that can be printed in one line; `default` where it is absent, if there is one."""
    found = value.get(name, default)
    if not isinstance(found, str) or len(found) > MAX_TEXT or _NOT_SHOWN.search(found):
        raise InvalidDocument(name)
    return found


def int_field(value: Mapping[str, Any], name: str) -> int:
    """A field that is a whole number from 0 to `MAX_SIZE`."""
    found = value.get(name)
    if type(found) is not int or not 0 <= found <= MAX_SIZE:
        raise InvalidDocument(name)
    return found


def sha256_field(value: Mapping[str, Any], name: str) -> str:
    """A field that is a hash in lower-case hexadecimal."""
    found = value.get(name)
    if not isinstance(found, str) or not _SHA256.fullmatch(found):
        raise InvalidDocument(name)
    return found


def object_field(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
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

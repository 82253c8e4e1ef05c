"""What a model in the store consists of: a manifest of hashes, and a pointer to the newest.

    models/_blobs/<sha256>                       the bytes of a file; written once
    models/<model id>/manifests/<sha256>.json    which files belong together; written once
    models/<model id>/current.json               the hash of a manifest; overwritten, always last

Everything but the pointer is named by its own hash, so whoever follows the pointer gets the files
of one version, or finds out that he does not. The same documents lie beside a model that was
brought onto a disk. Bytes flow in, a `Manifest` flows out, and back. This module must not know
stores or disks.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.models import documents
from f5serve.models.registry import ROLES, Role
from f5serve.store.base import canonical, is_key

_log = logging.getLogger(__name__)

SCHEMA = 1
"""Raised when a reader of the number before could no longer use what is written."""

ARTIFACT_API = "f5serve-1"
"""Weights as `f5serve models convert` writes them."""

PUBLISHED_API = "published"
"""Weights as their authors published them."""

BLOBS = "models/_blobs/"
"""Below which the bytes of all files are."""

READABLE_APIS = frozenset({ARTIFACT_API, PUBLISHED_API})
MAX_BYTES = documents.MAX_BYTES
MANIFEST_NAME = "manifest.json"

_NEEDED: tuple[Role, ...] = ("weights", "vocab", "vocoder")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a model in the store.

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
        """Whether both say the same but for who put it there."""
        return (self._without_producer(), self.files) == (other._without_producer(), other.files)

    def _without_producer(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self.about).items() if k not in ("version", "commit")}


def blob_key(sha256: str) -> str:
    """Where the bytes of a file are."""
    return f"{BLOBS}{sha256}"


def manifest_key(model_id: str, sha256: str) -> str:
    """Where a manifest is."""
    return f"models/{check_model_id(model_id)}/manifests/{sha256}.json"


def pointer_key(model_id: str) -> str:
    """Where the pointer to the manifest that counts is."""
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
    return Manifest(about, files, canonical(value))


def read(data: bytes, model_id: str) -> Manifest | None:
    """The manifest in `data`; None, with a line in the log, for one that only others can use.

    Raises:
        ModelUnavailable: MODEL_CORRUPT for what is no manifest of that model.
    """
    value = _object(data, model_id, "manifest")
    if not _is_readable(value, model_id):
        return None
    try:
        manifest = Manifest(_description(value), _files(documents.items(value, "files")), data)
    except documents.Unreadable:
        raise corrupt(model_id, "its manifest cannot be read") from None
    if manifest.about.model != model_id:
        raise corrupt(model_id, "its manifest is that of another model")
    return manifest


def write_pointer(sha256: str) -> bytes:
    """The document that makes the manifest of that hash the one that counts."""
    return canonical({"schema": SCHEMA, "manifest": sha256})


def read_pointer(data: bytes, model_id: str) -> str | None:
    """The hash in a pointer; None, with a line in the log, for a schema of another version.

    Raises:
        ModelUnavailable: MODEL_CORRUPT for what is no pointer.
    """
    value = _object(data, model_id, "pointer")
    if value["schema"] != SCHEMA:
        _tell_unknown(model_id, "schema", value["schema"])
        return None
    try:
        return documents.sha256(value, "manifest")
    except documents.Unreadable:
        raise corrupt(model_id, "its pointer cannot be read") from None


def corrupt(model_id: str, what: str) -> ModelUnavailable:
    """The error for a model that is in the store and cannot be used; `what` tells why."""
    return ModelUnavailable(
        f"{model_id} is damaged in the store: {what}.",
        code="MODEL_CORRUPT",
        hint=f"Publish it anew from a machine that has it: f5serve models push {model_id} --again",
    )


def _object(data: bytes, model_id: str, what: str) -> dict[str, Any]:
    try:
        value = documents.load(data)
    except documents.Unreadable:
        value = {}
    if type(value.get("schema")) is int:
        return value
    raise corrupt(model_id, f"its {what} cannot be read")


def _is_readable(value: Mapping[str, Any], model_id: str) -> bool:
    if value["schema"] != SCHEMA:
        _tell_unknown(model_id, "schema", value["schema"])
        return False
    api = value.get("model_api")
    if not isinstance(api, str):
        raise corrupt(model_id, "its manifest cannot be read")
    if api not in READABLE_APIS:
        _tell_unknown(model_id, "model_api", api)
    return api in READABLE_APIS


def _tell_unknown(model_id: str, name: str, value: object) -> None:
    shown = str(value)[:40]  # a few digits of a number that may have thousands
    _log.warning(
        "%s in the store is of another version of f5serve (%s %r) and counts as absent",
        model_id,
        name,
        shown,
    )


def _description(value: Mapping[str, Any]) -> Description:
    source, producer = documents.part(value, "source"), documents.part(value, "producer")
    if not isinstance(value.get("commercial"), bool):
        raise documents.Unreadable("commercial")
    return Description(
        model=documents.text(value, "model"),
        model_api=documents.text(value, "model_api"),
        arch=documents.text(value, "arch"),
        license=documents.text(value, "license"),
        commercial=value["commercial"],
        repo=documents.text(source, "repo", ""),
        revision=documents.text(source, "revision", ""),
        version=documents.text(producer, "version", ""),
        commit=documents.text(producer, "commit", ""),
    )


def _files(lines: Sequence[Mapping[str, Any]]) -> tuple[StoredFile, ...]:
    """The files whose role is known here, each role once; names become paths, so they are checked.

    Raises:
        Unreadable: they cannot be those of a model.
    """
    files = tuple(_file(line) for line in lines if documents.text(line, "role") in ROLES)
    roles = [file.role for file in files]
    names = {file.path.lower() for file in files} | {MANIFEST_NAME}
    if not set(_NEEDED) <= set(roles) or len(set(roles)) < len(roles):
        raise documents.Unreadable("roles")
    if len(names) <= len(files):
        raise documents.Unreadable("names")
    return files


def _file(line: Mapping[str, Any]) -> StoredFile:
    path = documents.text(line, "path")
    if not is_key(path) or "/" in path:
        raise documents.Unreadable("path")
    role: Role = line["role"]
    return StoredFile(role, path, documents.whole(line, "size"), documents.sha256(line, "sha256"))

"""Which files of this machine make up a model that can be published.

A model id and a folder flow in, a `Release` flows out. By default it is the converted artifact, a
third of the published bytes; where there is none it is made by the converter that the caller gives,
as this module must not know torch.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from f5serve.errors import ModelUnavailable
from f5serve.models.find import ModelFiles, artifact_path, find, find_published
from f5serve.models.hashes import digest
from f5serve.models.manifest import ARTIFACT_API, PUBLISHED_API, Description
from f5serve.models.publish import LocalFile, Release
from f5serve.models.registry import PUBLISHED, ModelFile, ModelSpec, Registry, Role
from f5serve.models.verify import artifact_id, expected_of, record

Form = Literal["fp16", "fp32", "published"]
"""Converted in one of two precisions, or as the authors published it."""

Convert = Callable[[Path, Path, str], None]
"""Called with a published checkpoint, where its artifact belongs, and "fp16" or "fp32"."""

_MOST_HEADER_BYTES = 16 << 20
_FORMS: dict[str, Literal["fp16", "fp32"]] = {"F16": "fp16", "F32": "fp32"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model is taken from.

    Attributes:
        convert: makes an artifact where there is none; without it there has to be one.
    """

    models_dir: Path
    convert: Convert | None = None
    registry: Registry = PUBLISHED


def gather(model_id: str, form: Form, source: Source) -> Release:
    """The files of a model on this machine, with the hashes that are known of them.

    Raises:
        ModelUnavailable: UNKNOWN_MODEL, MODEL_NOT_PULLED, or as `Source.convert`.
    """
    spec = source.registry.get(model_id)
    here = find(spec.id, source.models_dir, registry=source.registry)
    if here is None:
        raise _not_pulled(spec)
    if form == "published":
        weights, api = _published(spec, source).weights, PUBLISHED_API
    else:
        weights, api = _artifact(spec, form, source), ARTIFACT_API
    about = Description(
        model=spec.id,
        model_api=api,
        arch=spec.arch,
        license=spec.license,
        commercial=spec.commercial,
        repo=spec.repo,
        revision=here.revision,
    )
    files = (
        _local(spec, "weights", weights, source.models_dir),
        _local(spec, "vocab", here.vocab, source.models_dir),
        _local(source.registry.vocoder, "vocoder", here.vocoder, source.models_dir),
    )
    return Release(about, files)


def form_of(weights: Path) -> Literal["fp16", "fp32"] | None:
    """Precision of an artifact by its header; None for anything else, a published file included."""
    try:
        with weights.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(size, _MOST_HEADER_BYTES)))
        if header.pop("__metadata__", {}).get("format") != ARTIFACT_API:
            return None
        kinds = Counter[str]()
        for tensor in header.values():
            start, end = tensor["data_offsets"]
            kinds[tensor["dtype"]] += end - start
    except (OSError, struct.error, ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return None
    most = kinds.most_common(1)[0][0] if kinds else ""
    return _FORMS.get(most)


def _artifact(spec: ModelSpec, form: Form, source: Source) -> Path:
    """The artifact in that precision: the one in use, the one made for publishing, or a new one."""
    usual = artifact_path(source.models_dir, spec.id)
    beside = usual.with_name(f"{spec.id}.{form}.safetensors")
    for path in (usual, beside):
        if form_of(path) == form:
            return path
    out = beside if usual.exists() or form != "fp16" else usual
    if source.convert is None:
        raise ModelUnavailable(
            f"{spec.id} has not been converted to {form} on this machine.",
            code="MODEL_NOT_CONVERTED",
            hint=f"Run: f5serve models convert {spec.id} --dtype {form}",
        )
    source.convert(_published(spec, source).weights, out, form)
    name = ModelFile("weights", out.name)
    record(source.models_dir, artifact_id(spec.id), name, out, digest(out))
    return out


def _published(spec: ModelSpec, source: Source) -> ModelFiles:
    found = find_published(spec.id, source.models_dir, registry=source.registry)
    if found is None:
        raise _not_pulled(spec)
    return found


def _not_pulled(spec: ModelSpec) -> ModelUnavailable:
    return ModelUnavailable(
        f"{spec.id} is not on this machine as it was published.",
        code="MODEL_NOT_PULLED",
        hint=f"Run: f5serve models pull {spec.id}",
    )


def _local(spec: ModelSpec, role: Role, path: Path, models_dir: Path) -> LocalFile:
    """A file with what it must hash to: as published, or as recorded when it was first seen."""
    if path.parent == artifact_path(models_dir, spec.id).parent:
        sha256 = expected_of(models_dir, artifact_id(spec.id), (), path)
    else:
        sha256 = expected_of(models_dir, spec.id, spec.files, path)
    return LocalFile(role, path, f"{role}{path.suffix}", sha256)

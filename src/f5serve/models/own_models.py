"""Models of one's own: registered in F5_MODELS_DIR/models.toml, beside the published ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from f5serve.errors import F5Error, InvalidRequest
from f5serve.models.disk import write_atomic
from f5serve.models.registry import PUBLISHED, ModelSpec, Registry, bad_registry, read_specs
from f5serve.settings import Settings

_HEAD = "# Models of your own; written by `f5serve models add` and `f5serve models remove`.\n"


def known_models(settings: Settings) -> Registry:
    """The published models and one's own.

    Where one's own cannot be read the published ones are there, and `Registry.damage` tells why.
    """
    try:
        own = read_own(settings.models_dir)
    except F5Error as error:
        return replace(PUBLISHED, damage=error)
    return replace(PUBLISHED, models=(*PUBLISHED.models, *own)) if own else PUBLISHED


def own_file(models_dir: Path) -> Path:
    """Where they are registered."""
    return models_dir / "models.toml"


def read_own(models_dir: Path) -> tuple[ModelSpec, ...]:
    """Models of one's own.

    Raises:
        InvalidRequest: code BAD_REGISTRY.
    """
    path = own_file(models_dir)
    try:
        specs, vocoder = read_specs(path)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise bad_registry(path, error.strerror or str(error)) from None
    if vocoder is not None:
        raise bad_registry(path, "a vocoder of one's own is named by F5_VOCODER")
    if taken := [spec.id for spec in specs if _is_published(spec.id)]:
        raise bad_registry(path, f"{taken[0]} is the name of a published model")
    return specs


def add_own(spec: ModelSpec, models_dir: Path) -> Path:
    """Register a model, in the place of one of that name; returns the file.

    Raises:
        InvalidRequest: BAD_REGISTRY; NAME_TAKEN for the name of a published model.
        StorageFailed: NO_SPACE or NOT_WRITABLE.
    """
    if _is_published(spec.id):
        raise InvalidRequest(
            f"{spec.id} is the name of a published model.",
            code="NAME_TAKEN",
            hint="Take another name; f5serve models list shows those that are taken.",
        )
    others = (one for one in read_own(models_dir) if one.id.lower() != spec.id.lower())
    return _write([*others, spec], models_dir)


def remove_own(model_id: str, models_dir: Path) -> Path:
    """Forget a model of one's own; its weights stay. Returns the file.

    Raises:
        InvalidRequest: BAD_REGISTRY; NOT_OWN_MODEL for a name that is not registered there.
        StorageFailed: NO_SPACE or NOT_WRITABLE.
    """
    own = read_own(models_dir)
    kept = [spec for spec in own if spec.id != model_id]
    if len(kept) == len(own):
        names = ", ".join(spec.id for spec in own) or "none"
        raise InvalidRequest(
            f"{model_id} is not registered in {own_file(models_dir)}.",
            code="NOT_OWN_MODEL",
            hint=f"Registered there: {names}. Published models cannot be removed.",
        )
    return _write(kept, models_dir)


def _is_published(model_id: str) -> bool:
    specs = (*PUBLISHED.models, PUBLISHED.vocoder)
    return model_id.lower() in {spec.id.lower() for spec in specs}


def _write(specs: Sequence[ModelSpec], models_dir: Path) -> Path:
    tables = ("\n[[models]]\n" + "".join(f"{line}\n" for line in _fields(spec)) for spec in specs)
    path = own_file(models_dir)
    write_atomic(path, (_HEAD + "".join(tables)).encode())
    return path


def _fields(owner: Any) -> list[str]:
    """`name = value` in TOML for each field that is not as it is by default."""
    values = ((field, getattr(owner, field.name)) for field in fields(owner))
    return [
        f"{field.name} = {_as_toml(value)}"
        for field, value in values
        if field.default is MISSING or value != field.default
    ]


def _as_toml(value: Any) -> str:
    if is_dataclass(value):
        return "{ " + ", ".join(_fields(value)) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_as_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # booleans, numbers and text are as in TOML

"""The registry of published checkpoints, read from models.toml.

A revision or hash of None is not known. Such a file is taken as it is first seen; its hash is kept
in the manifest of the version, and another one is refused (`hub`).
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from f5serve.errors import InvalidRequest, ModelUnavailable

Role = Literal["weights", "vocab", "vocoder", "config"]
ROLES: frozenset[str] = frozenset(get_args(Role))


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a repository on the hub.

    Attributes:
        path: inside the repository, with forward slashes.
        size: bytes, or None when not known.
        sha256: lower-case hex, or None when not known.
        repo: the repository that holds it, when it is not that of the model.
        revision: commit of that other repository.
    """

    role: Role
    path: str
    size: int | None = None
    sha256: str | None = None
    repo: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One checkpoint that can be asked for by name.

    Attributes:
        id: what F5_MODEL and `f5serve models` call it.
        repo: "owner/name" on the hub.
        license: SPDX name, as the model's page states it.
        commercial: whether that licence permits commercial use.
        revision: pinned commit, or None: resolved at the first pull, then kept.
        files: empty when their names are not known; the single checkpoint and vocab.txt are taken.
        arch: preset of the engine; a file does not show whether it is v0 or v1.
        languages: ISO 639-1 codes.
        note: what else a user should know.
    """

    id: str
    repo: str
    license: str
    commercial: bool
    revision: str | None = None
    files: tuple[ModelFile, ...] = ()
    arch: str = ""
    languages: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Registry:
    """Models that can be asked for by name, and the vocoder they share."""

    models: tuple[ModelSpec, ...]
    vocoder: ModelSpec

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a registry from a TOML file."""
        with path.open("rb") as file:
            content = tomllib.load(file)
        return cls(tuple(map(_spec, content["models"])), _spec(content["vocoder"]))

    def get(self, model_id: str) -> ModelSpec:
        """The model, or the vocoder, of that name.

        Raises:
            ModelUnavailable: code UNKNOWN_MODEL, naming those that are spelled nearly so.
        """
        known = {spec.id: spec for spec in (*self.models, self.vocoder)}
        if model_id in known:
            return known[model_id]
        folded = {name.lower(): name for name in known}
        near = difflib.get_close_matches(model_id.lower(), folded, n=3, cutoff=0.5)
        hint = "`f5serve models list` shows all of them; F5_CKPT takes a file of your own."
        if near:
            hint = f"Nearest: {', '.join(folded[name] for name in near)}. {hint}"
        raise ModelUnavailable(
            f"There is no model called {model_id!r}.", code="UNKNOWN_MODEL", hint=hint
        )

    def get_model(self, model_id: str) -> ModelSpec:
        """The model of that name.

        Raises:
            ModelUnavailable: code UNKNOWN_MODEL.
            InvalidRequest: code NOT_A_MODEL for the vocoder.
        """
        spec = self.get(model_id)
        if spec is self.vocoder:
            raise InvalidRequest(
                f"{model_id} is the vocoder, not a model.",
                code="NOT_A_MODEL",
                hint="It goes with every model; name one of those.",
            )
        return spec


def _spec(entry: dict[str, Any]) -> ModelSpec:
    files = tuple(ModelFile(**file) for file in entry.get("files", ()))
    return ModelSpec(**{**entry, "files": files, "languages": tuple(entry.get("languages", ()))})


PUBLISHED = Registry.load(Path(__file__).with_name("models.toml"))


def check_license(spec: ModelSpec, require_commercial: bool) -> None:
    """Refuse a model whose licence forbids commercial use, where that is required.

    Raises:
        ModelUnavailable: code LICENSE_FORBIDS.
    """
    if require_commercial and not spec.commercial:
        permitted = ", ".join(m.id for m in PUBLISHED.models if m.commercial)
        raise ModelUnavailable(
            f"The licence of {spec.id}, {spec.license}, does not permit commercial use.",
            code="LICENSE_FORBIDS",
            hint=f"F5_REQUIRE_COMMERCIAL_LICENSE=1 is set. These may be used: {permitted}.",
        )

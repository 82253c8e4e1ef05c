"""Models with few, narrow layers and random weights: real files that load in no time."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from f5serve.engine.config import preset
from f5serve.engine.convert import convert
from f5serve.engine.vocos import random_tensors as random_vocos
from f5serve.engine.weight_map import random_tensors
from f5serve.models.installed import LocalFile
from f5serve.models.manifest import ARTIFACT_API, Description
from f5serve.models.publish import UploadPlan

MODEL = "F5TTS_v1_Base"
VOCAB = [" ", *string.ascii_letters, *string.digits, *string.punctuation]


def write(
    folder: Path, arch: str = MODEL, *, seed: int = 0, dim: int = 256, vocab: list[str] = VOCAB
) -> dict[str, Path]:
    """The published file, its artifact, vocabulary and vocoder, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"dim": dim, "depth": 2, "text_dim": 64, "vocab_size": len(vocab) + 1}
    config = replace(preset(arch), **sizes)  # type: ignore[arg-type]
    tensors = {f"ema_model.transformer.{k}": v for k, v in random_tensors(config, seed).items()}
    paths = {
        "published": folder / "model.safetensors",
        "weights": folder / "artifact.safetensors",
        "vocab": folder / "vocab.txt",
        "vocoder": folder / "pytorch_model.bin",
    }
    save_file(tensors, paths["published"])
    convert(paths["published"], arch, paths["weights"], license="", dtype="float16")
    paths["vocab"].write_text("".join(f"{line}\n" for line in vocab))
    torch.save(random_vocos(0, 32, 48, 2), paths["vocoder"])
    return paths


def release(paths: dict[str, Path], model: str = MODEL, arch: str = MODEL) -> UploadPlan:
    """The artifact as it is published."""
    roles = ("weights", "vocab", "vocoder")
    files = tuple(LocalFile(role, paths[role]) for role in roles)  # type: ignore[arg-type]
    return UploadPlan(Description(model, ARTIFACT_API, arch, "CC-BY-NC-4.0", False), files)

"""Files that both sides read: random weights in the published layouts, and our artifacts.

Runs in a process of its own, so that the driver never holds a model. Prints one JSON object of
paths; files that exist already are kept, so a work folder can be used again.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from f5serve.engine.config import PRESETS, ModelConfig
from f5serve.engine.convert import convert
from f5serve.engine.vocos import random_tensors as random_vocos
from f5serve.engine.weight_map import random_tensors

VOCOS_CONFIG = """\
feature_extractor:
  class_path: vocos.feature_extractors.MelSpectrogramFeatures
  init_args: {sample_rate: 24000, n_fft: 1024, hop_length: 256, n_mels: 100, padding: center}
backbone:
  class_path: vocos.models.VocosBackbone
  init_args: {input_channels: 100, dim: 512, intermediate_dim: 1536, num_layers: 8}
head:
  class_path: vocos.heads.ISTFTHead
  init_args: {dim: 512, n_fft: 1024, hop_length: 256, padding: center}
"""


def reduced(arch: ModelConfig) -> ModelConfig:
    """The architecture with few, narrow layers, on the whole vocabulary."""
    return replace(arch, dim=256, depth=4, text_dim=min(arch.text_dim, 128))


def write_checkpoint(path: Path, arch: ModelConfig) -> None:
    """Random weights with every entry that the published v1 file has."""
    prefix = "ema_model.transformer."
    tensors = {prefix + name: value for name, value in random_tensors(arch).items()}
    inv_freq = 10_000.0 ** -(torch.arange(0, 64, 2).float() / 64)
    tensors[f"{prefix}rotary_embed.inv_freq"] = inv_freq
    tensors["initted"] = torch.tensor(True)
    tensors["step"] = torch.tensor(0)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial)
    partial.replace(path)


def write_vocoder(folder: Path) -> None:
    """Random Vocos under the names of charactr/vocos-mel-24khz."""
    folder.mkdir(exist_ok=True)
    folder.joinpath("config.yaml").write_text(VOCOS_CONFIG)
    tensors = random_vocos(0)
    tensors["head.istft.window"] = torch.hann_window(1024)
    tensors["feature_extractor.mel_spec.spectrogram.window"] = torch.hann_window(1024)
    tensors["feature_extractor.mel_spec.mel_scale.fb"] = torch.zeros(513, 100)
    torch.save(tensors, folder / "pytorch_model.bin")


def make(options: argparse.Namespace) -> dict[str, Any]:
    """Write what is missing; paths by name, and the architecture."""
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    arch = PRESETS[options.arch]
    name = f"{arch.name}-small" if options.small else arch.name
    weights, vocoder = options.ckpt, options.vocoder
    if weights is None:
        arch = reduced(arch) if options.small else arch
        if options.depth:
            arch, name = replace(arch, depth=options.depth), f"{name}-{options.depth}"
        weights = work / f"{name}.safetensors"
        if not weights.exists():
            write_checkpoint(weights, arch)
    if vocoder is None:
        vocoder = work / "vocos"
        if not vocoder.joinpath("pytorch_model.bin").exists():
            write_vocoder(vocoder)
    vocab = work / "vocab.txt"
    if not vocab.exists():
        shutil.copy(options.vocab, vocab)
    artifacts = {}
    for dtype in ("float16", "float32") if options.artifacts else ():
        path = work / f"{name}.{dtype}.safetensors"
        if not path.exists():
            convert(weights, arch.name, path, dtype=dtype)
        artifacts[f"artifact-{dtype}"] = str(path)
    paths = {"published": weights, "vocoder": vocoder, "vocab": vocab}
    return {k: str(v) for k, v in paths.items()} | artifacts | {"arch": asdict(arch)}


def main() -> None:
    """Parse the command line, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--arch", default="F5TTS_v1_Base", choices=PRESETS)
    parser.add_argument("--small", action="store_true", help="a reduced model")
    parser.add_argument("--depth", type=int, help="layers of the random weights, if not all")
    parser.add_argument("--artifacts", action="store_true", help="convert, too")
    parser.add_argument("--ckpt", type=Path)
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--vocoder", type=Path, help="folder with config.yaml, pytorch_model.bin")
    print(json.dumps(make(parser.parse_args())))


if __name__ == "__main__":
    main()

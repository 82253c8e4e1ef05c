"""A wav2vec2 CTC model of random weights, small enough to be made in every test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

LETTERS = "|abcdefghijklmnopqrstuvwxyz'"
VOCABULARY = {"<pad>": 0, **{letter: index for index, letter in enumerate(LETTERS, 1)}}
KINDS = {
    "layer": {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True},
    "group": {"feat_extract_norm": "group", "conv_bias": False, "do_stable_layer_norm": False},
}


def config(kind: str) -> dict[str, Any]:
    """What config.json holds, as far as it matters."""
    return KINDS[kind] | {
        "model_type": "wav2vec2",
        "vocab_size": len(VOCABULARY),
        "pad_token_id": 0,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 32,
        "conv_dim": [8] * 7,
        "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
        "conv_stride": [5, 2, 2, 2, 2, 2, 2],
        "num_feat_extract_layers": 7,
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 2,
        "layer_norm_eps": 1e-5,
    }


def shapes(kind: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all weights, as `transformers` has them."""
    sizes = config(kind)
    size, inner, channels = sizes["hidden_size"], sizes["intermediate_size"], sizes["conv_dim"][0]
    for index, kernel in enumerate(sizes["conv_kernel"]):
        name = f"wav2vec2.feature_extractor.conv_layers.{index}"
        yield f"{name}.conv.weight", (channels, channels if index else 1, kernel)
        if sizes["conv_bias"]:
            yield f"{name}.conv.bias", (channels,)
        if kind == "layer" or not index:
            yield from _norm(f"{name}.layer_norm", channels)
    yield from _norm("wav2vec2.feature_projection.layer_norm", channels)
    yield from _linear("wav2vec2.feature_projection.projection", size, channels)
    conv = "wav2vec2.encoder.pos_conv_embed.conv"
    yield f"{conv}.bias", (size,)
    yield f"{conv}.parametrizations.weight.original0", (1, 1, sizes["num_conv_pos_embeddings"])
    groups = sizes["num_conv_pos_embedding_groups"]
    width = (size, size // groups, sizes["num_conv_pos_embeddings"])
    yield f"{conv}.parametrizations.weight.original1", width
    yield from _norm("wav2vec2.encoder.layer_norm", size)
    for index in range(sizes["num_hidden_layers"]):
        name = f"wav2vec2.encoder.layers.{index}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield from _linear(f"{name}.attention.{part}", size, size)
        yield from _norm(f"{name}.layer_norm", size)
        yield from _linear(f"{name}.feed_forward.intermediate_dense", inner, size)
        yield from _linear(f"{name}.feed_forward.output_dense", size, inner)
        yield from _norm(f"{name}.final_layer_norm", size)
    yield from _linear("lm_head", sizes["vocab_size"], size)


def weights(kind: str) -> dict[str, torch.Tensor]:
    """The same on every machine."""
    random = np.random.default_rng(7)
    made = {name: random.normal(0.1, 0.4, shape) for name, shape in shapes(kind)}
    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in made.items()}


def write(folder: Path, kind: str) -> Path:
    """The model as a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("config.json").write_text(json.dumps(config(kind)))
    folder.joinpath("vocab.json").write_text(json.dumps(VOCABULARY))
    save_file(weights(kind), folder / "model.safetensors")
    return folder


def sounds() -> list[np.ndarray]:
    """Noise of three lengths at 16 kHz."""
    random = np.random.default_rng(1)
    return [random.standard_normal(size).astype(np.float32) for size in (8_000, 14_001, 3_000)]


def _norm(name: str, size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (size,)
    yield f"{name}.bias", (size,)


def _linear(name: str, out: int, into: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)

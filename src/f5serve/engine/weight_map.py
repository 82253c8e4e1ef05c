"""The weight map: names and shapes of a published checkpoint, and our parameters in terms of them.

Everything here is data about names; no file is opened. Prefixes (`ema_model.transformer.`) are
already removed from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from f5serve.engine.config import N_MELS, TIME_FREQ_DIM, ModelConfig
from f5serve.engine.modules import CONV_GROUPS, CONV_KERNEL

Shape = tuple[int, ...]
OpenTensors = Callable[[], AbstractContextManager[Mapping[str, Tensor]]]
"""Opens a checkpoint for a while: tensors by published name, without prefix."""


@dataclass(frozen=True, slots=True)
class WeightSource:
    """The published tensors that one of our parameters is sources of.

    Attributes:
        sources: names whose tensors are stacked along the first axis.
        columns: (first, last + 1) of the input channels that are taken, or None for all.
        flat: the published tensor has leading axes of length 1.
    """

    sources: tuple[str, ...]
    columns: tuple[int, int] | None = None
    flat: bool = False

    @property
    def is_zero_copy(self) -> bool:
        """Whether the parameter is the published tensor itself."""
        return len(self.sources) == 1 and self.columns is None

    def load(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The parameter; a view of the source where `is_zero_copy`, else a new tensor."""
        parts = [tensors[name] for name in self.sources]
        value = parts[0] if len(parts) == 1 else torch.cat(parts)
        if self.columns:
            value = value[:, slice(*self.columns)].contiguous()
        return value.flatten() if self.flat else value


def checkpoint_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Every tensor that a checkpoint of `config` must hold, with its shape."""
    return dict(_linears(config)) | dict(_others(config))


def _linears(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    def linear(name: str, out: int, inputs: int, bias: bool = True) -> Iterator[tuple[str, Shape]]:
        yield f"{name}.weight", (out, inputs)
        if bias:
            yield f"{name}.bias", (out,)

    d, is_dit = config.dim, config.backbone == "dit"
    yield from linear("time_embed.time_mlp.0", d, TIME_FREQ_DIM)
    yield from linear("time_embed.time_mlp.2", d, d)
    for i in range(config.conv_layers):
        block = f"text_embed.text_blocks.{i}"
        yield from linear(f"{block}.pwconv1", 2 * config.text_dim, config.text_dim)
        yield from linear(f"{block}.pwconv2", config.text_dim, 2 * config.text_dim)
    yield from linear("input_embed.proj", d, 2 * N_MELS + config.text_dim)
    for i in range(config.depth):
        attn, ff = _layer_names(config, i)
        for part in ("to_q", "to_k", "to_v", "to_out.0"):
            yield from linear(f"{attn}.{part}", d, d)
        yield from linear(f"{ff}.0.0", config.ff_mult * d, d)
        yield from linear(f"{ff}.2", d, config.ff_mult * d)
        if is_dit:
            yield from linear(f"transformer_blocks.{i}.attn_norm.linear", 6 * d, d)
        elif i >= config.depth // 2:
            yield from linear(f"layers.{i}.0", d, 2 * d, bias=False)
    if is_dit:
        yield from linear("norm_out.linear", 2 * d, d)
    yield from linear("proj_out", N_MELS, d)


def _others(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    d, width = config.dim, config.text_dim
    yield "text_embed.text_embed.weight", (config.vocab_size, width)
    for i in range(config.conv_layers):
        block = f"text_embed.text_blocks.{i}"
        yield f"{block}.dwconv.weight", (width, 1, 7)
        for name in ("dwconv.bias", "norm.weight", "norm.bias"):
            yield f"{block}.{name}", (width,)
        yield f"{block}.grn.gamma", (1, 1, 2 * width)
        yield f"{block}.grn.beta", (1, 1, 2 * width)
    for i in (0, 2):
        conv = f"input_embed.conv_pos_embed.conv1d.{i}"
        yield f"{conv}.weight", (d, d // CONV_GROUPS, CONV_KERNEL)
        yield f"{conv}.bias", (d,)
    if config.backbone == "unett":
        yield "norm_out.g", (d,)
        for i in range(config.depth):
            yield f"layers.{i}.1.g", (d,)
            yield f"layers.{i}.3.g", (d,)


def is_time_layer(name: str) -> bool:
    """Whether a published tensor is only needed to compute schedules."""
    return name.startswith(("time_embed.", "norm_out.linear")) or ".attn_norm.linear" in name


def _layer_names(config: ModelConfig, i: int) -> tuple[str, str]:
    """Published names of attention and feed-forward of layer `i`."""
    if config.backbone == "dit":
        return f"transformer_blocks.{i}.attn", f"transformer_blocks.{i}.ff.ff"
    return f"layers.{i}.2", f"layers.{i}.4.ff"


def weight_map(config: ModelConfig) -> dict[str, WeightSource]:
    """Each of our parameters and what it is sources of."""
    sources = {"text.embed.weight": WeightSource(("text_embed.text_embed.weight",))}
    for name in checkpoint_shapes(config):
        if name.startswith("text_embed.text_blocks."):
            ours = name.replace("text_embed.text_blocks", "text.blocks")
            sources[ours] = WeightSource((name,), flat=".grn." in name)
        elif name.startswith("input_embed.conv_pos_embed.conv1d."):
            kind = name.rpartition(".")[2]
            sources[f"input.position.conv{1 if '.0.' in name else 2}.{kind}"] = WeightSource(
                (name,)
            )
    projection = ("input_embed.proj.weight",)
    sources["input.x.weight"] = WeightSource(projection, (0, N_MELS))
    sources["input.cond.weight"] = WeightSource(projection, (N_MELS, 2 * N_MELS))
    sources["input.text.weight"] = WeightSource(
        projection, (2 * N_MELS, 2 * N_MELS + config.text_dim)
    )
    sources["input.text.bias"] = WeightSource(("input_embed.proj.bias",))
    for i in range(config.depth):
        sources |= _layer_map(config, i)
    if config.backbone == "unett":
        sources["norm_out.weight"] = WeightSource(("norm_out.g",))
    sources["proj_out.weight"] = WeightSource(("proj_out.weight",))
    sources["proj_out.bias"] = WeightSource(("proj_out.bias",))
    return sources


def _layer_map(config: ModelConfig, i: int) -> dict[str, WeightSource]:
    attn, ff = _layer_names(config, i)
    sources = {}
    for kind in ("weight", "bias"):
        sources[f"blocks.{i}.attn.qkv.{kind}"] = WeightSource(
            tuple(f"{attn}.{part}.{kind}" for part in ("to_q", "to_k", "to_v"))
        )
        sources[f"blocks.{i}.attn.out.{kind}"] = WeightSource((f"{attn}.to_out.0.{kind}",))
        sources[f"blocks.{i}.ff.up.{kind}"] = WeightSource((f"{ff}.0.0.{kind}",))
        sources[f"blocks.{i}.ff.down.{kind}"] = WeightSource((f"{ff}.2.{kind}",))
    if config.backbone == "unett":
        sources[f"blocks.{i}.attn_norm.weight"] = WeightSource((f"layers.{i}.1.g",))
        sources[f"blocks.{i}.ff_norm.weight"] = WeightSource((f"layers.{i}.3.g",))
        if i >= config.depth // 2:
            sources[f"blocks.{i}.skip.weight"] = WeightSource((f"layers.{i}.0.weight",))
    return sources


def random_tensors(config: ModelConfig, seed: int = 0) -> dict[str, Tensor]:
    """Random weights in the published layout, of a size that keeps activations in range.

    Layers that training starts at zero (adaLN, GRN, the output) are drawn too: with zeros there
    every architecture would give the same answer and a comparison would prove nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in checkpoint_shapes(config).items():
        value = torch.empty(shape).normal_(generator=generator)
        if len(shape) > 1 and "grn" not in name and "text_embed.weight" not in name:
            value *= math.prod(shape[1:]) ** -0.5
        elif name.endswith(("norm.weight", ".g")):
            value = 1 + 0.1 * value
        elif name.endswith("bias") or "grn" in name:
            value *= 0.1
        tensors[name] = value
    return tensors

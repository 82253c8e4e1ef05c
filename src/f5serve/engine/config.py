"""Model configurations: the published ones, and the sizes read off a checkpoint's shapes.

v0 and v1 checkpoints hold the same keys in the same shapes, so the name has to be given; all other
numbers are read off the weights, which is why Small models and fine-tunes load under the name of
the family they belong to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

from f5serve.errors import InvalidRequest, ModelUnavailable

N_MELS = 100
HEAD_DIM = 64
TIME_FREQ_DIM = 256
ROPE_THETA = 10_000.0
N_MODULATIONS = 6
"""Vectors of a DiT block: shift, scale, gate of attention, then of feed-forward."""
N_FINAL_MODULATIONS = 2
"""Vectors of the norm behind the last block: scale, shift."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Hyper-parameters of one model.

    Attributes:
        backbone: "dit" (F5-TTS) or "unett" (E2-TTS).
        ff_mult: width of the feed-forward layers over `dim`.
        text_dim: width of a text token; `conv_layers` ConvNeXt V2 blocks refine it.
        mask_text_padding: fillers behind the text are zeroed (v1) or take part (v0, E2).
        rope_heads: heads that get rotary positions; None means all (v1).
        vocab_size: rows of the text embedding, filler included.
    """

    name: str
    backbone: Literal["dit", "unett"]
    dim: int = 1024
    depth: int = 22
    ff_mult: int = 2
    text_dim: int = 512
    conv_layers: int = 4
    mask_text_padding: bool = True
    rope_heads: int | None = None
    vocab_size: int = 2546

    @property
    def heads(self) -> int:
        """Attention heads; every published model has 64 channels a head."""
        return self.dim // HEAD_DIM

    @property
    def n_rope_heads(self) -> int:
        """Heads that get rotary positions, as a number."""
        return self.heads if self.rope_heads is None else self.rope_heads

    @property
    def token_work(self) -> float:
        """Products of the blocks for one frame, in millions, to compare models by."""
        return self.depth * self.dim**2 * (4 + 2 * self.ff_mult) / 1e6

    @property
    def n_modulations(self) -> int:
        """Vectors that a time point gives the model: adaLN's for F5-TTS, E2-TTS's time token."""
        if self.backbone == "unett":
            return 1
        return N_MODULATIONS * self.depth + N_FINAL_MODULATIONS


_FIELDS = frozenset(item.name for item in fields(ModelConfig))
_SIZES = {
    "dim": (HEAD_DIM, 16_384),
    "depth": (1, 256),
    "ff_mult": (1, 32),
    "text_dim": (1, 16_384),
    "conv_layers": (0, 64),
    "vocab_size": (1, 10_000_000),
}
"""What a header may ask for; building costs time with the depth."""

_V1 = ModelConfig("F5TTS_v1_Base", "dit")
_V0 = replace(_V1, name="F5TTS_Base", mask_text_padding=False, rope_heads=1)
PRESETS: Mapping[str, ModelConfig] = {
    item.name: item
    for item in (
        _V1,
        _V0,
        replace(_V1, name="F5TTS_v1_Small", dim=768, depth=18),
        replace(_V0, name="F5TTS_Small", dim=768, depth=18),
        replace(
            _V0,
            name="E2TTS_Base",
            backbone="unett",
            depth=24,
            ff_mult=4,
            text_dim=100,
            conv_layers=0,
        ),
    )
}


def preset(name: str) -> ModelConfig:
    """The preset of that name.

    Raises:
        InvalidRequest: code UNKNOWN_ARCH, listing the names.
    """
    if name not in PRESETS:
        raise InvalidRequest(
            f"There is no architecture {name!r}.",
            code="UNKNOWN_ARCH",
            hint=f"Choose one of {', '.join(PRESETS)}.",
        )
    return PRESETS[name]


def parse_config(text: str) -> ModelConfig:
    """The architecture that an artifact's header names, as `json.dumps` of its fields.

    Raises:
        ValueError: it names none that can be built.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is too deep") from None
    if not isinstance(value, dict) or not {"name", "backbone"} <= set(value) <= _FIELDS:
        raise ValueError("its fields")
    heads = value.get("rope_heads")
    sizes = all(
        type(value.get(name, low)) is int and low <= value.get(name, low) <= high
        for name, (low, high) in _SIZES.items()
    )
    is_sound = isinstance(value["name"], str) and value["backbone"] in ("dit", "unett") and sizes
    is_sound = is_sound and isinstance(value.get("mask_text_padding", True), bool)
    if not is_sound or (heads is not None and type(heads) is not int):
        raise ValueError("its values")
    return ModelConfig(**value)


def infer_config(config: ModelConfig, shapes: Shapes) -> ModelConfig:
    """`config` with the sizes that `shapes` (published names, prefix removed) really have.

    Raises:
        ModelUnavailable: code CHECKPOINT_MISMATCH when the weights are of another family.
    """
    found = "dit" if any(k.startswith("transformer_blocks.") for k in shapes) else "unett"
    if not any(k.startswith(("transformer_blocks.", "layers.")) for k in shapes):
        some = ", ".join(sorted(shapes)[:3]) or "no tensors"
        raise ModelUnavailable(
            f"This file is not an F5-TTS or E2-TTS checkpoint; it holds {some}.",
            code="CHECKPOINT_MISMATCH",
            hint="Check the path; the weights are the .safetensors or .pt file of the model.",
        )
    if found != config.backbone:
        fits = [p.name for p in PRESETS.values() if p.backbone == found]
        raise ModelUnavailable(
            f"The checkpoint is no {config.name}: its layers are those of {' or '.join(fits)}.",
            code="CHECKPOINT_MISMATCH",
            hint=f"Name the architecture it was trained with, e.g. --arch {fits[0]}.",
        )
    try:
        return _read_sizes(config, shapes)
    except KeyError as missing:
        raise ModelUnavailable(
            f"The checkpoint lacks {missing.args[0]}.",
            code="CHECKPOINT_MISMATCH",
            hint="The file may be cut short or be of a variant that is not supported.",
        ) from None


def _read_sizes(config: ModelConfig, shapes: Shapes) -> ModelConfig:
    dim = shapes["proj_out.weight"][1]
    layer = "transformer_blocks.0.ff.ff" if config.backbone == "dit" else "layers.0.4.ff"
    return replace(
        config,
        dim=dim,
        depth=_count(r"(?:transformer_blocks|layers)\.(\d+)\.", shapes),
        ff_mult=shapes[f"{layer}.0.0.weight"][0] // dim,
        text_dim=shapes["text_embed.text_embed.weight"][1],
        conv_layers=_count(r"text_embed\.text_blocks\.(\d+)\.", shapes),
        vocab_size=shapes["text_embed.text_embed.weight"][0],
    )


def _count(pattern: str, shapes: Shapes) -> int:
    found = (re.match(pattern, key) for key in shapes)
    return 1 + max((int(match[1]) for match in found if match), default=-1)

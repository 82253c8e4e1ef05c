"""A wav2vec2 encoder with a CTC head: 16 kHz samples to log probabilities of characters [t v].

    wave -> 7 convolutions (hop 320) -> projection -> + convolved positions -> transformer -> head

50 frames a second. The weights are a folder as `transformers` saves a Wav2Vec2ForCTC: config.json,
model.safetensors and vocab.json. Long waves are cut into overlapping windows, so that memory does
not grow with the square of the length. Windows run in batches, shorter ones padded and masked: a
batch equals its singles. Models whose first convolution is normed over time
(`feat_extract_norm: group`) take one window at a time. Source: Baevski et al. 2020, "wav2vec 2.0".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from f5serve.errors import ModelUnavailable
from f5serve.types import FloatArray

SAMPLE_RATE = 16_000
WINDOW_S = 30.0
OVERLAP_S = 2.0
"""Sound around the frames of each window, on either side."""

BATCH_S = 120.0
"""Largest batch, padding included."""

FILES = ("config.json", "model.safetensors", "vocab.json")


@dataclass(frozen=True, slots=True)
class _Window:
    """Samples of one window, and which of their frames are kept."""

    samples: FloatArray
    skip: int
    keep: int


class Encoder:
    """Computes log probabilities of characters.

    Args:
        folder: with the files above.
        device: cpu, cuda, or auto: the GPU if there is one.

    Raises:
        ModelUnavailable: ALIGNER_MISSING or ALIGNER_UNSUITED.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise ModelUnavailable(
                f"The aligner {folder.name!r} lacks {', '.join(missing)}.",
                code="ALIGNER_MISSING",
                hint="Put there what transformers saves for a Wav2Vec2ForCTC, as safetensors.",
            )
        self._config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        self.vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text("utf-8"))
        self.blank = int(self._config.get("pad_token_id") or 0)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._device = torch.device(device)
        self._weights = _prepared(load_file(folder / "model.safetensors"), self._device)
        if "lm_head.weight" not in self._weights or self._config.get("add_adapter"):
            raise ModelUnavailable(
                f"The aligner {folder.name!r} is no wav2vec2 model with a CTC head.",
                code="ALIGNER_UNSUITED",
                hint="Take a Wav2Vec2ForCTC without adapters.",
            )

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return int(np.prod(self._config["conv_stride"]))

    def log_probs(self, samples: FloatArray) -> FloatArray:
        """Log probabilities [t v] of 16 kHz samples; no frames for a wave that is too short."""
        parts = list(self._of_windows(list(self._windows(_normed(samples)))))
        return np.concatenate(parts) if parts else np.zeros((0, len(self.vocabulary)), np.float32)

    def _windows(self, samples: FloatArray) -> Iterator[_Window]:
        """The wave in windows that begin at whole frames."""
        frames = self._frames(len(samples))
        own = int(WINDOW_S * SAMPLE_RATE) // self.hop
        beyond = int(OVERLAP_S * SAMPLE_RATE) // self.hop
        for first in range(0, frames, own):
            begin = max(0, first - beyond)
            keep = min(own, frames - first)
            end = (first + keep + beyond) * self.hop + self._reach
            yield _Window(samples[begin * self.hop : end], first - begin, keep)

    @property
    def _reach(self) -> int:
        """Receptive field of one frame, in samples."""
        reach = 1
        strides = self._config["conv_stride"][::-1]
        for kernel, stride in zip(self._config["conv_kernel"][::-1], strides, strict=True):
            reach = (reach - 1) * stride + kernel
        return reach

    def _frames(self, samples: int) -> int:
        for kernel, stride in zip(
            self._config["conv_kernel"], self._config["conv_stride"], strict=True
        ):
            samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
        return samples

    def _of_windows(self, windows: Sequence[_Window]) -> Iterator[FloatArray]:
        """The kept frames of each window, in order, computed in batches of neighbours."""
        batch: list[_Window] = []
        for window in windows:
            longest = max(len(w.samples) for w in [*batch, window])
            if batch and (self._is_unbatched or longest * (len(batch) + 1) > BATCH_S * SAMPLE_RATE):
                yield from self._of_batch(batch)
                batch = []
            batch.append(window)
        if batch:
            yield from self._of_batch(batch)

    @property
    def _is_unbatched(self) -> bool:
        return bool(self._config.get("feat_extract_norm", "group") == "group")

    @torch.inference_mode()
    def _of_batch(self, batch: Sequence[_Window]) -> Iterator[FloatArray]:
        longest = max(len(window.samples) for window in batch)
        padded = np.zeros((len(batch), longest), dtype=np.float32)
        for row, window in zip(padded, batch, strict=True):
            row[: len(window.samples)] = window.samples
        lengths = [self._frames(len(window.samples)) for window in batch]
        found = self._forward(torch.from_numpy(padded).to(self._device), lengths)
        for window, row in zip(batch, found.cpu().numpy(), strict=True):
            yield row[window.skip : window.skip + window.keep]

    def _forward(self, samples: Tensor, lengths: Sequence[int]) -> Tensor:
        """[b nw] -> log probabilities [b t v]."""
        x = self._features(samples[:, None]).transpose(1, 2)  # [b t c]
        known = torch.arange(x.shape[1], device=x.device)[None] < torch.tensor(
            lengths, device=x.device
        ).unsqueeze(1)
        x = self._norm(x, "feature_projection.layer_norm")
        x = self._linear(x, "feature_projection.projection") * known[..., None]
        x = x + self._positions(x)
        stable = bool(self._config.get("do_stable_layer_norm"))
        if not stable:
            x = self._norm(x, "encoder.layer_norm")
        for index in range(self._config["num_hidden_layers"]):
            x = self._layer(x, f"encoder.layers.{index}", known, stable)
        if stable:
            x = self._norm(x, "encoder.layer_norm")
        logits = F.linear(x, self._weights["lm_head.weight"], self._weights["lm_head.bias"])
        return logits.log_softmax(-1)

    def _features(self, x: Tensor) -> Tensor:
        """[b 1 nw] -> [b c t]."""
        for index, stride in enumerate(self._config["conv_stride"]):
            name = f"feature_extractor.conv_layers.{index}"
            bias = self._weights.get(f"{name}.conv.bias")
            x = F.conv1d(x, self._weights[f"{name}.conv.weight"], bias, stride=stride)
            if f"{name}.layer_norm.weight" in self._weights:
                x = self._convolution_norm(x, f"{name}.layer_norm")
            x = F.gelu(x)
        return x

    def _convolution_norm(self, x: Tensor, name: str) -> Tensor:
        if not self._is_unbatched:
            return self._norm(x.transpose(1, 2), name).transpose(1, 2)
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return F.group_norm(x, x.shape[1], weight, bias)

    def _positions(self, x: Tensor) -> Tensor:
        """The convolutional position embedding."""
        kernel, groups = (
            self._config[f"num_conv_pos_embedding{name}"] for name in ("s", "_groups")
        )
        name = "encoder.pos_conv_embed.conv"
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        positions = F.conv1d(x.transpose(1, 2), weight, bias, padding=kernel // 2, groups=groups)
        return F.gelu(positions[..., : x.shape[1]]).transpose(
            1, 2
        )  # an even kernel gives one too many

    def _layer(self, x: Tensor, name: str, known: Tensor, stable: bool) -> Tensor:
        """One block of the transformer; `stable` norms before, not after, each half."""
        before, after = f"{name}.layer_norm", f"{name}.final_layer_norm"
        if stable:
            x = x + self._attend(self._norm(x, before), f"{name}.attention", known)
            return x + self._feed_forward(self._norm(x, after), f"{name}.feed_forward")
        x = self._norm(x + self._attend(x, f"{name}.attention", known), before)
        return self._norm(x + self._feed_forward(x, f"{name}.feed_forward"), after)

    def _attend(self, x: Tensor, name: str, known: Tensor) -> Tensor:
        heads = self._config["num_attention_heads"]
        q, k, v = (
            self._linear(x, f"{name}.{part}_proj").view(*x.shape[:2], heads, -1).transpose(1, 2)
            for part in "qkv"
        )  # [b h t d]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=known[:, None, None])
        return self._linear(mixed.transpose(1, 2).flatten(2), f"{name}.out_proj")

    def _feed_forward(self, x: Tensor, name: str) -> Tensor:
        return self._linear(
            F.gelu(self._linear(x, f"{name}.intermediate_dense")), f"{name}.output_dense"
        )

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, self._config.get("layer_norm_eps", 1e-5))


def _prepared(weights: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Names without their prefix, the weight norm of the positions folded in, float32."""
    ours = {name.removeprefix("wav2vec2."): value.float() for name, value in weights.items()}
    conv = "encoder.pos_conv_embed.conv."
    for size, direction in (
        ("weight_g", "weight_v"),
        ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    ):
        if conv + direction in ours:
            v = ours.pop(conv + direction)
            ours[conv + "weight"] = ours.pop(conv + size) * v / v.norm(dim=(0, 1), keepdim=True)
    return {name: value.to(device) for name, value in ours.items()}


def _normed(samples: FloatArray) -> FloatArray:
    """Zero mean, unit variance, as these models were trained."""
    if not len(samples):
        return samples
    centred = samples - samples.mean()
    return np.asarray(centred / np.sqrt(np.mean(centred**2) + 1e-7), dtype=np.float32)

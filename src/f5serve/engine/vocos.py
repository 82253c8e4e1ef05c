"""Vocos: log-mel in, wave out.

ConvNeXt blocks at the mel's own frame rate, then an inverse Fourier transform; no upsampling.
Key names are those of charactr/vocos-mel-24khz; sizes are read off the weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from f5serve.engine.config import N_MELS
from f5serve.engine.modules import N_FFT, depthwise
from f5serve.engine.ops import NORM_EPS
from f5serve.errors import ModelUnavailable
from f5serve.types import HOP_LENGTH

MAX_MAGNITUDE = 100.0
PADDING = 3
"""Frames that a convolution looks to either side."""


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, norm, pointwise expansion, scaled residual."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(width, width, 2 * PADDING + 1, padding=PADDING, groups=width)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.pwconv1 = nn.Linear(width, inner)
        self.pwconv2 = nn.Linear(inner, width)
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:  # [b d n] -> [b d n]
        y = self.norm(depthwise(self.dwconv, x).transpose(1, 2))
        y = self.pwconv2(F.gelu(self.pwconv1(y))) * self.gamma
        return x + y.transpose(1, 2)


class Backbone(nn.Module):
    """Mel frames -> features."""

    def __init__(self, width: int, inner: int, depth: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(N_MELS, width, 2 * PADDING + 1, padding=PADDING)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.convnext = nn.ModuleList(ConvNeXtBlock(width, inner) for _ in range(depth))
        self.final_layer_norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, mel: Tensor, gaps: Tensor | None = None) -> Tensor:
        """[b N_MELS n] -> [b n d]; `gaps` are frames that belong to no mel, bool [n]."""
        x = self.norm(self._embedded(mel)).transpose(1, 2)
        for block in self.convnext:
            x = block(x if gaps is None else x.masked_fill(gaps, 0.0))
        return self.final_layer_norm(x.transpose(1, 2))

    def _embedded(self, mel: Tensor) -> Tensor:  # [b N_MELS n] -> [b n d]
        if mel.device.type != "cuda":
            return self.embed(mel).transpose(1, 2)
        return embedded(self.embed, mel)


def embedded(conv: nn.Conv1d, mel: Tensor) -> Tensor:
    """A convolution as one product, for which cuDNN makes no plan: [b N_MELS n] -> [b n d]"""
    seen = F.pad(mel, (PADDING, PADDING)).unfold(2, 2 * PADDING + 1, 1)  # [b N_MELS n 7]
    return F.linear(seen.transpose(1, 2).flatten(2), conv.weight.flatten(1), conv.bias)


class Head(nn.Module):
    """Features -> magnitude and phase."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, N_FFT + 2)

    def forward(self, x: Tensor) -> Tensor:  # [b n d] -> complex64 [b N_FFT/2+1 n]
        magnitude, phase = self.out(x).transpose(1, 2).chunk(2, dim=1)
        return torch.polar(magnitude.exp().clamp(max=MAX_MAGNITUDE), phase)


class Vocos(nn.Module):
    """Log-mel [b n N_MELS] -> wave [b (n - 1) * 256], float32."""

    def __init__(self, width: int = 512, inner: int = 1536, depth: int = 8) -> None:
        super().__init__()
        self.backbone = Backbone(width, inner, depth)
        self.head = Head(width)

    def forward(self, mel: Tensor) -> Tensor:
        return _wave(self.head(self.backbone(mel.transpose(1, 2))))

    def decode_batch(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """The waves [nw] of several mels [n N_MELS], one behind the other in one run.

        Between them are as many zeros as a convolution reaches, zeroed again before each.
        """
        frames = torch.cat([F.pad(mel, (0, 0, 0, PADDING)) for mel in mels])
        gaps = torch.cat([F.pad(mel.new_zeros(len(mel)), (0, PADDING), value=1.0) for mel in mels])
        spectrum = self.head(self.backbone(frames.t()[None], gaps > 0))
        parts = spectrum.split([len(mel) + PADDING for mel in mels], dim=2)
        return [_wave(part[..., :-PADDING])[0] for part in parts]

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], device: torch.device) -> Vocos:
        """Build from the published tensors, without copying them on the CPU.

        Raises:
            ModelUnavailable: code CHECKPOINT_MISMATCH when they are not Vocos's.
        """
        wanted = {k: v for k, v in tensors.items() if k.startswith(("backbone.", "head.out."))}
        try:
            inner, width = wanted["backbone.convnext.0.pwconv1.weight"].shape
            depth = 1 + max(int(m[1]) for k in wanted if (m := re.match(r".*convnext\.(\d+)", k)))
            with torch.device("meta"):
                model = cls(width, inner, depth)
            model.load_state_dict(
                {k: v.to(device, torch.float32) for k, v in wanted.items()}, assign=True
            )
        except (KeyError, RuntimeError) as error:
            raise ModelUnavailable(
                f"The vocoder file is not Vocos for 100 mel bands: {str(error).splitlines()[-1]}",
                code="CHECKPOINT_MISMATCH",
                hint="Use pytorch_model.bin of charactr/vocos-mel-24khz.",
            ) from None
        return model.requires_grad_(False).eval()


def _wave(spectrum: Tensor) -> Tensor:  # complex64 [b N_FFT/2+1 n] -> [b nw]
    if spectrum.device.type == "cuda":  # torch's own waits for the GPU, to check the windows
        return overlapped(spectrum)
    window = torch.hann_window(N_FFT, device=spectrum.device)
    return torch.istft(spectrum, N_FFT, HOP_LENGTH, window=window, center=True)


def overlapped(spectrum: Tensor) -> Tensor:
    """What `torch.istft` returns: complex64 [b N_FFT/2+1 n] -> [b (n - 1) * HOP_LENGTH]"""
    window = torch.hann_window(N_FFT, device=spectrum.device)
    pieces = torch.fft.irfft(spectrum.transpose(1, 2), N_FFT) * window  # [b n N_FFT]
    count = pieces.shape[1]

    def added(parts: Tensor) -> Tensor:  # [b n N_FFT] -> [b n + 3, HOP_LENGTH]
        hops = parts.unflatten(-1, (-1, HOP_LENGTH)).unbind(-2)
        ahead = len(hops) - 1
        moved = [F.pad(hop, (0, 0, i, ahead - i)) for i, hop in enumerate(hops)]
        return torch.stack(moved).sum(0)

    weight = added((window * window).expand(1, count, N_FFT))
    half = N_FFT // 2
    return (added(pieces) / weight.clamp(min=1e-11)).flatten(1)[:, half:-half]


def random_tensors(
    seed: int, width: int = 512, inner: int = 1536, depth: int = 8
) -> dict[str, Tensor]:
    """Random weights under the published names, for tests and benchmarks."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in Vocos(width, inner, depth).state_dict().items()}
    return {
        name: torch.randn(shapes[name], generator=generator) * shapes[name][1:].numel() ** -0.5 / 2
        for name in sorted(shapes)
    }

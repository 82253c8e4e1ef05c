"""Modules that both backbones share: text and input embedding, attention, feed-forward; log-mel.

Parameters carry the artifact's names (weight_map.py maps the published ones onto them). No module
keeps anything between calls.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from f5serve.engine.attention import Attention
from f5serve.engine.config import HEAD_DIM, N_MELS, ROPE_THETA, ModelConfig
from f5serve.engine.cuda import to_device
from f5serve.engine.ops import NORM_EPS, PLAIN, Ops
from f5serve.engine.packing import CONV_PADDING, BatchLayout, PackedSequences
from f5serve.types import HOP_LENGTH, SAMPLE_RATE

CONV_KERNEL = 2 * CONV_PADDING + 1
CONV_GROUPS = 16
N_FFT = 1024
LOG_FLOOR = 1e-5


def sinusoidal_embedding(length: int, width: int, device: torch.device) -> Tensor:
    """Absolute positions of text, cosines before sines: float32 [length width]."""
    exponents = torch.arange(0, width, 2, device=device).float() / width
    angles = torch.outer(torch.arange(length, device=device).float(), ROPE_THETA**-exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def depthwise(conv: nn.Conv1d, x: Tensor) -> Tensor:  # [b d n] -> [b d n]
    """A depthwise convolution, on GPUs without cuDNN: that makes a plan for each new length."""
    return without_cudnn(conv, x) if x.device.type == "cuda" else conv(x)


def without_cudnn(conv: nn.Conv1d, x: Tensor) -> Tensor:  # [b d n] -> [b d n]
    """The convolution by torch's own kernel, in whatever thread.

    An argument here; `torch.backends.cudnn.flags` would change it for the whole process.
    """
    return torch._convolution(
        x,
        conv.weight,
        conv.bias,
        stride=conv.stride,
        padding=(conv.kernel_size[0] // 2,),
        dilation=conv.dilation,
        transposed=False,
        output_padding=(0,),
        groups=conv.groups,
        benchmark=False,
        deterministic=False,
        cudnn_enabled=False,
        allow_tf32=False,
    )


class GRN(nn.Module):
    """Global response normalisation of ConvNeXt V2.

    Its norm runs over the whole sequence, fillers included, so a text must be embedded at the
    length of its own sequence: padding it further would change every frame.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))
        self.beta = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:  # [b n d] -> [b n d]
        norm = x.norm(dim=1, keepdim=True)
        response = norm / (norm.mean(dim=-1, keepdim=True) + 1e-6)
        return torch.addcmul(self.beta + x, self.gamma, x * response)


class ConvNeXtV2Block(nn.Module):
    """ConvNeXt V2 block over text positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.pwconv1 = nn.Linear(width, 2 * width)
        self.grn = GRN(2 * width)
        self.pwconv2 = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:  # [b n d] -> [b n d]
        y = self.norm(depthwise(self.dwconv, x.transpose(1, 2)).transpose(1, 2))
        return x + self.pwconv2(self.grn(F.gelu(self.pwconv1(y))))


class TextEmbedding(nn.Module):
    """Token ids of one sequence -> its text channels, conditional and unconditional."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.mask_padding = config.mask_text_padding
        # Not nn.Embedding(...): its random init imports torch's compiler on the meta device, 1.5 s.
        self.embed = nn.Embedding.from_pretrained(torch.empty(config.vocab_size, config.text_dim))
        self.blocks = nn.ModuleList(
            ConvNeXtV2Block(config.text_dim) for _ in range(config.conv_layers)
        )

    def forward(self, tokens: Tensor, length: int, unconditional: bool) -> Tensor:
        """Text channels of a sequence.

        The filler mask is taken before the text is dropped, as in training, so the unconditional
        branch depends on how long the text is and cannot be shared between requests.

        Args:
            tokens: int64 [nt], vocabulary ids; embedding row 0 is the filler, so ids are shifted.
            length: frames of the sequence; longer text is cut, shorter is filled up.
            unconditional: also return the branch with the text dropped.

        Returns:
            [1 or 2, length, text_dim]
        """
        ids = F.pad(tokens[:length] + 1, (0, max(0, length - len(tokens))))
        filler = (ids == 0)[:, None]  # [n 1]
        branches = torch.stack([ids, torch.zeros_like(ids)]) if unconditional else ids[None]
        x = self.embed(branches)  # [b n text_dim]
        if not self.blocks:
            return x
        x = x + sinusoidal_embedding(length, x.shape[-1], x.device).to(x.dtype)
        if self.mask_padding:
            x = x.masked_fill(filler, 0.0)
        for block in self.blocks:
            x = block(x)
            if self.mask_padding:
                x = x.masked_fill(filler, 0.0)
        return x


class ConvPositionEmbedding(nn.Module):
    """Two grouped convolutions along time, which give frames their relative positions."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(dim, dim, CONV_KERNEL, padding=CONV_PADDING, groups=CONV_GROUPS)
        self.conv2 = nn.Conv1d(dim, dim, CONV_KERNEL, padding=CONV_PADDING, groups=CONV_GROUPS)
        self.ops: Ops = PLAIN

    def forward(self, x: Tensor, layout: BatchLayout) -> Tensor:  # [m d] -> [m d]
        return self.ops.conv_position(x, (self.conv1, self.conv2), layout)


class InputEmbedding(nn.Module):
    """Noised mel, reference mel and text become the transformer's input.

    The published projection of the concatenated channels is kept in three parts: only the noised
    mel changes from step to step, the share of the others is computed once per sequence.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.x = nn.Linear(N_MELS, config.dim, bias=False)
        self.cond = nn.Linear(N_MELS, config.dim, bias=False)
        self.text = nn.Linear(config.text_dim, config.dim)
        self.position = ConvPositionEmbedding(config.dim)

    def embed_condition(self, cond: Tensor | None, text: Tensor) -> Tensor:
        """Share of reference [n N_MELS] (None: dropped) and text [n text_dim]: [n d]."""
        embedded = self.text(text)
        return embedded if cond is None else embedded + self.cond(cond)

    def forward(self, x: Tensor, condition: Tensor, layout: BatchLayout) -> Tensor:
        """x [k N_MELS], condition [m d] -> [m d]; the last m - k frames are again the first."""
        noised = self.x(x)
        h = condition + torch.cat([noised, noised[: len(condition) - len(x)]])
        return self.position(h, layout)


class SelfAttention(nn.Module):
    """Attention inside each packed sequence, rotary positions on the first `rope_heads` heads."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.rope_heads = config.n_rope_heads
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.ops: Ops = PLAIN

    def forward(self, x: Tensor, packing: PackedSequences, attend: Attention) -> Tensor:
        """x [m d] -> [m d]"""
        qkv = self.qkv(x).view(len(x), 3, self.heads, HEAD_DIM)
        self.ops.rotate(qkv, packing.rotary, self.rope_heads)
        return self.out(attend(qkv, packing))


class FeedForward(nn.Module):
    """Linear, GELU (tanh form), linear."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up: nn.Module = nn.Linear(config.dim, config.ff_mult * config.dim)
        self.act: nn.Module = nn.GELU(approximate="tanh")
        self.down = nn.Linear(config.ff_mult * config.dim, config.dim)
        self.ops: Ops = PLAIN

    def forward(self, x: Tensor) -> Tensor:  # [m d] -> [m d]
        return self.down(self.ops.up(x, self.up, self.act))


def replace_linear(model: nn.Module, make: Callable[[nn.Linear], nn.Module]) -> None:
    """Replace the linear layers of the transformer blocks, where nearly all time is spent.

    Block by block, so that each lets its old weights go before the next gets new ones.
    """
    for block in model.get_submodule("blocks").children():
        for parent in list(block.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(parent, name, make(child))


def memory_of(*models: nn.Module) -> dict[int, int]:
    """Bytes of each piece of memory that the tensors of these models lie in, by its address."""
    found: dict[int, int] = {}
    for part in (part for model in models for part in model.modules()):
        own = [*part.parameters(False), *part.buffers(False)]
        for tensor in (*own, *(one for one in vars(part).values() if isinstance(one, Tensor))):
            if tensor.layout is torch.strided:
                storage = tensor.untyped_storage()
                found[storage.data_ptr()] = storage.nbytes()
            else:  # packed for MKL, in memory of its own
                found[id(tensor)] = tensor.numel() * tensor.element_size()
    return found


def _hz_to_mel(hz: Tensor) -> Tensor:
    return 2595.0 * torch.log10(1.0 + hz / 700.0)


def _mel_to_hz(mel: Tensor) -> Tensor:
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


@cache
def filterbank() -> Tensor:
    """Triangular HTK filters from 0 to 12 kHz: [N_FFT // 2 + 1, N_MELS]."""
    frequencies = torch.linspace(0, SAMPLE_RATE // 2, N_FFT // 2 + 1)
    top = _hz_to_mel(torch.tensor(SAMPLE_RATE / 2))
    corners = _mel_to_hz(torch.linspace(0.0, float(top), N_MELS + 2))
    widths = corners.diff()
    distance = corners[None, :] - frequencies[:, None]  # [513 N_MELS+2]
    rising = -distance[:, :-2] / widths[:-1]
    falling = distance[:, 2:] / widths[1:]
    return torch.minimum(rising, falling).clamp_(min=0.0)


@cache
def _placed(device: torch.device) -> tuple[Tensor, Tensor]:
    """Window and filters on a device; copied there once."""
    return torch.hann_window(N_FFT, device=device), to_device(device, filterbank())


def log_mel(wave: Tensor) -> Tensor:
    """The log-mel that F5-TTS was trained on (and Vocos inverts).

    n_fft = win = 1024, hop 256, 100 HTK bands without area normalisation, magnitude, centred with
    reflected edges, natural logarithm clamped at 1e-5.

    Args:
        wave: float32 [b nw] at 24 kHz, at least 513 samples (the edges are reflected).

    Returns:
        float32 [b n N_MELS], n = nw // 256 + 1.
    """
    window, filters = _placed(wave.device)
    spectrum = torch.stft(wave, N_FFT, HOP_LENGTH, window=window, return_complex=True)
    mel = spectrum.abs().transpose(1, 2) @ filters  # [b n N_MELS]
    return mel.clamp_(min=LOG_FLOOR).log_()

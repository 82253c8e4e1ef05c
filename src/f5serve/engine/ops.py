"""Operations between the matrix products of a backbone, in plain PyTorch.

A model has one `Ops`, chosen once. fused.py has the other: the same values, in fewer launches and
with less to move. Products, attention and the text embedding are the same in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from f5serve.engine.attention import trial_input
from f5serve.engine.packing import BatchLayout, PackedSequences

NORM_EPS = 1e-6

Branch = tuple[Tensor, Tensor]
"""Output of attention or feed-forward [m d], and its gate."""
Normed = tuple[Tensor, Tensor]
"""A sum, and its norm: [m d] each."""


class Ops(Protocol):
    """Operations of a step.

    Scale, shift and gate are what `modulation` returns; `index` is which time point each token is
    at, int64 [m], or None when all are at the same.
    """

    @property
    def name(self) -> str:
        """For log lines."""
        ...

    def modulation(self, vectors: Tensor, index: Tensor | None) -> tuple[Tensor, ...]:
        """Vectors of one time point [r d], or of several [t r d], as the others take them."""
        ...

    def modulate(
        self, x: Tensor, branch: Branch | None, scale: Tensor, shift: Tensor, index: Tensor | None
    ) -> Normed:
        """(x + gate * branch, layer_norm of that * scale + shift)."""
        ...

    def rms_norm(self, x: Tensor, branch: Tensor | None, weight: Tensor, eps: float) -> Normed:
        """(x + branch, that / rms of that * weight); x and branch [m d], weight [d]."""
        ...

    def rotate(self, qkv: Tensor, rotary: Tensor, heads: int) -> None:
        """Rotate queries and keys of the first heads in place: qkv [m 3 h 64]."""
        ...

    def conv_position(
        self, x: Tensor, convs: tuple[nn.Conv1d, nn.Conv1d], layout: BatchLayout
    ) -> Tensor:
        """x + mish(conv(mish(conv(x)))), each sequence by itself: [m d] -> [m d]."""
        ...

    def up(self, x: Tensor, linear: nn.Module, gelu: nn.Module) -> Tensor:
        """gelu(linear(x)), in its tanh form: [m d] -> [m f]."""
        ...


@dataclass(frozen=True, slots=True)
class PlainOps:
    """See `Ops`.

    Attributes:
        half_pairs: whether float16 is rotated in place, as complex numbers of that precision; else
            in a float32 copy.
    """

    half_pairs: bool = False
    name: str = "plain"

    def modulation(self, vectors: Tensor, index: Tensor | None) -> tuple[Tensor, ...]:
        """One [d], or one of each token [m d]."""
        return (vectors if index is None else vectors[index]).unbind(-2)

    def modulate(
        self, x: Tensor, branch: Branch | None, scale: Tensor, shift: Tensor, index: Tensor | None
    ) -> Normed:
        """See `Ops`."""
        if branch is not None:
            x = torch.addcmul(x, branch[1], branch[0])
        if index is None:
            return x, F.layer_norm(x, x.shape[-1:], scale, shift, NORM_EPS)
        return x, torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=NORM_EPS), scale)

    def rms_norm(self, x: Tensor, branch: Tensor | None, weight: Tensor, eps: float) -> Normed:
        """See `Ops`."""
        x = x if branch is None else x + branch
        return x, F.rms_norm(x, x.shape[-1:], weight, eps)

    def rotate(self, qkv: Tensor, rotary: Tensor, heads: int) -> None:
        """See `Ops`."""
        qk = qkv[:, :2, :heads]
        in_place = qk.dtype is torch.float32 or (self.half_pairs and qk.dtype is torch.float16)
        rotated = qk if in_place else qk.float()
        # Numbers are float32 while they are multiplied, in both cases.
        torch.view_as_complex(rotated.unflatten(-1, (-1, 2))).mul_(rotary)
        if not in_place:
            qk.copy_(rotated)

    def conv_position(
        self, x: Tensor, convs: tuple[nn.Conv1d, nn.Conv1d], layout: BatchLayout
    ) -> Tensor:
        """With padding of zeros as wide as the kernel reaches, so that no sequence sees another.

        The padding is zeroed again before the second convolution.
        """
        first, second = convs
        padding = layout.conv_padding
        if padding is None:  # one length: sequences are a batch, whose edges are padded
            _, count, length = layout.mel.groups[0]
            y = x.view(count, length, -1).transpose(1, 2)
            y = F.mish(second(F.mish(first(y))))
            return x + y.transpose(1, 2).reshape(x.shape)
        spread = x.new_zeros(len(padding.mask), x.shape[1])
        spread[padding.indices] = x
        # Filled, not multiplied: the edge of a sequence that is not finite must end there.
        y = F.mish(first(spread.t()[None])).masked_fill(padding.mask, 0.0)
        return x + F.mish(second(y))[0].t()[padding.indices]

    def up(self, x: Tensor, linear: nn.Module, gelu: nn.Module) -> Tensor:
        """See `Ops`."""
        y: Tensor = gelu(linear(x))
        return y


PLAIN = PlainOps()


def choose(device: torch.device, dtype: torch.dtype) -> PlainOps:
    """PlainOps operations that rotate in place where a trial on this device agrees with a copy."""
    if device.type == "cpu" or dtype is not torch.float16:
        return PLAIN
    qkv = trial_input(device, dtype)
    copy, rotary = qkv.clone(), PackedSequences.of((16, 8), device).rotary
    try:
        PLAIN.rotate(copy, rotary, 2)
        PlainOps(half_pairs=True).rotate(qkv, rotary, 2)
        agrees = torch.allclose(qkv, copy, atol=1e-3, rtol=1e-3)
    except RuntimeError:
        agrees = False
    return PlainOps(half_pairs=agrees)


def set_ops(model: nn.Module, ops: Ops) -> None:
    """Let a backbone compute with these operations."""
    for module in model.modules():
        if hasattr(module, "ops"):
            setattr(module, "ops", ops)  # noqa: B010 - the modules have no type in common

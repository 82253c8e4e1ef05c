"""What a backbone computes between its matrix products, in plain PyTorch.

A model has one `Ops`, chosen once (fused.py has the other): the same values, in fewer launches
and with less to move. Products, attention and the text embedding are the same in both.
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
"""Output of attention or feed-forward [m d], and its gate: a table row."""
Normed = tuple[Tensor, Tensor]
"""A sum, and its norm: [m d] each."""


class Ops(Protocol):
    """Operations of a step.

    Table rows are what `rows` returns for them; `place` is where in the table each token is, int64
    [m], or None when all are at one time point.
    """

    @property
    def name(self) -> str:
        """For log lines."""
        ...

    def rows(self, table: Tensor, place: Tensor | None) -> tuple[Tensor, ...]:
        """Rows of a table [r d], or [t r d] for tokens at places, as the others take them."""
        ...

    def modulate(
        self, x: Tensor, branch: Branch | None, scale: Tensor, shift: Tensor, place: Tensor | None
    ) -> Normed:
        """(x + gate * branch, layer_norm of that * scale + shift)."""
        ...

    def rms_norm(self, x: Tensor, branch: Tensor | None, weight: Tensor, eps: float) -> Normed:
        """(x + branch, that / rms of that * weight); x and branch [m d], weight [d]."""
        ...

    def rotate(self, qkv: Tensor, rotary: Tensor, heads: int) -> None:
        """Rotate queries and keys of the first heads in place: qkv [m 3 h 64]."""
        ...

    def position(
        self, x: Tensor, convs: tuple[nn.Conv1d, nn.Conv1d], layout: BatchLayout
    ) -> Tensor:
        """x + mish(conv(mish(conv(x)))), each sequence by itself: [m d] -> [m d]."""
        ...

    def up(self, x: Tensor, linear: nn.Module, gelu: nn.Module) -> Tensor:
        """gelu(linear(x)), in its tanh form: [m d] -> [m f]."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """See `Ops`.

    Attributes:
        half_pairs: whether float16 is turned where it lies, as complex numbers of that precision;
            else in a float32 copy.
    """

    half_pairs: bool = False
    name: str = "plain"

    def rows(self, table: Tensor, place: Tensor | None) -> tuple[Tensor, ...]:
        """One [d], or one of each token [m d]."""
        return (table if place is None else table[place]).unbind(-2)

    def modulate(
        self, x: Tensor, branch: Branch | None, scale: Tensor, shift: Tensor, place: Tensor | None
    ) -> Normed:
        """See `Ops`."""
        if branch is not None:
            x = torch.addcmul(x, branch[1], branch[0])
        if place is None:
            return x, F.layer_norm(x, x.shape[-1:], scale, shift, NORM_EPS)
        return x, torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=NORM_EPS), scale)

    def rms_norm(self, x: Tensor, branch: Tensor | None, weight: Tensor, eps: float) -> Normed:
        """See `Ops`."""
        x = x if branch is None else x + branch
        return x, F.rms_norm(x, x.shape[-1:], weight, eps)

    def rotate(self, qkv: Tensor, rotary: Tensor, heads: int) -> None:
        """See `Ops`."""
        turned = qkv[:, :2, :heads]  # queries and keys turn together
        in_place = turned.dtype is torch.float32 or (
            self.half_pairs and turned.dtype is torch.float16
        )
        whole = turned if in_place else turned.float()
        # Numbers are float32 while they are multiplied, in both cases.
        torch.view_as_complex(whole.unflatten(-1, (-1, 2))).mul_(rotary)
        if not in_place:
            turned.copy_(whole)

    def position(
        self, x: Tensor, convs: tuple[nn.Conv1d, nn.Conv1d], layout: BatchLayout
    ) -> Tensor:
        """With gaps of zeros as wide as the kernel reaches, so that no sequence sees another.

        The gaps are zeroed again before the second convolution.
        """
        first, second = convs
        gaps = layout.conv_padding
        if gaps is None:  # one length: sequences are a batch, whose edges are padded
            _, count, length = layout.mel.groups[0]
            y = x.view(count, length, -1).transpose(1, 2)
            y = F.mish(second(F.mish(first(y))))
            return x + y.transpose(1, 2).reshape(x.shape)
        spread = x.new_zeros(len(gaps.mask), x.shape[1])
        spread[gaps.indices] = x
        # Filled, not multiplied: the edge of a row that is not finite must end in the gap.
        y = F.mish(first(spread.t()[None])).masked_fill(gaps.mask, 0.0)
        return x + F.mish(second(y))[0].t()[gaps.indices]

    def up(self, x: Tensor, linear: nn.Module, gelu: nn.Module) -> Tensor:
        """See `Ops`."""
        y: Tensor = gelu(linear(x))
        return y


PLAIN = Plain()


def choose(device: torch.device, dtype: torch.dtype) -> Plain:
    """Plain operations that turn in place where a trial on this device agrees with a copy."""
    if device.type == "cpu" or dtype is not torch.float16:
        return PLAIN
    qkv = trial_input(device, dtype)
    copy, rotary = qkv.clone(), PackedSequences.of((16, 8), device).rotary
    try:
        PLAIN.rotate(copy, rotary, 2)
        Plain(half_pairs=True).rotate(qkv, rotary, 2)
        agrees = torch.allclose(qkv, copy, atol=1e-3, rtol=1e-3)
    except RuntimeError:
        agrees = False
    return Plain(half_pairs=agrees)

"""Operations of a step by the project's own Triton kernels.

Each operation reads and writes what it must once, in one launch. The kernels look the modulation of
each token up, so mixed time points cost what one does; convolutions know where their sequence ends,
and need no padding.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from f5serve.engine.kernels import CONV_TOKENS, Kernels, Launch
from f5serve.engine.ops import PLAIN, Branch, Normed
from f5serve.engine.packing import BatchLayout


@dataclass(frozen=True, slots=True, eq=False)
class FusedOps:
    """See `Ops`.

    Attributes:
        kernels: of the model.
    """

    kernels: Kernels
    launch: Launch
    name: str = "fused"
    _taps: dict[nn.Conv1d, Tensor] = field(default_factory=dict, init=False)

    def modulation(self, vectors: Tensor, index: Tensor | None) -> tuple[Tensor, ...]:
        """One [d], or all that the kernel chooses from [t d]."""
        return vectors.unbind(-2)

    def modulate(
        self, x: Tensor, branch: Branch | None, scale: Tensor, shift: Tensor, index: Tensor | None
    ) -> Normed:
        """See `Ops`."""
        kernel = self.kernels.norm_modulate[branch is not None, index is not None]
        out = torch.empty_like(x)
        whole = x if branch is None else torch.empty_like(x)
        delta, gate = (x, scale) if branch is None else branch
        stride = 0 if index is None else scale.stride(0)
        places = x if index is None else index
        arguments = x, delta, gate, scale, shift, places, whole, out, stride
        self.launch(kernel, (len(x), 1), *arguments)
        return whole, out

    def rms_norm(self, x: Tensor, branch: Tensor | None, weight: Tensor, eps: float) -> Normed:
        """See `Ops`; `eps` is in the kernel."""
        kernel = self.kernels.norm_rms[branch is not None]
        out = torch.empty_like(x)
        whole = x if branch is None else torch.empty_like(x)
        delta = x if branch is None else branch
        self.launch(kernel, (len(x), 1), x, delta, weight, whole, out)
        return whole, out

    def rotate(self, qkv: Tensor, rotary: Tensor, heads: int) -> None:
        """See `Ops`; `heads` is in the kernel."""
        self.launch(self.kernels.rotate, (len(qkv), 1), qkv, torch.view_as_real(rotary))

    def conv_position(
        self, x: Tensor, convs: tuple[nn.Conv1d, nn.Conv1d], layout: BatchLayout
    ) -> Tensor:
        """See `Ops`."""
        first, second = convs
        y = self._conv(x, first, x, layout, residual=False)
        return self._conv(y, second, x, layout, residual=True)

    def _conv(
        self, x: Tensor, conv: nn.Conv1d, behind: Tensor, layout: BatchLayout, residual: bool
    ) -> Tensor:
        if conv not in self._taps:  # once, before anything is recorded
            self._taps[conv] = _taps_first(conv)
        out = torch.empty_like(x)
        grid = -(-len(x) // CONV_TOKENS), conv.groups
        arguments = x, self._taps[conv], conv.bias, behind
        where = layout.mel.seq_ids, layout.mel.cu_seqlens
        self.launch(self.kernels.conv_mish[residual], grid, *arguments, *where, out, len(x))
        return out

    def up(self, x: Tensor, linear: nn.Module, gelu: nn.Module) -> Tensor:
        """See `Ops`: on GPUs the product's own kernel computes the GELU, in its tanh form."""
        if x.device.type != "cuda" or not isinstance(linear, nn.Linear):
            return PLAIN.up(x, linear, gelu)
        weight = linear.weight.t()
        y: Tensor = torch.ops.aten._addmm_activation(linear.bias, x, weight, use_gelu=True)
        return y


def _taps_first(conv: nn.Conv1d) -> Tensor:
    """The weight [d d/groups taps] as [groups taps in out]."""
    outputs, inner, taps = conv.weight.shape
    return (
        conv.weight.view(conv.groups, outputs // conv.groups, inner, taps)
        .permute(0, 3, 2, 1)
        .contiguous()
    )

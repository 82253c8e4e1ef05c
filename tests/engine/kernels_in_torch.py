"""The kernels' work in torch, for tests of what is around it: Triton's interpreter is slow.

tests/engine/interpreted.py has the kernels themselves. Like them, these read nothing back from the
device, so a tape can record them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from f5serve.engine.kernels import Grid, Kernel
from f5serve.engine.ops import PLAIN


def launch(kernel: Kernel, grid: Grid, *arguments: Any) -> None:
    """See `kernels.Launch`."""
    constants = dict(kernel.constants)
    if kernel.function == "norm_modulate":
        norm_modulate(constants, *arguments[:8])
    elif kernel.function == "norm_rms":
        norm_rms(constants, *arguments)
    elif kernel.function == "rotate":
        qkv, rotary = arguments
        PLAIN.rotate(qkv, torch.view_as_complex(rotary), int(constants["TURNED"]))
    else:
        conv_mish(constants, *arguments[:7])


def norm_modulate(constants: dict[str, float], *tensors: Tensor) -> None:
    x, delta, gate, scale, shift, place, whole, out = tensors
    if constants["HAS_PLACE"]:
        gate, scale, shift = gate[place], scale[place], shift[place]
    if constants["HAS_DELTA"]:
        x = whole.copy_(torch.addcmul(x, gate, delta))
    out.copy_(F.layer_norm(x, x.shape[-1:], eps=constants["EPS"]) * scale + shift)


def norm_rms(constants: dict[str, float], *tensors: Tensor) -> None:
    x, delta, weight, whole, out = tensors
    if constants["HAS_DELTA"]:
        x = whole.copy_(x + delta)
    out.copy_(F.rms_norm(x, x.shape[-1:], weight, constants["EPS"]))


def conv_mish(constants: dict[str, float], *tensors: Tensor) -> None:
    x, weight, bias, residual, sequence, starts, out = tensors
    groups, taps, inner, _ = weight.shape
    token = torch.arange(len(x), device=x.device)
    first, end = starts[sequence], starts[sequence + 1]
    total = bias.float().expand(len(x), -1)
    for tap in range(taps):
        near = token + tap - taps // 2
        own = ((near >= first) & (near < end))[:, None]
        seen = x[near.clamp(0, len(x) - 1)].masked_fill(~own, 0.0).view(-1, groups, inner)
        total = total + torch.einsum("mgi,gio->mgo", seen.float(), weight[:, tap].float()).flatten(
            1
        )
    y = F.mish(total)
    out.copy_(residual + y if constants["HAS_RESIDUAL"] else y)

"""Our answers to the cases, through the engine's own sampler."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from f5serve.engine import checkpoint, vocoder
from f5serve.engine.config import ModelConfig
from f5serve.engine.engine import F5Engine
from f5serve.engine.rows import Row
from f5serve.engine.vocoder import Vocos
from f5serve.text.tokens import Vocab
from f5serve.types import SamplingOptions

CPU = torch.device("cpu")


def engine_of(case: dict[str, Any], dtype: torch.dtype = torch.float32) -> F5Engine:
    """An engine on the case's random weights; its vocabulary and vocoder are placeholders."""
    placement = checkpoint.DeviceAndDtype(CPU, dtype)
    model = checkpoint.load_random(ModelConfig(**case["arch"]), placement, case["weights_seed"])
    vocos = Vocos.from_tensors(vocoder.random_tensors(0, 16, 16, 1), CPU)
    return F5Engine(*model, vocos, Vocab([" "]), "random")


def row_of(case: dict[str, Any]) -> Row:
    """The case as a row of the sampler."""
    generator = torch.Generator().manual_seed(case["cond_seed"])
    cond = torch.randn(1, case["cond_frames"], 100, generator=generator)[0] * 2 - 4
    padded = torch.zeros(case["frames"], 100)
    padded[: len(cond)] = cond
    options = SamplingOptions(
        nfe_step=case["nfe_step"],
        cfg_strength=case["cfg_strength"],
        sway_sampling_coef=case["sway"],
    )
    return Row(torch.tensor(case["tokens"]), padded, len(cond), 0, 1.0, case["seed"], options)


def mel_of(case: dict[str, Any], dtype: torch.dtype = torch.float32) -> Tensor:
    """Our mel of one case: [n 100]."""
    return engine_of(case, dtype).sample([row_of(case)])[0]


def error(ours: Tensor, theirs: Any) -> float:
    """Relative error ||ours - theirs|| / ||theirs||; NaN anywhere gives NaN, which never passes."""
    reference = torch.as_tensor(theirs)
    assert ours.shape == reference.shape
    return float((ours - reference).norm() / reference.norm())

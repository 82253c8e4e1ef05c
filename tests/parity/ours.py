"""Our answers to the cases: by `sampler.sample`, and by the runner, step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from f5serve.engine import checkpoint
from f5serve.engine.config import ModelConfig
from f5serve.engine.engine import F5Engine
from f5serve.engine.model_runner import ModelRunner
from f5serve.engine.request import ReferencePrompt, Sequence
from f5serve.engine.sampler import sample
from f5serve.engine.vocos import Vocos
from f5serve.engine.vocos import random_tensors as random_vocos
from f5serve.text.tokens import Vocab
from f5serve.types import SamplingOptions

CPU = torch.device("cpu")


def engine_of(case: dict[str, Any], dtype: torch.dtype = torch.float32) -> F5Engine:
    """An engine on the case's random weights; its vocabulary and vocoder are placeholders."""
    placement = checkpoint.DeviceAndDtype(CPU, dtype)
    model = checkpoint.load_random(ModelConfig(**case["arch"]), placement, case["weights_seed"])
    vocos = Vocos.from_tensors(random_vocos(0, 16, 16, 1), CPU)
    return F5Engine(*model, vocos, Vocab([" "]), "random")


def sequence_of(case: dict[str, Any]) -> Sequence:
    """The case as a sequence."""
    generator = torch.Generator().manual_seed(case["cond_seed"])
    mel = torch.randn(1, case["cond_frames"], 100, generator=generator)[0] * 2 - 4
    options = SamplingOptions(
        nfe_step=case["nfe_step"],
        cfg_strength=case["cfg_strength"],
        sway_sampling_coef=case["sway"],
    )
    prompt = ReferencePrompt.from_mel(mel)
    return Sequence(prompt, case["tokens"], case["frames"], case["seed"], options)


def started(runner: ModelRunner, seq: Sequence) -> Sequence:
    """The sequence, ready to take steps."""
    runner.start(seq)
    return seq


def mel_of(case: dict[str, Any], dtype: torch.dtype = torch.float32) -> Tensor:
    """Our mel of one case: [n 100]."""
    (mel,) = mels_of(engine_of(case, dtype), [sequence_of(case)])
    return mel


def mels_of(engine: F5Engine, batch: list[Sequence]) -> list[Tensor]:
    """Mels of sequences with the same options by `sample`, which the runner agrees with."""
    runner, options = engine.runner, batch[0].options
    schedule = runner.schedules.get(options.nfe_step, options.sway_sampling_coef)
    mels = sample(runner.backbone, schedule, runner.attend, batch)
    exact = schedule.modulation.dtype is torch.float32
    for seq, mel, other in zip(batch, mels, runner.sample(batch), strict=True):
        speech = slice(seq.prompt.frames, None)
        assert error(other[speech], mel[speech]) <= (1e-5 if exact else 3e-3)
    return mels


def error(ours: Tensor, theirs: Any) -> float:
    """Relative error ||ours - theirs|| / ||theirs||; NaN anywhere gives NaN, which never passes."""
    reference = torch.as_tensor(theirs)
    assert ours.shape == reference.shape
    return float((ours - reference).norm() / reference.norm())

"""From noise to mel: `sample` is the whole algorithm on one page.

The server computes the same step by step, for sequences that join and leave (model_runner.py);
tests/parity compares both with the `f5-tts` package.
"""

from __future__ import annotations

import torch
from torch import Tensor

from f5serve.engine.attention import Attention
from f5serve.engine.config import N_MELS
from f5serve.engine.dit import DiT
from f5serve.engine.packing import BatchLayout, StepConditioning
from f5serve.engine.request import Sequence
from f5serve.engine.schedule import Schedule
from f5serve.engine.unett import UNetT


@torch.inference_mode()
def sample(
    model: DiT | UNetT, schedule: Schedule, attend: Attention, batch: list[Sequence]
) -> list[Tensor]:
    """Mels of a batch whose sequences have the same options.

    Args:
        schedule: time grid and modulation of these options (`ScheduleCache.get`).

    Returns:
        float32 [n N_MELS] of each sequence, the reference included.
    """
    device, dtype = schedule.modulation.device, schedule.modulation.dtype

    # Reference and text are embedded once, for all steps. CFG needs a second, unconditional
    # branch without them; its frames lie behind those of the whole batch.
    embedded = [
        embed_condition(model, seq, torch.tensor(seq.token_ids, device=device), dtype)
        for seq in batch
    ]
    branches = [branch for group in zip(*embedded, strict=True) for branch in group]
    condition = torch.cat(branches)  # [m d]
    layout = BatchLayout.of([len(branch) for branch in branches], device, model.has_time_token)

    x = torch.cat([initial_noise(seq.seed, seq.frames) for seq in batch]).to(device)  # [k N_MELS]
    cfg_strength = x.new_full((len(condition) - len(x), 1), batch[0].options.cfg_strength)
    for dt, modulation in zip(schedule.dt, schedule.modulation, strict=True):
        # Velocity [m N_MELS] of both branches, then an Euler step along the guided one [k N_MELS].
        velocity = model(x.to(dtype), condition, StepConditioning(modulation), layout, attend)
        x = x + dt * apply_cfg(velocity.float(), cfg_strength)

    mels = x.split([seq.frames for seq in batch])
    return [restore_reference(seq, mel) for seq, mel in zip(batch, mels, strict=True)]


def initial_noise(seed: int, frames: int) -> Tensor:
    """Where a sequence starts: float32 [frames N_MELS].

    Drawn on the CPU by a generator of its own, so that it is the same on every device and
    whatever else the process does.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, N_MELS, generator=generator)


def embed_condition(
    model: DiT | UNetT, seq: Sequence, token_ids: Tensor, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """Share of reference and text in the transformer's input: [n d].

    Args:
        token_ids: those of the sequence, int64 [nt] on the device.

    Returns:
        The conditional branch; with CFG the unconditional one as well.
    """
    text = model.text(token_ids, seq.frames, seq.uses_cfg)
    reference = torch.zeros(seq.frames, N_MELS, device=token_ids.device)
    reference[: seq.prompt.frames] = seq.prompt.mel(token_ids.device)
    conditional = model.input.embed_condition(reference.to(dtype), text[0])
    if not seq.uses_cfg:
        return (conditional,)
    return conditional, model.input.embed_condition(None, text[1])


def apply_cfg(velocity: Tensor, cfg_strength: Tensor) -> Tensor:
    """Classifier-free guidance of the sequences that use it.

    Args:
        velocity: [m + k N_MELS]: conditional frames of all sequences, then the k unconditional
            ones, which belong to the first k.
        cfg_strength: [k 1]

    Returns:
        [m N_MELS]
    """
    k = len(cfg_strength)
    m = len(velocity) - k
    first, unconditional = velocity[:k], velocity[m:]
    guided = torch.addcmul(first, first - unconditional, cfg_strength)
    return guided if k == m else torch.cat([guided, velocity[k:m]])


def restore_reference(seq: Sequence, mel: Tensor) -> Tensor:
    """A sampled mel whose reference frames are the given ones again."""
    return torch.cat([seq.prompt.mel(mel.device), mel[seq.prompt.frames :]])

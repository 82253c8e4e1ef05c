"""The GPU says what the CPU says, at the model's real size: batches, replays, waves, E2-TTS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from f5serve.engine.cuda_graphs import CAPTURE_AFTER
from f5serve.engine.engine import F5Engine
from f5serve.engine.request import Sequence
from gpu.common import Run, error, record_all
from worker_ours import step_sequence

MODELS = ["F5TTS_v1_Base", "F5TTS_Base", "E2TTS_Base"]
STEPS = 7


def measure(run: Run) -> None:
    """Every family against fp32 on the CPU."""
    frames = 60 if run.small else 300
    for name in run.few(MODELS):
        cpu = run.engine(name, device="cpu", graphs=False, dtype="fp32")
        expected = mel(cpu, frames)
        for dtype in ("fp16", "fp32") if run.on_gpu and name == MODELS[0] else ("auto",):
            made = run.engine(name, graphs=False, dtype=dtype)
            got = mel(made, frames)
            lengths = (frames, frames - 17, frames + 30)
            together = made.runner.sample([sequence(made, n) for n in lengths])[0]
            told = {"model": name, "engine": made.description, "error": error(got, expected)}
            run.tell("mel", **told, batch_error=error(together, got))
            if dtype != "fp32":
                replayed(run, name, frames)
        if name == MODELS[0]:
            waves(run, made, cpu, got)
            keep(run, expected)


def sequence(engine: F5Engine, frames: int, steps: int = STEPS) -> Sequence:
    """A sequence of random inputs, the same on every device."""
    tokens = engine.runner.schedules.config.vocab_size - 1
    return step_sequence(frames, tokens, steps)


def mel(engine: F5Engine, frames: int, steps: int = STEPS) -> torch.Tensor:
    """[n 100] of that sequence."""
    return engine.runner.sample([sequence(engine, frames, steps)])[0]


def replayed(run: Run, name: str, frames: int) -> None:
    """What a recording makes of the row, beside the same computed."""
    engine = run.engine(name)
    for _ in range(2):
        mel(engine, frames, CAPTURE_AFTER)
    recorded = record_all(engine)
    computed = mel(run.engine(name, graphs=False), frames)
    mel(engine, frames)
    told = {"model": name, "recorded": recorded, **engine.runner.counters()}
    run.tell("replayed", error=error(mel(engine, frames), computed), **told)


def waves(run: Run, engine: F5Engine, cpu: F5Engine, mel: torch.Tensor) -> None:
    """The wave of one mel on both."""
    with torch.inference_mode():
        ours = engine.runner.vocoder(mel[None].float())[0]
        theirs = cpu.runner.vocoder(mel[None].float().cpu())[0]
    run.tell("wave", error=error(ours, theirs))


def keep(run: Run, expected: torch.Tensor) -> None:
    """For sections that compare more with the same."""
    np.save(Path(run.work) / "expected.npy", expected.numpy())

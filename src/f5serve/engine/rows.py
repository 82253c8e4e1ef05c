"""Utterances on their way to the sampler: drafts that wait, rows that are ready.

A draft is made in the caller's thread and holds little; a row holds tensors on the device. No
model is known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from f5serve.audio.edit import normalize_rms
from f5serve.engine.config import N_MELS
from f5serve.engine.mel import log_mel
from f5serve.engine.sampler import initial_noise
from f5serve.engine.transfers import pinned, to_device
from f5serve.types import SamplingOptions, Utterance, Voice
from f5serve.units import HOP_LENGTH, MAX_DURATION_FRAMES, samples_to_frames

NO_GUIDANCE = 1e-5
"""Below this strength the unconditional half is not computed."""


def guided(options: SamplingOptions) -> bool:
    """Whether the unconditional half is computed too."""
    return options.cfg_strength >= NO_GUIDANCE


class Reference:
    """The voice of one call's utterances; its mel is made when the first of them begins."""

    def __init__(self, voice: Voice) -> None:
        wave, self.gain = normalize_rms(voice.wave)
        self._samples = np.ascontiguousarray(wave.samples)
        self._mel: Tensor | None = None
        self.frames = len(self._samples) // HOP_LENGTH + 1  # as `log_mel` has them
        self.first_frame = samples_to_frames(len(voice.wave.samples))

    def mel(self, device: torch.device) -> Tensor:
        """[n N_MELS] at the loudness that the model expects."""
        if self._mel is None:
            self._mel = log_mel(to_device(device, torch.from_numpy(self._samples))[None])[0]
        return self._mel


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """An utterance made ready: everything the sampler needs, on the device.

    Attributes:
        tokens: int64 [nt]
        cond: reference mel followed by zeros, [n N_MELS].
        cond_frames: frames of the reference mel.
        first_frame: where the speech begins.
        gain: what the loudness of the wave is multiplied by.
        noise: `sampler.initial_noise` of seed and frames where it was drawn before, on the host.
    """

    tokens: Tensor
    cond: Tensor
    cond_frames: int
    first_frame: int
    gain: float
    seed: int
    options: SamplingOptions
    noise: Tensor | None = None

    @property
    def frames(self) -> int:
        """Length of the row, reference included."""
        return len(self.cond)

    @property
    def guided(self) -> bool:
        """Whether the unconditional half is computed too."""
        return guided(self.options)


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """An utterance as it waits; `ids` are those of its text tokens."""

    utterance: Utterance
    reference: Reference
    ids: list[int]
    _ready: list[tuple[Tensor, Tensor]] = field(default_factory=list, init=False)

    @property
    def frames(self) -> int:
        """Length of the row: what was planned, if more than tokens and reference need."""
        shortest = max(len(self.ids), self.reference.frames) + 1  # something is generated
        frames = min(max(self.utterance.duration_frames, shortest), MAX_DURATION_FRAMES)
        return max(frames, self.reference.frames + 1)

    @property
    def tokens(self) -> int:
        """What a step of it costs: its frames, twice with guidance."""
        return self.frames * (2 if guided(self.utterance.options) else 1)

    @property
    def steps(self) -> int:
        """How many steps it takes."""
        return self.utterance.options.nfe_step

    def prepare(self, device: torch.device) -> None:
        """Do what needs no device, in the caller's thread, so that the device need not wait for it.

        What is made ready here is held until the row begins; `row` does without as well.
        """
        if not self._ready:
            self._ready.append(self._on_host(device))

    def _on_host(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Token ids and noise."""
        drawn = initial_noise(self.utterance.seed, self.frames)
        return pinned(torch.tensor(self.ids), device), pinned(drawn, device)

    def row(self, device: torch.device) -> Row:
        """The row itself."""
        ids, drawn = self._ready.pop() if self._ready else self._on_host(device)
        cond = torch.zeros(self.frames, N_MELS, device=device)
        cond[: self.reference.frames] = self.reference.mel(device)
        return Row(
            tokens=to_device(device, ids),
            cond=cond,
            cond_frames=self.reference.frames,
            first_frame=self.reference.first_frame,
            gain=self.reference.gain,
            seed=self.utterance.seed,
            options=self.utterance.options,
            noise=drawn,
        )

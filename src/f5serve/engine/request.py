"""Requests and their sequences: what callers hand to the engine loop."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from f5serve.audio.edit import normalize_rms
from f5serve.engine.cuda import to_device
from f5serve.engine.modules import log_mel
from f5serve.engine.schedule import Schedule
from f5serve.types import (
    HOP_LENGTH,
    MAX_DURATION_FRAMES,
    SamplingOptions,
    Utterance,
    Voice,
    Wave,
    samples_to_frames,
)

if TYPE_CHECKING:
    from f5serve.engine.model_runner import ModelRunner

MIN_CFG_STRENGTH = 1e-5
"""Below this strength the unconditional branch is not computed."""


class SequenceStatus(Enum):
    """Where a sequence is on its way."""

    WAITING = auto()
    """It holds nothing on the device."""
    RUNNING = auto()
    """It takes ODE steps."""
    VOCODING = auto()
    """Its mel is complete and its wave is on the way to the host."""
    FINISHED = auto()
    """Its wave was handed over, or its request has failed or was cancelled."""


@dataclass(slots=True, eq=False)
class ReferencePrompt:
    """The reference recording of a voice; its mel is computed when its first sequence starts.

    Attributes:
        frames: of the mel.
        first_frame: where in a sequence the generated speech begins.
        gain: gives a wave the loudness of the recording; the model works at one of its own.
    """

    frames: int
    first_frame: int
    gain: float = 1.0
    _samples: np.ndarray | None = None
    _mel: Tensor | None = None

    @classmethod
    def of(cls, voice: Voice) -> ReferencePrompt:
        """That of a voice."""
        wave, gain = normalize_rms(voice.wave)
        samples = np.ascontiguousarray(wave.samples)
        first_frame = samples_to_frames(len(voice.wave.samples))
        return cls(len(samples) // HOP_LENGTH + 1, first_frame, gain, samples)

    @classmethod
    def from_mel(cls, mel: Tensor) -> ReferencePrompt:
        """One whose mel [n N_MELS] is known."""
        return cls(len(mel), len(mel), _mel=mel)

    def mel(self, device: torch.device) -> Tensor:
        """[n N_MELS] at the loudness that the model expects."""
        if self._mel is None:
            assert self._samples is not None
            wave = to_device(device, torch.from_numpy(self._samples))
            self._mel = log_mel(wave[None])[0]
        return self._mel.to(device)


@dataclass(slots=True, eq=False)
class Sequence:
    """One utterance on its way from text to wave.

    Attributes:
        prompt: reference recording.
        token_ids: of the reference's text and the utterance's.
        frames: of the mel, the reference included.
        request, index: the request that it belongs to, and its place there.
        number: counts sequences in the order of arrival.
        virtual_finish: see scheduler.py.
        deadline, latest_start: monotonic seconds; it is urgent from the second to the first.
        runner: the model that it is for.
        step: ODE steps taken.
        host_inputs: token ids and noise, made before it starts (`ModelRunner.prepare`).
        schedule: time grid and modulation, on the device as the next two.
        conditions: share of reference and text in the transformer's input [n d]; with CFG also
            that of the unconditional branch.
        x: the noised mel, float32 [n N_MELS].
    """

    prompt: ReferencePrompt
    token_ids: list[int]
    frames: int
    seed: int
    options: SamplingOptions
    request: Request = None  # type: ignore[assignment] # set by the engine loop
    index: int = 0
    number: int = 0
    virtual_finish: float = 0.0
    deadline: float = math.inf
    latest_start: float = math.inf
    runner: ModelRunner = None  # type: ignore[assignment] # set where it goes to a loop
    status: SequenceStatus = SequenceStatus.WAITING
    step: int = 0
    host_inputs: tuple[Tensor, Tensor] | None = None
    schedule: Schedule = None  # type: ignore[assignment] # unless it runs; so is x
    conditions: tuple[Tensor, ...] = ()
    x: Tensor = None  # type: ignore[assignment]

    @classmethod
    def of(
        cls,
        utterance: Utterance,
        prompt: ReferencePrompt,
        token_ids: list[int],
        runner: ModelRunner,
    ) -> Sequence:
        """As long as planned, and at least a frame longer than tokens and reference."""
        shortest = max(len(token_ids), prompt.frames) + 1
        frames = min(max(utterance.duration_frames, shortest), MAX_DURATION_FRAMES)
        frames = max(frames, prompt.frames + 1)
        seed, options = utterance.seed, utterance.options
        return cls(prompt, token_ids, frames, seed, options, runner=runner)

    @property
    def uses_cfg(self) -> bool:
        """Whether the unconditional branch is computed too."""
        return self.options.cfg_strength >= MIN_CFG_STRENGTH

    @property
    def step_tokens(self) -> int:
        """Frames that a step computes for it: twice its own with CFG."""
        return self.frames * (2 if self.uses_cfg else 1)

    @property
    def step_work(self) -> float:
        """Work of a step, to compare models of different sizes by."""
        return self.step_tokens * self.runner.token_work

    @property
    def steps_left(self) -> int:
        """ODE steps until its mel is complete."""
        return self.options.nfe_step - self.step

    def release(self, status: SequenceStatus) -> None:
        """Free all that it holds on the device, and set its status."""
        self.status, self.step = status, 0
        self.host_inputs, self.conditions = None, ()
        self.schedule = self.x = None  # type: ignore[assignment]


@dataclass(slots=True, eq=False)
class Request:
    """The utterances of one caller.

    Attributes:
        sequences: those that are not finished.
        check: called between steps; what it raises ends the request.
        finish_tag: virtual finish time of its last sequence.
        events: for the caller: an index and its wave, or how the request failed.
        cancelled: set when the caller has gone.
        released: set once the device holds nothing of the request any more.
    """

    sequences: list[Sequence]
    check: Callable[[], None] | None = None
    finish_tag: float = 0.0
    events: SimpleQueue[tuple[int, Wave] | BaseException] = field(default_factory=SimpleQueue)
    cancelled: bool = False
    released: threading.Event = field(default_factory=threading.Event)

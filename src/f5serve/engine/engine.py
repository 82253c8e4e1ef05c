"""Utterances in, waves out: the engine that clones a voice.

    Utterance -> Sequence -> Scheduler, ModelRunner: packed sequences, step by step -> mel -> Wave

A sequence owns its noise and its text; nothing of a request is kept once its waves are returned.
"""

from __future__ import annotations

import logging
import math
from collections import abc
from collections.abc import Callable, Mapping
from contextlib import closing

import torch

from f5serve.engine import attention, checkpoint, cpu, ops
from f5serve.engine.cuda import RunAheadLimit, SideStream
from f5serve.engine.cuda_graphs import FP8_TOLERANCE, GraphCapturer, Limits
from f5serve.engine.kernel_choice import Provide, use_kernels
from f5serve.engine.loop import EngineLoop
from f5serve.engine.model_runner import ModelRunner, max_batch_frames
from f5serve.engine.ops import set_ops
from f5serve.engine.quantize import quantize_blocks
from f5serve.engine.request import ReferencePrompt, Sequence
from f5serve.engine.schedule import ScheduleCache
from f5serve.engine.scheduler import Scheduler
from f5serve.engine.vocos import Vocos
from f5serve.errors import EngineFailed
from f5serve.text.markup import without_emoji
from f5serve.text.plan import spoken_ref_text
from f5serve.text.tokens import Vocab, tokenize
from f5serve.types import OnDone, SamplingOptions, Utterance, Wave
from f5serve.units import MAX_DURATION_FRAMES

log = logging.getLogger(__name__)


class F5Engine:
    """F5-TTS or E2-TTS with Vocos; see `types.Engine`."""

    kind = "f5"
    clones_voice = True
    warnings: tuple[str, ...] = ()
    concurrent = True
    max_text_bytes = 4 * MAX_DURATION_FRAMES

    def __init__(
        self,
        backbone: checkpoint.Backbone,
        schedules: ScheduleCache,
        vocoder: Vocos,
        vocab: Vocab,
        model: str,
    ) -> None:
        device, dtype = schedules.device, schedules.dtype
        self.model = model
        self._vocab = vocab
        self._schedules = schedules
        self._attention, attend = attention.choose(device, dtype)
        self._plain = ops.choose(device, dtype)
        self._fused = False
        self._precision = str(dtype).removeprefix("torch.")
        set_ops(backbone, self._plain)
        self.runner = ModelRunner(backbone, schedules, attend, vocoder)
        self.scheduler = Scheduler(max_batch_frames(device))
        self.loop = EngineLoop(self.runner, self.scheduler)
        self.runner.parallel_cfg = cpu.ParallelCfg.on(device)
        if device.type == "cuda":
            self.runner.run_ahead, self.runner.side_stream = RunAheadLimit(), SideStream(device)
            self.scheduler.by_cost = True
            # Libraries keep what they have found out by thread: a new one would begin anew.
            self.loop.idle_s = None

    def use_kernels(self, provide: Provide) -> None:
        """Compute steps with the project's own kernels, where a trial agrees.

        Raises:
            EngineFailed: code DEVICE_BROKEN, when the trial has ended all work on the device.
        """
        self._fused = use_kernels(self.runner, self._plain, provide)
        if not self._fused and not self.runner.is_healthy():
            raise EngineFailed(
                "The GPU stopped responding when its kernels were tested.",
                code="DEVICE_BROKEN",
                hint="Set F5_FUSED_KERNELS=off: steps are then computed with torch's own kernels.",
            )

    def use_graphs(self) -> None:
        """Capture steps in pauses and replay them, on a GPU whose attention allows it."""
        if self._attention == "varlen":
            device = self.runner.device
            tolerance = FP8_TOLERANCE if self._precision == "fp8" else None
            self.runner.enable_cuda_graphs(GraphCapturer(device), Limits.of(device), tolerance)
            assert self.runner.graphs is not None
            self.runner.graphs.request_usual()

    def use_fast_linear(self) -> None:
        """Compute the blocks' linear layers by oneDNN, or packed for MKL, where that is faster."""
        device, dtype = self._schedules.device, self._schedules.dtype
        if cpu.onednn_is_supported(device, dtype):
            cpu.enable_onednn(self.runner.backbone)
        elif cpu.mkl_is_supported(device, dtype):
            cpu.enable_mkl(self.runner.backbone)

    def quantize(self, dtype: str = "int8") -> None:
        """Quantise the blocks' linear layers to int8 or fp8, in place."""
        quantize_blocks(self.runner.backbone, dtype)
        self._precision = dtype

    @property
    def description(self) -> str:
        """Device, precision, attention and whether its own kernels compute, for a log line."""
        threads = f", {torch.get_num_threads()} threads" if self.runner.device.type == "cpu" else ""
        kernels = ", fused kernels" if self._fused else ""
        return f"{self.runner.device.type}, {self._precision}, {self._attention}{kernels}{threads}"

    @property
    def broken(self) -> bool:
        """Whether the device has failed for good."""
        return self.loop.broken

    def unspeakable(self, text: str) -> list[str]:
        """Characters of `text` that the vocabulary lacks, in order, each once."""
        return self._vocab.missing(text)

    def check_options(self, options: SamplingOptions) -> None:
        """See `types.Engine.check_options`."""
        self._schedules.check(options.nfe_step, options.sway_sampling_coef)

    def generate(
        self,
        utterances: abc.Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        """One wave for each utterance, 24 kHz, the reference cut off.

        May be called from several threads; see `types.Engine.generate`.

        Raises:
            EngineFailed: codes OUT_OF_MEMORY, DEVICE_BROKEN (both retryable), NOT_FINITE and
                STEP_FAILED.
            InvalidRequest: as `check_options`.
        """
        for options in {(u.options.nfe_step, u.options.sway_sampling_coef) for u in utterances}:
            self._schedules.prepare(*options)  # here, as others wait for the device
        waves: dict[int, Wave] = {}
        due = math.inf if deadline is None else deadline
        with closing(self.loop.run(self._sequences(utterances), check, due)) as finished:
            for index, wave in finished:
                waves[index] = wave
                if on_done is not None:
                    on_done(index, wave)
        return [waves[index] for index in range(len(utterances))]

    def estimate_s(self, utterances: abc.Sequence[Utterance]) -> float | None:
        """Seconds that the device needs for these alone; None before anything was measured."""
        return self.loop.estimate_s(self._sequences(utterances))

    def counters(self) -> Mapping[str, float]:
        """See `types.Engine.counters`."""
        return {**self.loop.counters(), "fused_kernels": float(self._fused)}

    def _sequences(self, utterances: abc.Sequence[Utterance]) -> list[Sequence]:
        prompts = {u.voice.revision: u.voice for u in utterances}
        made = {revision: ReferencePrompt.of(voice) for revision, voice in prompts.items()}
        return [
            Sequence.of(u, made[u.voice.revision], self._vocab.ids(tokenize(text)))
            for u in utterances
            for text in [without_emoji(spoken_ref_text(u.voice) + u.text)]
        ]

"""Utterances in, waves out: the engine that clones a voice.

    Utterance -> Draft -> batcher: Row -> packed rows, step by step -> mel -> Vocos -> Wave

A row owns its noise and its text; nothing of a request is kept once its waves are returned.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import torch
from torch import Tensor

from f5serve.engine import checkpoint, mkl, onednn, ops
from f5serve.engine.attention import choose
from f5serve.engine.batcher import Batcher
from f5serve.engine.cuda_graphs import CudaGraphCapturer, limits
from f5serve.engine.device import F5Device, batch_frames, with_reference
from f5serve.engine.fused import use
from f5serve.engine.graphs import FP8_TOLERANCE
from f5serve.engine.halves import ParallelCfg
from f5serve.engine.kernel_trial import Provide, use_kernels
from f5serve.engine.quantize import quantize_blocks
from f5serve.engine.rows import Draft, Reference, Row
from f5serve.engine.schedule import ScheduleCache
from f5serve.engine.stepping import Stepper
from f5serve.engine.streams import RunAheadLimit, SideStream
from f5serve.engine.vocoder import Vocos
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
        self._vocab = vocab
        self._schedules = schedules
        self._attention, attend = choose(schedules.device, schedules.dtype)
        self._plain = ops.choose(schedules.device, schedules.dtype)
        use(backbone, self._plain)
        halves = ParallelCfg.on(schedules.device)
        on_gpu = schedules.device.type == "cuda"
        pace = RunAheadLimit() if on_gpu else None
        stepper = Stepper(backbone, schedules, attend, halves, pace=pace)
        self.device = F5Device(stepper, vocoder, SideStream(schedules.device) if on_gpu else None)
        self.batcher = Batcher(self.device, batch_frames(schedules.device))
        if on_gpu:
            self.batcher.by_cost = True
            # Libraries keep what they have found out by thread: a new one would begin anew.
            self.batcher.idle_s = None
        self._fused = False
        self._precision = str(schedules.dtype).removeprefix("torch.")
        self.model = model

    def use_kernels(self, provide: Provide) -> None:
        """Compute steps with the project's own kernels, where a trial agrees.

        Raises:
            EngineFailed: code DEVICE_BROKEN, when the trial has ended all work on the device.
        """
        self._fused = use_kernels(self.device.stepper, self._plain, provide)
        if not self._fused and not self.device.responds():
            raise EngineFailed(
                "The GPU does not respond any more since its kernels were tried.",
                code="DEVICE_BROKEN",
                hint="Set F5_FUSED_KERNELS=off: steps are then computed with torch's own kernels.",
            )

    def use_graphs(self) -> None:
        """Record steps in idle time and replay them, on a GPU whose attention allows it."""
        if self._attention == "varlen":
            where = self.device.where
            tolerance = FP8_TOLERANCE if self._precision == "fp8" else None
            self.device.stepper.enable_cuda_graphs(
                CudaGraphCapturer(where), limits(where), tolerance
            )
            assert self.device.stepper.graphs is not None
            self.device.stepper.graphs.request_usual()

    def use_fast_linear(self) -> None:
        """Compute the blocks' linear layers with oneDNN, or packed for MKL, where it pays."""
        schedules, backbone = self.device.stepper.schedules, self.device.stepper.backbone
        if onednn.onednn_is_supported(schedules.device, schedules.dtype):
            onednn.enable_onednn(backbone)
        elif mkl.mkl_is_supported(schedules.device, schedules.dtype):
            mkl.pack_linear(backbone)

    def quantize(self, dtype: str = "int8") -> None:
        """Turn the blocks' linear layers to int8 or fp8, in place."""
        quantize_blocks(self.device.stepper.backbone, dtype)
        self._precision = dtype

    @property
    def description(self) -> str:
        """Device, precision, attention and whether its own kernels compute, for a log line."""
        threads = f", {torch.get_num_threads()} threads" if self.device.where.type == "cpu" else ""
        kernels = ", fused kernels" if self._fused else ""
        return f"{self.device.where.type}, {self._precision}, {self._attention}{kernels}{threads}"

    @property
    def broken(self) -> bool:
        """Whether the device has failed for good."""
        return self.batcher.broken

    def unspeakable(self, text: str) -> list[str]:
        """Characters of `text` that the vocabulary lacks, in order, each once."""
        return self._vocab.missing(text)

    def check_options(self, options: SamplingOptions) -> None:
        """See `types.Engine.check_options`."""
        self._schedules.check(options.nfe_step, options.sway_sampling_coef)

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        """One wave for each utterance, 24 kHz, the reference cut off.

        May be called from several threads; `types.Engine.generate` tells the rest.

        Raises:
            EngineFailed: codes OUT_OF_MEMORY, DEVICE_BROKEN (both retryable), NOT_FINITE and
                STEP_FAILED.
            InvalidRequest: as `check_options`.
        """
        for options in {(u.options.nfe_step, u.options.sway_sampling_coef) for u in utterances}:
            self._schedules.prepare(*options)  # here, as others wait for the device
        waves: dict[int, Wave] = {}
        with closing(self.batcher.run(self._drafts(utterances), check, deadline)) as finished:
            for index, wave in finished:
                waves[index] = wave
                if on_done is not None:
                    on_done(index, wave)
        return [waves[index] for index in range(len(utterances))]

    def estimate_s(self, utterances: Sequence[Utterance]) -> float | None:
        """Seconds that the device needs for these alone; None before anything was measured."""
        return self.batcher.estimate_s(self._drafts(utterances))

    def counters(self) -> Mapping[str, float]:
        """See `types.Engine.counters`."""
        return {**self.batcher.counters(), "fused_kernels": float(self._fused)}

    def _drafts(self, utterances: Sequence[Utterance]) -> list[Draft]:
        voices = {u.voice.revision: u.voice for u in utterances}
        references = {revision: Reference(voice) for revision, voice in voices.items()}
        return [
            Draft(u, references[u.voice.revision], self._vocab.ids(tokenize(text)))
            for u in utterances
            for text in [without_emoji(spoken_ref_text(u.voice) + u.text)]
        ]

    @torch.inference_mode()
    def sample(self, rows: Sequence[Row], check: Callable[[], None] | None = None) -> list[Tensor]:
        """Mels of rows, all at once and in this thread: for comparisons and measurements.

        Args:
            check: called before each step; what it raises ends the work.

        Returns:
            float32 [n N_MELS] each, the reference included.
        """
        stepper = self.device.stepper
        begun = [stepper.begin(row) for row in rows]
        while moving := [item for item in begun if not item.done]:
            if check is not None:
                check()
            stepper.step(moving)
        stepper.forget()
        return [with_reference(item.row, item.x) for item in begun]

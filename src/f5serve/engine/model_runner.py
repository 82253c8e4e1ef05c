"""The model runner: a sequence's first inputs, one ODE step of a batch, mels to waves.

The sequences of a step may differ in everything: length, schedule, time point, guidance. The result
of each does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import torch
from torch import Tensor

from f5serve.engine.attention import Attention
from f5serve.engine.checkpoint import Backbone
from f5serve.engine.cpu import ParallelCfg
from f5serve.engine.cuda import (
    GraphCapturer,
    GraphLimits,
    PendingCopy,
    RunAheadLimit,
    SideStream,
    free_bytes,
    pinned,
    to_device,
)
from f5serve.engine.cuda_graphs import CudaGraphCache, ModelSizes
from f5serve.engine.packing import BatchLayout, StepConditioning
from f5serve.engine.request import Sequence, SequenceStatus
from f5serve.engine.sampler import apply_cfg, embed_condition, initial_noise, restore_reference
from f5serve.engine.schedule import ScheduleCache
from f5serve.engine.step_cost import StepCostModel
from f5serve.engine.vocos import Vocos
from f5serve.errors import EngineFailed, F5Error
from f5serve.types import Wave

CPU_FRAMES = 256
GPU_FRAMES_PER_GB, MAX_GPU_FRAMES = 340, 16_384
"""7,500 frames where 22 GB are free."""


def max_batch_frames(device: torch.device) -> int:
    """Most mel frames of a step, by the memory that is free once the weights are loaded."""
    return CPU_FRAMES if device.type != "cuda" else gpu_batch_frames(free_bytes(device))


def gpu_batch_frames(free: int) -> int:
    """Most mel frames of a step where so many bytes are free."""
    return max(CPU_FRAMES, min(MAX_GPU_FRAMES, int(free / 1e9 * GPU_FRAMES_PER_GB)))


@dataclass(slots=True, eq=False)
class ModelRunner:
    """The model and the vocoder on their device; one thread calls it, except for `prepare`.

    Attributes:
        parallel_cfg: on CPUs, computes the two branches of CFG side by side.
        run_ahead, side_stream: on GPUs; the second is where mels become waves.
        graphs: CUDA graphs of steps, where they are enabled.
        cost: what its steps cost.
    """

    backbone: Backbone
    schedules: ScheduleCache
    attend: Attention
    vocoder: Vocos
    parallel_cfg: ParallelCfg | None = None
    run_ahead: RunAheadLimit | None = None
    side_stream: SideStream | None = None
    graphs: CudaGraphCache | None = None
    cost: StepCostModel = field(default_factory=StepCostModel)
    _last_batch: StepBatch | None = field(default=None, init=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.schedules.device

    @property
    def token_work(self) -> float:
        """See `ModelConfig.token_work`."""
        return self.schedules.config.token_work

    # A sequence starts, takes steps, and is vocoded.

    def prepare(self, seq: Sequence) -> None:
        """Make token ids and noise on the host, in the caller's thread."""
        with suppress(Exception):  # it fails again, for its request alone, when it starts
            if seq.status is SequenceStatus.WAITING and seq.host_inputs is None:
                seq.host_inputs = self._host_inputs(seq)

    def _host_inputs(self, seq: Sequence) -> tuple[Tensor, Tensor]:
        noise = initial_noise(seq.seed, seq.frames)
        return pinned(torch.tensor(seq.token_ids), self.device), pinned(noise, self.device)

    @torch.inference_mode()
    def start(self, seq: Sequence) -> None:
        """Noise, and what is computed once per sequence: text and reference mel.

        Raises:
            InvalidRequest: as `ScheduleCache.get`.
        """
        options = seq.options
        token_ids, noise = seq.host_inputs or self._host_inputs(seq)
        seq.schedule = self.schedules.get(options.nfe_step, options.sway_sampling_coef)
        ids = to_device(self.device, token_ids)
        seq.conditions = embed_condition(self.backbone, seq, ids, self.schedules.dtype)
        seq.x = to_device(self.device, noise)
        seq.step, seq.host_inputs = 0, None
        seq.status = SequenceStatus.RUNNING

    @torch.inference_mode()
    def step(self, sequences: list[Sequence]) -> None:
        """One Euler step of each sequence. Where this raises, none has moved."""
        batch = self._batch(sequences)
        xs = [seq.x for seq in batch.sequences]
        out = self._velocity(batch, torch.cat(xs).to(self.schedules.dtype))
        velocity = apply_cfg(out.float(), batch.cfg_strength)
        parts = velocity.split([len(x) for x in xs])
        # Two launches for all sequences on a GPU; `apply_cfg` made the velocity for this step.
        torch._foreach_mul_(parts, [seq.schedule.dt[seq.step] for seq in batch.sequences])
        moved = torch._foreach_add(xs, parts)
        for seq, x in zip(batch.sequences, moved, strict=True):
            seq.x = x
            seq.step += 1
        if self.run_ahead is not None:
            self.run_ahead.step_ended()

    def _batch(self, sequences: list[Sequence]) -> StepBatch:
        """The last one where the same sequences go on together."""
        if self._last_batch is None or set(self._last_batch.sequences) != set(sequences):
            self._last_batch = None  # its memory goes before more is taken
            time_token = self.backbone.has_time_token
            self._last_batch = StepBatch.of(sequences, time_token, self.parallel_cfg is not None)
        return self._last_batch

    def _velocity(self, batch: StepBatch, x: Tensor) -> Tensor:
        """Of all conditional frames, then of the unconditional ones: [m N_MELS]."""
        timestep = batch.timestep()
        if not batch.is_split or self.parallel_cfg is None:
            forward = self._forward if self.graphs is None else self.graphs.velocity
            return forward(x, batch.condition, timestep, batch.layout)
        conditional, unconditional = batch.condition.chunk(2)
        first, second = timestep.split_cfg()

        @torch.inference_mode()
        def branch(condition: Tensor, timestep: StepConditioning) -> Tensor:
            return self._forward(x, condition, timestep, batch.layout)

        return self.parallel_cfg.run(
            lambda: branch(conditional, first), lambda: branch(unconditional, second)
        )

    def _forward(
        self, x: Tensor, condition: Tensor, timestep: StepConditioning, layout: BatchLayout
    ) -> Tensor:
        return self.backbone(x, condition, timestep, layout, self.attend)

    @property
    def vocodes_in_batches(self) -> bool:
        """On a CPU, four mels in one run take up to 1.2 times as long as one by one."""
        return self.device.type == "cuda"

    @torch.inference_mode()
    def vocode(self, sequences: list[Sequence]) -> PendingWaves:
        """Mels through Vocos, at the loudness of the reference."""
        held = [tensor for seq in sequences for tensor in (seq.x, seq.prompt.mel(self.device))]
        if self.side_stream is None:
            return PendingWaves(None, self.sounds(sequences))
        copy = self.side_stream.run(lambda: self.sounds(sequences))
        return PendingWaves(copy, [], held)

    def sounds(self, sequences: list[Sequence]) -> list[Tensor]:
        """[nw + 1] of each sequence: its wave, then 1 if its mel is finite."""
        mels = [restore_reference(seq, seq.x)[seq.prompt.first_frame :] for seq in sequences]
        alone = len(mels) == 1
        waves = self.vocoder(mels[0][None]) if alone else self.vocoder.decode_batch(mels)
        return [
            torch.cat([wave * seq.prompt.gain, torch.isfinite(seq.x).all().to(wave.dtype)[None]])
            for wave, seq in zip(waves, sequences, strict=True)
        ]

    def sample(
        self, sequences: list[Sequence], check: Callable[[], None] | None = None
    ) -> list[Tensor]:
        """Mels of sequences, all at once and in this thread: for comparisons and measurements.

        Args:
            check: called before each step; what it raises ends the work.

        Returns:
            float32 [n N_MELS] each, the reference included.

        Raises:
            EngineFailed: code NOT_FINITE.
        """
        for seq in sequences:
            self.start(seq)
        while moving := [seq for seq in sequences if seq.steps_left]:
            if check is not None:
                check()
            self.step(moving)
        self.clear_batch()
        mels = [restore_reference(seq, seq.x) for seq in sequences]
        if not all(torch.isfinite(seq.x).all() for seq in sequences):
            raise not_finite()
        return mels

    # What goes on around the steps.

    def clear_batch(self) -> None:
        """Free what the last step's sequences share."""
        self._last_batch = None

    def enable_cuda_graphs(
        self, capturer: GraphCapturer, limits: GraphLimits, tolerance: float | None = None
    ) -> None:
        """Capture steps when there is time, and replay them from then on.

        `attend` must go by tensors alone, as `attention.varlen` does.
        """
        config, time_token = self.schedules.config, self.backbone.has_time_token
        sizes = ModelSizes(
            config.dim, config.n_modulations, time_token, self.device, self.schedules.dtype
        )
        self.graphs = CudaGraphCache(self._forward, sizes, capturer, limits, tolerance)

    def capture_pending(self) -> bool:
        """Capture a step that was often wanted; False when there is none."""
        return self.graphs is not None and self.graphs.capture_pending()

    def capture_overdue(self) -> bool:
        """The same for steps so often wanted that those who wait gain by it as well."""
        return self.graphs is not None and self.graphs.capture_overdue()

    def counters(self) -> dict[str, float]:
        """Steps that were replayed or not, graphs, and padding; see `types.Engine.counters`."""
        return {} if self.graphs is None else self.graphs.counters()

    def release_memory(self) -> None:
        """Drop CUDA graphs and empty the allocator's cache."""
        if self.graphs is not None:
            self.graphs.shrink()
        if self.device.type == "cuda":
            with suppress(RuntimeError):  # the allocator refuses after a capture has failed
                torch.cuda.empty_cache()

    def is_healthy(self) -> bool:
        """Whether the device still computes: after a sticky CUDA error every call fails."""
        if self.device.type != "cuda":
            return True
        try:
            torch.cuda.synchronize()
            return bool(torch.ones(1, device=self.device).sum().item() == 1)
        except RuntimeError:
            return False


@dataclass(frozen=True, slots=True, eq=False)
class StepBatch:
    """What stays the same while the same sequences take steps together.

    Attributes:
        sequences: in the order in which they are packed; those with CFG first.
        n_cfg: how many have CFG.
        layout: of both branches of CFG, or of one where `is_split`.
        condition: conditional branches of all sequences, then unconditional ones: [m d].
        cfg_strength: [k 1] for the k frames that have it.
        is_split: whether the branches of CFG are computed apart.
    """

    sequences: tuple[Sequence, ...]
    n_cfg: int
    layout: BatchLayout
    condition: Tensor
    cfg_strength: Tensor
    is_split: bool
    _indices: dict[tuple[int, ...], Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, sequences: Iterable[Sequence], time_token: bool, can_split: bool) -> StepBatch:
        """Pack sequences; equal lengths lie side by side, which attention takes as one batch."""
        order = sorted(sequences, key=lambda seq: (not seq.uses_cfg, seq.frames))
        with_cfg = [seq for seq in order if seq.uses_cfg]
        branches = [seq.conditions[0] for seq in order] + [seq.conditions[1] for seq in with_cfg]
        strengths = [seq.x.new_full((seq.frames, 1), seq.options.cfg_strength) for seq in with_cfg]
        is_split = can_split and len(with_cfg) == len(order)
        laid_out = branches[: len(order)] if is_split else branches
        device = branches[0].device
        return cls(
            tuple(order),
            len(with_cfg),
            BatchLayout.of([len(branch) for branch in laid_out], device, time_token),
            torch.cat(branches),
            torch.cat(strengths) if strengths else torch.empty(0, 1, device=device),
            is_split,
        )

    def timestep(self) -> StepConditioning:
        """Modulation of where the sequences are now; shared where they agree, which costs least."""
        points = [(seq.schedule, seq.step) for seq in self.sequences]
        distinct = list(dict.fromkeys(points))
        modulations = [schedule.modulation[step] for schedule, step in distinct]
        if len(modulations) == 1:
            return StepConditioning(modulations[0])
        index = {point: i for i, point in enumerate(distinct)}
        indices = tuple(index[point] for point in points + points[: self.n_cfg])
        if indices not in self._indices:  # the same while the sequences go on: copied once
            self._indices.clear()
            self._indices[indices] = to_device(self.condition.device, torch.tensor(indices))
        return StepConditioning(torch.stack(modulations), self._indices[indices])


@dataclass(slots=True, eq=False)
class PendingWaves:
    """Waves on their way to the host.

    Attributes:
        copy: None where the sounds are there.
        held: what the side stream reads, until it has.
    """

    copy: PendingCopy | None
    sounds: list[Tensor]
    held: list[Tensor] = field(default_factory=list)

    def ready(self) -> bool:
        """Whether `waves` does not wait."""
        return self.copy is None or self.copy.ready()

    def waves(self) -> list[Wave | F5Error]:
        """The wave of each sequence, or why it has none; waits once for all of them."""
        if self.copy is not None:
            self.sounds = [tensor.clone() for tensor in self.copy.wait()]
            self.copy = None
            self.held.clear()
        return [
            Wave(sound[:-1].numpy()) if sound[-1] == 1 else not_finite() for sound in self.sounds
        ]


def not_finite() -> EngineFailed:
    """The error of a sequence whose mel is not finite."""
    return EngineFailed(
        "The model produced numbers that are not finite.",
        code="NOT_FINITE",
        hint="Try another seed; if it happens again, the weights or the precision "
        "(F5_DTYPE=fp32) are the cause.",
    )

"""One ODE step of rows that may differ in everything: length, schedule, time point, guidance.

Rows flow in; each holds what it needs until it is a mel. What a row becomes does not depend on
the rows it shares a step with. Which rows share one is decided elsewhere (policy.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat

import torch
from torch import Tensor

from f5serve.engine import sampler
from f5serve.engine.attention import Attention
from f5serve.engine.buckets import ModelSizes
from f5serve.engine.checkpoint import Backbone
from f5serve.engine.dit import N_FINAL_MODULATIONS, N_MODULATIONS
from f5serve.engine.graphs import CudaGraphCache, GraphCapturer, Limits
from f5serve.engine.halves import ParallelCfg
from f5serve.engine.packing import BatchLayout, StepConditioning
from f5serve.engine.rows import Row
from f5serve.engine.schedule import Schedule, ScheduleCache
from f5serve.engine.streams import RunAheadLimit
from f5serve.engine.transfers import to_device


@dataclass(slots=True, eq=False)
class Begun:
    """A row between noise and mel.

    Attributes:
        dt: of the steps of its time grid.
        conditions: share of reference and text in the input [n d], without the reference and text
            as well where there is guidance.
        x: where it is, float32 [n N_MELS].
        step: steps that are behind it.
    """

    row: Row
    schedule: Schedule
    dt: tuple[float, ...]
    conditions: tuple[Tensor, ...]
    x: Tensor
    step: int = 0

    @property
    def done(self) -> bool:
        """Whether it is a mel."""
        return self.step == len(self.dt)


@dataclass(frozen=True, slots=True, eq=False)
class _Packed:
    """What stays the same while the same rows share steps.

    Attributes:
        rows: in the order in which they are packed; those with guidance first.
        condition: conditional halves of all rows, then unconditional ones: [m d].
        strength: of guidance, [k 1] for the k frames that have it.
        in_halves: whether the halves of guidance are computed apart; then `layout` is of one half,
            else of both.
        kept_places: those of the last timestep, on the device.
    """

    rows: tuple[Begun, ...]
    guided: int
    layout: BatchLayout
    condition: Tensor
    strength: Tensor
    in_halves: bool
    kept_places: dict[tuple[int, ...], Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[Begun], time_token: bool, can_halve: bool) -> _Packed:
        device = rows[0].x.device
        # Rows of one length side by side: attention takes them as one batch.
        order = sorted(rows, key=lambda b: (not b.row.guided, b.row.frames))
        guided = [begun for begun in order if begun.row.guided]
        halves = [b.conditions[0] for b in order] + [b.conditions[1] for b in guided]
        strengths = [b.x.new_full((len(b.x), 1), b.row.options.cfg_strength) for b in guided]
        in_halves = can_halve and len(guided) == len(order)
        laid_out = halves[: len(order)] if in_halves else halves
        return cls(
            tuple(order),
            len(guided),
            BatchLayout.of([len(half) for half in laid_out], device, time_token),
            torch.cat(halves),
            torch.cat(strengths) if guided else torch.empty(0, 1, device=device),
            in_halves,
        )

    def timestep(self) -> StepConditioning:
        """Where the rows are now; one table for all where they agree, which costs least."""
        points = [(begun.schedule, begun.step) for begun in self.rows]
        distinct = list(dict.fromkeys(points))
        tables = [schedule.modulation[step] for schedule, step in distinct]
        if len(tables) == 1:
            return StepConditioning(tables[0])
        place = {point: i for i, point in enumerate(distinct)}
        places = [place[point] for point in points + points[: self.guided]]
        return StepConditioning(torch.stack(tables), self._on_device(tuple(places)))

    def _on_device(self, places: tuple[int, ...]) -> Tensor:
        """The same while the rows go on together, so copied once."""
        if self.kept_places.get(places) is None:
            self.kept_places.clear()
            self.kept_places[places] = to_device(self.condition.device, torch.tensor(places))
        return self.kept_places[places]


@dataclass(slots=True, eq=False)
class Stepper:
    """A backbone and how to take a step with it."""

    backbone: Backbone
    schedules: ScheduleCache
    attend: Attention
    halves: ParallelCfg | None = None
    graphs: CudaGraphCache | None = None
    pace: RunAheadLimit | None = None
    _last: _Packed | None = field(default=None, init=False)

    @torch.inference_mode()
    def begin(self, row: Row) -> Begun:
        """Noise, and what is computed once per row.

        Raises:
            InvalidRequest: as `ScheduleCache.get`.
        """
        options = row.options
        schedule = self.schedules.get(options.nfe_step, options.sway_sampling_coef)
        text = self.backbone.text(row.tokens, row.frames, row.guided)
        mix = self.backbone.input
        conditions = [mix.embed_condition(row.cond.to(self.schedules.dtype), text[0])]
        if row.guided:
            conditions.append(mix.embed_condition(None, text[1]))
        noise = sampler.initial_noise(row.seed, row.frames) if row.noise is None else row.noise
        x = to_device(self.schedules.device, noise)
        return Begun(row, schedule, schedule.dt, tuple(conditions), x)

    @torch.inference_mode()
    def step(self, rows: Sequence[Begun]) -> None:
        """Take every row one step further. Where this raises, no row has moved."""
        packed = self._pack(rows)
        x = torch.cat([begun.x for begun in packed.rows])
        out = self._velocity(packed, x.to(self.schedules.dtype))
        velocity = sampler.apply_cfg(out.float(), packed.strength)
        parts = velocity.split([len(begun.x) for begun in packed.rows])
        dt = [begun.dt[begun.step] for begun in packed.rows]
        # Two launches for all rows on a GPU; the velocity was made by `apply_cfg` for this step.
        torch._foreach_mul_(parts, dt)
        moved = torch._foreach_add([begun.x for begun in packed.rows], parts)
        for begun, x in zip(packed.rows, moved, strict=True):
            begun.x = x
            begun.step += 1
        if self.pace is not None:
            self.pace.step_ended()

    def _velocity(self, packed: _Packed, x: Tensor) -> Tensor:
        """Of all conditional rows, then of the unconditional ones: [m N_MELS]."""
        timestep = packed.timestep()
        if not packed.in_halves or self.halves is None:
            take = self._eager if self.graphs is None else self.graphs.velocity
            return take(x, packed.condition, timestep, packed.layout)

        @torch.inference_mode()
        def half(condition: Tensor, timestep: StepConditioning) -> Tensor:
            return self._eager(x, condition, timestep, packed.layout)

        works = map(partial, repeat(half), packed.condition.chunk(2), timestep.split_cfg())
        return self.halves.run(*works)

    def _eager(
        self, x: Tensor, condition: Tensor, timestep: StepConditioning, layout: BatchLayout
    ) -> Tensor:
        return self.backbone(x, condition, timestep, layout, self.attend)

    def enable_cuda_graphs(
        self, recorder: GraphCapturer, limits: Limits, tolerance: float | None = None
    ) -> None:
        """Record steps when there is time, and replay them from then on.

        `attend` must go by the packing's tensors alone, as `attention.varlen` does.
        """
        arch = self.schedules.arch
        time_token = arch.backbone == "unett"
        rows = 1 if time_token else N_MODULATIONS * arch.depth + N_FINAL_MODULATIONS
        where = self.schedules.device, self.schedules.dtype
        sizes = ModelSizes(arch.dim, rows, time_token, *where)
        self.graphs = CudaGraphCache(self._eager, sizes, recorder, limits, tolerance)

    def forget(self) -> None:
        """Let go of the rows of the last step."""
        self._last = None

    def _pack(self, rows: Sequence[Begun]) -> _Packed:
        if self._last is None or set(self._last.rows) != set(rows):
            self._last = None  # its memory goes before more is taken
            time_token = self.schedules.arch.backbone == "unett"
            self._last = _Packed.of(rows, time_token, can_halve=self.halves is not None)
        return self._last

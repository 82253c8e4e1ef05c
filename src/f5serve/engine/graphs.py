"""Steps that were recorded once and are replayed: on a GPU, one launch for hundreds.

Steps flow in as the backbone takes them, velocities flow out; whether one was replayed can only be
told by the clock. What cannot be recorded, was not yet, or failed its trial is computed as without
this module. What a recording is, the recorder knows; when there is time for one, the batcher.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from f5serve.engine.buckets import MOST_TOKENS, Bucket, ModelSizes, StaticInputs, bucket_of
from f5serve.engine.memory import is_out_of_memory
from f5serve.engine.packing import BatchLayout, StepConditioning

log = logging.getLogger(__name__)

CAPTURE_AFTER = 8
"""Steps of a bucket after which it is recorded: more than a warm-up takes, about one request."""
CAPTURE_OVERDUE = 64
"""Steps of a bucket after which callers wait for its recording, should nobody ever be silent."""
USUAL_TOKENS = (1280, 2304)
"""Of guided rows of 7 and of 12 s, reference included: recorded at the start."""
TRIES = 2
"""After so many failures nothing is recorded any more."""
TOLERANCE = {torch.float16: 3e-3, torch.bfloat16: 4e-2, torch.float32: 1e-4}
"""Largest relative difference between a replayed step and the same step computed."""
FP8_TOLERANCE = 0.15
"""The same in fp8. A recording has other sizes, for which libraries take other kernels. One sum
that is rounded otherwise changes the roundings of all layers behind it, so the two differ by nearly
as much as fp8 does from fp32: 0.04 to 0.07. A recording that is wrong is off by about 1."""
COUNTED = ("graph_steps", "eager_steps", "graph_captures", "graph_failures", "padding_frames")
_FAULTS = (RuntimeError, TypeError, ValueError, AttributeError, ImportError, AssertionError)

Velocity = Callable[[Tensor, Tensor, StepConditioning, BatchLayout], Tensor]
"""A backbone: (x, condition, timestep, layout) -> [m N_MELS]"""


class CapturedGraph(Protocol):
    """Work that can be done again."""

    @property
    def memory(self) -> int:
        """Bytes that it holds."""
        ...

    def replay(self) -> None:
        """Do the same work on what its memory holds now."""
        ...


class GraphCapturer(Protocol):
    """Records work that reads and writes memory that stays where it is."""

    def record(self, work: Callable[[], None]) -> CapturedGraph:
        """Raises what torch raises when the work, or this device, cannot be recorded."""
        ...

    def forget(self) -> None:
        """All recordings are gone: what they shared may be freed."""
        ...


class Limits(NamedTuple):
    """How much recordings may take.

    Attributes:
        number: of them; the one that was not used for longest makes room.
        memory: bytes of all together.
    """

    number: int
    memory: int


@dataclass(slots=True, eq=False)
class _Graph:
    """A recording and its memory; trusted after its trial."""

    buffers: StaticInputs
    recording: CapturedGraph
    validated: bool = False

    @property
    def memory(self) -> int:
        return self.buffers.memory + self.recording.memory


class CudaGraphCache:
    """Recordings of one model, by bucket. Called from the device's thread alone.

    Args:
        run: computes a step.
        sizes: of the model.
        tolerance: of the trial; None goes by the type of what is computed.
    """

    def __init__(
        self,
        run: Velocity,
        sizes: ModelSizes,
        recorder: GraphCapturer,
        limits: Limits,
        tolerance: float | None = None,
    ) -> None:
        self.off = False
        self._tolerance = tolerance or TOLERANCE.get(sizes.dtype, min(TOLERANCE.values()))
        self._run = run
        self._sizes = sizes
        self._recorder = recorder
        self._limits = limits
        self._most_tokens = MOST_TOKENS
        self._graphs: OrderedDict[Bucket, _Graph] = OrderedDict()
        self._missed: Counter[Bucket] = Counter()
        self._evicted = 0
        self._totals = Counter(dict.fromkeys(COUNTED, 0))

    def velocity(
        self, x: Tensor, condition: Tensor, timestep: StepConditioning, layout: BatchLayout
    ) -> Tensor:
        """What `run` returns for these."""
        bucket = bucket_of(layout.mel.lengths, timestep.indices is not None)
        graph = None if bucket is None else self._graphs.get(bucket)
        if bucket is None or graph is None:
            self._miss(bucket)
            self._totals["eager_steps"] += 1
            return self._run(x, condition, timestep, layout)
        self._graphs.move_to_end(bucket)
        if not graph.validated:
            return self._validate(graph, x, condition, timestep, layout)
        replayed = self._replay(graph, x, condition, timestep, layout)
        if replayed is None:
            return self._run(x, condition, timestep, layout)
        fill = (bucket.tokens - len(condition)) * len(x) // len(condition)
        self._totals.update(graph_steps=1, padding_frames=fill)
        return replayed

    def capture_pending(self) -> bool:
        """Record what was missed most, as nobody waits; whether there was anything to do."""
        return self._record_most_missed(CAPTURE_AFTER)

    def capture_overdue(self) -> bool:
        """The same while callers wait, for what was missed so often that it pays them as well."""
        return self._record_most_missed(CAPTURE_OVERDUE)

    def request_usual(self) -> None:
        """Have the usual steps recorded with the first one that is taken."""
        for tokens in USUAL_TOKENS:
            bucket = bucket_of([tokens // 2 - 1] * 2, mixed=False)
            assert bucket is not None
            self._missed[bucket] = CAPTURE_OVERDUE

    def _record_most_missed(self, often: int) -> bool:
        wanted = [
            (count, bucket)
            for bucket, count in self._missed.items()
            if count >= often and bucket.tokens <= self._most_tokens
        ]
        if self.off or not wanted:
            return False
        _, bucket = max(wanted)
        del self._missed[bucket]
        self._record(bucket)
        return True

    def shrink(self) -> None:
        """Memory is short: give all of it back, and ask for less the next time."""
        largest = max((bucket.tokens for bucket in self._graphs), default=0)
        self._drop()
        if largest:
            self._most_tokens = min(self._most_tokens, largest // 2)

    def counters(self) -> dict[str, float]:
        """See `types.Engine.counters`."""
        return {**self._totals, "graphs": len(self._graphs)}

    def _miss(self, bucket: Bucket | None) -> None:
        if bucket is not None and not self.off:
            self._missed[bucket] += 1

    @torch.inference_mode()
    def _record(self, bucket: Bucket) -> None:
        try:
            buffers = StaticInputs.of(bucket, self._sizes)

            def work() -> None:
                b = buffers
                b.out.copy_(self._run(b.x, b.condition, b.timestep, b.layout))

            graph = _Graph(buffers, self._recorder.record(work))
        except (MemoryError, *_FAULTS) as error:
            if is_out_of_memory(error):
                self._no_larger(bucket)
            else:
                self._fail(bucket, f"could not be recorded: {_first_line(error)}")
        else:
            self._keep(bucket, graph)

    def _keep(self, bucket: Bucket, graph: _Graph) -> None:
        self._totals["graph_captures"] += 1
        if len(self._graphs) >= self._limits.number:
            _, oldest = self._graphs.popitem(last=False)
            self._evicted += oldest.recording.memory
        self._graphs[bucket] = graph
        if self._held > self._limits.memory:
            self._too_large(bucket)

    @property
    def _held(self) -> int:
        """Bytes. What a recording took of the pool that all share stays there when it goes."""
        return self._evicted + sum(graph.memory for graph in self._graphs.values())

    def _too_large(self, bucket: Bucket) -> None:
        """What recordings share is only freed with the last of them."""
        self._no_larger(bucket)
        self._drop()

    def _no_larger(self, bucket: Bucket) -> None:
        """Memory does not suffice for another one of this size."""
        log.info("no memory for recorded steps of %d tokens", bucket.tokens)
        self._most_tokens = bucket.tokens - 1

    def _drop(self) -> None:
        self._graphs.clear()
        self._missed.clear()
        self._evicted = 0
        self._recorder.forget()

    def _validate(
        self, graph: _Graph, *step: *tuple[Tensor, Tensor, StepConditioning, BatchLayout]
    ) -> Tensor:
        """Compute the step, replay it as well, and compare."""
        expected = self._run(*step)
        self._totals["eager_steps"] += 1
        if not torch.isfinite(expected).all():
            return expected  # a row that is not finite says nothing about the recording
        replayed = self._replay(graph, *step)
        if replayed is not None:
            difference = (replayed.float() - expected.float()).norm() / expected.float().norm()
            if difference <= self._tolerance:
                graph.validated = True
            else:
                self._fail(graph.buffers.bucket, f"is off by {difference:.1e} when replayed")
        return expected

    def _replay(
        self, graph: _Graph, *step: *tuple[Tensor, Tensor, StepConditioning, BatchLayout]
    ) -> Tensor | None:
        """The velocity by replay; None, and no more replays, when that failed."""
        x, condition, timestep, layout = step
        try:
            graph.buffers.copy_from(condition, layout, timestep, x)
            graph.recording.replay()
            return graph.buffers.out[: len(condition)].clone()
        except _FAULTS as error:
            if is_out_of_memory(error):  # as in any step
                raise
            self._fail(graph.buffers.bucket, f"failed in replay: {_first_line(error)}")
            return None

    def _fail(self, bucket: Bucket, reason: str) -> None:
        """Drop a recording; its bucket may be recorded once more, after `TRIES` in all nothing."""
        self._totals["graph_failures"] += 1
        graph = self._graphs.pop(bucket, None)
        if graph is not None:
            self._evicted += graph.recording.memory
        if self._totals["graph_failures"] < TRIES:
            log.warning("a recorded step of %s %s; it is tried once more", bucket, reason)
            return
        self.off = True
        self._drop()
        log.warning(
            "CUDA graphs are off, which costs speed alone: a step of %s %s. "
            "F5_CUDA_GRAPHS=off avoids the try.",
            bucket,
            reason,
        )


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).splitlines()[0]

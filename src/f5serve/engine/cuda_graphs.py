"""CUDA graphs of ODE steps: captured once, then replayed, one launch for hundreds.

A replayed step returns the same as a computed one. What cannot be captured, was not yet, or failed
its validation is computed as without this module. The capturer is injected; the engine loop decides
when there is time to capture.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from f5serve.engine.cuda import free_bytes, is_out_of_memory
from f5serve.engine.packing import BatchLayout, StepConditioning
from f5serve.engine.static_inputs import MAX_TOKENS, Bucket, ModelSizes, StaticInputs, bucket_of

log = logging.getLogger(__name__)
T = TypeVar("T")

CAPTURE_AFTER = 8
"""Steps of a bucket after which it is captured: more than a warm-up takes, about one request."""
CAPTURE_OVERDUE = 64
"""Steps of a bucket after which callers wait for its capture, should there never be a pause."""
USUAL_TOKENS = (1280, 2304)
"""Of sequences with CFG of 7 and of 12 s, reference included: captured at the start."""
MAX_FAILURES = 2
"""After so many failures nothing is captured any more."""
TOLERANCE = {torch.float16: 3e-3, torch.bfloat16: 4e-2, torch.float32: 1e-4}
"""Largest relative difference between a replayed step and the same step computed."""
FP8_TOLERANCE = 0.15
"""The same in fp8. A graph has other sizes, for which libraries take other kernels. One sum that is
rounded otherwise changes the roundings of all layers behind it, so the two differ by nearly as much
as fp8 does from fp32: 0.04 to 0.07. A graph that is wrong is off by about 1."""
MAX_GRAPHS = 16
MEMORY_SHARE = 16
"""Graphs may take one part in so many of the memory that is free once weights are loaded."""
CAPTURE_BYTES = 512 * 2**20
"""Bytes that are free where steps are captured: the largest graph takes 400 MB."""
WARM_UPS = 2
"""Libraries choose kernels and take their workspace before, not while, work is captured."""
COUNTED = ("graph_steps", "eager_steps", "graph_captures", "graph_failures", "padding_frames")
_FAULTS = (RuntimeError, TypeError, ValueError, AttributeError, ImportError, AssertionError)

Forward = Callable[[Tensor, Tensor, StepConditioning, BatchLayout], Tensor]
"""A backbone: (x, condition, timestep, layout) -> [m N_MELS]"""


class Limits(NamedTuple):
    """How much graphs may take.

    Attributes:
        number: of them; the one that was not used for longest makes room.
        memory: bytes of all together.
    """

    number: int
    memory: int

    @classmethod
    def of(cls, device: torch.device) -> Limits:
        """By what is free on this device now."""
        return cls(MAX_GRAPHS, free_bytes(device) // MEMORY_SHARE)


class CapturedGraph:
    """Work that can be done again.

    Args:
        memory: bytes by which the shared pool had to grow for it.
    """

    def __init__(self, memory: int, graph: torch.cuda.CUDAGraph | None = None) -> None:
        self.memory = memory
        self._graph = graph

    def replay(self) -> None:
        """Do the same work on what its memory holds now: one launch, on the current stream."""
        assert self._graph is not None
        self._graph.replay()


class GraphCapturer:
    """Captures work that reads and writes memory that stays where it is.

    All graphs take their memory from one pool and are captured on one stream. They never run at
    the same time and nothing in the pool outlives a replay, so they may all use the same of it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = None
        self._pool: Any = None

    def capture(self, work: Callable[[], None]) -> CapturedGraph:
        """Warm up beside the current stream, then capture.

        Raises what torch raises when the work, or this device, cannot be captured.
        """
        current = torch.cuda.current_stream(self._device)
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        try:
            return check_free_memory(
                lambda: self._capture(work, current), lambda: free_bytes(self._device)
            )
        finally:
            # A capture that fails in its end leaves its own stream current.
            torch.cuda.set_stream(current)

    def _capture(self, work: Callable[[], None], current: torch.cuda.Stream) -> CapturedGraph:
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                work()
        current.wait_stream(self._stream)
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved(self._device)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile; only this one must not do what has no place.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            work()
        grown = torch.cuda.memory_reserved(self._device) - before
        return CapturedGraph(max(0, grown), graph)

    def clear(self) -> None:
        """All graphs are gone: the next one starts a new pool."""
        self._pool = None


def check_free_memory(capture: Callable[[], T], free: Callable[[], int]) -> T:
    """What `capture` returns.

    A capture that runs out of memory cannot give any back meanwhile, and fails with words about
    something else; so what it needs is looked at before, and again where it failed.

    Args:
        free: bytes that may still be taken.

    Raises:
        torch.OutOfMemoryError: there was no room.
    """
    if free() < CAPTURE_BYTES:
        raise torch.OutOfMemoryError("too little memory is free to record a step")
    try:
        return capture()
    except RuntimeError as error:
        if not is_out_of_memory(error) and free() < CAPTURE_BYTES:
            raise torch.OutOfMemoryError(f"memory ran out in a recording: {error}") from error
        raise


@dataclass(slots=True, eq=False)
class _Entry:
    """A graph and its inputs; used once a replay was compared."""

    inputs: StaticInputs
    graph: CapturedGraph
    is_validated: bool = False

    @property
    def memory(self) -> int:
        return self.inputs.memory + self.graph.memory


class CudaGraphCache:
    """The graphs of one model, by bucket. Called by the device's thread alone.

    Args:
        forward: computes a step.
        sizes: of the model.
        tolerance: of the validation; None goes by the type of what is computed.
    """

    def __init__(
        self,
        forward: Forward,
        sizes: ModelSizes,
        capturer: GraphCapturer,
        limits: Limits,
        tolerance: float | None = None,
    ) -> None:
        self.off = False
        self._tolerance = tolerance or TOLERANCE.get(sizes.dtype, min(TOLERANCE.values()))
        self._forward = forward
        self._sizes = sizes
        self._capturer = capturer
        self._limits = limits
        self._max_tokens = MAX_TOKENS
        self._entries: OrderedDict[Bucket, _Entry] = OrderedDict()
        self._missed: Counter[Bucket] = Counter()
        self._evicted = 0
        self._totals = Counter(dict.fromkeys(COUNTED, 0))

    def velocity(
        self, x: Tensor, condition: Tensor, timestep: StepConditioning, layout: BatchLayout
    ) -> Tensor:
        """What `forward` returns for these."""
        step = x, condition, timestep, layout
        bucket = bucket_of(layout.mel.lengths, timestep.indices is not None)
        entry = None if bucket is None else self._entries.get(bucket)
        if bucket is None or entry is None:
            if bucket is not None and not self.off:
                self._missed[bucket] += 1
            self._totals["eager_steps"] += 1
            return self._forward(*step)
        self._entries.move_to_end(bucket)
        if not entry.is_validated:
            return self._validate(entry, *step)
        replayed = self._replay(entry, *step)
        if replayed is None:
            return self._forward(*step)
        padding = (bucket.tokens - len(condition)) * len(x) // len(condition)
        self._totals.update(graph_steps=1, padding_frames=padding)
        return replayed

    def _validate(
        self, entry: _Entry, *step: *tuple[Tensor, Tensor, StepConditioning, BatchLayout]
    ) -> Tensor:
        """Compute the step, replay it as well, and compare."""
        expected = self._forward(*step)
        self._totals["eager_steps"] += 1
        if not torch.isfinite(expected).all():
            return expected  # a sequence that is not finite says nothing about the graph
        replayed = self._replay(entry, *step)
        if replayed is not None:
            difference = (replayed.float() - expected.float()).norm() / expected.float().norm()
            if difference <= self._tolerance:
                entry.is_validated = True
            else:
                self._fail(entry.inputs.bucket, f"is off by {difference:.1e} when replayed")
        return expected

    def _replay(
        self, entry: _Entry, *step: *tuple[Tensor, Tensor, StepConditioning, BatchLayout]
    ) -> Tensor | None:
        """The velocity by replay; None, and no more replays, when that failed."""
        x, condition, timestep, layout = step
        try:
            entry.inputs.copy_from(condition, layout, timestep, x)
            entry.graph.replay()
            return entry.inputs.out[: len(condition)].clone()
        except _FAULTS as error:
            if is_out_of_memory(error):  # as in any step
                raise
            self._fail(entry.inputs.bucket, f"failed in replay: {_first_line(error)}")
            return None

    def capture_pending(self) -> bool:
        """Capture what was missed most, in a pause; whether there was anything to do."""
        return self._capture_most_missed(CAPTURE_AFTER)

    def capture_overdue(self) -> bool:
        """The same while callers wait, for what was missed so often that they gain as well."""
        return self._capture_most_missed(CAPTURE_OVERDUE)

    def request_usual(self) -> None:
        """Have the usual steps captured with the first one that is taken."""
        for tokens in USUAL_TOKENS:
            bucket = bucket_of([tokens // 2 - 1] * 2, mixed=False)
            assert bucket is not None
            self._missed[bucket] = CAPTURE_OVERDUE

    def _capture_most_missed(self, at_least: int) -> bool:
        wanted = [
            (count, bucket)
            for bucket, count in self._missed.items()
            if count >= at_least and bucket.tokens <= self._max_tokens
        ]
        if self.off or not wanted:
            return False
        _, bucket = max(wanted)
        del self._missed[bucket]
        self._capture(bucket)
        return True

    @torch.inference_mode()
    def _capture(self, bucket: Bucket) -> None:
        try:
            inputs = StaticInputs.of(bucket, self._sizes)

            def work() -> None:
                i = inputs
                i.out.copy_(self._forward(i.x, i.condition, i.timestep, i.layout))

            entry = _Entry(inputs, self._capturer.capture(work))
        except (MemoryError, *_FAULTS) as error:
            if is_out_of_memory(error):
                self._no_larger(bucket)
            else:
                self._fail(bucket, f"could not be recorded: {_first_line(error)}")
        else:
            self._keep(bucket, entry)

    def _keep(self, bucket: Bucket, entry: _Entry) -> None:
        self._totals["graph_captures"] += 1
        if len(self._entries) >= self._limits.number:
            _, oldest = self._entries.popitem(last=False)
            self._evicted += oldest.graph.memory
        self._entries[bucket] = entry
        # What a graph took of the pool that all share stays there when it goes, and is only freed
        # with the last of them.
        held = self._evicted + sum(entry.memory for entry in self._entries.values())
        if held > self._limits.memory:
            self._no_larger(bucket)
            self._drop()

    def shrink(self) -> None:
        """Memory is short: give all of it back, and ask for less the next time."""
        largest = max((bucket.tokens for bucket in self._entries), default=0)
        self._drop()
        if largest:
            self._max_tokens = min(self._max_tokens, largest // 2)

    def counters(self) -> dict[str, float]:
        """See `types.Engine.counters`."""
        return {**self._totals, "graphs": len(self._entries)}

    def _no_larger(self, bucket: Bucket) -> None:
        """Memory does not suffice for another one of this size."""
        log.info("no memory for recorded steps of %d tokens", bucket.tokens)
        self._max_tokens = bucket.tokens - 1

    def _drop(self) -> None:
        self._entries.clear()
        self._missed.clear()
        self._evicted = 0
        self._capturer.clear()

    def _fail(self, bucket: Bucket, reason: str) -> None:
        """Drop a graph; its bucket may be captured again, after `MAX_FAILURES` in all nothing."""
        self._totals["graph_failures"] += 1
        entry = self._entries.pop(bucket, None)
        if entry is not None:
            self._evicted += entry.graph.memory
        if self._totals["graph_failures"] < MAX_FAILURES:
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

"""Steps that are filled up, recorded and replayed are the steps that they stand for."""

from __future__ import annotations

import gc
import random
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.engine import checkpoint
from f5serve.engine.attention import varlen
from f5serve.engine.cuda import GraphLimits
from f5serve.engine.cuda_graphs import (
    CAPTURE_AFTER,
    CAPTURE_OVERDUE,
    FP8_TOLERANCE,
    MAX_FAILURES,
    MAX_TOKENS,
    SEQUENCES,
    USUAL_TOKENS,
    Bucket,
    CudaGraphCache,
    ModelSizes,
    StaticInputs,
    bucket_of,
)
from f5serve.engine.engine import F5Engine
from f5serve.engine.model_runner import ModelRunner
from f5serve.engine.request import Sequence
from tests.engine.tape import NotRecordable, Tape, TapeCapturer, masked
from tests.engine.test_engine import speaker, utterance, voice
from tests.engine.test_loop import NO_MEMORY
from tests.engine.test_mixing import E2, KINDS, V1, Mixture, check, not_finite
from tests.engine.test_number_formats import NEEDS_FP8
from tests.parity.cases import row, small
from tests.parity.ours import engine_of, error, sequence_of, started

ROOMY = GraphLimits(16, 2**40)


def replaying(
    runner: ModelRunner, limits: GraphLimits = ROOMY, tolerance: float | None = None
) -> TapeCapturer:
    """The recorder of a runner that records from now on."""
    recorder = TapeCapturer()
    runner.parallel_cfg, runner.attend = None, masked
    runner.enable_cuda_graphs(recorder, limits, tolerance)
    return recorder


def recorded(graphs: CudaGraphCache) -> int:
    """How many pieces of idle time were made use of."""
    return sum(1 for _ in range(100) if graphs.capture_pending())


class Steps:
    """One model, and steps of rows of given lengths.

    Attributes:
        recorder: of the runner, which replays.
    """

    def __init__(self, name: str = V1, limits: GraphLimits = ROOMY) -> None:
        arch = replace(small(name), depth=2)
        self.prepared: Callable[..., Sequence] = lambda frames, **kind: sequence_of(
            row(arch, "x", frames, nfe_step=32, **kind)
        )
        engine = engine_of(row(arch, "x", 40))
        self.runner = engine.runner
        self.recorder = replaying(self.runner, limits)
        assert self.runner.graphs is not None
        self.graphs = self.runner.graphs

    def begin(self, *lengths: int, **kind: Any) -> list[Sequence]:
        return [started(self.runner, self.prepared(n, **kind)) for n in lengths]

    def take(self, rows: list[Sequence], times: int = 1) -> None:
        for _ in range(times):
            self.runner.step(rows)

    def get_ready(self, *lengths: int) -> None:
        """Have steps of these lengths recorded, but not tried."""
        self.take(self.begin(*lengths), CAPTURE_AFTER)
        assert self.graphs.capture_pending()

    def counted(self, name: str) -> float:
        return self.graphs.counters()[name]


@pytest.fixture(scope="module", params=[V1, "F5TTS_Base", E2])
def model(request: pytest.FixtureRequest) -> Steps:
    return Steps(request.param)


rows_of_a_step = st.lists(
    st.tuples(st.integers(20, 150), st.sampled_from([0.0, 0.7, 2.0]), st.integers(0, 6)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=12)
@given(asked=rows_of_a_step, together=st.booleans())
def test_a_step_that_is_filled_up_is_the_step(
    model: Steps, asked: list[tuple[int, float, int]], together: bool
) -> None:
    begun = []
    for frames, strength, step in asked:
        (item,) = model.begin(frames, cfg_strength=strength)
        item.step = 3 if together else step
        begun.append(item)
    packed = model.runner._batch(begun)
    timestep = packed.timestep()
    x = torch.cat([item.x for item in packed.sequences])
    bucket = bucket_of(packed.layout.mel.lengths, timestep.indices is not None)
    assert bucket is not None
    with torch.inference_mode():
        buffers = StaticInputs.of(bucket, model.graphs._sizes)
        for tensor in (buffers.x, buffers.condition):  # what an earlier step may have left
            tensor.fill_(float("nan"))
        buffers.copy_from(packed.condition, packed.layout, timestep, x)
        run = model.runner._forward
        got = run(buffers.x, buffers.condition, buffers.timestep, buffers.layout)
        plain = run(x, packed.condition, timestep, packed.layout)
    assert torch.isfinite(got).all()
    assert error(got[: len(plain)], plain) <= 1e-6


@settings(max_examples=6)
@given(starts=st.tuples(*[st.integers(0, 6)] * len(KINDS)), seed=st.integers(0, 1000))
def test_rows_that_come_and_go_equal_their_singles_when_replay(
    replayed: Mixture, starts: tuple[int, ...], seed: int
) -> None:
    graphs = replayed.runner.graphs
    assert graphs is not None
    check(replayed, replayed.together(starts, random.Random(seed)), 1e-5)
    recorded(graphs)
    before = graphs.counters()
    check(replayed, replayed.together(starts, random.Random(seed)), 1e-5)
    after = graphs.counters()
    assert after["graph_failures"] == 0
    assert sum(after[k] - before[k] for k in ("graph_steps", "eager_steps")) > 0


@pytest.fixture(scope="module", params=[V1, E2])
def replayed(request: pytest.FixtureRequest) -> Mixture:
    mixture = Mixture(request.param)
    replaying(mixture.runner)
    return mixture


def test_one_recording_serves_every_mixture_of_its_bucket() -> None:
    steps = Steps()
    steps.get_ready(100)
    for lengths in ((60, 33), (120,), (30, 40, 50)):
        mine, plain = steps.begin(*lengths), steps.begin(*lengths)
        steps.take(mine, 2)
        steps.runner.graphs = None
        steps.take(plain, 2)
        steps.runner.graphs = steps.graphs
        for one, other in zip(mine, plain, strict=True):
            assert error(one.x, other.x) <= 1e-6
    # (100,) and (60, 33) and (120,) share 256 tokens in 4 or 8 sequences.
    assert len(steps.recorder.tapes) == 1
    assert steps.counted("graph_steps") > 0


def test_rows_at_time_points_of_their_own_take_recordings_of_their_own() -> None:
    steps = Steps()
    steps.get_ready(40, 50)
    first, second = steps.begin(40, 50)
    steps.take([first])
    steps.take([first, second], CAPTURE_AFTER)
    assert steps.counted("graph_steps") == 0
    assert steps.graphs.capture_pending()
    steps.take([first, second], 3)
    assert steps.counted("graph_steps") == 2  # the first was its trial
    alone = steps.begin(40)
    steps.runner.graphs = None
    steps.take(alone, first.step)
    assert error(first.x, alone[0].x) <= 1e-5


def test_nothing_is_recorded_before_it_was_wanted_and_nobody_waits() -> None:
    steps = Steps()
    rows = steps.begin(80)
    assert not steps.graphs.capture_pending()
    steps.take(rows, CAPTURE_AFTER - 1)
    assert not steps.graphs.capture_pending()
    steps.take(rows, 10)
    assert steps.recorder.tapes == []
    assert recorded(steps.graphs) == 1
    assert steps.counted("graph_captures") == 1
    assert not steps.graphs.capture_pending()


def test_what_was_missed_most_is_recorded_first() -> None:
    steps = Steps()
    steps.take(steps.begin(70), CAPTURE_AFTER)
    steps.take(steps.begin(170), CAPTURE_AFTER + 2)
    assert steps.graphs.capture_pending()
    assert list(steps.graphs._entries) == [Bucket(384, 4, False)]


def test_the_first_step_of_a_recording_is_computed_as_well() -> None:
    steps = Steps()
    steps.get_ready(80)
    rows = steps.begin(80)
    eager = steps.counted("eager_steps")
    steps.take(rows)
    assert steps.counted("eager_steps") == eager + 1
    assert [tape.replays for tape in steps.recorder.tapes] == [1]
    steps.take(rows, 3)
    assert steps.counted("eager_steps") == eager + 1
    assert steps.counted("graph_steps") == 3
    assert steps.counted("padding_frames") == 3 * (256 - 160) // 2


class Wrong(Tape):
    """A recording that does something else."""

    def replay(self) -> None:
        super().replay()
        for _, args, _, _ in self._calls[-1:]:  # it ends by writing the velocity
            args[0].mul_(1.01)


class Ends(Tape):
    """A recording that cannot be replayed."""

    def replay(self) -> None:
        raise RuntimeError("no such stream")


@pytest.mark.parametrize("fault", ["unrecordable", "wrong", "ends"])
def test_what_does_not_prove_itself_is_never_used(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    steps = Steps()
    plain = steps.begin(80)
    steps.take(plain, 2 * CAPTURE_AFTER + 3)
    if fault == "unrecordable":
        steps.recorder.fails = NotRecordable("operation not permitted when stream is capturing")
    rows = steps.begin(80)
    for failures in range(1, MAX_FAILURES + 1):
        assert not steps.graphs.off
        assert steps.graphs.capture_pending()
        for tape in steps.recorder.tapes:
            tape.__class__ = {"wrong": Wrong, "ends": Ends}[fault]
        steps.take(rows, CAPTURE_AFTER + 1 if failures < MAX_FAILURES else 1)
        assert steps.counted("graph_failures") == failures
    steps.take(rows, plain[0].step - rows[0].step)
    assert torch.equal(rows[0].x, plain[0].x)
    assert steps.graphs.off
    assert not steps.graphs.capture_pending()
    counted = steps.graphs.counters()
    assert (counted["graph_steps"], counted["graphs"]) == (0, 0)
    told = [record.message for record in caplog.records]
    assert ["tried once more" in message for message in told] == [True, False]
    assert "CUDA graphs are off" in told[-1]


def test_a_bucket_that_failed_once_is_recorded_again() -> None:
    steps = Steps()
    steps.get_ready(150)
    steps.take(steps.begin(150), 2)
    steps.get_ready(80)
    steps.recorder.tapes[-1].__class__ = Wrong
    steps.take(steps.begin(80), 2)
    assert not steps.graphs.off
    assert [bucket.tokens for bucket in steps.graphs._entries] == [384]  # the other one stays
    steps.get_ready(80)
    before = steps.counted("graph_steps")
    steps.take(steps.begin(80), 4)
    assert steps.counted("graph_steps") == before + 3
    assert steps.counted("graph_failures") == 1


def test_what_is_missed_all_the_time_is_recorded_although_nobody_pauses() -> None:
    steps = Steps()
    for _ in range(CAPTURE_OVERDUE):
        assert not steps.graphs.capture_overdue()
        steps.take(steps.begin(80))
    assert steps.graphs.capture_overdue()
    assert not steps.graphs.capture_overdue()
    steps.take(steps.begin(80), 3)
    assert steps.counted("graph_steps") == 2


def test_usual_steps_are_recorded_before_they_were_missed() -> None:
    steps = Steps()
    steps.graphs.request_usual()
    while steps.graphs.capture_overdue():
        pass
    assert sorted(bucket.tokens for bucket in steps.graphs._entries) == sorted(USUAL_TOKENS)
    steps.take(steps.begin(7 * 94 - 50), 3)
    assert steps.counted("graph_steps") == 2


def test_what_an_evicted_recording_took_of_the_pool_is_counted() -> None:
    steps = Steps(limits=GraphLimits(1, 6_000_000))
    steps.recorder.each = 2_500_000
    for frames in (60, 90):
        steps.get_ready(frames)
        assert steps.counted("graphs") == 1
    steps.get_ready(150)  # it alone would fit; the pool has what all three took
    assert steps.counted("graphs") == 0
    assert steps.recorder.cleared == 1
    steps.get_ready(60)
    assert steps.counted("graphs") == 1


def test_bfloat16_is_compared_by_a_tolerance_of_its_own() -> None:
    steps = Steps()
    steps.runner.graphs = None
    steps.runner.backbone.bfloat16()
    steps.runner.schedules.dtype = torch.bfloat16
    steps.runner.schedules.__post_init__()
    steps.recorder = replaying(steps.runner)
    assert steps.runner.graphs is not None
    steps.graphs = steps.runner.graphs
    steps.get_ready(80)
    steps.take(steps.begin(80), 3)
    assert steps.counted("graph_steps") == 2


@NEEDS_FP8
@pytest.mark.parametrize(("off", "used"), [(1.0, 2), (1.1, 2), (1.2, 0)])
def test_fp8_is_recorded_and_compared_by_a_tolerance_of_its_own(off: float, used: int) -> None:
    class Off(Tape):
        def replay(self) -> None:
            super().replay()
            self._calls[-1][1][0].mul_(off)  # it ends by writing the velocity

    case = row(replace(small(V1), depth=2), "x", 80, nfe_step=32)
    engine = engine_of(case, torch.bfloat16)
    engine.quantize("fp8")
    runner = engine.runner
    recorder = replaying(runner, tolerance=FP8_TOLERANCE)
    graphs = runner.graphs
    assert graphs is not None
    for _ in range(CAPTURE_AFTER):
        runner.step([started(runner, sequence_of(case))])
    assert graphs.capture_pending()
    assert "aten::_scaled_mm" in {name.split(".")[0] for name in recorder.tapes[0].names}
    recorder.tapes[0].__class__ = Off
    rows = [started(runner, sequence_of(case))]
    for _ in range(3):
        runner.step(rows)
    assert graphs.counters()["graph_steps"] == used


def test_a_trusted_recording_that_fails_later_is_made_up_for() -> None:
    steps = Steps()
    steps.get_ready(80)
    rows, plain = steps.begin(80), steps.begin(80)
    steps.take(rows, 3)
    steps.recorder.tapes[0].__class__ = Ends
    steps.take(rows, 2)
    steps.runner.graphs = None
    steps.take(plain, 5)
    assert error(rows[0].x, plain[0].x) <= 1e-6


def test_attention_that_goes_by_lengths_in_python_is_found_out() -> None:
    """What a recording bakes in is right for its own mixture at most."""
    from f5serve.engine.attention import sdpa

    steps = Steps()
    steps.runner.attend = sdpa
    steps.get_ready(80)
    steps.take(steps.begin(70), 2)
    assert steps.counted("graph_failures") == 1


def test_a_row_that_is_not_finite_is_no_verdict() -> None:
    steps = Steps()
    steps.get_ready(80)
    broken = replace(steps.prepared(80), prompt=not_finite(26))
    begun = started(steps.runner, broken)
    steps.take([begun], 2)
    assert not torch.isfinite(begun.x).all()
    assert not steps.graphs.off
    good, plain = steps.begin(80), steps.begin(80)
    steps.take(good, 4)
    assert steps.counted("graph_steps") == 3
    steps.runner.graphs = None
    steps.take(plain, 4)
    assert error(good[0].x, plain[0].x) <= 1e-6


def test_numbers_that_are_not_finite_leave_nothing_behind_in_a_recording() -> None:
    steps = Steps()
    steps.get_ready(100)
    steps.take(steps.begin(100), 2)
    broken = replace(steps.prepared(128), prompt=not_finite(42))
    steps.take([started(steps.runner, broken)], 2)
    good, plain = steps.begin(66), steps.begin(66)
    steps.take(good, 2)
    steps.runner.graphs = None
    steps.take(plain, 2)
    assert error(good[0].x, plain[0].x) <= 1e-6


def test_what_was_not_used_for_longest_makes_room() -> None:
    steps = Steps(limits=GraphLimits(2, 2**40))
    for frames in (60, 90):
        steps.get_ready(frames)
    steps.take(steps.begin(60), 2)
    steps.get_ready(150)
    assert [bucket.tokens for bucket in steps.graphs._entries] == [128, 384]


def test_recordings_that_take_too_much_memory_are_dropped_and_not_made_again() -> None:
    steps = Steps(limits=GraphLimits(16, 3_000_000))
    steps.get_ready(60)
    assert steps.counted("graphs") == 1
    steps.recorder.each = 3_000_000
    steps.get_ready(150)
    assert steps.counted("graphs") == 0
    assert steps.recorder.cleared == 1
    assert not steps.graphs.off
    steps.take(steps.begin(150), 2 * CAPTURE_AFTER)
    assert not steps.graphs.capture_pending()
    steps.recorder.each = 1000
    steps.get_ready(60)
    assert steps.counted("graphs") == 1


@pytest.mark.parametrize("error", NO_MEMORY)
def test_no_memory_to_record_with_is_no_failure(error: Exception) -> None:
    steps = Steps()
    steps.get_ready(90)
    steps.recorder.fails = error
    for frames in (300, 150):  # as many as would turn graphs off, were they failures
        steps.get_ready(frames)
    steps.recorder.fails = None
    assert (steps.counted("graphs"), steps.counted("graph_failures")) == (1, 0)
    steps.take(steps.begin(90), 2)
    assert steps.counted("graph_steps") > 0  # what was recorded before is still replayed
    steps.get_ready(60)
    assert steps.counted("graphs") == 2


class Full(Tape):
    """A recording whose replay meets a full device."""

    def replay(self) -> None:
        """As a kernel that is loaded late."""
        raise torch.AcceleratorError("CUDA error: out of memory")


def test_no_memory_to_replay_with_is_as_in_any_step() -> None:
    steps = Steps()
    steps.get_ready(90)
    (entry,) = steps.graphs._entries.values()
    entry.graph = Full(1)
    with pytest.raises(torch.AcceleratorError, match="out of memory"):
        steps.take(steps.begin(90), 1)
    assert steps.counted("graph_failures") == 0


def test_memory_that_steps_need_is_given_back() -> None:
    steps = Steps()
    steps.get_ready(60)
    steps.get_ready(150)
    steps.runner.release_memory()
    assert steps.counted("graphs") == 0
    assert steps.recorder.cleared == 1
    steps.take(steps.begin(150), CAPTURE_AFTER)
    assert not steps.graphs.capture_pending()  # from now on at most half as large
    steps.get_ready(60)


def test_a_recording_holds_no_row() -> None:
    steps = Steps()
    steps.get_ready(80)
    rows = steps.begin(80)
    steps.take(rows, 3)
    condition = steps.runner._batch(rows).condition
    held = [weakref.ref(condition), weakref.ref(rows[0].x), weakref.ref(rows[0].conditions[0])]
    gc.disable()
    try:
        steps.runner.clear_batch()
        del condition, rows
        assert [ref() for ref in held] == [None] * 3
    finally:
        gc.enable()


@settings(max_examples=200)
@given(lengths=st.lists(st.integers(1, 4096), min_size=1, max_size=80), mixed=st.booleans())
def test_buckets_hold_what_they_are_for(lengths: list[int], mixed: bool) -> None:
    total, bucket = sum(lengths), bucket_of(lengths, mixed)
    if total > MAX_TOKENS or len(lengths) >= SEQUENCES[-1]:
        assert bucket is None
        return
    assert bucket is not None
    assert bucket.mixed is mixed
    assert total <= bucket.tokens <= max(total + 127, total * 9 / 8)
    assert len(lengths) < bucket.sequences <= max(4, 2 * len(lengths) + 2)


@pytest.mark.parametrize("name", [V1, "F5TTS_Base", E2])
@pytest.mark.parametrize("mixed", [False, True])
def test_what_is_recorded_never_leaves_the_device(name: str, mixed: bool) -> None:
    """On a device that cannot be read at all, with the attention that GPUs have."""
    arch, nowhere = small(name), torch.device("meta")
    with torch.inference_mode():
        model = checkpoint.build(arch).half()
        sizes = ModelSizes(arch.dim, arch.n_modulations, name == E2, nowhere, torch.float16)
        b = StaticInputs.of(Bucket(512, 8, mixed), sizes)
        tape = TapeCapturer().capture(
            lambda: b.out.copy_(model(b.x, b.condition, b.timestep, b.layout, varlen))
        )
    assert tape.devices == {"meta"}
    assert tape.names.count("aten::_flash_attention_forward") == arch.depth


def test_a_tape_refuses_what_a_gpu_refuses() -> None:
    x = torch.arange(6.0)
    for work in (
        lambda: x.sum().item(),
        lambda: x[x > 2],
        lambda: x.nonzero(),
        lambda: x * torch.tensor([1.0] * 6),
        lambda: x if x.sum() > 0 else -x,
    ):
        with pytest.raises(NotRecordable), torch.inference_mode():
            TapeCapturer().capture(work)


def test_a_tape_does_again_what_was_recorded() -> None:
    x, out = torch.arange(6.0), torch.zeros(2)
    with torch.inference_mode():
        tape = TapeCapturer().capture(lambda: out.copy_(x.view(2, 3).mul_(2).sum(1)))
        x.fill_(1.0)
        tape.replay()
    assert out.tolist() == [6.0, 6.0]


def test_an_engine_records_while_nobody_waits_and_says_the_same() -> None:
    engine: F5Engine = speaker()
    asked = [utterance("a", 150, voice(1)), utterance("b", 130, voice(1))]
    engine.scheduler.resize(1024)
    engine.runner.parallel_cfg, engine.runner.attend = None, masked
    before = engine.generate(asked)
    recorder = replaying(engine.runner)
    for _ in range(3):
        engine.generate(asked)
    ended = time.monotonic() + 60
    while engine.counters()["graph_captures"] < 1 and time.monotonic() < ended:
        time.sleep(0.01)
    while engine.runner.graphs.capture_pending():  # type: ignore[union-attr]
        pass
    after = engine.generate(asked)
    counted = engine.counters()
    assert recorder.tapes
    assert counted["graph_steps"] > 0
    assert counted["padding_frames"] > 0
    for one, other in zip(after, before, strict=True):
        assert torch.allclose(torch.tensor(one.samples), torch.tensor(other.samples), atol=1e-5)

"""The engine loop, with a runner that only counts."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from f5serve.engine.loop import PREPARE_AHEAD, EngineLoop
from f5serve.engine.model_runner import ModelRunner, PendingWaves
from f5serve.engine.request import ReferencePrompt, Sequence, SequenceStatus
from f5serve.engine.scheduler import FIRST_STEPS, Scheduler
from f5serve.engine.step_cost import StepCostModel
from f5serve.errors import EngineFailed, F5Error, InvalidRequest
from f5serve.types import SamplingOptions, Wave

PROMPT = ReferencePrompt.from_mel(torch.zeros(51, 100))
LIMIT_S = 60.0


class Named(Sequence):
    """A sequence that knows what it is called."""

    name: str


def sequence(name: str, frames: int = 100, steps: int = 4) -> Named:
    options = SamplingOptions(nfe_step=steps, cfg_strength=0.0)
    made = Named(PROMPT, [1], frames, 0, options)
    made.name = name
    return made


class Waves(PendingWaves):
    """Waves of the counting runner on their way."""

    def __init__(self, runner: Counting, waves: list[Wave | F5Error]) -> None:
        self.runner, self.there = runner, waves

    def ready(self) -> bool:
        return not self.runner.slow

    def waves(self) -> list[Wave | F5Error]:
        self.runner.waits += not self.ready()
        return self.there


class Counting(ModelRunner):
    """A runner without a model that notes who took part in each step, and fails as it is told.

    Attributes:
        fails: called with the sequences of a step before it is taken.
        gate: when it is set, each step waits for a permit.
        spare: how often it has something to capture in a pause.
        slow: its waves are not there by themselves; `waits` counts how often they were waited for.
        overdue: how often it has something to capture although somebody waits.
        xs: what sequences held on the runner.
    """

    vocodes_in_batches = False
    token_work = 1.0

    def __init__(self) -> None:
        self.cost = StepCostModel()
        self.steps: list[list[str]] = []
        self.fails: Callable[[list[Named]], None] = lambda batch: None
        self.gate: threading.Semaphore | None = None
        self.at_gate = threading.Event()
        self.alive = True
        self.spare = 0
        self.overdue = 0
        self.slow = False
        self.waits = 0
        self.prepared: list[tuple[str, str]] = []
        self.vocoded: list[list[str]] = []
        self.xs: list[weakref.ref[torch.Tensor]] = []

    def prepare(self, seq: Any) -> None:
        self.prepared.append((seq.name, threading.current_thread().name))

    def start(self, seq: Any) -> None:
        if seq.name == "unstartable":
            raise InvalidRequest("No such schedule.", code="NONE")
        seq.x = torch.zeros(1)
        seq.step, seq.status = 0, SequenceStatus.RUNNING
        self.xs.append(weakref.ref(seq.x))

    def step(self, sequences: list[Any]) -> None:
        if self.gate is not None:
            self.at_gate.set()
            assert self.gate.acquire(timeout=LIMIT_S)
        self.fails(sequences)
        self.steps.append([seq.name for seq in sequences])
        for seq in sequences:
            seq.step += 1

    def vocode(self, sequences: list[Any]) -> Waves:
        names = [seq.name for seq in sequences]
        self.vocoded.append(names)
        if "unvocodable" in names:
            raise EngineFailed("Not finite.", code="NOT_FINITE")
        failure = EngineFailed("Not finite.", code="NOT_FINITE")
        return Waves(
            self,
            [
                failure
                if seq.name == "without wave"
                else Wave(np.full(seq.frames, 0.5, np.float32))
                for seq in sequences
            ],
        )

    def clear_batch(self) -> None:
        pass

    def capture_pending(self) -> bool:
        if self.spare:
            self.steps.append(["idle"])
        self.spare = max(0, self.spare - 1)
        return self.spare > 0

    def capture_overdue(self) -> bool:
        if self.overdue:
            self.steps.append(["overdue"])
        self.overdue = max(0, self.overdue - 1)
        return self.overdue > 0

    def counters(self) -> dict[str, float]:
        return {"padding_frames": 3}

    def release_memory(self) -> None:
        pass

    def is_healthy(self) -> bool:
        return self.alive


@pytest.fixture
def runner() -> Counting:
    return Counting()


@pytest.fixture
def loop(runner: Counting) -> Iterator[EngineLoop]:
    loop = EngineLoop(Scheduler(250))
    loop.add_model(runner)
    loop.idle_s = 0.2
    yield loop
    ended = time.monotonic() + LIMIT_S
    while loop._thread is not None and time.monotonic() < ended:
        time.sleep(0.01)
    assert loop._thread is None, "the thread outlives its work"


def of_first_model(loop: EngineLoop, sequences: Iterable[Sequence]) -> list[Sequence]:
    """The sequences, for the model of the loop unless they are for another one."""
    for seq in sequences:
        seq.runner = seq.runner or loop.runners[0]
    return list(sequences)


class Caller(threading.Thread):
    """A call in a thread of its own."""

    def __init__(self, loop: EngineLoop, *sequences: Sequence, **options: Any) -> None:
        super().__init__(daemon=True)
        self.loop, self.sequences, self.options = loop, of_first_model(loop, sequences), options
        self.order: list[int] = []
        self.waves: dict[int, Wave] = {}
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            for index, wave in self.loop.run(self.sequences, **self.options):
                self.order.append(index)
                self.waves[index] = wave
        except BaseException as error:  # noqa: BLE001 - asserted on by the test
            self.error = error

    def ended(self) -> Caller:
        self.join(LIMIT_S)
        assert not self.is_alive()
        return self


def say(loop: EngineLoop, *sequences: Sequence, **options: Any) -> list[int]:
    """Lengths of the waves of a call."""
    waves = dict(loop.run(of_first_model(loop, sequences), **options))
    return [len(waves[i].samples) for i in range(len(sequences))]


def works(loop: EngineLoop) -> None:
    assert say(loop, sequence("next", 120)) == [120]


def test_rows_join_and_leave_between_steps(loop: EngineLoop, runner: Counting) -> None:
    runner.gate = threading.Semaphore(0)
    long = Caller(loop, sequence("long", 150, steps=8))
    assert runner.at_gate.wait(LIMIT_S)
    short = Caller(loop, sequence("short", 100, steps=2))
    while len(loop.scheduler.requests) < 2:
        time.sleep(0.001)
    runner.gate.release(20)
    assert len(long.ended().waves) == len(short.ended().waves) == 1
    assert runner.steps == [["long"], *[["short", "long"]] * 2, *[["long"]] * 5]


def test_what_needs_little_goes_first_when_there_is_no_room_for_both(
    loop: EngineLoop, runner: Counting
) -> None:
    runner.gate = threading.Semaphore(0)
    long = Caller(loop, sequence("long", 240, steps=8))
    assert runner.at_gate.wait(LIMIT_S)
    short = Caller(loop, sequence("short", 100, steps=2))
    while len(loop.scheduler.requests) < 2:
        time.sleep(0.001)
    runner.gate.release(20)
    short.ended(), long.ended()
    assert runner.steps == [["long"], ["short"], ["short"], *[["long"]] * 7]


def test_utterances_of_a_call_run_side_by_side_and_are_told_in_order(loop: EngineLoop) -> None:
    caller = Caller(loop, *[sequence(str(i), 60) for i in range(6)]).ended()
    assert caller.order == list(range(6))
    counted = loop.counters()
    assert (counted["rows"], counted["row_steps"], counted["steps"]) == (6, 24, 8)
    assert counted["frame_steps"] == 24 * 60
    assert counted["rows_running"] == counted["rows_waiting"] == 0
    assert counted["backlog_s"] == 0


def test_a_call_about_to_miss_its_deadline_goes_ahead(loop: EngineLoop, runner: Counting) -> None:
    say(loop, sequence("before", 240))  # from which the cost of a step is known
    runner.steps.clear()
    runner.gate = threading.Semaphore(0)
    calls = [Caller(loop, sequence("first", 240))]
    assert runner.at_gate.wait(LIMIT_S)
    for name, options in {"second": {}, "pressed": {"deadline": time.monotonic() + 60}}.items():
        calls.append(Caller(loop, sequence(name, 240), **options))
        while len(loop.scheduler.requests) < len(calls):
            time.sleep(0.001)
    # Its deadline is far away, but so much is to be done that it counts.
    (pressed,) = loop.scheduler.requests[-1].sequences
    pressed.latest_start = 0.0
    runner.gate.release(20)
    for call in calls:
        assert len(call.ended().waves) == 1
    names = [name for (name,) in runner.steps]
    assert names.index("pressed") < names.index("second")
    assert names[1:8].count("pressed") <= 4  # every second step goes to the others


def test_what_check_raises_ends_its_call_alone(loop: EngineLoop, runner: Counting) -> None:
    asked = []

    def give_up() -> None:
        asked.append(len(runner.steps))
        if len(asked) == 3:
            raise KeyboardInterrupt

    runner.gate = threading.Semaphore(0)
    staying = Caller(loop, sequence("staying", steps=6))
    leaving = Caller(loop, sequence("a", steps=6), sequence("b", steps=6), check=give_up)
    runner.gate.release(50)
    assert isinstance(leaving.ended().error, KeyboardInterrupt)
    assert staying.ended().error is None
    assert len(staying.waves) == 1
    assert len(asked) == 3
    assert sum("a" in names for names in runner.steps) <= 3
    works(loop)


def test_a_call_that_waits_is_asked_as_well(loop: EngineLoop, runner: Counting) -> None:
    runner.gate = threading.Semaphore(0)
    running = Caller(loop, sequence("running", 250, steps=3))
    assert runner.at_gate.wait(LIMIT_S)

    def give_up() -> None:
        raise TimeoutError

    waiting = Caller(loop, sequence("waiting", 250, steps=30), check=give_up)
    while len(loop.scheduler.requests) < 2:
        time.sleep(0.001)
    runner.gate.release(1)
    assert isinstance(waiting.ended().error, TimeoutError)
    assert running.is_alive()
    runner.gate.release(10)
    assert running.ended().error is None
    assert not any("waiting" in names for names in runner.steps)


def test_a_caller_that_goes_away_takes_its_rows_with_it(loop: EngineLoop, runner: Counting) -> None:
    sequences = [sequence("short", 60, steps=1), sequence("long", 60, steps=1000)]
    finished = loop.run(of_first_model(loop, sequences))
    assert next(finished)[0] == 0
    finished.close()
    assert loop.scheduler.requests == []
    gc.collect()
    assert [ref() for ref in runner.xs] == [None, None]
    works(loop)


def test_rows_are_freed_before_their_caller_hears_of_the_failure(
    loop: EngineLoop, runner: Counting
) -> None:
    gc.disable()  # nothing may hang on cycles
    try:

        def give_up() -> None:
            if len(runner.steps) == 2:
                raise TimeoutError

        with pytest.raises(TimeoutError):
            say(loop, sequence("a"), sequence("b"), check=give_up)
        assert [ref() for ref in runner.xs] == [None, None]
    finally:
        gc.enable()


NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
    MemoryError(),
    torch.AcceleratorError("CUDA error: out of memory"),  # a kernel or library is loaded late
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
]
"""What torch raises where memory is short."""


def more_than(frames: int, error: Exception = NO_MEMORY[0]) -> Callable[[list[Named]], None]:
    """A device with room for that many frames."""

    def check(rows: list[Named]) -> None:
        if sum(row.frames for row in rows) > frames:
            raise error.with_traceback(None)

    return check


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_without_memory_the_batch_is_halved_and_goes_on(
    loop: EngineLoop, runner: Counting, error: Exception
) -> None:
    runner.fails = more_than(130, error)
    caller = Caller(loop, *[sequence(str(i), 60) for i in range(4)]).ended()
    assert sorted(caller.waves) == [0, 1, 2, 3]
    assert max(map(len, runner.steps)) == 2
    assert loop.counters()["out_of_memory"] >= 1
    works(loop)


def test_what_is_too_large_for_the_memory_fails_alone(loop: EngineLoop, runner: Counting) -> None:
    runner.fails = more_than(130)
    small = [Caller(loop, sequence(f"small{i}", 60)) for i in range(3)]
    large = Caller(loop, sequence("large", 140))
    assert isinstance(large.ended().error, EngineFailed)
    assert large.error.code == "OUT_OF_MEMORY"
    assert large.error.retryable
    assert all(len(caller.ended().waves) == 1 for caller in small)
    works(loop)


def test_the_limit_grows_back_after_memory_ran_out(loop: EngineLoop, runner: Counting) -> None:
    loop.scheduler.resize(4000)
    runner.fails = more_than(500)
    say(loop, *[sequence(str(i), 100, steps=2) for i in range(8)])
    assert loop.counters()["batch_frames"] < 1000
    runner.fails = lambda batch: None
    say(loop, sequence("long", 100, steps=300))
    assert loop.counters()["batch_frames"] == 4000


def poisoned(rows: list[Named]) -> None:
    if any(row.name == "poison" for row in rows):
        raise RuntimeError("indices should be either on cpu or on the same device")


def test_a_row_that_breaks_the_step_is_found_and_fails_alone(
    loop: EngineLoop, runner: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    runner.fails = poisoned
    callers = {name: Caller(loop, sequence(name, 60)) for name in ("a", "poison", "b", "c")}
    for name, caller in callers.items():
        error = caller.ended().error
        if name == "poison":
            assert isinstance(error, EngineFailed)
            assert error.code == "STEP_FAILED"
        else:
            assert error is None, name
            assert len(caller.waves) == 1
    assert "a step failed" in caplog.text
    works(loop)


@pytest.mark.parametrize(("name", "code"), [("unstartable", "NONE"), ("unvocodable", "NOT_FINITE")])
def test_a_row_that_cannot_begin_or_end_fails_alone(
    loop: EngineLoop, runner: Counting, name: str, code: str
) -> None:
    runner.gate = threading.Semaphore(0)
    good = Caller(loop, sequence("good", 60))
    bad = Caller(loop, sequence("also", 60, steps=9), sequence(name, 60))
    runner.gate.release(50)
    assert getattr(bad.ended().error, "code", None) == code
    assert len(good.ended().waves) == 1
    works(loop)


@pytest.mark.parametrize("kind", ["accelerator", "silent"])
def test_a_broken_device_fails_everything_and_says_so(
    loop: EngineLoop, runner: Counting, kind: str
) -> None:
    def fail(rows: list[Named]) -> None:
        runner.alive = False
        if kind == "accelerator":
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        raise RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED")

    runner.gate = threading.Semaphore(0)
    runner.fails = fail
    callers = [Caller(loop, sequence(name)) for name in ("a", "b", "c")]
    while len(loop.scheduler.requests) < 3:
        time.sleep(0.001)
    runner.gate.release(10)
    errors = [caller.ended().error for caller in callers]
    assert [getattr(error, "code", None) for error in errors] == ["DEVICE_BROKEN"] * 3
    assert len(set(map(id, errors))) == 3  # a raised error belongs to one thread
    assert loop.broken
    with pytest.raises(EngineFailed, match="does not respond"):
        say(loop, sequence("later"))
    assert runner.steps == []


def test_the_thread_outlives_a_fault_of_its_own(loop: EngineLoop) -> None:
    def absurd(*_: Any) -> Any:
        raise ZeroDivisionError

    policy, loop.scheduler.policy = loop.scheduler.policy, absurd
    with pytest.raises(EngineFailed) as caught:
        say(loop, sequence("a"))
    assert caught.value.code == "STEP_FAILED"
    loop.scheduler.policy = policy
    works(loop)


def test_an_idle_thread_ends_and_another_takes_over(loop: EngineLoop) -> None:
    works(loop)
    first = loop._thread
    assert first is not None
    first.join(LIMIT_S)
    works(loop)
    assert loop._thread is not first


def test_idle_time_is_used_when_nobody_has_come_for_a_while(
    loop: EngineLoop, runner: Counting
) -> None:
    runner.spare = 2
    works(loop)
    thread = loop._thread
    assert thread is not None
    thread.join(LIMIT_S)
    assert runner.steps == [["next"]] * 4 + [["idle"]] * 2
    assert loop.counters()["padding_frames"] == 3


def test_no_idle_time_is_taken_from_callers(loop: EngineLoop, runner: Counting) -> None:
    runner.spare = 1000
    callers = [Caller(loop, sequence(str(i), 120, steps=3)) for i in range(20)]
    for caller in callers:
        caller.ended()
    assert ["idle"] not in runner.steps[:30]
    runner.spare = 1


def test_what_is_overdue_is_done_between_the_steps_of_callers_who_never_pause(
    loop: EngineLoop, runner: Counting
) -> None:
    runner.overdue = 2
    works(loop)
    assert runner.steps == [["overdue"], ["next"], ["overdue"], *[["next"]] * 3]


def test_a_device_that_breaks_in_what_is_overdue_takes_no_step(
    loop: EngineLoop, runner: Counting
) -> None:
    def fail() -> bool:
        runner.alive = False
        raise RuntimeError("capture")

    runner.capture_overdue = fail  # type: ignore[method-assign]
    with pytest.raises(EngineFailed) as caught:
        say(loop, sequence("a"))
    assert caught.value.code == "DEVICE_BROKEN"
    assert runner.steps == []
    assert runner.xs == []


def test_sequences_are_prepared_in_the_thread_of_their_caller(
    loop: EngineLoop, runner: Counting
) -> None:
    names = [str(i) for i in range(PREPARE_AHEAD + 3)]
    caller = Caller(loop, *[sequence(name, 60, steps=1) for name in names]).ended()
    assert runner.prepared == [(name, caller.name) for name in names]


def test_a_thread_that_never_ends_is_the_one_of_the_next_call(loop: EngineLoop) -> None:
    loop.idle_s = None
    works(loop)
    first = loop._thread
    time.sleep(0.4)
    works(loop)
    assert loop._thread is first
    loop.idle_s = 0.05
    works(loop)


@pytest.mark.parametrize("by_cost", [True, False])
def test_a_step_is_no_longer_than_pays(loop: EngineLoop, runner: Counting, by_cost: bool) -> None:
    loop.scheduler.resize(16_000)
    loop.scheduler.by_cost = by_cost
    for tokens in range(1000, 12_000, 500):  # seconds: a fixed part, and a part for each token
        runner.cost.observe(tokens, 0.005 + 1e-5 * tokens)
    # 0.005 is a tenth of a step of 4500 tokens, which are 2250 frames with guidance.
    assert loop.counters()["batch_frames"] == (pytest.approx(2250, abs=2) if by_cost else 16_000)
    runner.gate = threading.Semaphore(0)
    caller = Caller(loop, *[sequence(str(i), 1000, steps=1) for i in range(4)])
    runner.gate.release(10)
    caller.ended()
    assert len(runner.steps[0]) == (2 if by_cost else 4)


def test_steps_in_which_a_gpu_loads_its_kernels_say_nothing_about_costs(
    loop: EngineLoop, runner: Counting
) -> None:
    loop.scheduler.by_cost = True
    say(loop, sequence("a", steps=FIRST_STEPS))
    assert loop.estimate_s(of_first_model(loop, [sequence("b")])) is None
    say(loop, sequence("c", steps=1))
    assert loop.estimate_s(of_first_model(loop, [sequence("b")])) is not None


@pytest.mark.parametrize("alive", [True, False])
def test_what_fails_in_idle_time_fails_nobody_unless_the_device_is_broken(
    loop: EngineLoop, runner: Counting, alive: bool
) -> None:
    def fail() -> bool:
        raise RuntimeError("capture")

    runner.capture_pending = fail  # type: ignore[method-assign]
    works(loop)
    runner.alive = alive
    thread = loop._thread
    assert thread is not None
    thread.join(LIMIT_S)
    assert loop.broken is not alive
    if alive:
        works(loop)


def test_rows_that_end_in_one_step_are_finished_at_once_where_that_is_best(
    loop: EngineLoop, runner: Counting
) -> None:
    asked = [sequence("a", 60), sequence("b", 70), sequence("c", 80, steps=2)]
    assert say(loop, *asked) == [60, 70, 80]
    assert runner.vocoded == [["c"], ["a"], ["b"]]
    runner.vocodes_in_batches = True
    runner.vocoded.clear()
    assert say(loop, *asked) == [60, 70, 80]
    assert runner.vocoded == [["c"], ["a", "b"]]
    assert loop.counters()["rows"] == 6


def test_a_row_that_cannot_be_finished_fails_alone_among_those_that_end_with_it(
    loop: EngineLoop, runner: Counting
) -> None:
    runner.vocodes_in_batches = True
    runner.gate = threading.Semaphore(0)
    good = Caller(loop, sequence("good", 60))
    bad = Caller(loop, sequence("unvocodable", 60))
    while len(loop.scheduler.requests) < 2:
        time.sleep(0.001)
    runner.gate.release(50)
    assert getattr(bad.ended().error, "code", None) == "NOT_FINITE"
    assert len(good.ended().waves) == 1
    works(loop)


def test_steps_go_on_while_waves_are_on_their_way(loop: EngineLoop, runner: Counting) -> None:
    runner.slow = True
    calls = [Caller(loop, sequence("short", 60, steps=1), sequence("long", 60, steps=5))]
    assert len(calls[0].ended().waves) == 2
    assert runner.steps == [["short", "long"], *[["long"]] * 4]
    assert runner.waits == 2  # once nothing else was to be done, once for each


def test_a_caller_that_goes_away_waits_for_its_waves(loop: EngineLoop, runner: Counting) -> None:
    runner.slow = True
    asked = 0

    def give_up() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        say(loop, sequence("a", 60, steps=1), sequence("b", 60, steps=9), check=give_up)
    assert runner.waits == 1
    assert loop._pending == []
    runner.slow = False
    works(loop)


@pytest.mark.parametrize("slow", [True, False])
def test_a_row_without_a_wave_fails_alone_among_those_that_end_with_it(
    loop: EngineLoop, runner: Counting, slow: bool
) -> None:
    runner.vocodes_in_batches, runner.slow = True, slow
    runner.gate = threading.Semaphore(0)
    good = Caller(loop, sequence("good", 60))
    bad = Caller(loop, sequence("without wave", 60))
    while len(loop.scheduler.requests) < 2:
        time.sleep(0.001)
    runner.gate.release(50)
    assert getattr(bad.ended().error, "code", None) == "NOT_FINITE"
    assert len(good.ended().waves) == 1
    counted = loop.counters()
    assert (counted["rows"], counted["failed_rows"]) == (1, 1)
    works(loop)


def test_nothing_to_say_is_said_at_once(loop: EngineLoop) -> None:
    assert list(loop.run([])) == []


def test_estimates_follow_what_was_measured(loop: EngineLoop, runner: Counting) -> None:
    assert loop.estimate_s(of_first_model(loop, [sequence("a")])) is None
    runner.fails = lambda batch: time.sleep(1e-4 * sum(seq.frames for seq in batch))
    say(loop, sequence("a", 100), sequence("b", 240))
    needed_s = loop.estimate_s(of_first_model(loop, [sequence("c", 200, steps=10)]))
    assert 0.1 < needed_s < 1  # a busy machine sleeps longer, never shorter
    twice_s = loop.estimate_s(of_first_model(loop, [sequence("c", 200, steps=10)] * 2))
    assert twice_s == pytest.approx(2 * needed_s, rel=0.1)


def test_many_callers_at_once_all_get_their_own(loop: EngineLoop, runner: Counting) -> None:
    rng = np.random.default_rng(3)
    callers = []
    for i in range(60):
        sizes = rng.integers(60, 300, size=rng.integers(1, 4))
        sequences = [sequence(f"{i}", int(n), steps=int(rng.integers(1, 6))) for n in sizes]
        callers.append((Caller(loop, *sequences), sizes))
    for caller, sizes in callers:
        caller.ended()
        assert caller.error is None
        assert [len(caller.waves[i].samples) for i in range(len(sizes))] == list(sizes)
    assert loop.scheduler.requests == []

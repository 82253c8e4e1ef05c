"""The thread that owns the device, with a device that only counts."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from f5serve.engine.batcher import AHEAD, FIRST_STEPS, Batcher
from f5serve.engine.rows import Draft, Reference
from f5serve.errors import EngineFailed, F5Error, InvalidRequest
from f5serve.types import SamplingOptions, Utterance, Voice, Wave

VOICE = Voice("v", Wave(np.full(12_800, 0.1, np.float32)), "Words.", "rev")  # 51 frames
LIMIT_S = 20.0


def draft(name: str, frames: int = 100, steps: int = 4) -> Draft:
    options = SamplingOptions(nfe_step=steps, cfg_strength=0.0)
    return Draft(Utterance(name, VOICE, frames, 0, options), Reference(VOICE), [1])


class Walk:
    """A row of the counting device."""

    def __init__(self, draft: Draft) -> None:
        self.name, self.frames = draft.utterance.text, draft.frames
        self.step, self.steps = 0, draft.steps

    @property
    def done(self) -> bool:
        return self.step == self.steps


class Waves:
    """Waves of the counting device on their way."""

    def __init__(self, device: Counting, waves: list[Wave | F5Error]) -> None:
        self.device, self.there = device, waves

    def ready(self) -> bool:
        return not self.device.slow

    def waves(self) -> list[Wave | F5Error]:
        self.device.waits += not self.ready()
        return self.there


class Counting:
    """A device that notes who took part in each step, and fails as it is told.

    Attributes:
        fails: called with the rows of a step before it is taken.
        gate: when it is set, each step waits for a permit.
        spare: how often it has something to do while nobody waits.
        slow: its waves are not there by themselves; `waits` counts how often they were waited for.
        overdue: how often it has something to do although somebody waits.
    """

    def __init__(self) -> None:
        self.steps: list[list[str]] = []
        self.fails: Callable[[Sequence[Walk]], None] = lambda rows: None
        self.gate: threading.Semaphore | None = None
        self.at_gate = threading.Event()
        self.alive = True
        self.spare = 0
        self.overdue = 0
        self.slow = False
        self.waits = 0
        self.prepared: list[tuple[str, str]] = []
        self.finishes_together = False
        self.finished: list[list[str]] = []
        self.walks: list[weakref.ref[Walk]] = []

    def prepare(self, draft: Draft) -> None:
        self.prepared.append((draft.utterance.text, threading.current_thread().name))

    def begin(self, draft: Draft) -> Any:
        if draft.utterance.text == "unbeginnable":
            raise InvalidRequest("No such schedule.", code="NONE")
        walk = Walk(draft)
        self.walks.append(weakref.ref(walk))
        return walk

    def step(self, rows: Sequence[Any]) -> None:
        if self.gate is not None:
            self.at_gate.set()
            assert self.gate.acquire(timeout=LIMIT_S)
        self.fails(rows)
        self.steps.append([row.name for row in rows])
        for row in rows:
            row.step += 1

    def finish(self, rows: Sequence[Any]) -> Waves:
        self.finished.append([row.name for row in rows])
        if any(row.name == "unfinishable" for row in rows):
            raise EngineFailed("Not finite.", code="NOT_FINITE")
        failure = EngineFailed("Not finite.", code="NOT_FINITE")
        return Waves(
            self,
            [
                failure
                if row.name == "without wave"
                else Wave(np.full(row.frames, 0.5, np.float32))
                for row in rows
            ],
        )

    def forget(self) -> None:
        pass

    def idle(self) -> bool:
        if self.spare:
            self.steps.append(["idle"])
        self.spare = max(0, self.spare - 1)
        return self.spare > 0

    def catch_up(self) -> bool:
        if self.overdue:
            self.steps.append(["catch up"])
        self.overdue = max(0, self.overdue - 1)
        return self.overdue > 0

    def counters(self) -> dict[str, float]:
        return {"padding_frames": 3}

    def free(self) -> None:
        pass

    def responds(self) -> bool:
        return self.alive


@pytest.fixture
def device() -> Counting:
    return Counting()


@pytest.fixture
def batcher(device: Counting) -> Iterator[Batcher]:
    batcher = Batcher(device, 250)
    batcher.idle_s = 0.2
    yield batcher
    ended = time.monotonic() + LIMIT_S
    while batcher._thread is not None and time.monotonic() < ended:
        time.sleep(0.01)
    assert batcher._thread is None, "the thread outlives its work"


class Caller(threading.Thread):
    """A call in a thread of its own."""

    def __init__(self, batcher: Batcher, *drafts: Draft, **options: Any) -> None:
        super().__init__(daemon=True)
        self.batcher, self.drafts, self.options = batcher, drafts, options
        self.order: list[int] = []
        self.waves: dict[int, Wave] = {}
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            for index, wave in self.batcher.run(self.drafts, **self.options):
                self.order.append(index)
                self.waves[index] = wave
        except BaseException as error:  # noqa: BLE001 - asserted on by the test
            self.error = error

    def ended(self) -> Caller:
        self.join(LIMIT_S)
        assert not self.is_alive()
        return self


def say(batcher: Batcher, *drafts: Draft, **options: Any) -> list[int]:
    """Lengths of the waves of a call."""
    waves = dict(batcher.run(drafts, **options))
    return [len(waves[i].samples) for i in range(len(drafts))]


def works(batcher: Batcher) -> None:
    assert say(batcher, draft("next", 120)) == [120]


def test_rows_join_and_leave_between_steps(batcher: Batcher, device: Counting) -> None:
    device.gate = threading.Semaphore(0)
    long = Caller(batcher, draft("long", 150, steps=8))
    assert device.at_gate.wait(LIMIT_S)
    short = Caller(batcher, draft("short", 100, steps=2))
    while len(batcher._calls) < 2:
        time.sleep(0.001)
    device.gate.release(20)
    assert len(long.ended().waves) == len(short.ended().waves) == 1
    assert device.steps == [["long"], *[["short", "long"]] * 2, *[["long"]] * 5]


def test_what_needs_little_goes_first_when_there_is_no_room_for_both(
    batcher: Batcher, device: Counting
) -> None:
    device.gate = threading.Semaphore(0)
    long = Caller(batcher, draft("long", 240, steps=8))
    assert device.at_gate.wait(LIMIT_S)
    short = Caller(batcher, draft("short", 100, steps=2))
    while len(batcher._calls) < 2:
        time.sleep(0.001)
    device.gate.release(20)
    short.ended(), long.ended()
    assert device.steps == [["long"], ["short"], ["short"], *[["long"]] * 7]


def test_utterances_of_a_call_run_side_by_side_and_are_told_in_order(batcher: Batcher) -> None:
    caller = Caller(batcher, *[draft(str(i), 60) for i in range(6)]).ended()
    assert caller.order == list(range(6))
    counted = batcher.counters()
    assert (counted["rows"], counted["row_steps"], counted["steps"]) == (6, 24, 8)
    assert counted["frame_steps"] == 24 * 60
    assert counted["rows_running"] == counted["rows_waiting"] == 0
    assert counted["backlog_s"] == 0


def test_a_call_about_to_miss_its_deadline_goes_ahead(batcher: Batcher, device: Counting) -> None:
    say(batcher, draft("before", 240))  # from which the cost of a step is known
    device.steps.clear()
    device.gate = threading.Semaphore(0)
    calls = [Caller(batcher, draft("first", 240))]
    assert device.at_gate.wait(LIMIT_S)
    for name, options in {"second": {}, "pressed": {"deadline": time.monotonic() + 60}}.items():
        calls.append(Caller(batcher, draft(name, 240), **options))
        while len(batcher._calls) < len(calls):
            time.sleep(0.001)
    # Its deadline is far away, but so much is to be done that it counts.
    (pressed,) = batcher._calls[-1].items
    pressed.ticket = type(pressed.ticket)(2, 240, pressed.ticket.tag, pressed.ticket.deadline, 0.0)
    device.gate.release(20)
    for call in calls:
        assert len(call.ended().waves) == 1
    names = [name for (name,) in device.steps]
    assert names.index("pressed") < names.index("second")
    assert names[1:8].count("pressed") <= 4  # every second step goes to the others


def test_what_check_raises_ends_its_call_alone(batcher: Batcher, device: Counting) -> None:
    asked = []

    def give_up() -> None:
        asked.append(len(device.steps))
        if len(asked) == 3:
            raise KeyboardInterrupt

    device.gate = threading.Semaphore(0)
    staying = Caller(batcher, draft("staying", steps=6))
    leaving = Caller(batcher, draft("a", steps=6), draft("b", steps=6), check=give_up)
    device.gate.release(50)
    assert isinstance(leaving.ended().error, KeyboardInterrupt)
    assert staying.ended().error is None
    assert len(staying.waves) == 1
    assert len(asked) == 3
    assert sum("a" in names for names in device.steps) <= 3
    works(batcher)


def test_a_call_that_waits_is_asked_as_well(batcher: Batcher, device: Counting) -> None:
    device.gate = threading.Semaphore(0)
    running = Caller(batcher, draft("running", 250, steps=3))
    assert device.at_gate.wait(LIMIT_S)

    def give_up() -> None:
        raise TimeoutError

    waiting = Caller(batcher, draft("waiting", 250, steps=30), check=give_up)
    while len(batcher._calls) < 2:
        time.sleep(0.001)
    device.gate.release(1)
    assert isinstance(waiting.ended().error, TimeoutError)
    assert running.is_alive()
    device.gate.release(10)
    assert running.ended().error is None
    assert not any("waiting" in names for names in device.steps)


def test_a_caller_that_goes_away_takes_its_rows_with_it(batcher: Batcher, device: Counting) -> None:
    finished = batcher.run([draft("short", 60, steps=1), draft("long", 60, steps=1000)])
    assert next(finished)[0] == 0
    finished.close()
    assert batcher._calls == []
    gc.collect()
    assert [ref() for ref in device.walks] == [None, None]
    works(batcher)


def test_rows_are_freed_before_their_caller_hears_of_the_failure(
    batcher: Batcher, device: Counting
) -> None:
    gc.disable()  # nothing may hang on cycles
    try:

        def give_up() -> None:
            if len(device.steps) == 2:
                raise TimeoutError

        with pytest.raises(TimeoutError):
            say(batcher, draft("a"), draft("b"), check=give_up)
        assert [ref() for ref in device.walks] == [None, None]
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


def more_than(frames: int, error: Exception = NO_MEMORY[0]) -> Callable[[Sequence[Walk]], None]:
    """A device with room for that many frames."""

    def check(rows: Sequence[Walk]) -> None:
        if sum(row.frames for row in rows) > frames:
            raise error.with_traceback(None)

    return check


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_without_memory_the_batch_is_halved_and_goes_on(
    batcher: Batcher, device: Counting, error: Exception
) -> None:
    device.fails = more_than(130, error)
    caller = Caller(batcher, *[draft(str(i), 60) for i in range(4)]).ended()
    assert sorted(caller.waves) == [0, 1, 2, 3]
    assert max(map(len, device.steps)) == 2
    assert batcher.counters()["out_of_memory"] >= 1
    works(batcher)


def test_what_is_too_large_for_the_memory_fails_alone(batcher: Batcher, device: Counting) -> None:
    device.fails = more_than(130)
    small = [Caller(batcher, draft(f"small{i}", 60)) for i in range(3)]
    large = Caller(batcher, draft("large", 140))
    assert isinstance(large.ended().error, EngineFailed)
    assert large.error.code == "OUT_OF_MEMORY"
    assert large.error.retryable
    assert all(len(caller.ended().waves) == 1 for caller in small)
    works(batcher)


def test_the_limit_grows_back_after_memory_ran_out(batcher: Batcher, device: Counting) -> None:
    batcher.resize(4000)
    device.fails = more_than(500)
    say(batcher, *[draft(str(i), 100, steps=2) for i in range(8)])
    assert batcher.counters()["batch_frames"] < 1000
    device.fails = lambda rows: None
    say(batcher, draft("long", 100, steps=300))
    assert batcher.counters()["batch_frames"] == 4000


def poisoned(rows: Sequence[Walk]) -> None:
    if any(row.name == "poison" for row in rows):
        raise RuntimeError("indices should be either on cpu or on the same device")


def test_a_row_that_breaks_the_step_is_found_and_fails_alone(
    batcher: Batcher, device: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    device.fails = poisoned
    callers = {name: Caller(batcher, draft(name, 60)) for name in ("a", "poison", "b", "c")}
    for name, caller in callers.items():
        error = caller.ended().error
        if name == "poison":
            assert isinstance(error, EngineFailed)
            assert error.code == "STEP_FAILED"
        else:
            assert error is None, name
            assert len(caller.waves) == 1
    assert "a step failed" in caplog.text
    works(batcher)


@pytest.mark.parametrize(
    ("name", "code"), [("unbeginnable", "NONE"), ("unfinishable", "NOT_FINITE")]
)
def test_a_row_that_cannot_begin_or_end_fails_alone(
    batcher: Batcher, device: Counting, name: str, code: str
) -> None:
    device.gate = threading.Semaphore(0)
    good = Caller(batcher, draft("good", 60))
    bad = Caller(batcher, draft("also", 60, steps=9), draft(name, 60))
    device.gate.release(50)
    assert getattr(bad.ended().error, "code", None) == code
    assert len(good.ended().waves) == 1
    works(batcher)


@pytest.mark.parametrize("kind", ["accelerator", "silent"])
def test_a_broken_device_fails_everything_and_says_so(
    batcher: Batcher, device: Counting, kind: str
) -> None:
    def fail(rows: Sequence[Walk]) -> None:
        device.alive = False
        if kind == "accelerator":
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        raise RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED")

    device.gate = threading.Semaphore(0)
    device.fails = fail
    callers = [Caller(batcher, draft(name)) for name in ("a", "b", "c")]
    while len(batcher._calls) < 3:
        time.sleep(0.001)
    device.gate.release(10)
    errors = [caller.ended().error for caller in callers]
    assert [getattr(error, "code", None) for error in errors] == ["DEVICE_BROKEN"] * 3
    assert len(set(map(id, errors))) == 3  # a raised error belongs to one thread
    assert batcher.broken
    with pytest.raises(EngineFailed, match="answers no more"):
        say(batcher, draft("later"))
    assert device.steps == []


def test_the_thread_outlives_a_fault_of_its_own(batcher: Batcher) -> None:
    def absurd(*_: Any) -> Any:
        raise ZeroDivisionError

    policy, batcher.policy = batcher.policy, absurd
    with pytest.raises(EngineFailed) as caught:
        say(batcher, draft("a"))
    assert caught.value.code == "STEP_FAILED"
    batcher.policy = policy
    works(batcher)


def test_an_idle_thread_ends_and_another_takes_over(batcher: Batcher) -> None:
    works(batcher)
    first = batcher._thread
    assert first is not None
    first.join(LIMIT_S)
    works(batcher)
    assert batcher._thread is not first


def test_idle_time_is_used_when_nobody_has_come_for_a_while(
    batcher: Batcher, device: Counting
) -> None:
    device.spare = 2
    works(batcher)
    thread = batcher._thread
    assert thread is not None
    thread.join(LIMIT_S)
    assert device.steps == [["next"]] * 4 + [["idle"]] * 2
    assert batcher.counters()["padding_frames"] == 3


def test_no_idle_time_is_taken_from_callers(batcher: Batcher, device: Counting) -> None:
    device.spare = 1000
    callers = [Caller(batcher, draft(str(i), 120, steps=3)) for i in range(20)]
    for caller in callers:
        caller.ended()
    assert ["idle"] not in device.steps[:30]
    device.spare = 1


def test_what_is_overdue_is_done_between_the_steps_of_callers_who_never_pause(
    batcher: Batcher, device: Counting
) -> None:
    device.overdue = 2
    works(batcher)
    assert device.steps == [["catch up"], ["next"], ["catch up"], *[["next"]] * 3]


def test_a_device_that_breaks_in_what_is_overdue_takes_no_step(
    batcher: Batcher, device: Counting
) -> None:
    def fail() -> bool:
        device.alive = False
        raise RuntimeError("capture")

    device.catch_up = fail  # type: ignore[method-assign]
    with pytest.raises(EngineFailed) as caught:
        say(batcher, draft("a"))
    assert caught.value.code == "DEVICE_BROKEN"
    assert device.steps == []
    assert device.walks == []


def test_drafts_are_made_ready_in_the_thread_of_their_caller(
    batcher: Batcher, device: Counting
) -> None:
    names = [str(i) for i in range(AHEAD + 3)]
    caller = Caller(batcher, *[draft(name, 60, steps=1) for name in names]).ended()
    assert device.prepared == [(name, caller.name) for name in names]


def test_a_thread_that_never_ends_is_the_one_of_the_next_call(batcher: Batcher) -> None:
    batcher.idle_s = None
    works(batcher)
    first = batcher._thread
    time.sleep(0.4)
    works(batcher)
    assert batcher._thread is first
    batcher.idle_s = 0.05
    works(batcher)


@pytest.mark.parametrize("by_cost", [True, False])
def test_a_step_is_no_longer_than_pays(batcher: Batcher, device: Counting, by_cost: bool) -> None:
    batcher.resize(16_000)
    batcher.by_cost = by_cost
    for tokens in range(1000, 12_000, 500):  # seconds: a fixed part, and a part for each token
        batcher.cost.note(tokens, 0.005 + 1e-5 * tokens)
    # 0.005 is a tenth of a step of 4500 tokens, which are 2250 frames with guidance.
    assert batcher.counters()["batch_frames"] == (pytest.approx(2250, abs=2) if by_cost else 16_000)
    device.gate = threading.Semaphore(0)
    caller = Caller(batcher, *[draft(str(i), 1000, steps=1) for i in range(4)])
    device.gate.release(10)
    caller.ended()
    assert len(device.steps[0]) == (2 if by_cost else 4)


def test_steps_in_which_a_gpu_loads_its_kernels_say_nothing_about_costs(
    batcher: Batcher, device: Counting
) -> None:
    batcher.by_cost = True
    say(batcher, draft("a", steps=FIRST_STEPS))
    assert batcher.estimate_s([draft("b")]) is None
    say(batcher, draft("c", steps=1))
    assert batcher.estimate_s([draft("b")]) is not None


@pytest.mark.parametrize("alive", [True, False])
def test_what_fails_in_idle_time_fails_nobody_unless_the_device_is_broken(
    batcher: Batcher, device: Counting, alive: bool
) -> None:
    def fail() -> bool:
        raise RuntimeError("capture")

    device.idle = fail  # type: ignore[method-assign]
    works(batcher)
    device.alive = alive
    thread = batcher._thread
    assert thread is not None
    thread.join(LIMIT_S)
    assert batcher.broken is not alive
    if alive:
        works(batcher)


def test_rows_that_end_in_one_step_are_finished_at_once_where_that_is_best(
    batcher: Batcher, device: Counting
) -> None:
    asked = [draft("a", 60), draft("b", 70), draft("c", 80, steps=2)]
    assert say(batcher, *asked) == [60, 70, 80]
    assert device.finished == [["c"], ["a"], ["b"]]
    device.finishes_together = True
    device.finished.clear()
    assert say(batcher, *asked) == [60, 70, 80]
    assert device.finished == [["c"], ["a", "b"]]
    assert batcher.counters()["rows"] == 6


def test_a_row_that_cannot_be_finished_fails_alone_among_those_that_end_with_it(
    batcher: Batcher, device: Counting
) -> None:
    device.finishes_together = True
    device.gate = threading.Semaphore(0)
    good = Caller(batcher, draft("good", 60))
    bad = Caller(batcher, draft("unfinishable", 60))
    while len(batcher._calls) < 2:
        time.sleep(0.001)
    device.gate.release(50)
    assert getattr(bad.ended().error, "code", None) == "NOT_FINITE"
    assert len(good.ended().waves) == 1
    works(batcher)


def test_steps_go_on_while_waves_are_on_their_way(batcher: Batcher, device: Counting) -> None:
    device.slow = True
    calls = [Caller(batcher, draft("short", 60, steps=1), draft("long", 60, steps=5))]
    assert len(calls[0].ended().waves) == 2
    assert device.steps == [["short", "long"], *[["long"]] * 4]
    assert device.waits == 2  # once nothing else was to be done, once for each


def test_a_caller_that_goes_away_waits_for_its_waves(batcher: Batcher, device: Counting) -> None:
    device.slow = True
    asked = 0

    def give_up() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        say(batcher, draft("a", 60, steps=1), draft("b", 60, steps=9), check=give_up)
    assert device.waits == 1
    assert batcher._endings == []
    device.slow = False
    works(batcher)


@pytest.mark.parametrize("slow", [True, False])
def test_a_row_without_a_wave_fails_alone_among_those_that_end_with_it(
    batcher: Batcher, device: Counting, slow: bool
) -> None:
    device.finishes_together, device.slow = True, slow
    device.gate = threading.Semaphore(0)
    good = Caller(batcher, draft("good", 60))
    bad = Caller(batcher, draft("without wave", 60))
    while len(batcher._calls) < 2:
        time.sleep(0.001)
    device.gate.release(50)
    assert getattr(bad.ended().error, "code", None) == "NOT_FINITE"
    assert len(good.ended().waves) == 1
    counted = batcher.counters()
    assert (counted["rows"], counted["failed_rows"]) == (1, 1)
    works(batcher)


def test_nothing_to_say_is_said_at_once(batcher: Batcher) -> None:
    assert list(batcher.run([])) == []


def test_estimates_follow_what_was_measured(batcher: Batcher, device: Counting) -> None:
    assert batcher.estimate_s([draft("a")]) is None
    device.fails = lambda rows: time.sleep(1e-4 * sum(row.frames for row in rows))
    say(batcher, draft("a", 100), draft("b", 240))
    needed_s = batcher.estimate_s([draft("c", 200, steps=10)])
    assert needed_s == pytest.approx(0.2, rel=0.5)
    twice_s = batcher.estimate_s([draft("c", 200, steps=10)] * 2)
    assert twice_s == pytest.approx(2 * needed_s, rel=0.1)


def test_many_callers_at_once_all_get_their_own(batcher: Batcher, device: Counting) -> None:
    rng = np.random.default_rng(3)
    callers = []
    for i in range(60):
        sizes = rng.integers(60, 300, size=rng.integers(1, 4))
        drafts = [draft(f"{i}", int(n), steps=int(rng.integers(1, 6))) for n in sizes]
        callers.append((Caller(batcher, *drafts), sizes))
    for caller, sizes in callers:
        caller.ended()
        assert caller.error is None
        assert [len(caller.waves[i].samples) for i in range(len(sizes))] == list(sizes)
    assert batcher._calls == []

"""The engine loop: one thread owns the device; sequences join and leave between ODE steps.

Several models may share the device: a step is of one of them, and `Scheduler` says of which.

Requests come from any thread. Their waves go out as they are finished, and so does their own
failure, which no other request sees.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress

import torch

from f5serve.engine.cuda import is_out_of_memory
from f5serve.engine.model_runner import ModelRunner, PendingWaves
from f5serve.engine.request import Request, Sequence, SequenceStatus
from f5serve.engine.scheduler import Scheduler
from f5serve.errors import EngineFailed, F5Error
from f5serve.types import Wave

log = logging.getLogger(__name__)

IDLE_S = 10.0
"""A thread without work ends after this; the next request starts another. None: it never ends."""
PREPARE_AHEAD = 16
"""So many sequences of a request are prepared on the host before they can start."""
PAUSE_S = 0.05
"""Seconds without work before idle tasks (the capture of CUDA graphs) may begin."""


class EngineLoop:
    """Takes requests from any thread and works on all of them in one.

    Attributes:
        runners: of the models that are loaded.
        broken: whether the device has failed for good.
        idle_s: see `IDLE_S`.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.runners: list[ModelRunner] = []
        self.scheduler = scheduler
        self.broken = False
        self.idle_s: float | None = IDLE_S
        self._changed = threading.Condition()
        self._pending: list[tuple[list[Sequence], PendingWaves]] = []
        self._thread: threading.Thread | None = None
        self._totals: defaultdict[str, float] = defaultdict(float)

    # Called by any thread.

    def add_model(self, runner: ModelRunner) -> None:
        """Take in a model, whose sequences may come from now on."""
        with self._changed:
            self.runners.append(runner)

    def remove_model(self, runner: ModelRunner) -> None:
        """Let a model go that has no sequences here."""
        with self._changed:
            assert all(seq.runner is not runner for seq in self.scheduler.sequences())
            self.runners.remove(runner)

    def run(
        self,
        sequences: list[Sequence],
        check: Callable[[], None] | None = None,
        deadline: float = math.inf,
    ) -> Generator[tuple[int, Wave], None, None]:
        """Index and wave of each sequence as it is finished; close the iterator to give up.

        Raises:
            F5Error: how the request failed.
            BaseException: what `check` raised.
        """
        if not sequences:
            return
        request = Request(list(sequences), check)
        self._add(request, deadline)
        try:
            for seq in sequences[:PREPARE_AHEAD]:
                seq.runner.prepare(seq)
            for i, _ in enumerate(sequences):
                event = request.events.get()
                if i + PREPARE_AHEAD < len(sequences):
                    later = sequences[i + PREPARE_AHEAD]
                    later.runner.prepare(later)
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            with self._changed:
                request.cancelled = True
                self._changed.notify()
            request.released.wait()  # at once, or after a step

    def _add(self, request: Request, deadline: float) -> None:
        for index, seq in enumerate(request.sequences):
            seq.request, seq.index, seq.status = request, index, SequenceStatus.WAITING
        needed_s = self.estimate_s(request.sequences) if deadline < math.inf else None
        with self._changed:
            if self.broken:
                raise device_broken()
            if self._thread is None:  # started before anything waits for it, should that fail
                thread = threading.Thread(target=self._work, name="device", daemon=True)
                thread.start()
                self._thread = thread
            self.scheduler.add(request, deadline, needed_s or 0.0)
            self._changed.notify()

    def estimate_s(self, sequences: Iterable[Sequence]) -> float | None:
        """Seconds that these need alone; None before anything was measured."""
        sequences = list(sequences)
        if not sequences:
            return 0.0
        steps_s = self.scheduler.estimate_s(sequences)
        if steps_s is None:
            return None
        vocoder_s = self._totals.get("vocoder_s", 0) / self._totals.get("vocoder_frames", 1)
        return steps_s + vocoder_s * sum(seq.frames for seq in sequences)

    def counters(self) -> dict[str, float]:
        """See `types.Engine.counters`."""
        with self._changed:
            sequences = self.scheduler.sequences()
            waiting = sum(seq.status is SequenceStatus.WAITING for seq in sequences)
            counted = dict(self._totals)
            runners = list(self.runners)
        of_runners: defaultdict[str, float] = defaultdict(float)
        for name, amount in (item for runner in runners for item in runner.counters().items()):
            of_runners[name] += amount
        counted |= {
            "padding_frames": 0,  # sequences are packed; only replayed steps are padded
            **of_runners,
            "rows_running": len(sequences) - waiting,
            "rows_waiting": waiting,
            "batch_frames": self.scheduler.batch_frames(runners),
        }
        backlog_s = self.estimate_s(sequences)
        return counted if backlog_s is None else counted | {"backlog_s": backlog_s}

    # Called by the loop's own thread.

    def _work(self) -> None:
        while self._wait_for_work():
            try:
                self._iterate()
            except Exception:
                log.exception("the engine loop failed")
                for request in list(self.scheduler.requests):
                    error = EngineFailed("The engine loop failed.", code="STEP_FAILED")
                    self._release(request, error)

    def _wait_for_work(self) -> bool:
        """Whether there is any; the thread ends when there is none for long."""
        while not self._has_work(PAUSE_S):
            if self.broken or not self._capture(is_idle=True):
                break
        with self._changed:
            if self._changed.wait_for(lambda: self.scheduler.requests, self.idle_s):
                return True
            self._thread = None
            return False

    def _has_work(self, within_s: float) -> bool:
        with self._changed:
            return bool(self._changed.wait_for(lambda: self.scheduler.requests, within_s))

    def _capture(self, is_idle: bool) -> bool:
        """Whether a model has more to capture; an error fails no request, unless the device is
        broken.
        """
        for runner in list(self.runners):
            try:
                if runner.capture_pending() if is_idle else runner.capture_overdue():
                    return True
            except Exception as error:  # noqa: BLE001 - see above
                if to_engine_error(error, runner).code == "DEVICE_BROKEN":
                    self._break()
                    return False
        return False

    def _iterate(self) -> None:
        """One step, and the waves that are there."""
        for request in list(self.scheduler.requests):
            self._check_cancelled(request)
        batch = self.scheduler.schedule()
        if batch:
            self._capture(is_idle=False)
        if batch and not self.broken:
            self._run_step(batch)
        self._collect(wait=not batch)

    def _check_cancelled(self, request: Request) -> None:
        if request.cancelled:
            self._release(request)
        elif request.check is not None:
            try:
                request.check()
            except BaseException as error:  # noqa: BLE001 - it comes out in the caller's thread
                self._release(request, error)

    def _run_step(self, batch: list[Sequence]) -> None:
        """Start the sequences that are new, take a step, and vocode those that are complete."""
        failing, runner = None, batch[0].runner
        try:
            for seq in batch:
                failing = seq
                if seq.status is SequenceStatus.WAITING:
                    runner.start(seq)
            failing = batch[0] if len(batch) == 1 else None
            began = time.perf_counter()
            runner.step(batch)
            self._count_step(batch, time.perf_counter() - began)
        except Exception as error:  # noqa: BLE001 - it fails the sequences, not the thread
            failure = to_engine_error(error, runner)
        else:
            self._vocode([seq for seq in batch if not seq.steps_left])
            return
        # Outside of the handler, where nothing holds the failed step's memory any more.
        self._handle_failure(failure, failing, batch)

    def _count_step(self, batch: list[Sequence], seconds: float) -> None:
        with self._changed:
            self.scheduler.step_taken(batch, seconds)
        frames = sum(seq.frames for seq in batch)
        self._count(steps=1, step_s=seconds, row_steps=len(batch), frame_steps=frames)

    def _vocode(self, complete: list[Sequence]) -> None:
        complete.sort(key=lambda seq: seq.index)
        if complete:
            complete[0].runner.clear_batch()
        in_a_batch = len(complete) > 1 and complete[0].runner.vocodes_in_batches
        if in_a_batch and self._start_vocoder(complete, may_fail=True):
            return
        for seq in complete:
            if seq.status is SequenceStatus.RUNNING:  # another of its request may have just failed
                self._start_vocoder([seq])

    def _start_vocoder(self, sequences: list[Sequence], may_fail: bool = False) -> bool:
        """Whether the waves of these are on their way; with `may_fail` an error has no effect."""
        began, runner = time.perf_counter(), sequences[0].runner
        try:
            pending = runner.vocode(sequences)
        except Exception as error:  # noqa: BLE001 - as above
            if may_fail:  # which one it was is found out one by one
                return False
            failure = to_engine_error(error, runner)
        else:
            for seq in sequences:
                seq.status = SequenceStatus.VOCODING
            self._pending.append((sequences, pending))
            frames = sum(seq.frames for seq in sequences)
            self._count(vocoder_s=time.perf_counter() - began, vocoder_frames=frames)
            self._collect(wait=False)
            return True
        self._handle_failure(failure, sequences[0], sequences)
        return False

    def _collect(self, wait: bool) -> None:
        """Emit the waves that are there, or all that are on their way."""
        for entry in list(self._pending):
            sequences, pending = entry
            if entry not in self._pending or not (wait or pending.ready()):
                continue
            began = time.perf_counter()
            try:
                results: Iterable[Wave | F5Error] = pending.waves()
            except Exception as error:  # noqa: BLE001 - as above; each caller gets one of its own
                results = [to_engine_error(error, sequences[0].runner) for _ in sequences]
            self._count(vocoder_s=time.perf_counter() - began)
            self._pending.remove(entry)
            for seq, result in zip(sequences, results, strict=True):
                if seq.status is not SequenceStatus.VOCODING:  # its request was released
                    continue
                if isinstance(result, F5Error):
                    self._handle_failure(result, seq, [seq])
                else:
                    self._emit(seq, result)

    def _emit(self, seq: Sequence, wave: Wave) -> None:
        request = seq.request
        self._count(rows=1)
        with self._changed:
            seq.release(SequenceStatus.FINISHED)
            request.sequences.remove(seq)
        request.events.put((seq.index, wave))
        if not request.sequences:
            self._release(request)

    def _handle_failure(
        self, failure: F5Error, failing: Sequence | None, batch: list[Sequence]
    ) -> None:
        """Fail one request, or take fewer sequences until it is known which one fails."""
        if failure.code == "DEVICE_BROKEN":
            self._break()
        elif len(batch) > 1 and (failing is None or failure.code == "OUT_OF_MEMORY"):
            limit = self.scheduler.halve(batch)
            self._count(out_of_memory=failure.code == "OUT_OF_MEMORY")
            for seq in batch:
                if seq.status is SequenceStatus.RUNNING and not seq.step:
                    seq.release(SequenceStatus.WAITING)
            batch[0].runner.clear_batch()
            for runner in list(self.runners):
                runner.release_memory()
            log.warning("%s: going on with at most %d frames", failure, limit)
        else:
            self._release((failing or batch[0]).request, failure)
            self.scheduler.reset_limit()

    def _break(self) -> None:
        with self._changed:
            self.broken = True
            requests = list(self.scheduler.requests)
        for request in requests:
            self._release(request, device_broken())

    def _release(self, request: Request, failure: BaseException | None = None) -> None:
        """Free what the device holds of a request, then pass the failure to its caller."""
        for entry in list(self._pending):
            sequences, pending = entry
            if any(seq.request is request for seq in sequences):
                with suppress(Exception):  # others among them get it when it is collected
                    pending.waves()
            if all(
                seq.request is request or seq.status is not SequenceStatus.VOCODING
                for seq in sequences
            ):
                self._pending.remove(entry)
        with self._changed:
            if request not in self.scheduler.requests:
                return
            self.scheduler.remove(request)
            if request.sequences:
                self._count(failed_rows=len(request.sequences))
            for seq in request.sequences:
                seq.release(SequenceStatus.FINISHED)
            request.sequences.clear()
        try:
            for runner in list(self.runners):
                runner.clear_batch()
        finally:
            if failure is not None:
                request.events.put(failure)
            request.released.set()

    def _count(self, **amounts: float) -> None:
        for name, amount in amounts.items():
            self._totals[name] += amount


def to_engine_error(error: Exception, runner: ModelRunner) -> F5Error:
    """The error that callers get for one that came out of the device.

    It has no traceback: that would keep the step's tensors alive for as long as the error.
    """
    if isinstance(error, F5Error):
        return error.with_traceback(None)
    first_line = (str(error) or repr(error)).splitlines()[0]
    if is_out_of_memory(error):
        return EngineFailed(
            f"The device ran out of memory: {first_line}",
            code="OUT_OF_MEMORY",
            hint="Send a shorter text or reference, or use a device with more memory.",
            retryable=True,
        )
    log.error("a step failed", exc_info=error)
    if isinstance(error, torch.AcceleratorError) or not runner.is_healthy():
        return device_broken()
    return EngineFailed(
        f"The engine failed at a step: {first_line}",
        code="STEP_FAILED",
        hint="Its log has the details; other requests are not affected.",
    )


def device_broken() -> EngineFailed:
    """What every caller gets once the device does nothing any more."""
    return EngineFailed(
        "The device has failed and does not respond.",
        code="DEVICE_BROKEN",
        hint="A new process is needed; the same request may work there.",
        retryable=True,
    )

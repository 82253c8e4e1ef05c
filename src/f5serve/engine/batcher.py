"""The thread that owns the device: rows of all calls join and leave between its steps.

Drafts of a call come in from any thread; its waves go out as they are finished, and so does its
own failure, which no other call sees. What a step is, the device knows; which rows take it, the
policy.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress

from f5serve.engine.calls import Call, Device, Ending, Item, device_broken, named
from f5serve.engine.costs import StepCost
from f5serve.engine.policy import FairShare, Policy, Ticket, pick
from f5serve.engine.rows import Draft
from f5serve.errors import EngineFailed, F5Error
from f5serve.types import Wave

log = logging.getLogger(__name__)

IDLE_S = 10.0
"""A thread without work ends after this; the next call starts another. None: it never ends."""
AHEAD = 16
"""So many drafts of a call are made ready before they can begin."""
PAUSE_S = 0.05
"""Nobody has come for so long: the device is idle, and not between two requests of a caller."""
REGROWTH = 64
"""After memory ran out, each good step adds this fraction to the limit."""
FIXED_SHARE = 0.1
"""Steps that are so long that this is the part of them which does not depend on their rows are
long enough: more rows would only make those wait who join."""
FIRST_STEPS = 16
"""What these cost says little: a GPU loads its kernels in them."""
LEAST_FRAMES = 1024
"""The budget by cost is never less."""
SAFETY = 2.0
"""A call is urgent when its deadline is nearer than this times what it needs alone."""


class Batcher:
    """Takes calls from any thread and works on all of them in one.

    Args:
        device: what takes the steps.
        budget: most mel frames of a step; a longer row runs alone. Less where `by_cost` is set
            and steps of fewer frames were found to cost as little for each.
        policy: which rows run next.
    """

    def __init__(self, device: Device, budget: int, policy: Policy = pick) -> None:
        self.device = device
        self.budget = budget
        self.policy = policy
        self.cost = StepCost()
        self.broken = False
        self.idle_s: float | None = IDLE_S
        self.by_cost = False
        self._limit = budget
        self._changed = threading.Condition()
        self._calls: list[Call] = []
        self._endings: list[tuple[list[Item], Ending]] = []
        self._share = FairShare()
        self._arrivals = itertools.count()
        self._hurry = False
        self._thread: threading.Thread | None = None
        self._totals: defaultdict[str, float] = defaultdict(float)

    def resize(self, budget: int) -> None:
        """Take another budget, whatever steps cost."""
        self.budget = self._limit = budget
        self.by_cost = False

    @property
    def _most_frames(self) -> int:
        """Of the next step."""
        most = min(self._limit, self.budget)
        tokens = self.cost.worthwhile_tokens(FIXED_SHARE) if self.by_cost else None
        return most if tokens is None else min(most, max(LEAST_FRAMES, int(tokens / 2)))

    # What callers do.

    def run(
        self,
        drafts: Sequence[Draft],
        check: Callable[[], None] | None = None,
        deadline: float | None = None,
    ) -> Generator[tuple[int, Wave], None, None]:
        """Index and wave of each draft as it is finished; close the iterator to give up.

        Raises:
            F5Error: how the call failed.
            BaseException: what `check` raised.
        """
        if not drafts:
            return
        call = self._submit(drafts, check, deadline)
        try:
            for draft in drafts[:AHEAD]:
                self.device.prepare(draft)
            for i, _ in enumerate(drafts):
                event = call.events.get()
                if i + AHEAD < len(drafts):
                    self.device.prepare(drafts[i + AHEAD])
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self._withdraw(call)

    def _submit(
        self,
        drafts: Sequence[Draft],
        check: Callable[[], None] | None,
        deadline: float | None,
    ) -> Call:
        call = Call(check)
        due = latest_start = math.inf
        if deadline is not None:
            due, latest_start = deadline, deadline - SAFETY * (self.estimate_s(drafts) or 0.0)
        with self._changed:
            if self.broken:
                raise device_broken()
            if self._thread is None:  # started before anything waits for it, should that fail
                thread = threading.Thread(target=self._work, name="device", daemon=True)
                thread.start()
                self._thread = thread
            tags = self._share.admit([draft.tokens * draft.steps for draft in drafts])
            call.end_tag = tags[-1]
            for index, (draft, tag) in enumerate(zip(drafts, tags, strict=True)):
                ticket = Ticket(next(self._arrivals), draft.frames, tag, due, latest_start)
                call.items.append(Item(call, index, draft, ticket))
            self._calls.append(call)
            self._changed.notify()
        return call

    def _withdraw(self, call: Call) -> None:
        """Return when nothing of the call is on the device: at once, or after a step."""
        with self._changed:
            call.unwanted = True
            self._changed.notify()
        call.left.wait()

    def estimate_s(self, drafts: Sequence[Draft]) -> float | None:
        """Seconds that these need alone; None before anything was measured."""
        return self._estimate_s([(draft, draft.steps) for draft in drafts])

    def _estimate_s(self, parts: Sequence[tuple[Draft, int]]) -> float | None:
        """The same for drafts that need so many more steps."""
        if not parts:
            return 0.0
        tokens = sum(draft.tokens * steps for draft, steps in parts)
        most = self._most_frames if self.by_cost else self.budget
        together = sum(draft.frames * steps for draft, steps in parts) / most
        steps_s = self.cost.seconds(max(together, *(steps for _, steps in parts), 0), tokens)
        if steps_s is None:
            return None
        vocoder_s = self._totals.get("vocoder_s", 0) / self._totals.get("vocoder_frames", 1)
        return steps_s + vocoder_s * sum(draft.frames for draft, _ in parts)

    def counters(self) -> dict[str, float]:
        """See `types.Engine.counters`."""
        with self._changed:
            items = [item for call in self._calls for item in call.items]
            parts = [(item.draft, item.steps_left) for item in items]
            running = sum(item.begun is not None for item in items)
            counted = dict(self._totals)
        counted |= {
            "padding_frames": 0,  # rows are packed; only recorded steps are filled up
            **self.device.counters(),
            "rows_running": running,
            "rows_waiting": len(items) - running,
            "batch_frames": self._most_frames,
        }
        backlog_s = self._estimate_s(parts)
        return counted if backlog_s is None else counted | {"backlog_s": backlog_s}

    # What the thread does.

    def _work(self) -> None:
        while self._wait():
            try:
                self._turn()
            except Exception:
                log.exception("the batcher failed")
                for call in list(self._calls):
                    self._leave(call, EngineFailed("The batcher failed.", code="STEP_FAILED"))

    def _wait(self) -> bool:
        while not self._comes(PAUSE_S):
            if self.broken or not self._use_time(self.device.idle):
                break
        with self._changed:
            if self._changed.wait_for(lambda: self._calls, self.idle_s):
                return True
            self._thread = None
            return False

    def _comes(self, seconds: float) -> bool:
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._calls, seconds))

    def _use_time(self, work: Callable[[], bool]) -> bool:
        """Whether there may be more of the work that is for the device's own sake."""
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - it fails nobody, unless the device is broken
            if named(error, self.device).code == "DEVICE_BROKEN":
                self._break()
            return False

    def _turn(self) -> None:
        for call in list(self._calls):
            self._ask(call)
        items = self._choose()
        if items:
            self._use_time(self.device.catch_up)
        if items and not self.broken:
            self._advance(items)
        self._collect(wait=not items)

    def _ask(self, call: Call) -> None:
        """Whether anybody still wants the call."""
        if call.unwanted:
            self._leave(call)
        elif call.check is not None:
            try:
                call.check()
            except BaseException as error:  # noqa: BLE001 - it comes out in the caller's thread
                self._leave(call, error)

    def _choose(self) -> list[Item]:
        ours = [item for call in self._calls for item in call.items if not item.ending]
        items = {item.ticket.number: item for item in ours}
        waiting = [item.ticket for item in items.values() if item.begun is None]
        running = [item.ticket for item in items.values() if item.begun is not None]
        # Every second step is free of urgency, so that deadlines starve nobody.
        self._hurry = not self._hurry
        now = time.monotonic() if self._hurry else -math.inf
        chosen = self.policy(waiting, running, self._most_frames, now)
        return [items[ticket.number] for ticket in chosen]

    def _advance(self, items: list[Item]) -> None:
        culprit = None
        try:
            for item in items:
                culprit = item
                if item.begun is None:
                    item.begun = self.device.begin(item.draft)
            culprit = items[0] if len(items) == 1 else None
            self._step(items)
        except Exception as error:  # noqa: BLE001 - it fails the rows, not the thread
            failure = named(error, self.device)
        else:
            self._finish(items)
            return
        # Outside of the handler, where nothing holds the failed step's memory any more.
        self._blame(failure, culprit, items)

    def _step(self, items: list[Item]) -> None:
        began = time.perf_counter()
        self.device.step([item.begun for item in items if item.begun is not None])
        seconds = time.perf_counter() - began
        tokens = sum(item.draft.tokens for item in items)
        frames = sum(item.draft.frames for item in items)
        if not self.by_cost or self._totals["steps"] >= FIRST_STEPS:
            self.cost.note(tokens, seconds)
        self._limit = min(self.budget, self._limit + self._limit // REGROWTH + 1)
        with self._changed:
            self._share.advance(tokens)
        self._count(steps=1, step_s=seconds, row_steps=len(items), frame_steps=frames)

    def _blame(self, failure: F5Error, culprit: Item | None, items: list[Item]) -> None:
        """Fail one call, or fewer rows at a time until it is known whose fault it is."""
        if failure.code == "DEVICE_BROKEN":
            self._break()
        elif len(items) > 1 and (culprit is None or failure.code == "OUT_OF_MEMORY"):
            self._limit = max(1, min(self._limit, sum(i.draft.frames for i in items)) // 2)
            self._count(out_of_memory=failure.code == "OUT_OF_MEMORY")
            for item in items:
                if item.begun is not None and not item.begun.step:
                    item.begun = None
            self.device.forget()
            self.device.free()
            log.warning("%s: going on with at most %d frames", failure, self._limit)
        else:
            self._leave((culprit or items[0]).call, failure)
            self._limit = self.budget

    def _break(self) -> None:
        with self._changed:
            self.broken = True
            calls = list(self._calls)
        for call in calls:
            self._leave(call, device_broken())

    def _finish(self, items: list[Item]) -> None:
        done = [item for item in items if item.begun is not None and item.begun.done]
        done.sort(key=lambda item: item.index)
        if done:
            self.device.forget()
        together = len(done) > 1 and self.device.finishes_together
        if not (together and self._end(done, may_fail=True)):
            for item in done:
                if item.begun is not None:  # else another row of its call has just failed
                    self._end([item])

    def _end(self, items: list[Item], may_fail: bool = False) -> bool:
        """Whether the waves of these are on their way."""
        began = time.perf_counter()
        try:
            ending = self.device.finish([item.begun for item in items if item.begun is not None])
        except Exception as error:  # noqa: BLE001 - as above
            if may_fail:  # which row it was is found out one by one
                return False
            failure = named(error, self.device)
        else:
            for item in items:
                item.ending = True
            self._endings.append((items, ending))
            frames = sum(item.draft.frames for item in items)
            seconds = time.perf_counter() - began
            self._count(vocoder_s=seconds, vocoder_frames=frames)
            self._collect(wait=False)
            return True
        self._blame(failure, items[0], items)
        return False

    def _collect(self, wait: bool) -> None:
        """Hand over the waves that are there, or all of them."""
        for items, ending in list(self._endings):
            if (items, ending) not in self._endings or not (wait or ending.ready()):
                continue
            began = time.perf_counter()
            try:
                results = ending.waves()
            except Exception as error:  # noqa: BLE001 - as above
                results = [named(error, self.device) for _ in items]  # one for each caller
            self._count(vocoder_s=time.perf_counter() - began)
            self._endings.remove((items, ending))
            for item, result in zip(items, results, strict=True):
                if item.begun is None:  # its call has left
                    continue
                if isinstance(result, F5Error):
                    self._blame(result, item, [item])
                else:
                    self._hand_over(item, result)

    def _let_end(self, call: Call) -> None:
        """Wait for what of the call is still on its way, and let go of it."""
        for items, ending in list(self._endings):
            if any(item.call is call for item in items):
                with suppress(Exception):  # told when it is collected, if anybody is left to tell
                    ending.waves()
            if all(item.call is call or item.begun is None for item in items):
                self._endings.remove((items, ending))

    def _hand_over(self, item: Item, wave: Wave) -> None:
        call = item.call
        self._count(rows=1)
        with self._changed:
            item.begun = None
            call.items.remove(item)
        call.events.put((item.index, wave))
        if not call.items:
            self._leave(call)

    def _count(self, **amounts: float) -> None:
        for name, amount in amounts.items():
            self._totals[name] += amount

    def _leave(self, call: Call, failure: BaseException | None = None) -> None:
        """Take a call off the device; what is left of it is freed before its caller hears."""
        self._let_end(call)
        with self._changed:
            if call not in self._calls:
                return
            self._calls.remove(call)
            if call.items:
                self._share.leave(call.end_tag)
                self._count(failed_rows=len(call.items))
            for item in call.items:
                item.begun = None
            call.items.clear()
        try:
            self.device.forget()
        finally:
            if failure is not None:
                call.events.put(failure)
            call.left.set()

"""What callers and the thread that owns the device share: calls, their utterances, failures."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Protocol

import torch

from f5serve.engine.memory import is_out_of_memory
from f5serve.engine.policy import Ticket
from f5serve.engine.rows import Draft
from f5serve.engine.stepping import Begun
from f5serve.errors import EngineFailed, F5Error
from f5serve.types import Wave

log = logging.getLogger(__name__)


class Ending(Protocol):
    """Waves on their way from the device; asked by the batcher's thread alone."""

    def ready(self) -> bool:
        """Whether `waves` does not wait."""
        ...

    def waves(self) -> Sequence[Wave | F5Error]:
        """The wave of each row, or why it has none."""
        ...


class Device(Protocol):
    """What the batcher's thread works with; called from it alone, but for `prepare`."""

    def prepare(self, draft: Draft) -> None:
        """What can be done before the row begins, in the caller's thread."""

    def begin(self, draft: Draft) -> Begun:
        """A row that can take steps."""
        ...

    def step(self, rows: Sequence[Begun]) -> None:
        """Take each row one step further, or raise and leave all where they were."""
        ...

    @property
    def finishes_together(self) -> bool:
        """Whether several rows are best finished at once."""
        ...

    def finish(self, rows: Sequence[Begun]) -> Ending:
        """The waves of rows that are done, on their way."""
        ...

    def forget(self) -> None:
        """Let go of rows that have left."""

    def idle(self) -> bool:
        """Do a piece of what can wait until nobody does; False when there is none."""
        ...

    def catch_up(self) -> bool:
        """The same while somebody waits, for what is long overdue."""
        ...

    def counters(self) -> dict[str, float]:
        """What it counts itself, see `types.Engine.counters`; asked for by any thread."""
        ...

    def free(self) -> None:
        """Give memory back that is only kept in reserve."""

    def responds(self) -> bool:
        """Whether, after an error, the device still does what it is told."""
        ...


@dataclass(slots=True, eq=False)
class Item:
    """One utterance of a call.

    Attributes:
        begun: what it has on the device.
        ending: its wave is on the way.
    """

    call: Call
    index: int
    draft: Draft
    ticket: Ticket
    begun: Begun | None = None
    ending: bool = False

    @property
    def steps_left(self) -> int:
        """Steps that it still needs."""
        return self.draft.steps - (self.begun.step if self.begun else 0)


@dataclass(slots=True, eq=False)
class Call:
    """What one caller asked for.

    Attributes:
        items: utterances that are not finished yet.
        end_tag: of its last row.
        events: what the caller is told: an index and its wave, or how the call failed.
        unwanted: the caller has gone.
        left: set once nothing of this call is on the device any more.
    """

    check: Callable[[], None] | None
    items: list[Item] = field(default_factory=list)
    end_tag: float = 0.0
    events: SimpleQueue[tuple[int, Wave] | BaseException] = field(default_factory=SimpleQueue)
    unwanted: bool = False
    left: threading.Event = field(default_factory=threading.Event)


def named(error: Exception, device: Device) -> F5Error:
    """The error that callers get for one that came out of the device.

    It has no traceback: that would keep the step's tensors alive for as long as the error.
    """
    if isinstance(error, F5Error):
        return error.with_traceback(None)
    if is_out_of_memory(error):
        return EngineFailed(
            f"The device ran out of memory: {_first_line(error)}",
            code="OUT_OF_MEMORY",
            hint="Send a shorter text or reference, or use a device with more memory.",
            retryable=True,
        )
    log.error("a step failed", exc_info=error)
    if isinstance(error, torch.AcceleratorError) or not device.responds():
        return device_broken()
    return EngineFailed(
        f"The engine could not take a step: {_first_line(error)}",
        code="STEP_FAILED",
        hint="Its log has the details; other requests are not affected.",
    )


def device_broken() -> EngineFailed:
    """What every caller gets once the device does nothing any more."""
    return EngineFailed(
        "The device has failed and answers no more.",
        code="DEVICE_BROKEN",
        hint="A new process is needed; the same request may work there.",
        retryable=True,
    )


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).splitlines()[0]

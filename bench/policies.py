"""Ways to share the device that the engine's own is compared with; see f5serve.engine.policy."""

from __future__ import annotations

from collections.abc import Sequence

from f5serve.engine.policy import Ticket


def first_come(
    waiting: Sequence[Ticket], running: Sequence[Ticket], budget: int, now: float
) -> list[Ticket]:
    """No batching: one row at a time, in the order of arrival, to its end."""
    return [min([*running, *waiting], key=lambda ticket: ticket.number)]


def between_requests(
    waiting: Sequence[Ticket], running: Sequence[Ticket], budget: int, now: float
) -> list[Ticket]:
    """A batch is filled in the order of arrival, and nothing joins before all of it is done."""
    if running:
        return list(running)
    batch: list[Ticket] = []
    for ticket in sorted(waiting, key=lambda ticket: ticket.number):
        if batch and sum(t.frames for t in batch) + ticket.frames > budget:
            break
        batch.append(ticket)
    return batch

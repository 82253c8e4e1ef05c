"""Admission control: refuses requests with BUSY while the estimated backlog is too long.

All calls are made in the event loop, so a burst of requests is counted one by one.
"""

from __future__ import annotations

from f5serve.errors import F5Error

_WEIGHT = 0.2
"""Of the newest cost in the running average of what a byte of text costs."""


class Ticket:
    """One admitted request, until it is released."""

    def __init__(
        self, controller: AdmissionController, text_bytes: int, estimate_s: float | None
    ) -> None:
        self._controller = controller
        self._text_bytes = max(1, text_bytes)
        self._estimate_s = estimate_s
        self._remaining_share = 1.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds of the executor that the request still needs; None while unknown."""
        return None if self._estimate_s is None else self._estimate_s * self._remaining_share

    def estimate(self, seconds: float | None) -> None:
        """The engine's own estimate, once voice and plan are known; None changes nothing."""
        if seconds is not None:
            self._change(seconds, self._remaining_share)
            self._controller.observe(seconds / self._text_bytes)

    def progress(self, share: float) -> None:
        """Note the share that is done, 0..1."""
        self._change(self._estimate_s, 1.0 - share)

    def settle(self, seconds: float) -> None:
        """Learn from the seconds it took, where nothing else ran meanwhile."""
        self._controller.observe(seconds / self._text_bytes)

    def release(self) -> None:
        """Take the request out of the backlog; may be called twice."""
        self._controller.remove(self)

    def _change(self, estimate_s: float | None, remaining_share: float) -> None:
        before = self.remaining_s
        self._estimate_s, self._remaining_share = estimate_s, remaining_share
        self._controller.change(self, before)


class AdmissionController:
    """Estimates the backlog of admitted requests.

    Args:
        max_wait_s: a request that would wait longer is refused.
    """

    def __init__(self, max_wait_s: float) -> None:
        self._max_wait_s = max_wait_s
        self._tickets: set[Ticket] = set()
        # A running sum, since each request asks for it; and the number of tickets in it.
        self._known, self._wait_s = 0, 0.0
        self._s_per_byte: float | None = None

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def backlog_s(self) -> float | None:
        """Seconds until all admitted requests are done; None while no estimate is known."""
        return self._wait_s if self._known or not self._tickets else None

    def admit(self, text_bytes: int, force: bool = False) -> Ticket:
        """Admit a request at the end of the backlog.

        Args:
            force: admit regardless of the backlog; for jobs that were accepted earlier.

        Raises:
            F5Error: BUSY. While no cost is known, all requests are admitted.
        """
        if not force:
            self.check()
        cost = self._s_per_byte
        ticket = Ticket(self, text_bytes, None if cost is None else cost * text_bytes)
        self._tickets.add(ticket)
        self.change(ticket, None)
        return ticket

    def check(self) -> None:
        """Raise BUSY if the backlog is too long; see `admit`."""
        backlog_s = self.backlog_s
        if backlog_s is not None and backlog_s > self._max_wait_s:
            raise busy(backlog_s, len(self), self._max_wait_s)

    def observe(self, s_per_byte: float) -> None:
        """Update the average seconds for a byte of text."""
        before = s_per_byte if self._s_per_byte is None else self._s_per_byte
        self._s_per_byte = before + _WEIGHT * (s_per_byte - before)

    def change(self, ticket: Ticket, before_s: float | None) -> None:
        """The estimate of a ticket has changed; None is unknown."""
        if ticket in self._tickets:
            self._add(before_s, -1)
            self._add(ticket.remaining_s, 1)

    def remove(self, ticket: Ticket) -> None:
        """See `Ticket.release`."""
        if ticket in self._tickets:
            self._tickets.discard(ticket)
            self._add(ticket.remaining_s, -1)

    def _add(self, seconds: float | None, sign: int) -> None:
        if seconds is not None:
            self._known += sign
            # Exactly nothing where nobody is left, whatever was rounded before.
            self._wait_s = max(self._wait_s + sign * seconds, 0.0) if self._known else 0.0


def busy(backlog_s: float, ahead: int, max_wait_s: float) -> F5Error:
    """The error for a request that would have to wait too long."""
    return F5Error(
        f"This worker is busy for about {backlog_s:.0f} s with {ahead} requests; "
        f"{max_wait_s:g} s is the most that a request waits.",
        code="BUSY",
        hint="Try again later, add workers, or raise F5_MAX_QUEUE_S.",
        retryable=True,
    )

"""Admission control: refuses requests with BUSY while the estimated backlog is too long.

All calls are made in the event loop, so a burst of requests is counted one by one.
"""

from __future__ import annotations

from f5serve.errors import F5Error

_WEIGHT = 0.2
"""Weight of the newest cost in the running average of what a byte of text costs."""


class Ticket:
    """One admitted request, until it is released.

    Attributes:
        remaining_s: seconds of the executor that the request still needs; None while unknown.
    """

    def __init__(
        self, controller: AdmissionController, text_bytes: int, estimate_s: float | None
    ) -> None:
        self.remaining_s: float | None = None
        self._controller = controller
        self._text_bytes = max(1, text_bytes)
        self._estimate_s = estimate_s
        self._remaining_share = 1.0

    def estimate(self, seconds: float | None) -> None:
        """The engine's own estimate, once voice and plan are known; None changes nothing."""
        if seconds is not None:
            self._estimate_s = seconds
            self.progress(1.0 - self._remaining_share)
            self.settle(seconds)

    def progress(self, share: float) -> None:
        """Note the share that is done, 0..1."""
        self._remaining_share = 1.0 - share
        if self._estimate_s is not None:
            self._controller.update(self, self._estimate_s * self._remaining_share)

    def settle(self, seconds: float) -> None:
        """Learn from the seconds it took, where nothing else ran meanwhile."""
        cost, before = seconds / self._text_bytes, self._controller.s_per_byte
        self._controller.s_per_byte = cost if before is None else before + _WEIGHT * (cost - before)

    def release(self) -> None:
        """Take the request out of the backlog; may be called twice."""
        self._controller.update(self, None)
        self._controller.tickets.discard(self)


class AdmissionController:
    """Estimates the backlog of admitted requests.

    Args:
        max_wait_s: a request that would wait longer is refused.

    Attributes:
        tickets: requests that were admitted and not released.
        s_per_byte: running average of what a byte of text costs; None while no cost is known.
    """

    def __init__(self, max_wait_s: float) -> None:
        self.tickets: set[Ticket] = set()
        self._max_wait_s = max_wait_s
        # A running sum, since each request asks for it; and the number of tickets in it.
        self._known, self._wait_s = 0, 0.0
        self.s_per_byte: float | None = None

    @property
    def backlog_s(self) -> float | None:
        """Seconds until all admitted requests are done; None while no estimate is known."""
        return self._wait_s if self._known or not self.tickets else None

    def admit(self, text_bytes: int, force: bool = False) -> Ticket:
        """Admit a request at the end of the backlog.

        Args:
            force: admit regardless of the backlog; for jobs that were accepted earlier.

        Raises:
            F5Error: BUSY. While no cost is known, all requests are admitted.
        """
        backlog_s = self.backlog_s
        if not force and backlog_s is not None and backlog_s > self._max_wait_s:
            raise F5Error(
                f"This worker is busy for about {backlog_s:.0f} s with {len(self.tickets)} "
                f"requests; {self._max_wait_s:g} s is the most that a request waits.",
                code="BUSY",
                hint="Try again later, add workers, or raise F5_MAX_QUEUE_S.",
                retryable=True,
            )
        cost = self.s_per_byte
        ticket = Ticket(self, text_bytes, None if cost is None else cost * text_bytes)
        self.tickets.add(ticket)
        ticket.progress(0.0)
        return ticket

    def update(self, ticket: Ticket, remaining_s: float | None) -> None:
        """Set what a ticket still needs; None is unknown."""
        if ticket not in self.tickets:
            return
        for seconds, sign in ((ticket.remaining_s, -1), (remaining_s, 1)):
            if seconds is not None:
                self._known += sign
                # Exactly nothing where no estimate is left, whatever was rounded before.
                self._wait_s = max(self._wait_s + sign * seconds, 0.0) if self._known else 0.0
        ticket.remaining_s = remaining_s

"""Admission control: refuses requests with BUSY while the estimated backlog is too long.

All calls are made in the event loop, so a burst of requests is counted one by one.
"""

from __future__ import annotations

from f5serve.errors import F5Error

_WEIGHT = 0.2
"""Of the newest cost in the running average of what a byte of text costs."""


class Ticket:
    """One request in the line, until it leaves."""

    def __init__(
        self, line: AdmissionController, text_bytes: int, estimate_s: float | None
    ) -> None:
        self._line = line
        self._text_bytes = max(1, text_bytes)
        self._estimate_s = estimate_s
        self._left = 1.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds of the device that it still needs; None while that is unknown."""
        return None if self._estimate_s is None else self._estimate_s * self._left

    def estimate(self, seconds: float | None) -> None:
        """The engine's own estimate, once voice and plan are known; None changes nothing."""
        if seconds is not None:
            self._change(seconds, self._left)
            self._line.observe(seconds / self._text_bytes)

    def progress(self, share: float) -> None:
        """So much of it is done, 0..1."""
        self._change(self._estimate_s, 1.0 - share)

    def settle(self, seconds: float) -> None:
        """What it did cost, where the device spoke nothing else meanwhile."""
        self._line.observe(seconds / self._text_bytes)

    def release(self) -> None:
        """It needs the device no more; harmless twice."""
        self._line.remove(self)

    def _change(self, estimate_s: float | None, left: float) -> None:
        before = self.remaining_s
        self._estimate_s, self._left = estimate_s, left
        self._line.change(self, before)


class AdmissionController:
    """All requests that need the device.

    Args:
        max_wait_s: a request that would wait longer is refused.
    """

    def __init__(self, max_wait_s: float) -> None:
        self._max_wait_s = max_wait_s
        self._places: set[Ticket] = set()
        # A running sum, as everybody who comes asks for it; and of how many places.
        self._known, self._wait_s = 0, 0.0
        self._s_per_byte: float | None = None

    def __len__(self) -> int:
        return len(self._places)

    @property
    def backlog_s(self) -> float | None:
        """Seconds until the device has done all of them; None while nothing is known of any."""
        return self._wait_s if self._known or not self._places else None

    def admit(self, text_bytes: int, force: bool = False) -> Ticket:
        """Take a place behind all others.

        Args:
            force: admit regardless of the backlog; for jobs that were accepted earlier.

        Raises:
            F5Error: BUSY. While nothing is known of the costs, everybody is let in.
        """
        if not force:
            self.check()
        cost = self._s_per_byte
        place = Ticket(self, text_bytes, None if cost is None else cost * text_bytes)
        self._places.add(place)
        self.change(place, None)
        return place

    def check(self) -> None:
        """Refuse who would come now, if the line is too long; see `admit`."""
        backlog_s = self.backlog_s
        if backlog_s is not None and backlog_s > self._max_wait_s:
            raise busy(backlog_s, len(self), self._max_wait_s)

    def observe(self, s_per_byte: float) -> None:
        """What a byte of text has cost."""
        before = s_per_byte if self._s_per_byte is None else self._s_per_byte
        self._s_per_byte = before + _WEIGHT * (s_per_byte - before)

    def change(self, place: Ticket, before_s: float | None) -> None:
        """A place needs another time than before; None is unknown."""
        if place in self._places:
            self._add(before_s, -1)
            self._add(place.remaining_s, 1)

    def remove(self, place: Ticket) -> None:
        """See `Ticket.release`."""
        if place in self._places:
            self._places.discard(place)
            self._add(place.remaining_s, -1)

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

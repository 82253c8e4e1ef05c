"""How often an API is asked, and how often its failures are told.

Answers and errors of polls flow in, seconds to wait flow out. An API that is down, or answers at
once, must cost neither a core nor a log.
"""

from __future__ import annotations

import logging
import time

_log = logging.getLogger(__name__)

TOO_MANY_S = 5.0
SHORTEST_TURN_S = 0.5
LONGEST_PAUSE_S = 15.0


class Pace:
    """When to ask again, and which failures are worth a line in the log."""

    def __init__(self, whom: str, too_many: type[Exception]) -> None:
        self._whom = whom
        self._too_many = too_many
        self._failures = 0
        self._began = 0.0

    def begin(self) -> None:
        """A question is put now."""
        self._began = time.monotonic()

    def answered(self, something: bool) -> float:
        """Seconds to wait after an answer: none if the poll was held or brought something."""
        if self._failures:
            _log.info("%s answers again after %d failures", self._whom, self._failures)
            self._failures = 0
        if something:
            return 0.0
        return max(SHORTEST_TURN_S - (time.monotonic() - self._began), 0.0)

    def failed(self, error: Exception) -> float:
        """Seconds to wait after `error`; doubles from half a second to 15 s."""
        if isinstance(error, TimeoutError):
            return self.answered(False)
        if isinstance(error, self._too_many):
            return TOO_MANY_S
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:  # 1, 2, 4, 8, ...
            status = getattr(error, "status", "")
            _log.warning(
                "%s failed %d times: %s %s",
                self._whom,
                self._failures,
                type(error).__name__,
                status,
            )
        return min(SHORTEST_TURN_S * 2.0 ** min(self._failures - 1, 10), LONGEST_PAUSE_S)

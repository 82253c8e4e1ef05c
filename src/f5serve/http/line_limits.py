"""Log lines that strangers can cause: some in a minute, and the number of those that were left out.

Whoever logs asks first; a counter and the next line tell how many were left out. What the lines say
is not known here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from f5serve.http.limits import Buckets
from f5serve.metrics import Registry

PER_MINUTE = 60


class LineLimit(logging.Filter):
    """A bucket of lines, refilled steadily; as a filter it lets errors, our own faults, pass.

    Args:
        registry: where those that were left out are counted, if anywhere.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        per_minute: int = PER_MINUTE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._bucket = Buckets(per_minute, clock=clock)
        self._left_out = 0
        self._counter = (registry or Registry()).counter(
            "f5_log_lines_left_out_total",
            "Log lines about requests without a right key that were left out, being too many.",
        )

    def admit(self) -> str | None:
        """What to say behind the line, mostly nothing; None where it is to be left out."""
        if self._bucket.take(""):
            self._left_out += 1
            self._counter.inc()
            return None
        said = f"; {self._left_out} such lines before were left out" if self._left_out else ""
        self._left_out = 0
        return said

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        if record.levelno >= logging.ERROR:
            return True
        said = self.admit()
        if said:
            record.msg, record.args = record.getMessage() + said, ()
        return said is not None


def limited(name: str, limit: LineLimit) -> logging.Logger:
    """The logger of this name, for lines within the limit; whoever else logs there has none."""
    logger = logging.Logger(name)
    logger.parent = logging.getLogger(name)
    logger.addFilter(limit)
    return logger

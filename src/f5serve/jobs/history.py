"""The newest jobs, for whoever wants to see what was made.

    LIST jobs/ -> the newest N -> their records, some at a time -> what is told of each

Nothing is written for it: a listing tells which jobs changed when, and only records that are new
since the last look are read. Listings are in no order of time, so all of one is gone through, for
at most a few seconds; how much it costs decides how long it is used. What a record says is not
known here.
"""

from __future__ import annotations

import heapq
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from f5serve.jobs.board import Board
from f5serve.jobs.records import ENDED, Standing, Status

T = TypeVar("T")

MAX_KEYS = 100_000
LIST_S = 5.0
"""How much of a listing is gone through; beyond it the answer is said to be incomplete."""

FRESH_S = 2.0
"""An answer is told again for so long; for longer in proportion where it took long to find."""

COST = 5.0
"""... beyond the inverse of this, in seconds: what took a second is told again for ten."""

READERS = 8
_OF_A_JOB = re.compile(r"jobs/([^/]+)/[^/]+\.json")


@dataclass(frozen=True, slots=True)
class Recent(Generic[T]):
    """What was found, newest first; `truncated` where the store holds more than was looked at."""

    jobs: list[T]
    truncated: bool


@dataclass(frozen=True, slots=True)
class _Told(Generic[T]):
    """What is told of a job, and the time of its newest record when that was read."""

    changed: float
    status: Status
    line: T


class History(Generic[T]):
    """The newest jobs of one store.

    Args:
        tell: a job's folder and standing to what is kept of them here; small.
        fresh_s, max_keys: see FRESH_S and MAX_KEYS.
    """

    def __init__(
        self,
        board: Board,
        tell: Callable[[str, Standing], T],
        *,
        fresh_s: float = FRESH_S,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._board = board
        self._tell = tell
        self._fresh_s = fresh_s
        self._max_keys = max_keys
        self._lock = threading.Lock()
        self._known: dict[str, _Told[T]] = {}
        self._last: Recent[T] | None = None
        self._limit = 0
        self._fresh_until = 0.0

    def newest(self, limit: int) -> Recent[T]:
        """At most `limit` jobs, those first whose records changed last; blocks.

        One thread looks at a time; others are told what was found before, if there is anything.

        Raises:
            StorageFailed: as the store does.
        """
        has_any = self._last is not None and self._limit >= limit
        if not self._lock.acquire(blocking=not has_any):
            return self._cut(limit)
        try:
            if self._last is None or self._limit < limit or time.monotonic() >= self._fresh_until:
                began = time.monotonic()
                self._last, self._limit = self._look(limit), limit
                now = time.monotonic()
                self._fresh_until = now + self._fresh_s * max(1.0, COST * (now - began))
            return self._cut(limit)
        finally:
            self._lock.release()

    def _cut(self, limit: int) -> Recent[T]:
        last = self._last
        return Recent(last.jobs[:limit], last.truncated) if last else Recent([], False)

    def _look(self, limit: int) -> Recent[T]:
        changed, truncated = self._changes()
        newest = heapq.nlargest(limit, changed.items(), key=lambda item: (item[1], item[0]))
        with ThreadPoolExecutor(READERS, "history") as readers:
            found = list(readers.map(self._read, newest))
        there = {name: told for (name, _), told in zip(newest, found, strict=True) if told}
        self._known = there
        return Recent([told.line for told in there.values()], truncated)

    def _changes(self) -> tuple[dict[str, float], bool]:
        """When each job was last written to, and whether there are more of them."""
        until = time.monotonic() + LIST_S
        changed: dict[str, float] = {}
        for number, stored in enumerate(self._board.store.list("jobs/")):
            if number >= self._max_keys or time.monotonic() > until:
                return changed, True
            match = _OF_A_JOB.fullmatch(stored.key)
            if match:
                at = stored.modified.timestamp()
                changed[match[1]] = max(at, changed.get(match[1], at))
        return changed, False

    def _read(self, job: tuple[str, float]) -> _Told[T] | None:
        """What is told of a job, from memory while nothing can have changed; None if it is gone."""
        name, changed = job
        known = self._known.get(name)
        if known is not None and known.changed == changed and known.status in ENDED:
            return known
        standing = self._board.look(name)  # a folder's name stands for its id
        if standing.status is Status.UNKNOWN:
            return None
        return _Told(changed, standing.status, self._tell(name, standing))

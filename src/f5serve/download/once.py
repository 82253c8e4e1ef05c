"""A file that many want at once is made once per machine, and appears whole or not at all.

A name, a way to make the file and a way to check it flow in, the path of a checked file flows out.
Threads join the one that is at it already; processes wait for its flock. Both only save bandwidth:
whoever has waited long enough goes on alone, because a file is made under a private name, checked
and renamed, so that any number of makers do no harm. This module must not know what the files are.

    folder/blobs/NAME       finished files
    folder/locks/NAME.lock  one lock each, never removed
    folder/tmp/BOOT-UUID    unfinished files, each locked by its maker
"""

from __future__ import annotations

import concurrent.futures
import logging
import os
import random
import re
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from f5serve.download.drafts import Drafts, Identity, identify, writing
from f5serve.download.locks import Locks
from f5serve.errors import StorageFailed

log = logging.getLogger(__name__)

_Flight = concurrent.futures.Future[bool]  # True: the file is there; False: its maker was stopped

_NAME = re.compile(r"[0-9a-f]{8,128}")
_MOST_VERDICTS = 10_000
_SHORTEST_NAP_S, _LONGEST_NAP_S = 0.005, 0.03


@dataclass(frozen=True, slots=True)
class _Task:
    path: Path
    make: Callable[[Path], None]
    check: Callable[[Path], bool]


class Once:
    """Files of one folder, each made by one at a time; for use by many threads and processes."""

    def __init__(self, folder: Path, locks: Locks | None = None) -> None:
        """Nothing is read or written yet, and nothing ever needs cleaning before use.

        Args:
            folder: is made when needed; may be shared with other processes and machines.
            locks: of this process.
        """
        self._blobs, self._locked, self._tmp = (folder / n for n in ("blobs", "locks", "tmp"))
        self._locks = locks or Locks()
        self._drafts = Drafts(self._tmp, self._locks)
        self._verdicts: dict[Path, tuple[Identity, bool]] = {}
        self._forget_flights()
        _after_fork(self)

    def _forget_flights(self) -> None:
        self._mutex = threading.Lock()
        self._flights: dict[Path, _Flight] = {}

    def get(
        self,
        name_hash: str,
        make: Callable[[Path], None],
        check: Callable[[Path], bool],
        wait_s: float,
    ) -> Path:
        """The path of a file, made now if it is not there.

        Args:
            name_hash: 8 to 128 lower-case hex digits that stand for the content.
            make: fills the empty file whose path it is given. It must come to an end by itself.
            check: whether the file at a path is whole and right. A file that was there before is
                checked once by each process, and again when it was replaced.
            wait_s: longest wait for others who are making it; then it is made here as well.

        Raises:
            StorageFailed: code DOWNLOAD_DAMAGED when `check` refuses what `make` made; NO_SPACE or
                NOT_WRITABLE.
            Exception: what `make` or `check` raised, here or in the thread that was joined. The
                next call tries again.
        """
        if not _NAME.fullmatch(name_hash):
            raise ValueError(f"{name_hash[:140]!r} is no lower-case hex name")
        task = _Task(self._blobs / name_hash, make, check)
        until = time.monotonic() + wait_s
        while not self._is_known_good(task.path):
            flight, is_mine = self._join(task.path)
            if is_mine:
                self._lead(task, flight, until)
                break
            if concurrent.futures.wait([flight], until - time.monotonic()).not_done:
                self._make_unless_there(task)
                break
            if flight.result():
                break
        return task.path

    def sweep(self) -> int:
        """Remove unfinished files whose makers are dead; returns how many.

        Only frees space. Where locks turn out to be worthless, files younger than a day stay.
        """
        return self._drafts.sweep()

    def _join(self, path: Path) -> tuple[_Flight, bool]:
        """The flight of those who are making the file now; True when it is ours to make."""
        with self._mutex:
            flight = self._flights.get(path)
            if flight is not None:
                return flight, False
            self._flights[path] = flight = _Flight()
            return flight, True

    def _lead(self, task: _Task, flight: _Flight, until: float) -> None:
        """Make the file for all who joined; they get the error too, if there is one."""
        try:
            self._make_in_turn(task, until)
        except BaseException as error:
            self._land(task.path, flight)
            if isinstance(error, Exception):
                flight.set_exception(error)
            else:  # this thread was told to stop; that is no reason for the others to
                flight.set_result(False)
            raise
        self._land(task.path, flight)
        flight.set_result(True)

    def _land(self, path: Path, flight: _Flight) -> None:
        with self._mutex:
            if self._flights.get(path) is flight:
                del self._flights[path]

    def _make_in_turn(self, task: _Task, until: float) -> None:
        if self._is_good(task):
            return
        with writing():
            for folder in (self._blobs, self._locked, self._tmp):
                folder.mkdir(0o700, parents=True, exist_ok=True)  # of voices: of their owner alone
            lock = self._locks.open(self._locked / f"{task.path.name}.lock", os.O_CREAT)
        try:
            while not (self._locks.is_ours(lock) or self._is_good(task)):
                if time.monotonic() >= until:
                    break
                time.sleep(random.uniform(_SHORTEST_NAP_S, _LONGEST_NAP_S))
            self._make_unless_there(task)
        finally:
            self._locks.close(lock)

    def _make_unless_there(self, task: _Task) -> None:
        if self._is_good(task):
            return
        with self._drafts.new() as draft:
            task.make(draft)
            if not task.check(draft):
                raise StorageFailed(
                    "What was downloaded is damaged.",
                    code="DOWNLOAD_DAMAGED",
                    hint="Try again; if it stays so, put the file there anew.",
                    retryable=True,
                )
            identity = identify(draft)
            self._drafts.publish(draft, task.path)
        if identity is not None:
            self._note(task.path, identity, True)

    def _note(self, path: Path, identity: Identity, good: bool) -> None:
        if len(self._verdicts) >= _MOST_VERDICTS:  # they are found out again
            self._verdicts = {}
        self._verdicts[path] = (identity, good)

    def _is_known_good(self, path: Path) -> bool:
        identity = identify(path)
        return identity is not None and self._verdicts.get(path) == (identity, True)

    def _is_good(self, task: _Task) -> bool:
        """Whether the file is there and right, by what is remembered of it where possible."""
        identity = identify(task.path)
        if identity is None:
            return False
        known = self._verdicts.get(task.path)
        if known is not None and known[0] == identity:
            return known[1]
        try:
            good = task.check(task.path)
        except FileNotFoundError:  # removed while it was looked at
            return False
        if identify(task.path) == identity:  # else the verdict may be about another file
            self._note(task.path, identity, good)
        if not good:
            log.warning("file %s is damaged and is made anew", task.path.name)
        return good


def _after_fork(once: Once) -> None:
    """In a child, forget the flights: the threads that would land them are not there."""
    alive = weakref.ref(once)

    def forget() -> None:
        there = alive()
        if there is not None:
            there._forget_flights()

    os.register_at_fork(after_in_child=forget)

"""One large object, from a bucket onto disk, in several pieces at once.

A key and a place flow in; a file that is whole and checked appears there. Each piece goes on at
the byte it had reached when its connection broke; a piece that does not advance is given to a new
connection; the whole is bounded in time. This module must not know what the bytes mean.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from f5serve.errors import F5Error, KeyMissing, StorageFailed
from f5serve.store.base import Progress, corrupt
from f5serve.store.files import PrivateFile
from f5serve.store.helpers import Deadline
from f5serve.store.s3_calls import S3Calls, pause_s, translated
from f5serve.store.s3_errors import S3Failed, cut, stalled, unsupported

_log = logging.getLogger(__name__)
_BLOCK = 256 << 10
_HASH_BLOCK = 4 << 20
_HASH_PER_TURN = 32 << 20  # longer turns would leave the connections unwatched
_TICK_S = 0.25
_PASSES = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a download is to end in."""

    key: str
    remote_key: str
    to: Path
    size: int | None
    sha256: str | None
    on_progress: Progress | None


@dataclass(slots=True)
class _Part:
    """Bytes `at`..`end` are still to come; `at` is moved by the part's reader alone."""

    end: int
    at: int
    tries: int = 0
    not_before: float = 0.0


class _Reader:
    """One connection that works on a part, in a thread of its own; `ended` is its last word."""

    def __init__(self, part: _Part, file: PrivateFile) -> None:
        self.part = part
        self.first = part.at
        self.total: int | None = None
        self.mark: tuple[object, ...] = ()
        self.error: F5Error | None = None
        self.ended = False
        self.window = (part.at, time.monotonic())
        self._file = file
        self._lock = threading.Lock()
        self._dropped = False

    def put(self, block: bytes) -> bool:
        """Write a block and move on; False when nobody waits for it any more."""
        with self._lock:
            if not self._dropped:
                self._file.write_at(self.part.at, block)
                self.part.at += len(block)
            return not self._dropped

    def drop(self) -> None:
        """After this, nothing is written: another reader has the part, or the file is done."""
        with self._lock:
            self._dropped = True


def download(calls: S3Calls, wanted: Wanted) -> None:
    """Fetch an object as `wanted`; a damaged copy is fetched once more.

    Raises:
        KeyMissing, StorageFailed: as `ObjectStore.download`.
    """
    deadline = Deadline(calls.limits.operation_s)
    for attempt in range(1, _PASSES + 1):
        with PrivateFile(wanted.to.parent, wanted.key, wanted.size or 0) as file:
            one = _Download(calls, wanted, file, deadline)
            try:
                one.finish()
            except StorageFailed as error:
                if not isinstance(error, KeyMissing):
                    _log.warning("%s: download ended with %s", calls.describe(), error.code)
                if error.code != "OBJECT_CORRUPT" or attempt == _PASSES:
                    raise
            else:
                file.publish(wanted.to)
                return
            finally:
                one.drop_all()


class _Download:
    """The pieces of one object: everything here runs in the caller's thread but `_read`."""

    def __init__(
        self, calls: S3Calls, wanted: Wanted, file: PrivateFile, deadline: Deadline
    ) -> None:
        self._client = calls.client()
        self._bucket = calls.options.bucket
        self._limits = calls.limits
        self._wanted = wanted
        self._file = file
        self._deadline = deadline
        self._wake = threading.Event()
        self._total: int | None = None
        self._mark: tuple[object, ...] | None = None
        self._waiting: list[_Part] = []
        self._readers: list[_Reader] = []
        self._allowed = calls.limits.connections
        self._hashed = 0
        self._digest = hashlib.sha256()

    def finish(self) -> None:
        """Read everything, and compare size and hash with what was wanted."""
        self._plan(0, self._wanted.size or self._limits.part_bytes)
        while self._waiting or self._readers:
            self._start_readers()
            self._wake.wait(self._nap_s())
            self._wake.clear()
            for reader in list(self._readers):
                self._look_at(reader)
            if self._deadline.left_s() <= 0:
                raise stalled()
            self._follow(_HASH_PER_TURN)
        self._follow(self._total or 0)
        expected = self._wanted.sha256
        if expected is not None and self._digest.hexdigest() != expected.lower():
            raise corrupt(self._wanted.key, "its sha256 differs")

    def drop_all(self) -> None:
        """Let no connection write any more."""
        for reader in self._readers:
            reader.drop()

    def _plan(self, start: int, end: int) -> None:
        size = self._limits.part_bytes
        self._waiting += [_Part(min(at + size, end), at) for at in range(start, end, size)]

    def _start_readers(self) -> None:
        now = time.monotonic()
        ready = [part for part in self._waiting if part.not_before <= now]
        for part in ready[: max(0, self._allowed - len(self._readers))]:
            self._waiting.remove(part)
            reader = _Reader(part, self._file)
            self._readers.append(reader)
            threading.Thread(
                target=self._read, args=(reader,), daemon=True, name="f5-s3-read"
            ).start()

    def _nap_s(self) -> float:
        """How long nothing needs to be done unless a reader says so."""
        rests = [part.not_before - time.monotonic() for part in self._waiting]
        return min([_TICK_S, *(rest for rest in rests if rest > 0)])

    def _look_at(self, reader: _Reader) -> None:
        if reader.total is not None:
            self._learn(reader)
        if reader.ended:
            self._readers.remove(reader)
            if reader.error is not None:
                self._try_again(reader, reader.error)
            elif reader.part.at < reader.part.end:
                self._try_again(reader, cut())
        elif self._is_too_slow(reader):
            reader.drop()
            self._readers.remove(reader)
            self._try_again(reader, stalled())

    def _learn(self, reader: _Reader) -> None:
        """Take over what an answer told about the whole object."""
        if self._mark is None:
            self._mark = reader.mark
            self._total = total = reader.total or 0
            self._deadline.extend_once(_PASSES * total / self._limits.min_bytes_per_s)
            if not self._wanted.size:
                self._file.allocate(total)
                self._plan(self._limits.part_bytes, total)
        elif reader.mark != self._mark:
            raise corrupt(self._wanted.key, "it was replaced during the download")

    def _is_too_slow(self, reader: _Reader) -> bool:
        at, since = reader.window
        elapsed = time.monotonic() - since
        if elapsed < self._limits.window_s:
            return False
        least = self._limits.min_bytes_per_s / self._limits.connections * elapsed
        reader.window = (reader.part.at, time.monotonic())
        return reader.part.at - at < least

    def _try_again(self, reader: _Reader, error: F5Error) -> None:
        """Put the rest of a part back, or raise when that has been done often enough."""
        part = reader.part
        part.tries = 1 if part.at - reader.first >= _BLOCK else part.tries + 1
        if (
            not isinstance(error, S3Failed)
            or not error.retryable
            or part.tries >= self._limits.attempts
        ):
            raise error
        if error.code == "S3_SLOW_DOWN":
            self._allowed = max(1, self._allowed // 2)
        pause = pause_s(error, part.tries, self._limits)
        if pause >= self._deadline.left_s():
            raise error
        part.not_before = time.monotonic() + pause
        self._waiting.insert(0, part)

    def _follow(self, most: int) -> None:
        """Hash what is complete from the start on, at most `most` bytes, and tell how far it is."""
        parts = [*self._waiting, *(reader.part for reader in self._readers)]
        complete = min([part.at for part in parts], default=self._total or 0)
        end = min(complete, self._hashed + most)
        while self._wanted.sha256 is not None and self._hashed < end:
            block = self._file.read_at(self._hashed, min(_HASH_BLOCK, end - self._hashed))
            self._digest.update(block)
            self._hashed += len(block)
        if self._wanted.on_progress is not None and self._total is not None:
            self._wanted.on_progress(self._total - sum(part.end - part.at for part in parts))

    def _read(self, reader: _Reader) -> None:
        """One request and its body; runs in the reader's thread."""
        try:
            with translated(self._wanted.key):
                answer = self._ask(reader.part)
                if answer is None:
                    self._check_size(0)
                    reader.part.end, reader.mark, reader.total = 0, ("", None, 0), 0
                    return
                try:
                    self._learn_from(reader, answer)
                    self._take(reader, answer["Body"])
                finally:
                    answer["Body"].close()
        except F5Error as error:
            reader.error = error
        finally:
            reader.ended = True
            self._wake.set()

    def _ask(self, part: _Part) -> Any:
        """The server's answer for the rest of a part; None when the object is empty."""
        try:
            return self._client.get_object(
                Bucket=self._bucket,
                Key=self._wanted.remote_key,
                Range=f"bytes={part.at}-{part.end - 1}",
            )
        except self._client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 416:
                raise
            if part.at > 0:
                raise corrupt(self._wanted.key, "it has become shorter") from None
            return None

    def _learn_from(self, reader: _Reader, answer: Any) -> None:
        """Take down what the head of an answer tells, before any byte is written."""
        part = reader.part
        start, total = _place(answer)
        if start != part.at:
            raise unsupported()
        self._check_size(total)
        part.end = min(part.end, total)
        reader.mark = (answer.get("ETag", ""), answer.get("LastModified"), total)
        reader.total = total
        self._wake.set()

    def _check_size(self, total: int) -> None:
        if self._wanted.size is not None and total != self._wanted.size:
            raise corrupt(self._wanted.key, f"it has {total} bytes, not {self._wanted.size}")

    def _take(self, reader: _Reader, body: Any) -> None:
        part = reader.part
        while part.at < part.end:
            block = body.read(min(_BLOCK, part.end - part.at))
            if not block or not reader.put(block):
                return


def _place(answer: Any) -> tuple[int, int]:
    """First byte and total size that an answer speaks of."""
    place = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.get("ContentRange") or "")
    if place:
        return int(place[1]), int(place[2])
    return 0, int(answer["ContentLength"])  # the whole, from a server that knows no ranges

"""Moves objects to and from a bucket in parallel parts.

Uploads appear whole when all parts have arrived, or not at all; the parts of one that fails are
removed. A part of a download is resumed at the byte it had reached, or by a new connection when it
is too slow; the file is hashed while it arrives. docs/decisions/0007 says why not by s3transfer.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from f5serve.errors import F5Error, KeyMissing, StorageFailed
from f5serve.store.atomic import AtomicFile
from f5serve.store.base import Progress, object_corrupt_error
from f5serve.store.deadlines import Deadline
from f5serve.store.s3_client import Boto3Client, S3Client, get_range, map_errors, pause_s
from f5serve.store.s3_errors import UNSUPPORTED, S3Failed, cut, s3_error, stalled

_log = logging.getLogger(__name__)
_MAX_PARTS = 10_000
_MIN_PART_BYTES = 5 << 20
_ABORT_S = 10.0
_BLOCK_BYTES = 256 << 10
_HASH_BLOCK_BYTES = 4 << 20
_HASH_BYTES_PER_TURN = 32 << 20  # longer turns would leave the connections unwatched
_TICK_S = 0.25
_PASSES = 2


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """Bytes to upload, which do not change meanwhile.

    Attributes:
        key: its name in errors.
        place: Bucket, Key and perhaps ContentType, as boto3 names them.
        size: bytes in all.
        read: start and number of bytes -> those bytes; called by several threads.
        on_progress: called with the number of bytes that have arrived.
    """

    key: str
    place: dict[str, str]
    size: int
    read: Callable[[int, int], bytes]
    on_progress: Progress | None = None

    def report(self, moved: int) -> None:
        if self.on_progress is not None:
            self.on_progress(moved)


def upload(client: S3Client, request: UploadRequest) -> None:
    """Put bytes into the bucket, large ones in parallel parts.

    Raises:
        StorageFailed: they did not arrive; nothing is visible then, nor left behind.
    """
    size, key, place = request.size, request.key, request.place
    if size > client.limits.part_bytes:
        _upload_parts(client, request)
        return
    data = request.read(0, size)
    client.call(lambda boto: boto.put_object(Body=data, **place), key, client.deadline(size))
    request.report(size)


def _upload_parts(client: S3Client, request: UploadRequest) -> None:
    place, key = request.place, request.key
    started = client.call(lambda boto: boto.create_multipart_upload(**place), key)
    here = {"Bucket": place["Bucket"], "Key": place["Key"], "UploadId": started["UploadId"]}
    try:
        _complete(client, request, here, _send_parts(client, request, here))
    except BaseException:
        with contextlib.suppress(F5Error):
            client.call(lambda boto: boto.abort_multipart_upload(**here), key, Deadline(_ABORT_S))
        raise


def _send_parts(
    client: S3Client, request: UploadRequest, here: dict[str, str]
) -> list[dict[str, Any]]:
    size = max(client.limits.part_bytes, _MIN_PART_BYTES, -(-request.size // _MAX_PARTS))

    def send(start: int) -> dict[str, Any]:
        data, number = request.read(start, size), start // size + 1
        answer = client.call(
            lambda boto: boto.upload_part(Body=data, PartNumber=number, **here),
            request.key,
            client.deadline(len(data)),
        )
        return {"PartNumber": number, "ETag": answer["ETag"]}

    pool = ThreadPoolExecutor(client.limits.connections, thread_name_prefix="f5-s3-send")
    try:
        parts = []
        for part in pool.map(send, range(0, request.size, size)):
            parts.append(part)
            request.report(min(len(parts) * size, request.size))
        return parts
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _complete(
    client: S3Client, request: UploadRequest, here: dict[str, str], parts: list[dict[str, Any]]
) -> None:
    try:
        client.call(
            lambda boto: boto.complete_multipart_upload(MultipartUpload={"Parts": parts}, **here),
            request.key,
            client.deadline(request.size),
        )
    except S3Failed as error:
        # When the answer to the first attempt is lost, the second finds the upload gone.
        if "NoSuchUpload" not in error.server_code or _stored_size(client, request) != request.size:
            raise


def _stored_size(client: S3Client, request: UploadRequest) -> int:
    place = {"Bucket": request.place["Bucket"], "Key": request.place["Key"]}

    def ask(boto: Boto3Client) -> int:
        answer = get_range(boto, place, 0, 0)
        if answer is None:
            return 0
        answer["Body"].close()
        return int(str(answer.get("ContentRange", "/-1")).rpartition("/")[2])

    return client.call(ask, request.key)


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """Arguments of `ObjectStore.download`, and Bucket and Key of the object."""

    key: str
    place: dict[str, str]
    to: Path
    size: int | None
    sha256: str | None
    on_progress: Progress | None


@dataclass(slots=True)
class _Part:
    """Bytes `at`..`end` are missing; only the attempt that has the part moves `at`."""

    end: int
    at: int
    tries: int = 0
    not_before: float = 0.0


class _Attempt:
    """One request for the rest of a part, in a thread of its own, which sets `has_ended` last.

    Attributes:
        total, version: of the whole object, once the server has answered.
        window: byte and time at which the speed was measured last.
    """

    def __init__(self, part: _Part, file: AtomicFile) -> None:
        self.part = part
        self.start = part.at
        self.total: int | None = None
        self.version: tuple[object, ...] = ()
        self.error: F5Error | None = None
        self.has_ended = False
        self.window = (part.at, time.monotonic())
        self._file = file
        self._lock = threading.Lock()
        self._is_cancelled = False

    def write(self, block: bytes) -> bool:
        """Write a block and move on; False when the attempt is cancelled."""
        with self._lock:
            if not self._is_cancelled:
                self._file.write_at(self.part.at, block)
                self.part.at += len(block)
            return not self._is_cancelled

    def cancel(self) -> None:
        """Write nothing more: another attempt has the part, or the file is closed."""
        with self._lock:
            self._is_cancelled = True


def download(client: S3Client, request: DownloadRequest) -> None:
    """Fetch an object; a damaged copy is fetched once more.

    Raises:
        KeyMissing, StorageFailed: as `ObjectStore.download`.
    """
    deadline = client.deadline()
    for pass_number in range(1, _PASSES + 1):
        with AtomicFile(request.to.parent, request.key, request.size or 0) as file:
            one = _Download(client, request, file, deadline)
            try:
                one.run()
            except StorageFailed as error:
                if not isinstance(error, KeyMissing):
                    _log.warning("%s: download ended with %s", client.describe(), error.code)
                if error.code != "OBJECT_CORRUPT" or pass_number == _PASSES:
                    raise
            else:
                file.publish(request.to)
                return
            finally:
                one.cancel_all()


class _Download:
    """The parts of one object; all but `_fetch` runs in the caller's thread."""

    def __init__(
        self, client: S3Client, request: DownloadRequest, file: AtomicFile, deadline: Deadline
    ) -> None:
        self._boto = client.boto3()
        self._limits = client.limits
        self._request = request
        self._file = file
        self._deadline = deadline
        self._wake = threading.Event()
        self._total: int | None = None
        self._version: tuple[object, ...] = ()
        self._waiting: list[_Part] = []
        self._running: list[_Attempt] = []
        self._max_running = client.limits.connections
        self._hashed = 0
        self._digest = hashlib.sha256()

    def run(self) -> None:
        """Fetch every part, and compare size and hash with those expected."""
        self._add_parts(0, self._request.size or self._limits.part_bytes)
        while self._waiting or self._running:
            self._start_attempts()
            self._wake.wait(self._wait_s())
            self._wake.clear()
            for attempt in list(self._running):
                self._check(attempt)
            if self._deadline.left_s() <= 0:
                raise stalled()
            self._hash_and_report(_HASH_BYTES_PER_TURN)
        self._hash_and_report(self._total or 0)
        expected = self._request.sha256
        if expected is not None and self._digest.hexdigest() != expected.lower():
            raise object_corrupt_error(self._request.key, "its sha256 differs")

    def cancel_all(self) -> None:
        """Let no attempt write any more."""
        for attempt in self._running:
            attempt.cancel()

    def _add_parts(self, start: int, end: int) -> None:
        size = self._limits.part_bytes
        self._waiting += [_Part(min(at + size, end), at) for at in range(start, end, size)]

    def _start_attempts(self) -> None:
        now = time.monotonic()
        ready = [part for part in self._waiting if part.not_before <= now]
        for part in ready[: max(0, self._max_running - len(self._running))]:
            self._waiting.remove(part)
            attempt = _Attempt(part, self._file)
            self._running.append(attempt)
            threading.Thread(
                target=self._fetch, args=(attempt,), daemon=True, name="f5-s3-read"
            ).start()

    def _wait_s(self) -> float:
        """Seconds until the next tick, or the end of the shortest pause before a retry."""
        pauses = [part.not_before - time.monotonic() for part in self._waiting]
        return min([_TICK_S, *(pause for pause in pauses if pause > 0)])

    def _check(self, attempt: _Attempt) -> None:
        """Take over what an attempt has learned; retry its part where it failed or is too slow."""
        if attempt.total is not None:
            self._check_version(attempt.version, attempt.total)
        if attempt.has_ended:
            self._running.remove(attempt)
            if attempt.error is not None:
                self._retry(attempt, attempt.error)
            elif attempt.part.at < attempt.part.end:
                self._retry(attempt, cut())
        elif self._is_too_slow(attempt):
            attempt.cancel()
            self._running.remove(attempt)
            self._retry(attempt, stalled())

    def _check_version(self, version: tuple[object, ...], total: int) -> None:
        if self._total is None:
            self._version, self._total = version, total
            self._deadline.extend_once(_PASSES * total / self._limits.min_bytes_per_s)
            if not self._request.size:
                self._file.allocate(total)
                self._add_parts(self._limits.part_bytes, total)
        elif version != self._version:
            raise object_corrupt_error(self._request.key, "it was replaced during the download")

    def _is_too_slow(self, attempt: _Attempt) -> bool:
        at, since = attempt.window
        elapsed_s = time.monotonic() - since
        if elapsed_s < self._limits.window_s:
            return False
        attempt.window = (attempt.part.at, time.monotonic())
        least = self._limits.min_bytes_per_s / self._limits.connections * elapsed_s
        return attempt.part.at - at < least

    def _retry(self, attempt: _Attempt, error: F5Error) -> None:
        """Put the rest of a part back, or raise `error` after as many tries without progress."""
        part = attempt.part
        part.tries = 1 if part.at - attempt.start >= _BLOCK_BYTES else part.tries + 1
        is_last = part.tries >= self._limits.attempts
        if is_last or not isinstance(error, S3Failed) or not error.retryable:
            raise error
        if error.code == "S3_SLOW_DOWN":
            self._max_running = max(1, self._max_running // 2)
        pause = pause_s(error, part.tries, self._limits)
        if pause >= self._deadline.left_s():
            raise error
        part.not_before = time.monotonic() + pause
        self._waiting.insert(0, part)

    def _hash_and_report(self, max_bytes: int) -> None:
        """Hash what is complete from the start on, `max_bytes` at most, and report progress."""
        parts = [*self._waiting, *(attempt.part for attempt in self._running)]
        complete = min([part.at for part in parts], default=self._total or 0)
        end = min(complete, self._hashed + max_bytes)
        while self._request.sha256 is not None and self._hashed < end:
            block = self._file.read_at(self._hashed, min(_HASH_BLOCK_BYTES, end - self._hashed))
            self._digest.update(block)
            self._hashed += len(block)
        if self._request.on_progress is not None and self._total is not None:
            self._request.on_progress(self._total - sum(part.end - part.at for part in parts))

    def _fetch(self, attempt: _Attempt) -> None:
        """Send the request and write its body to the file; runs in the attempt's thread."""
        try:
            with map_errors(self._request.key):
                answer = self._get(attempt.part)
                if answer is None:
                    self._check_size(0)
                    attempt.part.end, attempt.version, attempt.total = 0, (), 0
                    return
                try:
                    self._read_head(attempt, answer)
                    part, body = attempt.part, answer["Body"]
                    while part.at < part.end:
                        block = body.read(min(_BLOCK_BYTES, part.end - part.at))
                        if not block or not attempt.write(block):
                            return
                finally:
                    answer["Body"].close()
        except F5Error as error:
            attempt.error = error
        finally:
            attempt.has_ended = True
            self._wake.set()

    def _get(self, part: _Part) -> Any:
        """The server's answer for the rest of a part; None when the object is empty."""
        answer = get_range(self._boto, self._request.place, part.at, part.end - 1)
        if answer is None and part.at > 0:
            raise object_corrupt_error(self._request.key, "it has become shorter")
        return answer

    def _read_head(self, attempt: _Attempt, answer: Any) -> None:
        """Check the range and size in an answer, before any byte of it is written."""
        part = attempt.part
        start, total = _range_of(answer)
        if start != part.at:
            raise s3_error(UNSUPPORTED, "ranges")
        self._check_size(total)
        part.end = min(part.end, total)
        attempt.version = (answer.get("ETag", ""), answer.get("LastModified"), total)
        attempt.total = total
        self._wake.set()

    def _check_size(self, total: int) -> None:
        key, size = self._request.key, self._request.size
        if size is not None and total != size:
            raise object_corrupt_error(key, f"it has {total} bytes, not {size}")


def _range_of(answer: Any) -> tuple[int, int]:
    """First byte of an answer, and the size of the whole object."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.get("ContentRange") or "")
    if found:
        return int(found[1]), int(found[2])
    return 0, int(answer["ContentLength"])  # the whole, from a server that knows no ranges

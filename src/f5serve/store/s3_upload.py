"""One large value, from a file or memory into a bucket, in parts.

A `Source` flows in; the object appears whole when all parts have arrived, or not at all. Parts of
an upload that fails are removed; those of a process that was killed by `abort_old_uploads`.
"""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from f5serve.errors import F5Error
from f5serve.store.base import Progress
from f5serve.store.files import cannot_read
from f5serve.store.helpers import Deadline
from f5serve.store.s3_calls import Client, S3Calls
from f5serve.store.s3_errors import S3Failed

_MOST_PARTS = 10_000
_LEAST_PART = 5 << 20
_ABORT_S = 10.0


class Source(Protocol):
    """Bytes with random access."""

    @property
    def size(self) -> int: ...

    def read(self, start: int, size: int) -> bytes:
        """The `size` bytes from `start`."""
        ...


@dataclass(frozen=True, slots=True)
class Memory:
    """A source in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, size: int) -> bytes:
        return self.data[start : start + size]


class OnDisk:
    """A source in a file, which must not change meanwhile."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.size = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise cannot_read(path.name, error) from None

    def read(self, start: int, size: int) -> bytes:
        """See `Source.read`."""
        try:
            return os.pread(self._descriptor, size, start)
        except OSError as error:
            raise cannot_read(self._name, error) from None

    def close(self) -> None:
        """End reading."""
        os.close(self._descriptor)


def upload(
    calls: S3Calls,
    place: dict[str, str],
    key: str,
    source: Source,
    on_progress: Progress | None = None,
) -> None:
    """Put `source` into the bucket.

    Args:
        place: Bucket, Key and perhaps ContentType, as the library calls them.
        key: what errors call it.

    Raises:
        StorageFailed: when it did not arrive; nothing is visible then, nor left behind.
    """
    if source.size <= calls.limits.part_bytes:
        data = source.read(0, source.size)

        def put(client: Client) -> None:
            client.put_object(Body=data, **place)

        calls.run(put, key, _time(calls, data))
        if on_progress is not None:
            on_progress(source.size)
    else:
        _upload_parts(calls, place, key, source, on_progress)


def _time(calls: S3Calls, data: bytes) -> Deadline:
    return Deadline(calls.limits.operation_s + len(data) / calls.limits.min_bytes_per_s)


def _upload_parts(
    calls: S3Calls,
    place: dict[str, str],
    key: str,
    source: Source,
    on_progress: Progress | None,
) -> None:
    begun = calls.run(lambda client: client.create_multipart_upload(**place), key)
    here = {"Bucket": place["Bucket"], "Key": place["Key"], "UploadId": begun["UploadId"]}
    try:
        parts = _send_parts(calls, here, key, source, on_progress)
        _complete(calls, here, key, parts, source.size)
    except BaseException:
        with contextlib.suppress(F5Error):
            calls.run(lambda client: client.abort_multipart_upload(**here), key, Deadline(_ABORT_S))
        raise


def _send_parts(
    calls: S3Calls,
    here: dict[str, str],
    key: str,
    source: Source,
    on_progress: Progress | None,
) -> list[dict[str, Any]]:
    size = max(calls.limits.part_bytes, _LEAST_PART, -(-source.size // _MOST_PARTS))
    starts = range(0, source.size, size)

    def send(number: int) -> dict[str, Any]:
        data = source.read(starts[number - 1], size)

        def request(client: Client) -> Any:
            return client.upload_part(Body=data, PartNumber=number, **here)

        return {"PartNumber": number, "ETag": calls.run(request, key, _time(calls, data))["ETag"]}

    pool = ThreadPoolExecutor(calls.limits.connections, thread_name_prefix="f5-s3-send")
    try:
        parts = []
        for start, part in zip(starts, pool.map(send, range(1, len(starts) + 1)), strict=True):
            parts.append(part)
            if on_progress is not None:
                on_progress(min(start + size, source.size))
        return parts
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _complete(
    calls: S3Calls, here: dict[str, str], key: str, parts: list[dict[str, Any]], size: int
) -> None:
    try:
        calls.run(
            lambda client: client.complete_multipart_upload(
                MultipartUpload={"Parts": parts}, **here
            ),
            key,
            Deadline(calls.limits.operation_s + size / calls.limits.min_bytes_per_s),
        )
    except S3Failed as error:
        # When the answer to the first attempt is lost, the second finds the upload gone.
        if "NoSuchUpload" not in error.server_code or _size(calls, here, key) != size:
            raise


def _size(calls: S3Calls, here: dict[str, str], key: str) -> int:
    place = {"Bucket": here["Bucket"], "Key": here["Key"]}

    def request(client: Client) -> int:
        answer = client.get_object(Range="bytes=0-0", **place)
        answer["Body"].close()
        return int(str(answer.get("ContentRange", "/-1")).rpartition("/")[2])

    return calls.run(request, key)


def abort_old_uploads(calls: S3Calls, bucket: str, prefix: str, older_than_s: float) -> int:
    """Remove the parts of uploads begun longer ago, which nobody completes; returns how many."""
    page: dict[str, Any] = {}
    aborted = 0
    for _ in range(_MOST_PARTS):
        arguments = {"Bucket": bucket, "Prefix": prefix, **page}

        def list_page(client: Client, arguments: dict[str, Any] = arguments) -> Any:
            return client.list_multipart_uploads(**arguments)

        answer = calls.run(list_page)
        for one in answer.get("Uploads", []):
            if _age_s(calls, one["Initiated"]) > older_than_s:
                here = {"Bucket": bucket, "Key": one["Key"], "UploadId": one["UploadId"]}

                def abort(client: Client, here: dict[str, str] = here) -> None:
                    client.abort_multipart_upload(**here)

                calls.run(abort)
                aborted += 1
        if not answer.get("IsTruncated"):
            break
        page = {
            "KeyMarker": answer.get("NextKeyMarker", ""),
            "UploadIdMarker": answer.get("NextUploadIdMarker", ""),
        }
    return aborted


def _age_s(calls: S3Calls, begun: datetime) -> float:
    now = datetime.fromtimestamp(calls.server_time() or 0.0, begun.tzinfo)
    return (now - begun) / timedelta(seconds=1)

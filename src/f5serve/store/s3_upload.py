"""Uploads a value to a bucket, a large one in parallel parts; and removes abandoned uploads.

The object appears whole when all parts have arrived, or not at all. The parts of an upload that
fails are removed; those of a process that was killed by `abort_old_uploads`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from f5serve.errors import F5Error
from f5serve.store.base import Progress
from f5serve.store.deadlines import Deadline
from f5serve.store.s3_client import Boto3Client, S3Client, get_range
from f5serve.store.s3_errors import S3Failed

_MAX_PARTS = 10_000
_MIN_PART_BYTES = 5 << 20
_ABORT_S = 10.0


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes to upload, which do not change meanwhile.

    Attributes:
        size: bytes in all.
        read: start and number of bytes -> those bytes; called by several threads.
    """

    size: int
    read: Callable[[int, int], bytes]


def upload(
    client: S3Client,
    place: dict[str, str],
    key: str,
    source: Source,
    on_progress: Progress | None = None,
) -> None:
    """Put `source` into the bucket.

    Args:
        place: Bucket, Key and perhaps ContentType, as boto3 names them.
        key: its name in errors.
        on_progress: called with the number of bytes that have arrived.

    Raises:
        StorageFailed: it did not arrive; nothing is visible then, nor left behind.
    """
    if source.size > client.limits.part_bytes:
        _upload_parts(client, place, key, source, on_progress)
        return
    data = source.read(0, source.size)
    client.call(lambda boto: boto.put_object(Body=data, **place), key, client.deadline(source.size))
    if on_progress is not None:
        on_progress(source.size)


def _upload_parts(
    client: S3Client,
    place: dict[str, str],
    key: str,
    source: Source,
    on_progress: Progress | None,
) -> None:
    started = client.call(lambda boto: boto.create_multipart_upload(**place), key)
    here = {"Bucket": place["Bucket"], "Key": place["Key"], "UploadId": started["UploadId"]}

    def abort() -> None:
        with contextlib.suppress(F5Error):
            client.call(lambda boto: boto.abort_multipart_upload(**here), key, Deadline(_ABORT_S))

    with contextlib.ExitStack() as unless_complete:
        unless_complete.callback(abort)
        parts = _send_parts(client, here, key, source, on_progress)
        _complete(client, here, key, parts, source.size)
        unless_complete.pop_all()


def _send_parts(
    client: S3Client,
    here: dict[str, str],
    key: str,
    source: Source,
    on_progress: Progress | None,
) -> list[dict[str, Any]]:
    size = max(client.limits.part_bytes, _MIN_PART_BYTES, -(-source.size // _MAX_PARTS))
    starts = range(0, source.size, size)

    def send(number: int) -> dict[str, Any]:
        data = source.read(starts[number - 1], size)

        def request(boto: Boto3Client) -> Any:
            return boto.upload_part(Body=data, PartNumber=number, **here)

        answer = client.call(request, key, client.deadline(len(data)))
        return {"PartNumber": number, "ETag": answer["ETag"]}

    pool = ThreadPoolExecutor(client.limits.connections, thread_name_prefix="f5-s3-send")
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
    client: S3Client, here: dict[str, str], key: str, parts: list[dict[str, Any]], size: int
) -> None:
    try:
        client.call(
            lambda boto: boto.complete_multipart_upload(MultipartUpload={"Parts": parts}, **here),
            key,
            client.deadline(size),
        )
    except S3Failed as error:
        # When the answer to the first attempt is lost, the second finds the upload gone.
        if "NoSuchUpload" not in error.server_code or _size(client, here, key) != size:
            raise


def _size(client: S3Client, here: dict[str, str], key: str) -> int:
    place = {"Bucket": here["Bucket"], "Key": here["Key"]}

    def request(boto: Boto3Client) -> int:
        answer = get_range(boto, place, 0, 0)
        if answer is None:
            return 0
        answer["Body"].close()
        return int(str(answer.get("ContentRange", "/-1")).rpartition("/")[2])

    return client.call(request, key)


def abort_old_uploads(client: S3Client, bucket: str, prefix: str, older_than_s: float) -> int:
    """Remove the parts of uploads begun longer ago than `older_than_s`; returns how many uploads.

    Args:
        prefix: of the keys in the bucket.

    Raises:
        StorageFailed: the bucket's server did not do its part.
    """
    page: dict[str, Any] = {}
    aborted = 0
    for _ in range(_MAX_PARTS):
        arguments = {"Bucket": bucket, "Prefix": prefix, **page}

        def list_page(boto: Boto3Client, arguments: dict[str, Any] = arguments) -> Any:
            return boto.list_multipart_uploads(**arguments)

        answer = client.call(list_page)
        for one in answer.get("Uploads", []):
            if _age_s(client, one["Initiated"]) > older_than_s:
                here = {"Bucket": bucket, "Key": one["Key"], "UploadId": one["UploadId"]}

                def abort(boto: Boto3Client, here: dict[str, str] = here) -> None:
                    boto.abort_multipart_upload(**here)

                client.call(abort)
                aborted += 1
        if not answer.get("IsTruncated"):
            break
        page = {
            "KeyMarker": answer.get("NextKeyMarker", ""),
            "UploadIdMarker": answer.get("NextUploadIdMarker", ""),
        }
    return aborted


def _age_s(client: S3Client, started: datetime) -> float:
    now = datetime.fromtimestamp(client.server_time() or 0.0, started.tzinfo)
    return (now - started) / timedelta(seconds=1)

"""A store in a bucket of Amazon S3 or of any service that speaks its protocol.

It uses get, put, delete, list, multipart uploads and signed URLs: no conditional writes, metadata,
ETags or fresh listings, since many services lack one of these or ignore it silently.
"""

from __future__ import annotations

import builtins
import contextlib
import itertools
import os
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import quote

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.atomic import read_error
from f5serve.store.base import (
    IgnoredKeys,
    Progress,
    StoredObject,
    check_after,
    check_key,
    check_prefix,
    is_key,
    object_too_large_error,
)
from f5serve.store.s3_client import (
    Boto3Client,
    S3Client,
    S3Limits,
    S3Options,
    get_range,
    map_errors,
)
from f5serve.store.s3_errors import cut
from f5serve.store.s3_transfer import DownloadRequest, UploadRequest, download, upload

__all__ = ["S3Limits", "S3Options", "S3Store"]

MIN_URL_S = 60
MAX_URL_S = 7 * 24 * 3600  # the longest that signatures of version 4 may last
_MAX_PAGES = 100_000
_PAGE = 1_000


class S3Store:
    """Values as objects of a bucket, which must exist. Safe for threads and after a fork."""

    def __init__(self, options: S3Options) -> None:
        """Make no request yet.

        Raises:
            StorageFailed: EXTRA_MISSING when boto3 is not installed.
        """
        if options.prefix:
            check_key(options.prefix)
        self.options = options
        self._client = S3Client(options)
        self._root = f"{options.prefix}/" if options.prefix else ""

    @property
    def hung(self) -> int:
        """Calls that were abandoned and have not returned."""
        return self._client.hung

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.get`."""
        place = self._place(key)
        deadline = self._client.deadline()

        def request(boto: Boto3Client) -> bytes:
            answer = boto.get_object(**place)
            try:
                if max_bytes is not None and answer["ContentLength"] > max_bytes:
                    raise object_too_large_error(key, max_bytes)
                deadline.extend_once(answer["ContentLength"] / self.options.limits.min_bytes_per_s)
                return bytes(answer["Body"].read())
            finally:
                answer["Body"].close()

        return self._client.call(request, key, deadline, is_read=True)

    def get_part(self, key: str, start: int, size: int) -> bytes:
        """See `ObjectStore.get_part`."""
        if size <= 0:
            return b""
        place = self._place(key)
        deadline = self._client.deadline()
        deadline.extend_once(size / self.options.limits.min_bytes_per_s)

        def request(boto: Boto3Client) -> bytes:
            answer = get_range(boto, place, start, start + size - 1)
            if answer is None:
                return b""
            with contextlib.closing(answer["Body"]) as body:
                if "ContentRange" not in answer:  # the service sends the whole all the same
                    return bytes(body.read()[start : start + size])
                return bytes(body.read())

        return self._client.call(request, key, deadline, is_read=True)

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        """See `ObjectStore.put`; large values travel in parts."""
        place = self._upload_place(key, content_type)
        request = UploadRequest(key, place, len(data), lambda at, size: data[at : at + size])
        upload(self._client, request)

    def put_file(
        self, key: str, path: Path, content_type: str = "", on_progress: Progress | None = None
    ) -> None:
        """See `ObjectStore.put_file`; large files travel in parts."""
        place = self._upload_place(key, content_type)
        try:
            file = path.open("rb")
        except OSError as error:
            raise read_error(path.name, error) from None

        def read(start: int, size: int) -> bytes:
            try:
                return os.pread(file.fileno(), size, start)
            except OSError as error:
                raise read_error(path.name, error) from None

        with file:
            size = os.fstat(file.fileno()).st_size
            upload(self._client, UploadRequest(key, place, size, read, on_progress))

    def _upload_place(self, key: str, content_type: str) -> dict[str, str]:
        return self._place(key) | ({"ContentType": content_type} if content_type else {})

    def download(
        self,
        key: str,
        to: Path,
        size: int | None = None,
        sha256: str | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """See `ObjectStore.download`; in parts, several at once."""
        place = self._place(key)
        download(self._client, DownloadRequest(key, place, to, size, sha256, on_progress))

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        place = self._place(key)
        try:
            self._client.call(lambda boto: boto.delete_object(**place), key)
        except KeyMissing:  # Amazon does not mind, some others do
            return

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[StoredObject]:
        """See `ObjectStore.list`; a view that may be seconds old."""
        arguments = {"Bucket": self.options.bucket, "Prefix": self._root + check_prefix(prefix)}
        if not recursive:
            arguments["Delimiter"] = "/"
        ignored = IgnoredKeys(prefix)
        yield from self._objects(arguments, ignored)
        ignored.warn()

    def page(self, prefix: str, after: str = "", limit: int = 1000) -> builtins.list[StoredObject]:
        """See `ObjectStore.page`; in the order that the protocol promises."""
        arguments = {
            "Bucket": self.options.bucket,
            "Prefix": self._root + check_prefix(prefix),
            "MaxKeys": min(limit, _PAGE),
        }
        if check_after(after):
            if not after.startswith(prefix):  # some services refuse such a place to begin
                if after > prefix:
                    return []
                after = ""
            else:
                arguments["StartAfter"] = self._root + after
        found = self._objects(arguments, IgnoredKeys(prefix))
        behind = (one for one in found if one.key > after)
        return sorted(itertools.islice(behind, limit), key=lambda one: one.key)

    def _objects(self, arguments: dict[str, Any], ignored: IgnoredKeys) -> Iterator[StoredObject]:
        last = ""
        for page in self._pages(arguments):
            for one in page.get("Contents", []):
                key = str(one["Key"]).removeprefix(self._root)
                if key == last:  # some list an object twice while it is replaced
                    continue
                last = key
                if is_key(key):
                    modified = one["LastModified"].astimezone(UTC)
                    yield StoredObject(key, int(one["Size"]), modified)
                elif not key.endswith("/"):  # consoles leave such marks for folders
                    ignored.add(key)

    def _pages(self, arguments: dict[str, Any]) -> Iterator[Any]:
        seen: set[str] = set()
        for _ in range(_MAX_PAGES):
            asked = dict(arguments)

            def request(boto: Boto3Client, asked: dict[str, Any] = asked) -> Any:
                return boto.list_objects_v2(**asked)

            page = self._client.call(request, is_read=True)
            yield page
            token = str(page.get("NextContinuationToken") or "")
            if not page.get("IsTruncated"):
                return
            if not token or token in seen:  # would go on for ever
                raise cut()
            seen.add(token)
            arguments["ContinuationToken"] = token

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`; by a GET of one byte, as HEAD hides the cause of a failure."""
        place = self._place(key)

        def request(boto: Boto3Client) -> bool:
            answer = get_range(boto, place, 0, 0)
            if answer is not None:  # an empty object has no first byte
                answer["Body"].close()
            return True

        try:
            return self._client.call(request, key, is_read=True)
        except KeyMissing:
            return False

    def url(
        self, key: str, expires_s: float = 3600, filename: str = "", content_type: str = ""
    ) -> str:
        """See `ObjectStore.url`; signed, for GET alone; invalid once its access key is."""
        place = self._place(key)
        if content_type:
            place["ResponseContentType"] = content_type
        if filename:
            place["ResponseContentDisposition"] = _attachment(filename)
        signer = self._client.signer()
        with map_errors(key):
            return str(
                signer.generate_presigned_url(
                    "get_object",
                    Params=place,
                    ExpiresIn=int(min(max(expires_s, MIN_URL_S), MAX_URL_S)),
                )
            )

    def now(self) -> float:
        """The server's clock, by its newest answer; a request when that is some minutes old."""
        known = self._client.server_time()
        if known is None:
            refusal: StorageFailed | None = None
            try:
                self.exists("_meta/clock")
            except StorageFailed as error:
                refusal = error
            known = self._client.server_time()  # errors have a Date, too
            if known is None and refusal is not None:
                raise refusal
        if known is None:
            raise StorageFailed(
                "The bucket's server sends no date.",
                code="S3_WRONG_ENDPOINT",
                hint="Check AWS_ENDPOINT_URL and proxies in between: every answer has a Date.",
            )
        return known

    def abort_old_uploads(self, prefix: str = "", older_than_s: float = 24 * 3600) -> int:
        """See `ObjectStore.abort_old_uploads`."""
        before = self.now() - older_than_s
        arguments = {"Bucket": self.options.bucket, "Prefix": self._root + prefix}
        aborted = 0
        for _ in range(_MAX_PAGES):
            answer = self._client.call(lambda boto: boto.list_multipart_uploads(**arguments))
            for one in answer.get("Uploads", []):
                if one["Initiated"].timestamp() < before:
                    self._abort_upload(one["Key"], one["UploadId"])
                    aborted += 1
            if not answer.get("IsTruncated"):
                break
            arguments["KeyMarker"] = answer.get("NextKeyMarker", "")
            arguments["UploadIdMarker"] = answer.get("NextUploadIdMarker", "")
        return aborted

    def _abort_upload(self, key: str, upload_id: str) -> None:
        here = {"Bucket": self.options.bucket, "Key": key, "UploadId": upload_id}
        self._client.call(lambda boto: boto.abort_multipart_upload(**here))

    def describe(self) -> str:
        """One line for logs, without secrets."""
        return self._client.describe()

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self.options.bucket, "Key": self._root + check_key(key)}


def _attachment(filename: str) -> str:
    """A Content-Disposition: an ASCII name for old programs, and the name in UTF-8."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"

"""A store in a bucket of Amazon S3 or of any service that speaks its protocol.

Nothing is asked of the service beyond get, put, delete, list, parts and signed URLs: no
conditional writes, no metadata, no meaning of ETags, no fresh listings; many services lack one of
these, or ignore it silently.
"""

from __future__ import annotations

import builtins
import contextlib
import itertools
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import quote

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.base import (
    Progress,
    SkippedNames,
    StoredObject,
    check_after,
    check_key,
    check_prefix,
    is_key,
    too_large,
)
from f5serve.store.helpers import Deadline
from f5serve.store.s3_calls import (
    Client,
    S3Calls,
    S3Limits,
    S3Options,
    require_library,
    translated,
)
from f5serve.store.s3_download import Wanted, download
from f5serve.store.s3_errors import S3Failed, cut
from f5serve.store.s3_upload import Memory, OnDisk, Source, abort_old_uploads, upload

__all__ = ["S3Failed", "S3Limits", "S3Options", "S3Store"]

MIN_URL_S = 60
MAX_URL_S = 7 * 24 * 3600  # the longest that signatures of version 4 may last
_MOST_PAGES = 100_000
_PAGE = 1_000
_BEHIND_THE_END = 416  # the status of a range that has no bytes


class S3Store:
    """Values as objects of a bucket, which must exist. Safe for threads and after a fork."""

    def __init__(self, options: S3Options) -> None:
        """Ask nothing of the network yet.

        Raises:
            StorageFailed: EXTRA_MISSING when the S3 library is not installed.
        """
        require_library()
        if options.prefix:
            check_key(options.prefix)
        self.options = options
        self._calls = S3Calls(options)

    @property
    def hung(self) -> int:
        """Calls that were given up and have not returned."""
        return self._calls.hung

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.get`."""
        place = self._place(key)
        limits = self.options.limits
        deadline = Deadline(limits.operation_s)

        def request(client: Client) -> bytes:
            answer = client.get_object(**place)
            try:
                if max_bytes is not None and answer["ContentLength"] > max_bytes:
                    raise too_large(key, max_bytes)
                deadline.extend_once(answer["ContentLength"] / limits.min_bytes_per_s)
                return bytes(answer["Body"].read())
            finally:
                answer["Body"].close()

        return self._calls.run(request, key, deadline, is_read=True)

    def get_part(self, key: str, start: int, size: int) -> bytes:
        """See `ObjectStore.get_part`."""
        if size <= 0:
            return b""
        place = self._place(key) | {"Range": f"bytes={start}-{start + size - 1}"}
        limits = self.options.limits
        deadline = Deadline(limits.operation_s)
        deadline.extend_once(size / limits.min_bytes_per_s)

        def request(client: Client) -> bytes:
            try:
                answer = client.get_object(**place)
            except client.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != _BEHIND_THE_END:
                    raise
                return b""
            with contextlib.closing(answer["Body"]) as body:
                if "ContentRange" not in answer:  # the service sends the whole all the same
                    return bytes(body.read()[start : start + size])
                return bytes(body.read())

        return self._calls.run(request, key, deadline, is_read=True)

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        """See `ObjectStore.put`; large values travel in parts."""
        self._upload(key, Memory(data), content_type)

    def put_file(
        self,
        key: str,
        path: Path,
        content_type: str = "",
        on_progress: Progress | None = None,
    ) -> None:
        """See `ObjectStore.put_file`; large files travel in parts."""
        check_key(key)
        source = OnDisk(path)
        try:
            self._upload(key, source, content_type, on_progress)
        finally:
            source.close()

    def _upload(
        self, key: str, source: Source, content_type: str, on_progress: Progress | None = None
    ) -> None:
        place = self._place(key)
        if content_type:
            place["ContentType"] = content_type
        upload(self._calls, place, key, source, on_progress)

    def download(
        self,
        key: str,
        to: Path,
        size: int | None = None,
        sha256: str | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """See `ObjectStore.download`; in pieces, several at once."""
        remote_key = self._place(key)["Key"]
        download(self._calls, Wanted(key, remote_key, to, size, sha256, on_progress))

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        place = self._place(key)
        try:
            self._calls.run(lambda client: client.delete_object(**place), key)
        except KeyMissing:  # Amazon does not mind, some others do
            return

    def list(self, prefix: str = "", *, deep: bool = True) -> Iterator[StoredObject]:
        """See `ObjectStore.list`; a view that may be seconds old."""
        root = f"{self.options.prefix}/" if self.options.prefix else ""
        arguments = {"Bucket": self.options.bucket, "Prefix": root + check_prefix(prefix)}
        if not deep:
            arguments["Delimiter"] = "/"
        skipped = SkippedNames(prefix)
        yield from self._objects(arguments, root, skipped)
        skipped.warn()

    def page(self, prefix: str, after: str = "", limit: int = 1000) -> builtins.list[StoredObject]:
        """See `ObjectStore.page`; in the order that the protocol promises."""
        root = f"{self.options.prefix}/" if self.options.prefix else ""
        arguments = {
            "Bucket": self.options.bucket,
            "Prefix": root + check_prefix(prefix),
            "MaxKeys": min(limit, _PAGE),
        }
        if check_after(after):
            if not after.startswith(prefix):  # some services refuse such a place to begin
                if after > prefix:
                    return []
                after = ""
            else:
                arguments["StartAfter"] = root + after
        found = self._objects(arguments, root, SkippedNames(prefix))
        behind = (one for one in found if one.key > after)
        return sorted(itertools.islice(behind, limit), key=lambda one: one.key)

    def _objects(
        self, arguments: dict[str, Any], root: str, skipped: SkippedNames
    ) -> Iterator[StoredObject]:
        last = ""
        for page in self._pages(arguments):
            for one in page.get("Contents", []):
                key = str(one["Key"]).removeprefix(root)
                if key == last:  # some list an object twice while it is replaced
                    continue
                last = key
                if is_key(key):
                    modified = one["LastModified"].astimezone(UTC)
                    yield StoredObject(key, int(one["Size"]), modified)
                elif not key.endswith("/"):  # consoles leave such marks for folders
                    skipped.add(key)

    def _pages(self, arguments: dict[str, Any]) -> Iterator[Any]:
        seen: set[str] = set()
        for _ in range(_MOST_PAGES):
            asked = dict(arguments)

            def request(client: Client, asked: dict[str, Any] = asked) -> Any:
                return client.list_objects_v2(**asked)

            page = self._calls.run(request, is_read=True)
            yield page
            token = str(page.get("NextContinuationToken") or "")
            if not page.get("IsTruncated"):
                return
            if not token or token in seen:  # would go on for ever
                raise cut()
            seen.add(token)
            arguments["ContinuationToken"] = token

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`; gets one byte, as HEAD would hide the cause of a failure."""
        place = self._place(key)

        def request(client: Client) -> bool:
            try:
                client.get_object(Range="bytes=0-0", **place)["Body"].close()
            except client.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != _BEHIND_THE_END:
                    raise
            return True  # an empty object has no first byte

        try:
            return self._calls.run(request, key, is_read=True)
        except KeyMissing:
            return False

    def url(
        self, key: str, expires_s: float = 3600, filename: str = "", content_type: str = ""
    ) -> str:
        """See `ObjectStore.url`; signed, for GET alone; ends with the key it is signed by, too."""
        place = self._place(key)
        if content_type:
            place["ResponseContentType"] = content_type
        if filename:
            place["ResponseContentDisposition"] = _attachment(filename)
        client = self._calls.signer()
        with translated(key):
            return str(
                client.generate_presigned_url(
                    "get_object",
                    Params=place,
                    ExpiresIn=int(min(max(expires_s, MIN_URL_S), MAX_URL_S)),
                )
            )

    def now(self) -> float:
        """The server's clock, from the newest answer; asks when that is some minutes old."""
        known = self._calls.server_time()
        if known is None:
            refusal: StorageFailed | None = None
            try:
                self.exists("_meta/clock")
            except StorageFailed as error:
                refusal = error
            known = self._calls.server_time()  # a refusal tells the time as well
            if known is None and refusal is not None:
                raise refusal
        if known is None:
            raise StorageFailed(
                "The bucket's server does not tell the time.",
                code="S3_WRONG_ENDPOINT",
                hint="Check AWS_ENDPOINT_URL and proxies in between: every answer has a Date.",
            )
        return known

    def abort_old_uploads(self, prefix: str = "", older_than_s: float = 24 * 3600) -> int:
        """See `ObjectStore.abort_old_uploads`."""
        self.now()
        root = f"{self.options.prefix}/" if self.options.prefix else ""
        return abort_old_uploads(self._calls, self.options.bucket, root + prefix, older_than_s)

    def describe(self) -> str:
        """One line for logs, without secrets."""
        return self._calls.describe()

    def _place(self, key: str) -> dict[str, str]:
        root = f"{self.options.prefix}/" if self.options.prefix else ""
        return {"Bucket": self.options.bucket, "Key": root + check_key(key)}


def _attachment(filename: str) -> str:
    """A Content-Disposition; the plain form for old programs, the other for any language."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"

"""Files of jobs as answers: whole, or the one range that a player asks for.

A `JobFile` and a request flow in, a response flows out, read from the store in parts, so that a
long recording never lies in memory as a whole.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.http.errors import body_of
from f5serve.service.files import JobFile
from f5serve.service.pools import BoundedExecutor
from f5serve.store.base import ObjectStore

PART_BYTES = 256 << 10
"""Of a file in memory at a time, for each who listens; `connections` cuts off who takes nothing."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


async def send(
    request: Request, store: ObjectStore, file: JobFile, pool: BoundedExecutor, shown: bool
) -> Response:
    """The file, or the part of it that `Range` names.

    Args:
        pool: threads that read it.
        shown: whether a browser may play it in place, rather than save it.

    Raises:
        KeyMissing: RESULT_GONE, what the record names is not there any more.
        StorageFailed: as the store.
    """
    etag = f'"{file.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'{"inline" if shown else "attachment"}; filename="{file.filename}"',
    }
    if _names(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    found = _range_of(request.headers, etag, file.size) if request.method == "GET" else None
    start, end = found or (0, file.size)
    if found is not None and start >= end:
        said = f"The range lies outside the file, which has {file.size:,} bytes."
        headers = {"Content-Range": f"bytes */{file.size}"}
        return JSONResponse(body_of(said, 416, "range_not_satisfiable"), 416, headers)
    headers["Content-Length"] = str(end - start)
    if found is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    if request.method == "HEAD":
        return Response(headers=headers, media_type=file.mime)
    status = 200 if found is None else 206
    if not file.key:
        return Response(file.data[start:end], status, headers, file.mime)
    read = partial(_read, store, file, pool, end)
    parts = _parts(read, await read(start), start, end)
    return StreamingResponse(parts, status, headers, file.mime)


async def _parts(
    read: Callable[[int], Awaitable[bytes]], part: bytes, start: int, end: int
) -> AsyncIterator[bytes]:
    yield part
    while (start := start + len(part)) < end:
        part = await read(start)
        yield part


async def _read(
    store: ObjectStore, file: JobFile, pool: BoundedExecutor, end: int, start: int
) -> bytes:
    """The next PART_BYTES of the file, fewer at its end."""
    size = min(PART_BYTES, end - start)
    try:
        part = await pool.run(store.get_part, file.key, start, size)
    except KeyMissing:
        raise StorageFailed(
            f"{file.filename} is not kept any more.",
            code="RESULT_GONE",
            hint="Send the request again under a new id.",
        ) from None
    if len(part) != size:
        raise StorageFailed(
            f"{file.filename} is shorter than its record says.",
            code="OBJECT_CORRUPT",
            hint="Send the request again under a new id.",
        )
    return part


def _names(header: str, etag: str) -> bool:
    """Whether a list of entity tags holds this one, or is *."""
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return etag in tags or tags == ["*"]


def _range_of(headers: Mapping[str, str], etag: str, size: int) -> tuple[int, int] | None:
    """First byte and end of the range that is asked for; None for the whole.

    A header that cannot be understood, names several ranges or is about another version of the
    file asks for the whole; an empty range lies outside of it.
    """
    match = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if match is None or headers.get("if-range", etag) != etag:
        return None
    first, last = match[1], match[2]
    if first:
        end = min(int(last) + 1, size) if last else size
        return None if last and int(last) < int(first) else (int(first), max(end, 0))
    if last:
        return (max(0, size - int(last)), size) if int(last) else (size, size)
    return None

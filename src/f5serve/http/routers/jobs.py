"""/v1/jobs: speech made in the background; status, results and files of all jobs in the store."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.responses import StreamingResponse

from f5serve.alignment.subtitles import MEDIA_TYPES, SubtitleFormat
from f5serve.errors import KeyMissing, StorageFailed
from f5serve.http import errors
from f5serve.http.errors import error_body
from f5serve.http.request_body import JsonRoute
from f5serve.http.schemas import (
    JobAccepted,
    JobCancelled,
    JobList,
    JobResult,
    JobStatus,
    Links,
    NewJob,
)
from f5serve.http.scopes import needs
from f5serve.http.state import IDEMPOTENCY_PARAMETER, AppState, JobId, Owner, StateDep
from f5serve.secrets import SPEAK
from f5serve.service.executor import BoundedExecutor
from f5serve.service.requests import TTSRequest
from f5serve.service.responses import JobFile
from f5serve.store.base import ObjectStore

MAX_LISTED = 200
MAX_CURSOR_CHARS = 200
POLL_AFTER_S = {"QUEUED": 2, "PROCESSING": 1}
"""Retry-After in seconds, by status, for clients that poll."""

Id = Annotated[str, Path(description="The job's id, as POST /v1/jobs has answered it.")]
Number = Annotated[int, Path(ge=0, le=100_000)]

BINARY = {"schema": {"type": "string", "format": "binary"}}
RANGES: dict[int | str, dict[str, Any]] = {
    206: {"description": "The part that `Range` names.", "content": {"audio/*": BINARY}},
    304: {"description": "It is still the file that `If-None-Match` names."},
}
_TIMINGS = {
    kind.partition(";")[0]: {} if name == "json" else {"schema": {"type": "string"}}
    for name, kind in MEDIA_TYPES.items()
}
TIMING_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "Subtitles, or a table.", "content": _TIMINGS},
    206: {"description": "The part that `Range` names.", "content": _TIMINGS},
    304: RANGES[304],
}

ACCEPTED: dict[str, Any] = {
    "description": "It is kept in the store, and made by this server or another one.",
    "headers": {"Location": {"schema": {"type": "string"}}},
}

router = APIRouter(tags=["jobs"], route_class=JsonRoute)

PART_BYTES = 256 << 10
"""Of a file in memory at a time for each reader; `connections` cuts off readers that stall."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@router.post(
    "/v1/jobs",
    operation_id="create_job",
    summary="Have speech made",
    status_code=202,
    response_model=JobAccepted,
    responses={202: ACCEPTED, **errors.error_responses(400, 409, 503)},
    openapi_extra={"parameters": [IDEMPOTENCY_PARAMETER]},
)
@needs(SPEAK)
async def create_job(new: NewJob, job_id: JobId, owner: Owner, state: StateDep) -> JSONResponse:
    """Take a text and answer at once; ask for the job's status, then for its result.

    Fields that are not known become warnings of the result. `mode`, `return_audio` and `endpoint`
    of RunPod requests mean nothing here.
    """
    return await accept(new, job_id, owner, state)


async def accept(new: TTSRequest, job_id: str, owner: str, state: AppState) -> JSONResponse:
    """Have a request done in the background; the answer to it."""
    answer = await state.operations.enqueue(new, job_id, owner=owner)
    links = job_links(job_id)
    body = {**answer, "links": links.model_dump()}
    return JSONResponse(body, 202, {"Location": links.self})


def job_links(job_id: str) -> Links:
    """Where a job is asked for."""
    at = _path(job_id)
    return Links(self=at, result=f"{at}/result", audio=f"{at}/audio")


@router.get(
    "/v1/jobs",
    operation_id="list_jobs",
    summary="List the newest jobs",
    response_model=JobList,
    responses=errors.error_responses(400, 503),
)
@needs(SPEAK)
async def list_jobs(
    state: StateDep,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="How many.")] = 50,
    after: Annotated[
        str,
        Query(
            max_length=MAX_CURSOR_CHARS,
            description="`next` of the page before; the newest jobs without it.",
        ),
    ] = "",
) -> JSONResponse:
    """Jobs of all entrypoints and processes with this store, newest first, page by page.

    The list may be some seconds old, but for the progress of what is made here. A job whose records
    cannot be read is shown as ERROR with RECORD_DAMAGED or RECORD_TOO_NEW.
    """
    found = await state.operations.recent_jobs(limit, after)
    jobs = [_with_routes(job) for job in found["jobs"]]
    return JSONResponse({"object": "list", **found, "jobs": jobs})


@router.get(
    "/v1/jobs/{job_id}",
    operation_id="get_job",
    summary="Ask where a job stands",
    response_model=JobStatus,
    responses={
        200: {
            "description": "Where it stands.",
            "headers": {
                "Retry-After": {
                    "description": "Seconds to wait before asking again, while it is not over.",
                    "schema": {"type": "integer"},
                }
            },
        },
        **errors.error_responses(400, 404, 503),
    },
)
@needs(SPEAK)
async def get_job(job_id: Id, state: StateDep) -> JSONResponse:
    """QUEUED, PROCESSING with its progress, COMPLETED, ERROR with the reason, or CANCELLED."""
    answer = _with_routes(await _ask(state, "status", job_id))
    pause_s = POLL_AFTER_S.get(answer["status"])
    return JSONResponse(answer, headers={"Retry-After": str(pause_s)} if pause_s else None)


@router.get(
    "/v1/jobs/{job_id}/result",
    operation_id="get_job_result",
    summary="Ask for what was made",
    response_model=JobResult,
    responses=errors.error_responses(400, 404, 409, 503),
)
@needs(SPEAK)
async def get_job_result(job_id: Id, state: StateDep) -> JSONResponse:
    """The answer of the tts operation, with new URLs; nothing is computed."""
    answer = await _ask(state, "result", job_id)
    at = _path(job_id)
    files = {
        name: _reachable(url, f"{at}/timings/{name}")
        for name, url in answer["timing_files"].items()
    }
    for part, one in enumerate(answer["parts"]):
        for number, take in enumerate(one["takes"]):
            take["audio_url"] = _reachable(take["audio_url"], f"{at}/takes/{part}/{number}")
    urls = {"audio_url": _reachable(answer["audio_url"], f"{at}/audio"), "timing_files": files}
    return JSONResponse({**answer, **urls})


@router.head("/v1/jobs/{job_id}/audio", include_in_schema=False)
@router.get(
    "/v1/jobs/{job_id}/audio",
    operation_id="get_job_audio",
    summary="Fetch the speech",
    response_class=Response,
    responses={
        200: {"description": "The speech.", "content": {"audio/*": BINARY}},
        **RANGES,
        **errors.error_responses(400, 404, 409, 416, 503),
    },
)
@needs(SPEAK)
async def get_job_audio(job_id: Id, request: Request, state: StateDep) -> Response:
    """The sound itself, in the format that was asked for; `Range` and `If-None-Match` work."""
    file = await state.operations.job_file(job_id)
    return await send_file(request, state, file, shown=True)


@router.head("/v1/jobs/{job_id}/takes/{part}/{take}", include_in_schema=False)
@router.get(
    "/v1/jobs/{job_id}/takes/{part}/{take}",
    operation_id="get_job_take",
    summary="Fetch a take of a part",
    response_class=Response,
    responses={
        200: {"description": "The speech.", "content": {"audio/*": BINARY}},
        **RANGES,
        **errors.error_responses(400, 404, 409, 416, 503),
    },
)
@needs(SPEAK)
async def get_job_take(
    job_id: Id, part: Number, take: Number, request: Request, state: StateDep
) -> Response:
    """One version of a part of a script; both are counted from 0."""
    file = await state.operations.job_file(job_id, take=(part, take))
    return await send_file(request, state, file, shown=True)


@router.head("/v1/jobs/{job_id}/timings/{format}", include_in_schema=False)
@router.get(
    "/v1/jobs/{job_id}/timings/{format}",
    operation_id="get_job_timings",
    summary="Fetch when each word is heard",
    response_class=Response,
    responses={**TIMING_FILE, **errors.error_responses(400, 404, 409, 416, 503)},
)
@needs(SPEAK)
async def get_job_timings(
    job_id: Id, format: SubtitleFormat, request: Request, state: StateDep
) -> Response:
    """Any format, whether it was asked for or not, where the words of the job were timed."""
    file = await state.operations.job_file(job_id, format)
    return await send_file(request, state, file, shown=False)


@router.delete(
    "/v1/jobs/{job_id}",
    operation_id="cancel_job",
    summary="Have a job end",
    response_model=JobCancelled,
    responses=errors.error_responses(400, 404, 503),
)
@needs(SPEAK)
async def cancel_job(job_id: Id, state: StateDep) -> JSONResponse:
    """Wherever it is: waiting, or at work in another process. One that is over stays as it is."""
    return JSONResponse(await _ask(state, "cancel", job_id))


def _with_routes(job: dict[str, Any]) -> dict[str, Any]:
    """The job, whose hint names routes of this server rather than operations."""
    failure = job.get("failure")
    if not failure:
        return job
    return {**job, "failure": {**failure, "hint": errors.http_hint(failure.get("hint") or "")}}


async def _ask(state: StateDep, operation: str, job_id: str) -> dict[str, Any]:
    payload: Mapping[str, Any] = {"endpoint": operation, "job_id": job_id}
    return await state.operations.answer(payload, job_id)


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _reachable(url: str, path: str) -> str:
    """The store's own URL where a caller can use it, else a path of this server."""
    return url if url.startswith(("http://", "https://")) else path


async def send_file(request: Request, state: AppState, file: JobFile, shown: bool) -> Response:
    """The file, or the part of it that `Range` names.

    Args:
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
        message = f"The range lies outside the file, which has {file.size:,} bytes."
        headers = {"Content-Range": f"bytes */{file.size}"}
        return JSONResponse(error_body(message, 416, "range_not_satisfiable"), 416, headers)
    headers["Content-Length"] = str(end - start)
    if found is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    if request.method == "HEAD":
        return Response(headers=headers, media_type=file.mime)
    status = 200 if found is None else 206
    if not file.key:
        return Response(file.data[start:end], status, headers, file.mime)
    read = partial(_read, state.store, file, state.operations.pools.downloads, end)
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
            f"{file.filename} has been removed.",
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

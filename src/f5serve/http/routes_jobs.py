"""/v1/jobs: speech that is fetched later.

The fields of the tts operation flow in and are told to wait; status, result and files flow out of
the job's records, whoever made it and through whichever door it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from f5serve.alignment.subtitles import MEDIA_TYPES, SubtitleFormat
from f5serve.http import errors
from f5serve.http.job_files import send
from f5serve.http.job_ids import PARAMETER, JobId, Owner
from f5serve.http.jobs_models import (
    JobAccepted,
    JobCancelled,
    JobList,
    JobResult,
    JobStatus,
    NewJob,
)
from f5serve.http.json_bodies import JsonRoute
from f5serve.http.service import Served

MAX_LISTED = 200
MAX_CURSOR_CHARS = 200
LOOK_AGAIN_S = {"QUEUED": 2, "PROCESSING": 1}
"""What `Retry-After` says to those who wait for a job."""

Id = Annotated[str, Path(description="The job's id, as POST /v1/jobs has answered it.")]

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_RANGES: dict[int | str, dict[str, Any]] = {
    206: {"description": "The part that `Range` names.", "content": {"audio/*": _BINARY}},
    304: {"description": "It is still the file that `If-None-Match` names."},
}
_TIMINGS = {
    kind.partition(";")[0]: {} if name == "json" else {"schema": {"type": "string"}}
    for name, kind in MEDIA_TYPES.items()
}

router = APIRouter(tags=["jobs"], route_class=JsonRoute)


@router.post(
    "/v1/jobs",
    operation_id="create_job",
    summary="Have speech made",
    status_code=202,
    response_model=JobAccepted,
    responses={
        202: {
            "description": "It is kept in the store, and made by this server or another one.",
            "headers": {"Location": {"schema": {"type": "string"}}},
        },
        **errors.documented(400, 409, 503),
    },
    openapi_extra={"parameters": [PARAMETER]},
)
async def create_job(new: NewJob, job_id: JobId, owner: Owner, service: Served) -> JSONResponse:
    """Take a text and answer at once; ask for the job's status, then for its result.

    Fields that are not known become warnings of the result. `mode`, `return_audio` and `endpoint`
    of the RunPod door mean nothing here.
    """
    own = {"endpoint": "tts", "mode": "async", "return_audio": "url"}
    answer = await service.operations.answer({**new.fields(), **own}, job_id, owner=owner)
    at = _path(job_id)
    links = {"self": at, "result": f"{at}/result", "audio": f"{at}/audio"}
    return JSONResponse({**answer, "links": links}, 202, {"Location": at})


@router.get(
    "/v1/jobs",
    operation_id="list_jobs",
    summary="List the newest jobs",
    response_model=JobList,
    responses=errors.documented(400, 503),
)
async def list_jobs(
    service: Served,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="How many.")] = 50,
    after: Annotated[
        str,
        Query(
            max_length=MAX_CURSOR_CHARS,
            description="`next` of the page before; the newest jobs without it.",
        ),
    ] = "",
) -> JSONResponse:
    """Jobs of every door and every process over this store, newest first, page by page.

    The list may be some seconds old, but for the progress of what is made here. A job whose records
    cannot be read is told as ERROR with RECORD_DAMAGED or RECORD_TOO_NEW.
    """
    found = await service.operations.recent_jobs(limit, after)
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
        **errors.documented(400, 404, 503),
    },
)
async def get_job(job_id: Id, service: Served) -> JSONResponse:
    """QUEUED, PROCESSING with its progress, COMPLETED, ERROR with the reason, or CANCELLED."""
    answer = _with_routes(await _ask(service, "status", job_id))
    pause_s = LOOK_AGAIN_S.get(answer["status"])
    return JSONResponse(answer, headers={"Retry-After": str(pause_s)} if pause_s else None)


@router.get(
    "/v1/jobs/{job_id}/result",
    operation_id="get_job_result",
    summary="Ask for what was made",
    response_model=JobResult,
    responses=errors.documented(400, 404, 409, 503),
)
async def get_job_result(job_id: Id, service: Served) -> JSONResponse:
    """The answer of the tts operation, with new URLs; nothing is computed."""
    answer = await _ask(service, "result", job_id)
    at = _path(job_id)
    files = {
        name: _reachable(url, f"{at}/timings/{name}")
        for name, url in answer["timing_files"].items()
    }
    told = {"audio_url": _reachable(answer["audio_url"], f"{at}/audio"), "timing_files": files}
    return JSONResponse({**answer, **told})


@router.head("/v1/jobs/{job_id}/audio", include_in_schema=False)
@router.get(
    "/v1/jobs/{job_id}/audio",
    operation_id="get_job_audio",
    summary="Fetch the speech",
    response_class=Response,
    responses={
        200: {"description": "The speech.", "content": {"audio/*": _BINARY}},
        **_RANGES,
        **errors.documented(400, 404, 409, 416, 503),
    },
)
async def get_job_audio(job_id: Id, request: Request, service: Served) -> Response:
    """The sound itself, in the format that was asked for; `Range` and `If-None-Match` work."""
    file = await service.operations.job_file(job_id)
    pool = service.operations.pools.downloads
    return await send(request, service.store, file, pool, shown=True)


@router.head("/v1/jobs/{job_id}/timings/{format}", include_in_schema=False)
@router.get(
    "/v1/jobs/{job_id}/timings/{format}",
    operation_id="get_job_timings",
    summary="Fetch when each word is heard",
    response_class=Response,
    responses={
        200: {"description": "Subtitles, or a table.", "content": _TIMINGS},
        206: {"description": "The part that `Range` names.", "content": _TIMINGS},
        304: _RANGES[304],
        **errors.documented(400, 404, 409, 416, 503),
    },
)
async def get_job_timings(
    job_id: Id, format: SubtitleFormat, request: Request, service: Served
) -> Response:
    """Any format, whether it was asked for or not, where the words of the job were timed."""
    file = await service.operations.job_file(job_id, format)
    pool = service.operations.pools.downloads
    return await send(request, service.store, file, pool, shown=False)


@router.delete(
    "/v1/jobs/{job_id}",
    operation_id="cancel_job",
    summary="Have a job end",
    response_model=JobCancelled,
    responses=errors.documented(400, 404, 503),
)
async def cancel_job(job_id: Id, service: Served) -> JSONResponse:
    """Wherever it is: waiting, or at work in another process. One that is over stays as it is."""
    return JSONResponse(await _ask(service, "cancel", job_id))


def _with_routes(told: dict[str, Any]) -> dict[str, Any]:
    """What is told of a job; if it failed, with a hint in the words of this server's routes."""
    failure = told.get("failure")
    if not failure:
        return told
    return {**told, "failure": {**failure, "hint": errors.over_http(failure.get("hint") or "")}}


async def _ask(service: Served, operation: str, job_id: str) -> dict[str, Any]:
    payload: Mapping[str, Any] = {"endpoint": operation, "job_id": job_id}
    return await service.operations.answer(payload, job_id)


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _reachable(url: str, path: str) -> str:
    """The store's own URL where a caller can use it, else a path of this server."""
    return url if url.startswith(("http://", "https://")) else path

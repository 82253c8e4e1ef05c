"""POST /v1/dubs: speech at the times of subtitles, made in the background as /v1/jobs does."""

from __future__ import annotations

from typing import Any, ClassVar

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import ConfigDict

from f5serve.http import errors
from f5serve.http.request_body import JsonRoute
from f5serve.http.routers.jobs import ACCEPTED, accept
from f5serve.http.schemas import JobAccepted, NewJob, document_fields
from f5serve.http.scopes import needs
from f5serve.http.state import IDEMPOTENCY_PARAMETER, JobId, Owner, StateDep
from f5serve.secrets import SPEAK
from f5serve.service.dubs import DUB, DubRequest

router = APIRouter(tags=["jobs"], route_class=JsonRoute)


class NewDub(DubRequest):
    """Subtitles to be spoken: the fields of the dub operation. Null is as good as absent."""

    model_config = ConfigDict(json_schema_extra=document_fields)

    fixed_fields: ClassVar[dict[str, Any]] = {**NewJob.fixed_fields, "endpoint": DUB}


@router.post(
    "/v1/dubs",
    operation_id="create_dub",
    summary="Have subtitles spoken at their times",
    status_code=202,
    response_model=JobAccepted,
    responses={202: ACCEPTED, **errors.error_responses(400, 409, 503)},
    openapi_extra={"parameters": [IDEMPOTENCY_PARAMETER]},
)
@needs(SPEAK)
async def create_dub(new: NewDub, job_id: JobId, owner: Owner, state: StateDep) -> JSONResponse:
    """Take a subtitle file and answer at once; it is a job like those of /v1/jobs.

    Each subtitle begins at its time, and the speech lasts until the last one ends. What is wrong
    with the file is an error at once, with its line.
    """
    return await accept(new, job_id, owner, state)

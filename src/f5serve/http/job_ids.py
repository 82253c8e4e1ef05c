"""Under which id a request's job is kept, and whose it is.

A request flows in, an id flows out: one of its own, or, where it carries `Idempotency-Key`, the one
that this caller's key always gives. What the job is about is not known here: the same key with
another body meets the records of the first, and JOB_ID_CONFLICT.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from f5serve.api_keys import ApiKey
from f5serve.errors import InvalidRequest
from f5serve.http.service import Served
from f5serve.json_logs import JOB_ID

HEADER = "Idempotency-Key"
MAX_KEY_CHARS = 255

PREFIX = "key-"
"""Of ids that callers' keys give."""

PARAMETER = {
    "name": HEADER,
    "in": "header",
    "description": "The same key always gives the same job, so a request can be sent again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARS},
}
"""The header in the OpenAPI document."""


async def job_id_of(request: Request, service: Served) -> str:
    """The id of the job that a request asks for; from now on its log lines carry it.

    Raises:
        InvalidRequest: BAD_IDEMPOTENCY_KEY for one that is empty or too long.
    """
    job_id = service.new_id() if HEADER not in request.headers else _id_of_key(request)
    JOB_ID.set(job_id)
    return job_id


def _id_of_key(request: Request) -> str:
    key = request.headers[HEADER]
    if not key.strip() or len(key) > MAX_KEY_CHARS:
        raise InvalidRequest(
            f"{HEADER} has {len(key)} characters.",
            code="BAD_IDEMPOTENCY_KEY",
            hint=f"It takes 1 to {MAX_KEY_CHARS}, such as a UUID; leave it out for a new job.",
        )
    sender = _key_of(request)
    # The digest, which nobody else has: by the key's name others could tell the ids of its jobs.
    whose = sender.sha256.hex() if sender else ""
    told = f"{whose}\0{key}".encode()
    return f"{PREFIX}{hashlib.sha256(told).hexdigest()[:40]}"


def is_relied_on(job_id: str) -> bool:
    """Whether the caller has named the job, and so will ask for it by that name again."""
    return job_id.startswith(PREFIX)


async def owner_of(request: Request) -> str:
    """The stable id of the key that the guard has let in; "" where it asks nobody."""
    key = _key_of(request)
    return key.owner if key else ""


def _key_of(request: Request) -> ApiKey | None:
    key: ApiKey | None = getattr(request.state, "key", None)
    return key


JobId = Annotated[str, Depends(job_id_of)]
Owner = Annotated[str, Depends(owner_of)]

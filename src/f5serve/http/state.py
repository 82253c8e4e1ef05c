"""State of one server, and parameters of routes: the state, the id and the owner of a job."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection, Request

from f5serve.alignment.aligners import Aligners
from f5serve.api_keys import ApiKey
from f5serve.errors import EngineFailed, F5Error, InvalidRequest, ModelUnavailable
from f5serve.json_logs import JOB_ID
from f5serve.service import Operations
from f5serve.service.flights import SHUT_DOWN_CODE
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.voices.library import VoiceLibrary


@dataclass(slots=True)
class Lifecycle:
    """How far one server's life is; used in its event loop.

    Attributes:
        is_checked: whether the checks of the start have passed; until then nobody is to come.
    """

    is_ending: bool = False
    is_checked: bool = True

    def status(self, model: Mapping[str, Any]) -> int:
        """200 or 204.

        Args:
            model: see `Operations.model`.

        Raises:
            F5Error: MODEL_FAILED, DEVICE_BROKEN or SHUT_DOWN, all told as 503.
        """
        if self.is_ending:
            raise F5Error(
                "This server is about to end.",
                code=SHUT_DOWN_CODE,
                hint="Ask another, or this one in a minute.",
                retryable=True,
            )
        if model["state"] == "failed" and "failure" not in model:
            raise device_broken()
        if model["state"] == "failed":
            # Its sentence may hold a path, and everybody may ask.
            raise ModelUnavailable(
                f"The model could not be loaded: {model['failure'].get('code', 'INTERNAL')}.",
                code="MODEL_FAILED",
                hint="The server's log tells more.",
            )
        return 200 if model["state"] == "ready" and self.is_checked else 204


def overall(model: Mapping[str, Any], lifecycle: Lifecycle) -> str:
    """As `status` of the operation health, but for the store, which everybody could have asked."""
    if lifecycle.is_ending:
        return "ending"
    told = {"ready": "ok", "failed": "failed"}.get(str(model["state"]), "loading")
    return "loading" if told == "ok" and not lifecycle.is_checked else told


def device_broken() -> F5Error:
    """The error of a process that cannot speak any more."""
    return EngineFailed(
        "The device is broken, and only a new process can speak.",
        code="DEVICE_BROKEN",
        hint="Start the server again.",
    )


@dataclass(frozen=True, slots=True)
class Service:
    """One server's operations, and what some routes need besides.

    Attributes:
        store, voices: those that the operations work with.
        aligners: who finds out when words are heard in recordings that callers send.
        lifecycle: whether the server is about to end.
        new_id: makes the ids of jobs.
    """

    operations: Operations
    store: ObjectStore
    voices: VoiceLibrary
    aligners: Aligners
    settings: Settings
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    new_id: Callable[[], str] = field(default=lambda: uuid.uuid4().hex)


async def service_of(connection: HTTPConnection) -> Service:
    """The service of the application that was called.

    It waits for nothing; a plain function would be called in a thread, which takes longer.
    """
    service: Service = connection.app.state.service
    return service


Served = Annotated[Service, Depends(service_of)]


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

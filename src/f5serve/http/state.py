"""State of one server, and parameters of routes: the state, the id and the owner of a job."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection, Request

from f5serve.alignment.aligners import Aligners
from f5serve.errors import EngineFailed, F5Error, InvalidRequest, ModelUnavailable
from f5serve.logging import JOB_ID
from f5serve.secrets import ApiKey
from f5serve.service import SpeechService
from f5serve.service.active_jobs import SHUT_DOWN_CODE
from f5serve.service.tenants import Tenants
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.voices.library import VoiceLibrary

IDEMPOTENCY_HEADER = "Idempotency-Key"

MAX_KEY_CHARS = 255

IDEMPOTENT_ID_PREFIX = "key-"
"""Of ids that are made of an Idempotency-Key, so that their jobs can be asked for again."""

IDEMPOTENCY_PARAMETER = {
    "name": IDEMPOTENCY_HEADER,
    "in": "header",
    "description": "The same key always gives the same job, so a request can be sent again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARS},
}
"""The header in the OpenAPI document."""


@dataclass(slots=True)
class Lifecycle:
    """Whether one server takes requests, as load balancers ask; used in its event loop.

    200: speech can be made. 204: the model is being loaded. 503: it will not speak any more,
    because the model failed, the device is broken, or the server shuts down.

    Attributes:
        is_checked: whether the checks of the start have passed.
    """

    is_shutting_down: bool = False
    is_checked: bool = True

    def status(self, model: Mapping[str, Any]) -> int:
        """200 or 204.

        Args:
            model: see `SpeechService.model`.

        Raises:
            F5Error: MODEL_FAILED, DEVICE_BROKEN or SHUT_DOWN, all answered with 503.
        """
        if self.is_shutting_down:
            raise F5Error(
                "This server is shutting down.",
                code=SHUT_DOWN_CODE,
                hint="Use another server, or try again in a minute.",
                retryable=True,
            )
        if model["state"] == "failed" and "failure" not in model:
            raise device_broken()
        if model["state"] == "failed":
            # Its sentence may hold a path, and everybody may ask.
            raise ModelUnavailable(
                f"The model could not be loaded: {model['failure'].get('code', 'INTERNAL')}.",
                code="MODEL_FAILED",
                hint="The server's log says more.",
            )
        return 200 if model["state"] == "ready" and self.is_checked else 204


def health_status(model: Mapping[str, Any], lifecycle: Lifecycle) -> str:
    """As `status` of the operation health, without the store, which strangers may not ask."""
    if lifecycle.is_shutting_down:
        return "ending"
    status = {"ready": "ok", "failed": "failed"}.get(str(model["state"]), "loading")
    return "loading" if status == "ok" and not lifecycle.is_checked else status


def device_broken() -> F5Error:
    """The error of a process whose device is broken."""
    return EngineFailed(
        "The device has failed; a new process is needed.",
        code="DEVICE_BROKEN",
        hint="Start the server again.",
    )


@dataclass(frozen=True, slots=True)
class AppState:
    """The objects that routes use; made once at the start.

    Attributes:
        store, voices: those that the operations work with; all three are those of the tenant
            whose key a request has.
        aligners: forced aligners for uploaded recordings.
        lifecycle: whether the server is about to end.
        recognition: recognises speech of recordings; None where nothing does.
        tenants: of the keys; None where no key has one.
    """

    operations: SpeechService
    store: ObjectStore
    voices: VoiceLibrary
    aligners: Aligners
    settings: Settings
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    recognition: SpeechRecognition | None = None
    tenants: Tenants | None = None

    def of_key(self, key: ApiKey | None) -> AppState:
        """The state for requests with this key: of its tenant."""
        if key is None or not key.tenant:
            return self
        assert self.tenants is not None, "a server whose keys have tenants is made with them"
        service = self.tenants.get(key.tenant)
        return replace(self, operations=service, store=service.store, voices=service.voices)


async def get_state(connection: HTTPConnection) -> AppState:
    """The state of the application that was called, for the tenant of the caller's key.

    It waits for nothing; a plain function would be called in a thread, which takes longer.
    """
    state: AppState = connection.app.state.service
    return state.of_key(getattr(connection.state, "key", None))


StateDep = Annotated[AppState, Depends(get_state)]


async def get_job_id(request: Request) -> str:
    """The id of the request's job, new or given by Idempotency-Key; log lines carry it from now on.

    Raises:
        InvalidRequest: BAD_IDEMPOTENCY_KEY for one that is empty or too long.
    """
    job_id = uuid.uuid4().hex if IDEMPOTENCY_HEADER not in request.headers else _id_of_key(request)
    JOB_ID.set(job_id)
    return job_id


def _id_of_key(request: Request) -> str:
    key = request.headers[IDEMPOTENCY_HEADER]
    if not key.strip() or len(key) > MAX_KEY_CHARS:
        raise InvalidRequest(
            f"{IDEMPOTENCY_HEADER} has {len(key)} characters.",
            code="BAD_IDEMPOTENCY_KEY",
            hint=f"It takes 1 to {MAX_KEY_CHARS}, such as a UUID; leave it out for a new job.",
        )
    sender: ApiKey | None = getattr(request.state, "key", None)
    # The digest is secret: with the name of a key, others could guess the ids of its jobs.
    whose = sender.sha256.hex() if sender else ""
    named = f"{whose}\0{key}".encode()
    return f"{IDEMPOTENT_ID_PREFIX}{hashlib.sha256(named).hexdigest()[:40]}"


async def get_owner(request: Request) -> str:
    """The stable id of the request's API key; "" without one."""
    key: ApiKey | None = getattr(request.state, "key", None)
    return key.owner if key else ""


JobId = Annotated[str, Depends(get_job_id)]
Owner = Annotated[str, Depends(get_owner)]

"""GET /ping, /health and /metrics; who is no admin gets little where keys are needed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from f5serve import build
from f5serve.http import errors
from f5serve.http.scopes import has_scope, needs
from f5serve.http.state import StateDep, health_status
from f5serve.metrics import MEDIA_TYPE
from f5serve.secrets import ADMIN

router = APIRouter(tags=["health"])

EXAMPLE = """\
# HELP f5_requests_total Requests by operation and outcome.
# TYPE f5_requests_total counter
f5_requests_total{operation="tts",outcome="ok"} 12
"""


class Ping(BaseModel):
    """The server can speak."""

    status: str = Field(examples=["ready"])


class ModelHealth(BaseModel):
    """The model that speaks, or is to."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(examples=["F5TTS_v1_Base"])
    state: str = Field(examples=["ready"], description="waiting, loading, ready or failed.")
    engine: str | None = Field(None, examples=["f5"])
    failure: dict[str, Any] | None = Field(None, description="Why it could not be loaded.")


class QueueHealth(BaseModel):
    """Jobs in this process."""

    model_config = ConfigDict(extra="allow")

    jobs: int = Field(description="Under way.", examples=[2])
    waiting: int = Field(description="Being spoken, or waiting for it.", examples=[1])
    estimated_s: float | None = Field(description="What a new one would wait.", examples=[0.8])


class Found(BaseModel):
    """Something that the doctor says about the machine."""

    level: str = Field(examples=["warning"])
    code: str = Field(examples=["STANDIN_SPEAKS"])
    what: str
    fix: str


class DiskHealth(BaseModel):
    """Room on the disk of a folder."""

    free_bytes: int | None
    total_bytes: int | None


class BackgroundHealth(BaseModel):
    """A task that goes on beside the requests."""

    running: bool
    faults: int = Field(description="How often it had to be begun again.")
    last_fault: str | None = Field(None, description="The kind of the last one.")


class StartStep(BaseModel):
    """One thing that took time at the start."""

    name: str = Field(examples=["weights"])
    start_s: float
    seconds: float
    note: str = ""
    beside: bool = Field(False, description="It ran while other steps did.")


class StartHealth(BaseModel):
    """Where the seconds of the start went."""

    ready_s: float = Field(examples=[4.2])
    steps: list[StartStep]


class ServedModelHealth(BaseModel):
    """A model that requests may name."""

    name: str = Field(examples=["german"])
    state: str = Field(examples=["loaded"], description="loaded, loading, failed or unloaded.")
    memory_mb: int | None = Field(None, description="What its weights take.")
    requests: int | None = Field(None, description="That use it or wait for it.")
    progress: float | None = Field(None, description="Of its download, 0..1.")
    left_s: float | None = Field(None, description="Until it is loaded; null where not known.")
    failure: dict[str, Any] | None = Field(None, description="Why its last load failed.")


class Health(BaseModel):
    """How the server is; without a key of the scope admin, where keys are asked for, only the first
    two."""

    status: str = Field(examples=["ok"], description="ok, loading, degraded, failed or ending.")
    version: str = Field(examples=["0.2.0"])
    commit: str | None = None
    dirty: str | None = Field(None, description="yes, no or unknown.")
    build: str | None = None
    model: ModelHealth | None = None
    models: list[ServedModelHealth] | None = Field(
        None, description="All that requests may name, `model` among them."
    )
    store: str | None = Field(
        None,
        description="ok, slow, or the code of what is wrong with it, such as that of the newest "
        "write, until one works again.",
    )
    device: str | None = Field(None, description="Device and precision.")
    queue: QueueHealth | None = None
    background: dict[str, BackgroundHealth] | None = Field(
        None, description="Tasks beside the requests, by name; one that fails is begun again."
    )
    metrics: dict[str, float | None] | None = Field(None, description="Since the start.")
    doctor: list[Found] | None = None
    disk: dict[str, DiskHealth] | None = Field(None, description="By what a folder is used for.")
    age_s: dict[str, float | None] | None = Field(
        None,
        description="How old the answers of `store` and `machine` (doctor and disk) are; they are "
        "cached for some seconds, and returned again while a newer check hangs.",
        examples=[{"store": 1.2, "machine": 12.0}],
    )
    start: StartHealth | None = None


@router.get(
    "/ping",
    operation_id="ping",
    summary="Ask whether the server is ready",
    response_model=Ping,
    responses={204: {"description": "The model is being loaded."}, **errors.error_responses(503)},
)
async def ping(state: StateDep) -> Any:
    """200 when speech can be made, 204 while the model is on its way, 503 when it never will be.

    That is what RunPod's load balancer asks, and what others understand as well.
    """
    status = state.lifecycle.status(state.operations.model)
    return Response(status_code=204) if status == 204 else Ping(status="ready")


@router.get(
    "/health",
    operation_id="get_health",
    summary="Look at the server",
    response_model=Health,
    response_model_exclude_unset=True,
)
async def get_health(request: Request, state: StateDep) -> Any:
    """Model, store, queue, device, disks, what the doctor says, and how long the start took."""
    if not has_scope(request, ADMIN):
        status = health_status(state.operations.model, state.lifecycle)
        return {"status": status, "version": build.stamp().version}
    health = await state.operations.answer({"endpoint": "health"}, "")
    return health | ({"status": "ending"} if state.lifecycle.is_shutting_down else {})


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Read what is counted",
    response_class=Response,
    responses={
        200: {
            "description": "Text exposition, version 0.0.4.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": EXAMPLE}},
        }
    },
)
@needs(ADMIN)
async def get_metrics(state: StateDep) -> Response:
    """Requests, speech, engine, memory and disk as numbers for Prometheus.

    `deploy/` holds a configuration for it, alerts and a dashboard. Nothing here names a caller, a
    voice or a text.
    """
    operations = state.operations
    operations.metrics.collect()  # what the loop changes is read in the loop
    # Disks and /proc are read: beside it.
    text = await operations.pools.metrics.run(operations.metrics.write)
    return Response(text, media_type=MEDIA_TYPE)

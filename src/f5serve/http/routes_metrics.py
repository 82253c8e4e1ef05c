"""GET /metrics: all that this process counts, as Prometheus reads it."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from f5serve.http.service import Served
from f5serve.metrics import MEDIA_TYPE

router = APIRouter(tags=["health"])


class Exposition(PlainTextResponse):
    """Prometheus' text format, version 0.0.4."""

    media_type = MEDIA_TYPE


EXAMPLE = """\
# HELP f5_requests_total Requests by operation and outcome.
# TYPE f5_requests_total counter
f5_requests_total{operation="tts",outcome="ok"} 12
"""


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Read what is counted",
    response_class=Exposition,
    responses={
        200: {
            "description": "Text exposition, version 0.0.4.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": EXAMPLE}},
        }
    },
)
async def get_metrics(service: Served) -> Exposition:
    """Requests, speech, engine, memory and disk as numbers for Prometheus.

    `deploy/` holds a configuration for it, alerts and a dashboard. Nothing here names a caller, a
    voice or a text.
    """
    operations = service.operations
    operations.metrics.collect()  # what the loop changes is read in the loop
    # Disks and /proc are read: beside it.
    return Exposition(await operations.pools.metrics.run(operations.metrics.write))

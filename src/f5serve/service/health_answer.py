"""The answer of the operation health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from f5serve.service.health import overall_status

if TYPE_CHECKING:
    from f5serve.service.service import SpeechService


async def answer_health(
    service: SpeechService, payload: Mapping[str, Any], owner: str
) -> dict[str, Any]:
    """Version, state, queue and findings of this process."""
    runtime, model = service.runtime, service.runtime.executor.health()
    seen = await runtime.health_checks.get()
    wait_s, start = runtime.admission.backlog_s, runtime.options.start
    return {
        "status": overall_status(model["state"], seen["store"], runtime.background.down),
        **service.job_store.program,
        "model": model,
        "store": seen.pop("store"),
        "device": runtime.executor.description,
        "queue": {
            "jobs": sum(each.running for each in runtime.services),
            "waiting": runtime.executor.waiting,
            "estimated_s": None if wait_s is None else round(wait_s, 1),
        },
        "background": runtime.background.health(),
        "metrics": runtime.metrics.summary(runtime.executor.counters()),
        **seen,
        "start": start() if start else None,
    }

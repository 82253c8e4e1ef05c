"""The tenant of a RunPod job: by its signed field, or F5_TENANT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from f5serve.errors import InvalidRequest
from f5serve.secrets import sign_queued_tenant, verify_tenant
from f5serve.service.dependencies import Enqueue
from f5serve.service.queue import QUEUED_AS
from f5serve.service.speech_operations import SPEECH
from f5serve.settings import Settings

FIELD = "tenant"

_HOW = "`f5serve keys sign TENANT` prints what it takes."


def take_tenant(
    payload: Mapping[str, Any], settings: Settings, now: float
) -> tuple[str, Mapping[str, Any]]:
    """The tenant that a job names, "" for F5_TENANT, and the job's input without that field.

    Args:
        now: seconds since 1970.

    Raises:
        InvalidRequest: TENANT_SIGNATURE, TENANT_EXPIRED, TENANT_NEEDED, TENANT_NOT_TAKEN.
    """
    token = payload.get(FIELD)
    if token is None:
        if settings.tenant_secret and not settings.tenant:
            raise InvalidRequest(
                "The job names no tenant, and this endpoint needs one.",
                code="TENANT_NEEDED",
                hint=f"Send the field {FIELD}. {_HOW}",
            )
        return "", payload
    if not settings.tenant_secret:
        raise InvalidRequest(
            "The job names a tenant, and this endpoint has none: F5_TENANT_SECRET is not set.",
            code="TENANT_NOT_TAKEN",
            hint=f"Set it on the endpoint, or leave the field {FIELD} out.",
        )
    queued_as = payload.get(QUEUED_AS)
    is_speech = payload.get("endpoint") in (None, *SPEECH)
    job_id = queued_as if isinstance(queued_as, str) and is_speech else ""
    tenant = verify_tenant(settings.tenant_secret, token, now, job_id)
    return tenant, {name: value for name, value in payload.items() if name != FIELD}


class TenantQueue:
    """The endpoint's queue for the jobs of one tenant, whom each names when it comes back.

    Args:
        queue: posts an input.
        secret: F5_TENANT_SECRET.
    """

    def __init__(self, queue: Enqueue, secret: str, tenant: str) -> None:
        self._queue, self._secret, self._tenant = queue, secret, tenant

    async def __call__(self, payload: dict[str, Any]) -> str:
        """As `Enqueue`."""
        token = sign_queued_tenant(self._secret, self._tenant, payload[QUEUED_AS])
        return await self._queue({**payload, FIELD: token})

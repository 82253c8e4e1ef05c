"""A worker whose operations go wrong in the way that the input names, as ours should never.

python -m tests.worker.faulty_worker
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

from f5serve.errors import EngineFailed, InvalidRequest
from f5serve.runpod import service as runpod_service
from f5serve.service.events import Completed, DeliveryOptions, JobEvent
from f5serve.startup.process import init_process


class Faulty:
    """Operations without any work."""

    broken = False

    @property
    def first(self) -> Faulty:
        """That of no tenant."""
        return self

    def get(self, tenant: str = "") -> Faulty:
        """All tenants have the same operations."""
        return self

    async def events(
        self, payload: Mapping[str, Any], job_id: str, delivery: DeliveryOptions | None = None
    ) -> AsyncGenerator[JobEvent, None]:
        """What `payload["fault"]` asks for."""
        yield Completed(self._answer(payload))

    def _answer(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        note = payload.get("note")
        match payload["fault"]:
            case "raise":
                raise RuntimeError(f"/srv/secret/path: {note}")
            case "refuse":
                raise InvalidRequest(f"Voice {note} is unknown.", code="REFUSED", hint="Do else.")
            case "nan":
                return {"value": float("nan")}
            case "object":
                return {"value": object()}
            case "break":
                self.broken = True
                raise EngineFailed("The device is gone.", code="DEVICE_BROKEN", retryable=True)
        return {"status": "success"}

    async def close(self, within_s: float) -> None:
        """Nothing runs."""


if __name__ == "__main__":
    runpod_service.serve(cast(Any, Faulty), init_process("worker"))

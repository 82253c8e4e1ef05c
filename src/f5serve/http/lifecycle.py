"""Whether this server should be sent requests, in the terms of load balancers.

    200  speech can be made          204  the model is on its way
    503  it never will be here: the model failed, the device is broken, or the server ends

The state of the model flows in, a status and its reason flow out. Routes and sockets are not known
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from f5serve.errors import EngineFailed, F5Error, ModelUnavailable
from f5serve.service.flights import SHUT_DOWN_CODE


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

"""What every route works with: made once at the start, kept in the application's state.

Routes take it as a parameter of type `Served`. How it is made is `serve`'s business.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from f5serve.alignment.aligners import Aligners
from f5serve.http.lifecycle import Lifecycle
from f5serve.service import Operations
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.voices.library import VoiceLibrary


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

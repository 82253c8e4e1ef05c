"""Bodies that hold a recording: refused while they are read, as soon as they are too long.

Multipart bodies flow in, the bytes of a recording flow out. What is heard in it is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import UploadFile
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive

from f5serve.audio.refusals import refuse
from f5serve.http.bodies import check_type, declared_bytes

_MULTIPART = re.compile(r"multipart/form-data")
_HOW = "Send the recording as a file of a form; curl does with -F."
_OTHER_FIELDS_BYTES = 1_000_000
"""For all that a body holds beside the recording."""


def route_for(max_bytes: int) -> type[APIRoute]:
    """A kind of route whose bodies hold a recording of at most `max_bytes`."""

    class RecordingRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()
            takes_body = self.body_field is not None

            async def within(request: Request) -> Response:
                if takes_body:
                    check_type(request, _MULTIPART, "multipart/form-data", "NOT_MULTIPART", _HOW)
                body = _Body(request, max_bytes)
                # What it raises comes out of FastAPI as the cause of another error: see `errors`.
                return await handle(Request(request.scope, body.receive))

            return within

    return RecordingRoute


class _Body:
    """Counts what it passes on, and stops."""

    def __init__(self, request: Request, max_bytes: int) -> None:
        self._announced = declared_bytes(request.headers)
        self._receive: Receive = request.receive
        self._max_bytes = max_bytes
        self._bytes = 0

    async def receive(self) -> Message:
        self._check(self._announced)
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        self._check(self._bytes)
        return message

    def _check(self, size: int) -> None:
        if size > self._max_bytes + _OTHER_FIELDS_BYTES:
            raise refuse("AUDIO_TOO_LARGE", size, self._max_bytes)


def read(file: UploadFile, max_bytes: int) -> bytes:
    """All of a recording; blocks.

    Raises:
        BadAudio: AUDIO_TOO_LARGE.
    """
    data = file.file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise refuse("AUDIO_TOO_LARGE", file.size or len(data), max_bytes)
    return data

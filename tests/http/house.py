"""A server in small: the real application over a store in memory, with a tone that speaks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from f5serve.alignment.aligners import Aligners
from f5serve.http.app import build_middleware, make_app
from f5serve.http.connections import LimitedHttpProtocol
from f5serve.http.middleware.access_log import AccessLogMiddleware
from f5serve.http.server import UvicornServer
from f5serve.http.state import AppState
from f5serve.secrets import parse_keys
from f5serve.service import ServiceOptions, SpeechService
from f5serve.service.tenants import Tenants
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import Engine
from f5serve.voices.libraries import VoiceLibraries
from f5serve.voices.library import LibraryOptions
from f5serve.voices.prepare import NO_TRANSCRIBER, Transcriber
from tests.service.house import CountingTone

SERVER_THREAD = "server"
HELLO = {"model": "tts-1", "voice": "default", "input": "Hello there."}


@dataclass
class House:
    """A server on loopback, and what it works with."""

    url: str
    client: httpx.Client
    service: AppState
    tone: CountingTone
    app: FastAPI

    def speak(self, **fields: Any) -> httpx.Response:
        """The answer of /v1/audio/speech to HELLO with these fields."""
        return self.client.post("/v1/audio/speech", json=HELLO | fields)

    def refused(self, answer: httpx.Response, status: int, code: str) -> str:
        """The message of an answer that must be this error, in OpenAI's shape."""
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["code"] == code
        return str(error["message"])


@contextlib.contextmanager
def house(
    folder: Path,
    store: ObjectStore | None = None,
    options: ServiceOptions | None = None,
    tone: CountingTone | None = None,
    engine: Engine | None = None,
    hearing: Transcriber = NO_TRANSCRIBER,
    recognition: SpeechRecognition | None = None,
    wrong_keys_per_minute: int = 20,
    library: LibraryOptions | None = None,
    **settings: Any,
) -> Iterator[House]:
    """A server with a loop and a thread of its own, ended at the end; `folder` is its disk."""
    if isinstance(settings.get("api_keys"), str):
        settings["api_keys"] = parse_keys(settings["api_keys"])
    made = replace(Settings(), **settings)
    store = store or MemoryStore()
    tone = tone or CountingTone()
    libraries = VoiceLibraries(replace(made, data_dir=folder), store, hearing, library)
    load = lambda: Synthesizer(engine or tone, max_text_chars=100_000)  # noqa: E731
    tenants = Tenants(store, libraries, load, made, options)
    operations = tenants.first
    service = AppState(
        *(operations, operations.store, operations.voices, Aligners(), made),
        recognition=recognition,
        tenants=tenants,
    )
    app = make_app(service)
    guarded = AccessLogMiddleware(
        build_middleware(app, made, wrong_keys_per_minute), operations.metrics
    )
    with running(guarded, operations) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield House(url, client, service, tone, app)
        tone.release()


@contextlib.contextmanager
def running(
    app: ASGIApp,
    operations: SpeechService | None = None,
    protocol: type[LimitedHttpProtocol] = LimitedHttpProtocol,
) -> Iterator[str]:
    """`app` on a free port of loopback, as a URL; operations begin and end in its loop."""
    # With its protocol named, or asyncio leaves Nagle's delay of 40 ms in every answer.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    server = UvicornServer(app, protocol)

    async def serve() -> None:
        if operations is not None:
            operations.begin()
        watching = asyncio.create_task(protocol.all_connections.watch())
        try:
            await server.serve(sockets=[listening])
        finally:
            watching.cancel()
            if operations is not None:
                await operations.close(5)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name=SERVER_THREAD)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()
        assert not thread.is_alive()

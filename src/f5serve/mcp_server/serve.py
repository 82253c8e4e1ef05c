"""The process of `f5serve mcp`: one client on standard input and output, until it leaves.

Standard output carries the protocol alone; logs go to standard error.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from f5serve.errors import ModelUnavailable
from f5serve.mcp_server.folder import Folder
from f5serve.startup.process import exit_after, exit_now, init_process, model_loader

if TYPE_CHECKING:
    from f5serve.mcp_server.tools import SpeechServer

_log = logging.getLogger(__name__)

ENDING_S = 2.0
"""Longest wait for a thread that cannot be interrupted at the end."""


def serve_remote(folder: Path, url: str, key: str) -> None:
    """Serve with the speech of a server.

    Raises:
        F5Error: it could not start.
    """
    _check_installed()
    from f5serve.mcp_server.remote import RemoteBackend
    from f5serve.mcp_server.tools import SpeechServer, SpeechTools

    backend = RemoteBackend(url, key)
    server = SpeechServer(SpeechTools(backend, Folder(folder)))
    _log.info("speaks through %s", backend.url)
    exit_code = 1
    try:
        asyncio.run(_run(server))
        exit_code = 0
    finally:
        exit_after(ENDING_S, exit_code)


def serve_local(folder: Path) -> None:
    """Serve with the model, the voices and the recogniser of this machine.

    The model is loaded when speech is asked for first: programs start their MCP servers whether
    they are used or not.

    Raises:
        F5Error: it could not start.
    """
    settings = init_process("mcp")
    _check_installed()
    from f5serve.mcp_server.local import LocalBackend
    from f5serve.mcp_server.tools import SpeechServer, SpeechTools
    from f5serve.service import SpeechService
    from f5serve.startup import LoadOptions, check_engine
    from f5serve.store.config import open_store
    from f5serve.store.namespace import tenant_store
    from f5serve.synthesis.recognition import SpeechRecognition

    found = Folder(folder)
    check_engine(settings)
    recognition = SpeechRecognition(settings)
    options = LoadOptions(recognition=recognition)
    exit_code = 1
    try:
        store = open_store(settings)
        voices = recognition.library(store)
        load_speech = model_loader(settings, options, at_once=False)
        own = tenant_store(store, settings.tenant)
        operations = SpeechService(own, voices, load_speech, settings)
        backend = LocalBackend(operations, voices, recognition)
        server = SpeechServer(SpeechTools(backend, found))
        asyncio.run(_run(server, partial(operations.close, settings.shutdown_s)))
        exit_code = 0
    finally:
        options.stop.set()
        exit_after(ENDING_S, exit_code)


async def _run(server: SpeechServer, close: Callable[[], Awaitable[None]] | None = None) -> None:
    """Serve until the client closes standard input, or until a signal; then `close`."""
    loop = asyncio.get_running_loop()
    ending: list[asyncio.Task[None]] = []

    async def end(exit_code: int) -> None:
        try:
            await server.close()
            if close is not None:
                await close()
        finally:  # the thread that reads standard input cannot be interrupted
            exit_now(exit_code)

    def on_signal(exit_code: int) -> None:
        if not ending:
            ending.append(asyncio.create_task(end(exit_code)))

    loop.add_signal_handler(signal.SIGTERM, on_signal, 0)
    loop.add_signal_handler(signal.SIGINT, on_signal, 128 + signal.SIGINT)
    await server.run_stdio_async()
    if close is not None:
        await close()


def _check_installed() -> None:
    if find_spec("mcp") is None:
        raise ModelUnavailable(
            "The server needs a package that is not installed: mcp.",
            code="SERVER_NOT_INSTALLED",
            hint="Run: pip install 'f5serve[mcp]'",
        )

"""The process of `f5serve wyoming`: settings to a model, a socket, and a loop until it is stopped.

init_process -> socket -> the model, in threads of its own -> WyomingServer
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from f5serve import build
from f5serve.errors import EngineFailed, F5Error, ModelUnavailable
from f5serve.settings import Settings, read_address
from f5serve.startup.listening import listen
from f5serve.startup.process import exit_after, exit_now, init_process, make_checks, model_loader

if TYPE_CHECKING:
    from f5serve.service import SpeechService
    from f5serve.wyoming.server import WyomingServer

_log = logging.getLogger(__name__)

DEFAULT_ADDRESS = "127.0.0.1:10200"
"""The port is that of Home Assistant's own speaker."""

ENDING_S = 2.0
"""Longest wait after F5_SHUTDOWN_S, and for a thread that cannot be interrupted at the end."""

CHECK_INTERVAL_S = 1.0
"""Seconds between two looks whether the device still works."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def main(
    on_listening: Callable[[str], None], host: str | None = None, port: int | None = None
) -> None:
    """Run the server until it is stopped.

    Args:
        on_listening: called once with a sentence, when the server listens.
        host, port: in the place of those of F5_WYOMING.

    Raises:
        F5Error: it could not start, or had to stop.
    """
    settings = init_process("wyoming")
    _check_installed()
    from f5serve.startup import LoadOptions, Timeline, check_engine
    from f5serve.synthesis.recognition import SpeechRecognition

    check_engine(settings)
    default_host, default_port = read_address(settings.wyoming or DEFAULT_ADDRESS)
    address = host or default_host, default_port if port is None else port
    listening = listen(*address, "--port" if port is not None else "F5_WYOMING")
    options = LoadOptions(
        timeline=Timeline.of_process(), warm_up=True, recognition=SpeechRecognition(settings)
    )
    load_speech = model_loader(settings, options, at_once=True)
    exit_code = 1
    try:
        from f5serve.service import ServiceOptions, SpeechService
        from f5serve.startup.model_set import ModelSet
        from f5serve.store.config import open_store
        from f5serve.store.namespace import tenant_store
        from f5serve.wyoming.server import WyomingServer
        from f5serve.wyoming.session import Speaker

        assert options.recognition is not None
        store = open_store(settings)
        voices = options.recognition.library(store)
        own = tenant_store(store, settings.tenant)
        models = ServiceOptions(models=ModelSet(settings, options))
        operations = SpeechService(own, voices, load_speech, settings, models)
        server = WyomingServer(listening, Speaker(operations, voices, settings))
        on_listening(_describe(address[0], listening))
        lifecycle = Lifecycle(settings, operations, server, make_checks(settings, store))
        asyncio.run(lifecycle.run())
        exit_code = 0
    except F5Error as error:
        exit_code = error.exit_code
        raise
    finally:
        options.stop.set()
        listening.close()
        exit_after(ENDING_S, exit_code)


class Lifecycle:
    """Runs a server over `operations` until a signal, or until it cannot speak any more.

    Speech that is being made may end within F5_SHUTDOWN_S; a second signal ends the process.

    Args:
        checks: as `make_checks` returns them.
    """

    def __init__(
        self,
        settings: Settings,
        operations: SpeechService,
        server: WyomingServer,
        checks: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._shutdown_s = settings.shutdown_s
        self._operations, self._server, self._checks = operations, server, checks
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until stopped.

        Raises:
            F5Error: it stopped because of this error, not by a signal.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        self._operations.begin()
        self._server.begin()
        watching = asyncio.create_task(self._watch())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
        _log.info("stops, %d clients connected", len(self._server))
        deadline = time.monotonic() + self._shutdown_s
        why = "not everything ended in time; the process ends without it"
        force = exit_after(self._shutdown_s + ENDING_S, 1, why)
        await self._server.close(self._shutdown_s)
        await self._operations.close(max(deadline - time.monotonic(), 0.0))
        stopping.cancel()
        watching.cancel()
        await asyncio.wait({watching, stopping})
        force.cancel()
        _log.info("stopped")
        if not watching.cancelled():
            watching.result()

    def _signalled(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            exit_now(128 + number, "second stop signal; the process ends at once")
        self._stopping.set()

    async def _watch(self) -> None:
        """Raise what keeps this process from speaking, so that a supervisor starts another."""
        for check in self._checks:
            await self._operations.pools.checks.run(check)
        await self._operations.ready()
        _log.info("ready")
        while not self._operations.broken:
            await asyncio.sleep(CHECK_INTERVAL_S)
        raise EngineFailed(
            "The device has failed; a new process is needed.",
            code="DEVICE_BROKEN",
            hint="Start the server again.",
        )


def _check_installed() -> None:
    if find_spec("pydantic") is None:
        raise ModelUnavailable(
            "The server needs a package that is not installed: pydantic.",
            code="SERVER_NOT_INSTALLED",
            hint="Run: pip install 'f5serve[wyoming]'",
        )


def _describe(host: str, listening: socket.socket) -> str:
    """Where the server listens, and who can reach it."""
    port = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    line = f"{build.stamp()} listens for Wyoming on tcp://{shown}:{port}"
    if host in _LOOPBACK:
        return line
    return f"{line}; whoever reaches it may use every voice, for Wyoming has no keys"

"""Server lifecycle: serve until a signal or a fault, then drain requests and jobs.

    SIGTERM, SIGINT, a model that cannot be loaded, a broken device -> stop
    stop -> no new connections, /ping is 503 -> requests end -> jobs end

Requests and jobs share F5_SHUTDOWN_S; what is left then is cut off or released, and queued jobs
stay in the store. A second signal ends the process at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import uvicorn
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.loops.auto import auto_loop_factory

from f5serve.errors import F5Error
from f5serve.http.connections import Connections, LimitedHttpProtocol, protocol_class, take
from f5serve.http.errors import error_response
from f5serve.http.middleware.access_log import LogLimit
from f5serve.http.state import Lifecycle, device_broken
from f5serve.http.websocket_protocol import PING_INTERVAL_S, socket_class
from f5serve.service import SpeechService
from f5serve.service.supervisor import Supervisor
from f5serve.startup.process import exit_after, exit_now

_log = logging.getLogger(__name__)

FORCE_S = 2.0
"""Seconds after F5_SHUTDOWN_S until the process ends, whatever its threads do."""

RELEASE_S = 5.0
"""Part of F5_SHUTDOWN_S kept to release unfinished jobs; a quarter at most."""

CHECK_INTERVAL_S = 1.0
"""Seconds between two looks whether the device still works."""

MAX_HEALTH_CONNECTIONS = 64
"""Most connections on PORT_HEALTH."""

KEEP_ALIVE_S = 75.0
"""Seconds an idle connection is kept: longer than proxies do, so that they close it first."""


class ServerBeside(Protocol):
    """A server of another protocol over the same operations."""

    def begin(self) -> None:
        """Take connections from now on; in the event loop."""
        ...

    async def close(self, within_s: float) -> None:
        """Take no more, let requests end within that time, and cut off what is left."""
        ...


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server starts and stops.

    Attributes:
        shutdown_s: what running requests and jobs have to end.
        checks: made at the start; they block, and one that raises F5Error ends the server.
        force: as `exit_after`, for when the end takes longer all the same.
        on_ready: called once, when speech can be made.
        connections: those of callers; any number of them without it.
        lines: how many log lines there may be about what is no request.
        beside: servers of other protocols, which begin and end with this one.
    """

    shutdown_s: float
    checks: Sequence[Callable[[], None]] = ()
    force: Callable[[float, int, str], threading.Timer] = exit_after
    on_ready: Callable[[], None] = lambda: None
    connections: Connections = field(default_factory=Connections)
    lines: LogLimit = field(default_factory=LogLimit)
    beside: Sequence[ServerBeside] = ()


class Server:
    """Serves `app` over `operations` until stopped."""

    def __init__(
        self,
        app: ASGIApp,
        operations: SpeechService,
        lifecycle: Lifecycle,
        options: ServerOptions,
    ) -> None:
        self._operations = operations
        self._lifecycle = lifecycle
        self._lifecycle.is_checked = not options.checks
        self._options = options
        self._connections = options.connections
        kind = protocol_class(self._connections, options.lines)
        self._main = UvicornServer(self._suppress_cancel_on_shutdown(app), kind)
        health_protocol = protocol_class(Connections(MAX_HEALTH_CONNECTIONS), options.lines)
        self._health = UvicornServer(_PingApp(operations, lifecycle), health_protocol)
        self._stopping = asyncio.Event()
        self._deadline = math.inf
        self._error: F5Error | None = None
        self._force: threading.Timer | None = None

    async def run(self, listening: socket.socket, health: socket.socket | None = None) -> None:
        """Serve until stopped.

        Args:
            health: where only /ping is answered, until the very end.

        Raises:
            F5Error: it stopped because of this error, not by a signal.
        """
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._signalled, number)
        main = asyncio.create_task(self._main.serve(sockets=[listening]))
        serving_health = (
            asyncio.create_task(self._health.serve(sockets=[health])) if health else None
        )
        self._operations.begin()
        for other in self._options.beside:
            other.begin()
        background = self._operations.background
        background_tasks = [
            background.spawn("checks", self._check()),
            background.begin("model", self._watch),
            background.begin("connections", self._connections.watch),
        ]
        try:
            await self._stopping.wait()
            await self._drain(main)
        finally:
            for task in background_tasks:
                task.cancel()
            await asyncio.wait(background_tasks)
            self._health.should_exit = True
            if serving_health is not None:
                await serving_health
        if self._force is not None:
            self._force.cancel()
        _log.info("stopped")
        if self._error is not None:
            raise self._error

    def stop(self, error: F5Error | None = None) -> None:
        """Begin the shutdown; may be called again; only in the loop's thread.

        Args:
            error: why, unless it was wished for.
        """
        if self._stopping.is_set():
            return
        self._error = error
        self._lifecycle.is_shutting_down = True
        shutdown_s = self._options.shutdown_s
        self._deadline = time.monotonic() + shutdown_s
        why = "not everything ended in time; the process ends without it"
        code = error.exit_code if error else 1
        self._force = self._options.force(shutdown_s + FORCE_S, code, why)
        _log.info("stop signal, %d requests running", len(self._main.server_state.tasks))
        self._stopping.set()

    def _signalled(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            exit_now(128 + number, "second stop signal; the process ends at once")
        self.stop()

    async def _drain(self, main: asyncio.Task[None]) -> None:
        """Let requests end, then jobs; release what is left near the deadline."""
        kept_s = min(RELEASE_S, self._options.shutdown_s / 4)
        self._main.should_exit = True
        left_s = self._left_s(kept_s)
        others = [asyncio.create_task(other.close(left_s)) for other in self._options.beside]
        await asyncio.wait({main, *others}, timeout=left_s)
        await self._operations.drain(self._left_s(kept_s / 4))
        await asyncio.wait({main}, timeout=self._left_s(0))
        if not main.done():
            late = set(self._main.server_state.tasks)
            _log.warning("out of time, %d requests are cut off", len(late))
            self._main.force_exit = True
            for task in late:
                task.cancel()
            await asyncio.wait({main, *late}, timeout=FORCE_S / 2)
        for other in others:
            await other
        await self._operations.close(0)

    def _suppress_cancel_on_shutdown(self, app: ASGIApp) -> ASGIApp:
        """`app` without a traceback for requests that are cancelled at the deadline."""

        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                if not self._main.force_exit:
                    raise

        return wrapped

    def _left_s(self, kept_s: float) -> float:
        return max(self._deadline - kept_s - time.monotonic(), 0.0)

    async def _check(self) -> None:
        for check in self._options.checks:
            try:
                await self._operations.pools.checks.run(check)
            except F5Error as error:
                self.stop(error)
                return
        self._lifecycle.is_checked = True

    async def _watch(self) -> None:
        """Stop when the model fails or the device breaks, so that a platform restarts it."""
        try:
            await self._operations.ready()
            self._options.on_ready()
            while not self._operations.broken:
                await asyncio.sleep(CHECK_INTERVAL_S)
            self.stop(device_broken())
        except F5Error as error:
            self.stop(error)
        except Exception as error:  # noqa: BLE001 - whatever a library raises while it loads
            _log.exception("the model could not be loaded")
            self.stop(
                F5Error(
                    f"The model could not be loaded: {type(error).__name__}.",
                    code="INTERNAL",
                    hint="The log lines above say more.",
                )
            )


class UvicornServer(uvicorn.Server):
    """uvicorn's server; signals, logs and accepting connections are ours."""

    def __init__(self, app: ASGIApp, kind: type[LimitedHttpProtocol]) -> None:
        self._connections = kind.all_connections
        self._taking = Supervisor()
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                http=kind,
                ws=socket_class(kind),
                ws_per_message_deflate=False,  # sound does not shrink, and it costs memory
                ws_ping_interval=PING_INTERVAL_S,
                # A slow reader may not come to a ping for as long as to anything else.
                ws_ping_timeout=self._connections.stall_s,
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                timeout_keep_alive=int(KEEP_ALIVE_S),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections of these sockets, one at a time.

        asyncio and uvloop would take all that wait at once, each with a descriptor, before any of
        them is counted.
        """
        await super().startup(sockets=[])
        for number, listening in enumerate(sockets or ()):
            taking = partial(take, self, listening, self._connections)
            self._taking.begin(f"connections of socket {number}", taking)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, then shut down as uvicorn does."""
        await self._taking.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Do nothing: `Server` handles signals."""
        yield


class _PingApp:
    """Answers /ping on PORT_HEALTH, as `routers.health` does; all else is 404."""

    def __init__(self, operations: SpeechService, lifecycle: Lifecycle) -> None:
        self._operations, self._lifecycle = operations, lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope["path"])(scope, receive, send)

    def _answer(self, path: str) -> Response:
        if path != "/ping":
            return Response(status_code=404)
        try:
            status = self._lifecycle.status(self._operations.model)
        except F5Error as error:
            return error_response(error)
        return JSONResponse({"status": "ready"}) if status == 200 else Response(status_code=status)


def run(server: Server, listening: socket.socket, health: socket.socket | None) -> None:
    """Run the server in the fastest event loop that is installed."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(server.run(listening, health))


def freeze_gc() -> None:
    """Exclude all objects of now from garbage collection.

    It would go through all of it now and then, 140 ms with torch, in which no request is answered.
    """
    gc.collect()
    gc.freeze()

"""Connections of Wyoming clients: how many there may be, how long they may wait, how they end.

As for HTTP, each is taken and counted before the next; the longest idle one makes room for a new
one (docs/decisions/0030).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from dataclasses import dataclass
from functools import partial

from f5serve.errors import F5Error
from f5serve.service.supervisor import Supervisor
from f5serve.wyoming.announcement import announce
from f5serve.wyoming.protocol import (
    BYTES_OF_CHARACTER,
    EVENT_TIMEOUT_S,
    MIN_DATA_BYTES,
    Channel,
    FrameLimits,
    error_event,
)
from f5serve.wyoming.session import Session, Speaker

_log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
IDLE_LIMIT_S = 120.0
"""Longest time without an event; of a stream of text, F5_REQUEST_TIMEOUT_S."""

MIN_IDLE_S = 1.0
"""An idle connection makes no room for others before: its request may be on its way."""

CHECK_INTERVAL_S = 5.0
ACCEPT_RETRY_S = 0.5
WRITE_BUFFER_BYTES = 65_536
"""Sound that waits for a slow reader: 1.4 s."""

CUT_OFF_S = 2.0
"""Longest wait for sessions that were cut off."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of one server; see the constants."""

    max_connections: int = MAX_CONNECTIONS
    idle_s: float = IDLE_LIMIT_S
    min_idle_s: float = MIN_IDLE_S
    event_timeout_s: float = EVENT_TIMEOUT_S


class WyomingServer:
    """Answers Wyoming clients on one socket; used within one event loop.

    Args:
        listening: closed by `close`.
    """

    def __init__(
        self, listening: socket.socket, speaker: Speaker, limits: ServerLimits | None = None
    ) -> None:
        self._listening, self._speaker = listening, speaker
        self._limits = limits or ServerLimits()
        settings = speaker.settings
        line_bytes = MIN_DATA_BYTES + BYTES_OF_CHARACTER * settings.max_text_chars
        self._frames = FrameLimits(
            line_bytes,
            event_timeout_s=self._limits.event_timeout_s,
            stall_s=settings.request_timeout_s,
        )
        self._sessions: dict[Session, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._background = Supervisor()

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self) -> None:
        """Take connections from now on."""
        self._background.begin("wyoming", self._take_all)
        self._background.begin("wyoming connections", self._watch)
        if name := self._speaker.settings.zeroconf:
            self._background.begin("zeroconf", partial(announce, self._listening, name))

    async def close(self, within_s: float) -> None:
        """Take no more; let speech end within that time, and cut off what is left."""
        await self._background.close()
        self._listening.close()
        tasks = {*self._sessions.values(), *self._leaving}
        for session in list(self._sessions):
            session.stop()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=max(within_s, 0.0))
            for task in late:
                task.cancel()
            if late:
                _log.warning("out of time, %d Wyoming clients are cut off", len(late))
                await asyncio.wait(late, timeout=CUT_OFF_S)

    async def _take_all(self) -> None:
        loop = asyncio.get_running_loop()
        self._listening.setblocking(False)
        while self._listening.fileno() >= 0:
            try:
                connected, _ = await loop.sock_accept(self._listening)
            except OSError as error:
                _log.warning("no connection can be taken: %s", error.strerror)
                await asyncio.sleep(ACCEPT_RETRY_S)
                continue
            with contextlib.suppress(OSError):  # its caller has left meanwhile
                await self._connect(connected)

    async def _connect(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        if not self._has_room():
            self._refuse(connected)
            return
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        reader, writer = await asyncio.open_connection(
            sock=connected, limit=self._frames.line_bytes
        )
        writer.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        session = Session(Channel(reader, writer, self._frames), self._speaker)
        task = asyncio.create_task(session.run(), name="wyoming session")
        self._sessions[session] = task
        task.add_done_callback(partial(self._ended, session))

    def _has_room(self) -> bool:
        if len(self._sessions) < self._limits.max_connections:
            return True
        before = time.monotonic() - self._limits.min_idle_s
        waiting = {
            session: session.quiet_since
            for session in self._sessions
            if session.is_idle and (session.quiet_since or before) < before
        }
        if not waiting:
            return False
        longest = min(waiting, key=lambda session: waiting[session] or 0.0)
        self._leaving.add(self._sessions.pop(longest))  # it ends in the loop's next turns
        longest.abort()
        return True

    def _refuse(self, connected: socket.socket) -> None:
        limit = self._limits.max_connections
        busy = F5Error(
            f"{limit} clients are connected, which is the limit.",
            code="BUSY",
            hint="Try again in a few seconds.",
            retryable=True,
        )
        with connected:
            connected.send(error_event(busy).as_bytes())

    def _ended(self, session: Session, task: asyncio.Task[None]) -> None:
        self._sessions.pop(session, None)
        self._leaving.discard(task)
        session.abort()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a Wyoming session failed", exc_info=error)

    async def _watch(self) -> None:
        """Close connections that only wait, until cancelled."""
        pause_s = max(0.02, min(CHECK_INTERVAL_S, self._limits.idle_s / 8))
        while True:
            await asyncio.sleep(pause_s)
            now = time.monotonic()
            for session in list(self._sessions):
                limit_s = self._limits.idle_s
                if not session.is_idle:
                    limit_s = max(limit_s, self._speaker.settings.request_timeout_s)
                since = session.quiet_since
                if since is not None and now - since > limit_s:
                    session.abort()

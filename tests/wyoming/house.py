"""A Wyoming server in small: the real sessions over a store in memory, with a tone that speaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event

from f5serve.settings import Settings
from f5serve.startup.listening import listen
from f5serve.store.memory import MemoryStore
from f5serve.voices.library import VoiceLibrary
from f5serve.wyoming.server import ServerLimits, WyomingServer
from f5serve.wyoming.session import Speaker
from tests.service.house import PATIENCE_S, CountingTone
from tests.service.house import house as service_house

TEXT = "Hello there, this is a test of speech."


@dataclass
class House:
    """A server on loopback, and what it works with."""

    server: WyomingServer
    port: int
    tone: CountingTone
    voices: VoiceLibrary
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[AsyncTcpClient]:
        """Home Assistant's own client, connected."""
        client = AsyncTcpClient("127.0.0.1", self.port, read_timeout=PATIENCE_S)
        await client.connect()
        try:
            yield client
        finally:
            with contextlib.suppress(ConnectionError):
                await client.disconnect()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection, closed with the house."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    async def ask(self, *events: Event) -> list[Event]:
        """All that is answered to these events, until speech or the connection ends."""
        async with self.client() as client:
            for event in events:
                await client.write_event(event)
            last = "synthesize-stopped" if len(events) > 1 else "audio-stop"
            return await until(client, last)

    async def refused(self, *events: Event) -> Error:
        """The error that these events end with, and the connection with it."""
        async with self.client() as client:
            for event in events:
                await client.write_event(event)
            answers = await until(client, "never")
            return error_in(answers)

    async def send(self, data: bytes) -> list[Event]:
        """All that is answered to these bytes, until the connection ends."""
        client = AsyncTcpClient("127.0.0.1", self.port, read_timeout=PATIENCE_S)
        await client.connect()
        assert client._writer is not None
        with contextlib.suppress(ConnectionError):
            client._writer.write(data)
            await client._writer.drain()
        answers = await until(client, "never")
        with contextlib.suppress(ConnectionError):
            await client.disconnect()
        return answers

    async def until_left(self, count: int = 0) -> None:
        """Wait until no more clients than these are connected."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.server) > count:
                await asyncio.sleep(0.01)


async def until(client: AsyncTcpClient, kind: str) -> list[Event]:
    """Events up to the first of a kind, or the end of the connection."""
    found: list[Event] = []
    while (event := await client.read_event()) is not None:
        found.append(event)
        if event.type == kind:
            break
    return found


def error_in(events: list[Event]) -> Error:
    """The one error, which must be the last event."""
    assert [event.type for event in events].count("error") == 1, events
    assert events[-1].type == "error"
    return Error.from_event(events[-1])


def pcm_in(events: list[Event]) -> bytes:
    """The sound of all chunks."""
    return b"".join(event.payload or b"" for event in events if event.type == "audio-chunk")


def kinds(events: list[Event]) -> list[str]:
    """Types of events, each run of chunks once."""
    found: list[str] = []
    for event in events:
        if event.type != "audio-chunk" or found[-1:] != ["audio-chunk"]:
            found.append(event.type)
    return found


@contextlib.asynccontextmanager
async def house(
    folder: Path,
    limits: ServerLimits | None = None,
    tone: CountingTone | None = None,
    **settings: Any,
) -> AsyncIterator[House]:
    """A server on a free port, closed at the end; `folder` is its disk."""
    store = MemoryStore()
    async with service_house(folder, store, tone=tone, **settings) as inside:
        listening = listen("127.0.0.1", 0)
        voices = VoiceLibrary(store, folder / "cache")
        speaker = Speaker(inside.operations, voices, Settings(**settings))
        server = WyomingServer(listening, speaker, limits)
        server.begin()
        here = House(server, listening.getsockname()[1], inside.tone, voices)
        try:
            yield here
        finally:
            inside.tone.release()
            for writer in here.writers:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
            await server.close(5)

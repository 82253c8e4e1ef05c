"""A connection that is made in the moment of the stop holds up no shutdown."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from starlette.responses import PlainTextResponse
from uvicorn.loops.auto import auto_loop_factory

from f5serve.http.connections import Connections, protocol_class
from f5serve.http.middleware.access_log import LogLimit
from f5serve.http.server import UvicornServer

WITHIN_S = 10.0


@pytest.mark.parametrize(
    "new_loop", [auto_loop_factory(), asyncio.SelectorEventLoop], ids=["the server's", "asyncio"]
)
def test_it_ends_with_the_server(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        runner.run(stopped_by_a_connection(listening))


async def stopped_by_a_connection(listening: socket.socket) -> None:
    kind = protocol_class(Connections(), LogLimit())

    class Stopping(kind):  # type: ignore[misc,valid-type]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            server.should_exit = True
            taking.stop()

    server = UvicornServer(PlainTextResponse("hello"), Stopping)
    taking = server._taking
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    try:
        await asyncio.wait({serving}, timeout=WITHIN_S)
        assert serving.done(), "it waits for a connection that has ended"
        assert not server.server_state.connections
        assert await reader.read() == b""
    finally:
        server.force_exit = True
        await serving
        writer.close()
        await writer.wait_closed()

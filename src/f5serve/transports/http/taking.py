"""Connections are taken from a listening socket, one at a time.

A socket flows in, connections flow to a server's protocol. How many there may be is `connections`'
business: each is counted before the next is taken, so that no burst uses up the descriptors.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket

import uvicorn

from f5serve.transports.http.connections import Connections

_log = logging.getLogger(__name__)

PAUSE_S = 0.5
"""Before another try where the system has no descriptor left at all."""

_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


async def take(server: uvicorn.Server, listening: socket.socket, connections: Connections) -> None:
    """Take connections for a server that has started, until cancelled.

    A fault of ours comes out, for whoever begins this anew.
    """
    loop = asyncio.get_running_loop()
    listening.setblocking(False)
    while listening.fileno() >= 0:
        try:
            connected, _ = await loop.sock_accept(listening)
        except OSError as error:
            if error.errno in _FULL:
                _log.warning("no connection can be taken: %s", error.strerror)
                await asyncio.sleep(PAUSE_S)
            continue  # else its caller has left meanwhile
        if not connections.has_place():
            connected.close()
            continue
        try:
            await loop.connect_accepted_socket(lambda: _protocol(server, loop), connected)
        except BaseException as error:
            connected.close()
            if not isinstance(error, OSError):  # likewise
                raise


def _protocol(server: uvicorn.Server, loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
    """As `uvicorn.Server.startup` makes them."""
    made: asyncio.Protocol = server.config.http_protocol_class(  # type: ignore[call-arg]
        config=server.config,
        server_state=server.server_state,
        app_state=server.lifespan.state,
        _loop=loop,
    )
    return made

"""The sockets that a server listens on, taken before anything slow begins.

Host and port flow in, a listening socket flows out: whoever connects waits in its line until the
server answers. Nothing of HTTP is known here.
"""

from __future__ import annotations

import errno
import socket

from f5serve.errors import F5Error, InvalidRequest, StorageFailed

BACKLOG = 2048

EVERYWHERE = ("0.0.0.0", "::")
"""Hosts that stand for all addresses of a machine."""


def listen(host: str, port: int, variable: str = "PORT") -> socket.socket:
    """A socket that takes connections from now on.

    Args:
        port: 0 takes a free one.
        variable: that the port was set by.

    Raises:
        StorageFailed: PORT_TAKEN, PORT_NOT_PERMITTED.
        InvalidRequest: BAD_HOST.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, address = found[0][0], found[0][4]
        both = host == "::" and socket.has_dualstack_ipv6()
        listening = socket.create_server(
            (str(address[0]), port), family=family, backlog=BACKLOG, dualstack_ipv6=both
        )
    except (OSError, UnicodeError) as error:  # UnicodeError: a host that is no name at all
        raise _refused(host, port, variable, error) from None
    # Handed on to its connections. asyncio does so only where a socket names its protocol, and
    # each answer would wait 40 ms for the caller's acknowledgement of its head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def url_of(listening: socket.socket, host: str) -> str:
    """Where to call it from this machine."""
    port = listening.getsockname()[1]
    here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"http://{f'[{here}]' if ':' in here and here[0] != '[' else here}:{port}"


def _refused(host: str, port: int, variable: str, error: Exception) -> F5Error:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return StorageFailed(
            f"Something listens on port {port} already.",
            code="PORT_TAKEN",
            hint=f"End it, or choose another port by {variable}.",
        )
    if number in (errno.EACCES, errno.EPERM):
        return StorageFailed(
            f"This user may not listen on port {port}.",
            code="PORT_NOT_PERMITTED",
            hint=f"Choose one above 1023 by {variable}.",
        )
    return InvalidRequest(
        f"{host[:100]!r} is no address of this machine.",
        code="BAD_HOST",
        hint="Set F5_HOST to 127.0.0.1 for this machine alone, or to 0.0.0.0 for everybody.",
    )

"""Listening sockets of servers, and why one cannot be had."""

from __future__ import annotations

import errno
import socket

from f5serve.errors import F5Error, InvalidRequest, StorageFailed

BACKLOG = 2048


def listen(host: str, port: int, variable: str = "PORT") -> socket.socket:
    """A listening socket.

    Args:
        port: 0 takes a free one.
        variable: the setting of the port, for errors.

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
        hint="Listen on 127.0.0.1 for this machine only, or on 0.0.0.0 for all networks.",
    )

"""One GET over a connection to an address that was checked, with an end to every wait.

A `Target` and a `Deadline` flow in, an `http.client.HTTPResponse` whose body is still to be read
flows out. The name is looked up once, all of its addresses are judged, and the socket goes to one
of those: what the name resolves to a moment later does not matter. Host header, SNI and certificate
are those of the name. Environment proxies, cookies and credentials do not exist at this level. This
module must not know redirects or sizes.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

from f5serve import __version__
from f5serve.download.addresses import AddressPolicy
from f5serve.download.refusals import failed, not_allowed
from f5serve.download.target import Target

Resolver = Callable[[str, int], list[str]]
"""Host and port -> addresses in order of preference; raises socket.gaierror."""

_MOST_ADDRESSES = 4  # tried one after the other
_BUFFER_BYTES = 65_536
# One sentence for a name that does not exist and for one that is private, so that nobody can ask
# which names exist in our network.
_NOT_PUBLIC = "its host has no address, or one that is not on the public internet"


def resolve_by_system(host: str, port: int) -> list[str]:
    """What the system's resolver says."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def trust_of_system() -> ssl.SSLContext:
    """The system's certificate authorities, host names checked."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass(frozen=True, slots=True)
class Internet:
    """The way out. The default is the real one; tests give one whose names and servers are theirs.

    Attributes:
        policy: addresses and ports that may be asked.
        resolve: looks names up.
        trust: makes the TLS settings of a connection.
    """

    policy: AddressPolicy = field(default_factory=AddressPolicy)
    resolve: Resolver = resolve_by_system
    trust: Callable[[], ssl.SSLContext] = trust_of_system


class Deadline:
    """The end of a piece of work that waits many times."""

    def __init__(self, timeout_s: float, patience_s: float) -> None:
        """Start now.

        Args:
            timeout_s: for the whole, seconds.
            patience_s: for one wait, seconds.
        """
        self._end = time.monotonic() + timeout_s
        self._patience_s = patience_s

    def left_s(self) -> float:
        """Seconds that the next wait may last.

        Raises:
            TimeoutError: the end has come.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, self._patience_s)


def look_up(target: Target, what: str, internet: Internet, deadline: Deadline) -> list[str]:
    """Addresses of the target's host, all of which may be asked.

    Raises:
        InvalidRequest: code URL_NOT_ALLOWED.
        StorageFailed: code URL_FAILED, the resolver is out of order.
        TimeoutError: the resolver did not answer in time.
    """
    if target.port not in internet.policy.ports:
        raise not_allowed(what, "only the ports 80 and 443 may be asked")
    try:
        addresses = [target.host] if target.is_address else _resolve(target, internet, deadline)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise failed(what, "its host name could not be looked up") from None
        addresses = []
    if not addresses or not all(map(internet.policy.allows, addresses)):
        raise not_allowed(what, _NOT_PUBLIC)
    return addresses[:_MOST_ADDRESSES]


def _resolve(target: Target, internet: Internet, deadline: Deadline) -> list[str]:
    """Ask in a thread: the system's resolver takes no timeout and can wait for minutes."""
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(internet.resolve(target.host, target.port))
        except UnicodeError:
            answers.put(socket.gaierror(socket.EAI_NONAME, "no valid name"))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=ask, name="f5serve-lookup", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.left_s())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, OSError):
        raise answer
    return answer


@contextlib.contextmanager
def get(
    target: Target, addresses: list[str], internet: Internet, deadline: Deadline
) -> Iterator[http.client.HTTPResponse]:
    """Send a GET for the target to one of `addresses` and read the head of the answer.

    Raises:
        TimeoutError, OSError, http.client.HTTPException: what went wrong on the way.
    """
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(_connect(addresses, target.port, deadline))
        if target.scheme == "https":
            connection.settimeout(deadline.left_s())
            connection = stack.enter_context(
                internet.trust().wrap_socket(connection, server_hostname=target.host)
            )
        connection.settimeout(deadline.left_s())
        connection.sendall(_request(target))
        wire = _Wire(connection, deadline)
        response = stack.enter_context(
            http.client.HTTPResponse(cast(socket.socket, wire), method="GET")
        )
        response.begin()
        if wire.incoming.has_ended:  # http.client takes a head that was cut for a whole one
            raise http.client.IncompleteRead(b"")
        yield response


def _connect(addresses: list[str], port: int, deadline: Deadline) -> socket.socket:
    """A socket to the first address that answers; each gets its share of the time."""
    for index, address in enumerate(addresses):
        share_s = deadline.left_s() / (len(addresses) - index)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(share_s)
            connection.connect((address, port))
        except OSError:
            connection.close()
            if index + 1 == len(addresses):
                raise
        else:
            return connection
    raise AssertionError("there is at least one address")


def _request(target: Target) -> bytes:
    lines = (
        f"GET {target.path} HTTP/1.1",
        f"Host: {target.host_header}",
        f"User-Agent: f5serve/{__version__}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode("ascii")


class _Wire:
    """As much of a socket as `http.client.HTTPResponse` asks for."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self.incoming = _Incoming(connection, deadline)

    def makefile(self, mode: str) -> io.BufferedReader:
        """The bytes that come in, buffered."""
        return io.BufferedReader(self.incoming, _BUFFER_BYTES)


class _Incoming(io.RawIOBase):
    """What a socket receives; a server that sends a byte now and then gains no time by it."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline
        self.has_ended = False

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Receive once, within what is left of the time."""
        self._connection.settimeout(self._deadline.left_s())
        received = self._connection.recv_into(buffer)
        self.has_ended = received == 0
        return received

"""Sends an HTTP GET to public addresses alone, with a deadline for every wait.

An address is public when it is in unicast space that the registries assign, in no range of the
tables below, and contains no IPv4 address. `ipaddress.is_global` alone is not enough: its answers
for several of these ranges changed between patch releases of Python.

The name is resolved once, all of its addresses are checked, and the socket connects to one of
them, so a later change of the name has no effect. Host header, SNI and certificate are those of
the name. Environment proxies, cookies and credentials are not used.

Sources: the IANA special-purpose address registries (RFC 6890 and later), RFC 9637 (3fff::/20),
RFC 3879 (fec0::/10), RFC 7526 (192.88.99.0/24), RFC 5214 (ISATAP), the providers' pages on
instance metadata.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from f5serve import __version__
from f5serve.download.safe_url import SafeUrl, failed, not_allowed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_REFUSED_V4 = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",
    "100.64.0.0/10",  # carrier-grade NAT; 100.100.100.200 is a cloud's metadata
    "127.0.0.0/8",
    "168.63.129.16/32",  # a cloud's host agent, in public space
    "169.254.0.0/16",  # link local; 169.254.169.254 is most clouds' metadata
    "172.16.0.0/12",
    "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is a cloud's metadata
    "192.0.2.0/24",
    "192.31.196.0/24",  # anycast sinks for queries about private space
    "192.52.193.0/24",  # multicast tunnels
    "192.80.8.124/32",  # a provider's metadata, in public space
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved and broadcast
)
_REFUSED_V6 = (  # within 2000::/3, outside of which everything is refused
    "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
    "2001:db8::/32",
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",  # anycast sinks for queries about private space
    "3fff::/20",
    "3ffe::/16",  # the retired 6bone
)
_REFUSED = tuple(map(ipaddress.ip_network, _REFUSED_V4 + _REFUSED_V6))
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
_ISATAP_MASK, _ISATAP_MARK = 0xFDFF_FFFF, 0x0000_5EFE

Resolver = Callable[[str, int], list[str]]
"""Host and port -> addresses in order of preference; raises socket.gaierror."""

_MAX_ADDRESSES = 4  # tried one after the other
_BUFFER_BYTES = 65_536
# One sentence for a name that does not exist and for a private one, so that callers cannot find out
# which names exist in our network.
_NOT_PUBLIC = "its host has no address, or one that is not on the public internet"


def system_resolver(host: str, port: int) -> list[str]:
    """Addresses by the resolver of the system."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def system_tls_context() -> ssl.SSLContext:
    """TLS with the certificate authorities of the system and checked host names."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """Which addresses may be contacted, by default public web servers, and how.

    Attributes:
        ports: TCP ports.
        allowed: networks that are allowed although they are not public, for a proxy of one's own or
            a test's server on loopback.
        resolve: resolves names; tests give one of their own.
        tls_context: makes the TLS settings of a connection.
    """

    ports: frozenset[int] = frozenset({80, 443})
    allowed: tuple[Network, ...] = ()
    resolve: Resolver = system_resolver
    tls_context: Callable[[], ssl.SSLContext] = system_tls_context

    def allows(self, text: str) -> bool:
        """Whether connections to the address `text`, as a resolver writes it, are allowed."""
        try:
            address = ipaddress.ip_address(text)  # refuses leading zeros and shorthand
        except ValueError:
            return False
        if _contains(self.allowed, address):
            return True
        if isinstance(address, ipaddress.IPv6Address) and not _is_plain_v6(address):
            return False
        return address.is_global and not _contains(_REFUSED, address)


def _contains(networks: tuple[Network, ...], address: Address) -> bool:
    return any(address.version == net.version and address in net for net in networks)


def _is_plain_v6(address: ipaddress.IPv6Address) -> bool:
    """Whether it is assigned unicast space, without a zone and without an ISATAP IPv4 address.

    Mapped (::ffff:0:0/96), compatible (::/96), NAT64 (64:ff9b::/96, 64:ff9b:1::/48), site-local,
    unique local, link-local and multicast addresses all lie outside of 2000::/3.
    """
    interface = int(address) >> 32 & _ISATAP_MASK
    return address in _UNICAST_V6 and address.scope_id is None and interface != _ISATAP_MARK


class Deadline:
    """A time limit for work that waits many times, and for each wait."""

    def __init__(self, timeout_s: float, idle_timeout_s: float) -> None:
        """Start now.

        Args:
            timeout_s: for the whole, seconds.
            idle_timeout_s: for one wait, seconds.
        """
        self._end = time.monotonic() + timeout_s
        self._idle_timeout_s = idle_timeout_s

    def left_s(self) -> float:
        """Seconds that the next wait may last.

        Raises:
            TimeoutError: the end has come.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, self._idle_timeout_s)


def resolve(target: SafeUrl, what: str, network: NetworkPolicy, deadline: Deadline) -> list[str]:
    """Addresses of the target's host, all of which are allowed.

    Raises:
        InvalidRequest: code URL_NOT_ALLOWED.
        StorageFailed: code URL_FAILED, the resolver does not work.
        TimeoutError: the resolver did not answer in time.
    """
    if target.port not in network.ports:
        raise not_allowed(what, "only the ports 80 and 443 may be asked")
    try:
        addresses = [target.host] if target.is_address else _resolve(target, network, deadline)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise failed(what, "its host name could not be looked up") from None
        addresses = []
    if not addresses or not all(map(network.allows, addresses)):
        raise not_allowed(what, _NOT_PUBLIC)
    return addresses[:_MAX_ADDRESSES]


def _resolve(target: SafeUrl, network: NetworkPolicy, deadline: Deadline) -> list[str]:
    """Resolve in a thread: the system's resolver has no timeout and can wait for minutes."""
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(network.resolve(target.host, target.port))
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
    target: SafeUrl, addresses: list[str], network: NetworkPolicy, deadline: Deadline
) -> Iterator[http.client.HTTPResponse]:
    """Send a GET for the target to one of `addresses` and read the head of the answer.

    Raises:
        TimeoutError, OSError, http.client.HTTPException: the connection or the answer failed.
    """
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(_connect(addresses, target.port, deadline))
        if target.scheme == "https":
            connection.settimeout(deadline.left_s())
            connection = stack.enter_context(
                network.tls_context().wrap_socket(connection, server_hostname=target.host)
            )
        connection.settimeout(deadline.left_s())
        connection.sendall(_request(target))
        wire = _DeadlineSocket(connection, deadline)
        response = stack.enter_context(
            http.client.HTTPResponse(cast(socket.socket, wire), method="GET")
        )
        response.begin()
        if wire.incoming.has_ended:  # http.client accepts a head that was cut
            raise http.client.IncompleteRead(b"")
        yield response


def _connect(addresses: list[str], port: int, deadline: Deadline) -> socket.socket:
    """A socket to the first address that answers; each gets an equal share of the time."""
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


def _request(target: SafeUrl) -> bytes:
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


class _DeadlineSocket:
    """The part of a socket that `http.client.HTTPResponse` uses."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self.incoming = _DeadlineReader(connection, deadline)

    def makefile(self, mode: str) -> io.BufferedReader:
        """The received bytes as a buffered stream."""
        return io.BufferedReader(self.incoming, _BUFFER_BYTES)


class _DeadlineReader(io.RawIOBase):
    """Received bytes, up to a deadline that single bytes do not extend."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline
        self.has_ended = False

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Receive once, before the deadline."""
        self._connection.settimeout(self._deadline.left_s())
        received = self._connection.recv_into(buffer)
        self.has_ended = received == 0
        return received

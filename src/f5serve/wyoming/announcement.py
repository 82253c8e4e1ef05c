"""Announces a Wyoming server in the local network, so that Home Assistant finds it.

By multicast DNS, with the package `zeroconf`. A server that cannot be announced still answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from zeroconf import IPVersion

_log = logging.getLogger(__name__)

SERVICE: Final = "_wyoming._tcp.local."
WITHDRAW_S: Final = 2.0
"""Longest time to tell the network that the server has gone."""


async def announce(listening: socket.socket, name: str) -> None:
    """Announce a server until cancelled, then withdraw it.

    The addresses are those that this machine has now. Whatever prevents it is logged, never raised.

    Args:
        listening: the socket of the server.
        name: that is shown for it; of two servers with the same name, the later one gets a number.
    """
    try:
        import zeroconf
    except ImportError:
        _log.warning(
            "F5_ZEROCONF is set, but zeroconf is not installed: pip install 'f5serve[zeroconf]'"
        )
        return
    try:
        await _announce(listening, name)
    except (OSError, RuntimeError, zeroconf.Error) as error:  # the second for IPv6
        reason = str(error) or type(error).__name__
        _log.warning("the server is not announced by zeroconf: %s", reason)


async def _announce(listening: socket.socket, name: str) -> None:
    from zeroconf import InterfaceChoice, IPVersion, ServiceInfo
    from zeroconf.asyncio import AsyncZeroconf

    host, port = listening.getsockname()[:2]
    versions = {socket.AF_INET: IPVersion.V4Only, socket.AF_INET6: IPVersion.V6Only}
    version = versions[listening.family]
    is_everywhere = ipaddress.ip_address(host).is_unspecified
    addresses = list(_addresses(version)) if is_everywhere else [host]
    if not addresses:
        raise OSError("this machine has no address in a network")
    interfaces = InterfaceChoice.All if is_everywhere else [host]
    responder = AsyncZeroconf(interfaces=interfaces, ip_version=version)
    try:
        info = ServiceInfo(SERVICE, f"{name}.{SERVICE}", port=port, parsed_addresses=addresses)
        await responder.async_register_service(info, allow_name_change=True)
        shown = info.name.removesuffix(f".{SERVICE}")
        _log.info("announced by zeroconf as %s at %s, port %d", shown, ", ".join(addresses), port)
        await asyncio.Event().wait()
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WITHDRAW_S):
                await responder.async_unregister_all_services()
        await responder.async_close()


def _addresses(version: IPVersion) -> Iterator[str]:
    """The addresses of this machine that others can reach."""
    import ifaddr
    from zeroconf import IPVersion

    for adapter in ifaddr.get_adapters():
        for found in adapter.ips:
            text = found.ip if isinstance(found.ip, str) else found.ip[0]
            address = ipaddress.ip_address(text)
            is_wanted = found.is_IPv4 == (version is IPVersion.V4Only)
            if is_wanted and not address.is_loopback and not address.is_link_local:
                yield text

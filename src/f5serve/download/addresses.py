"""Decides to which network addresses a URL from a caller may lead: public ones only.

An address is public when it is in unicast space that the registries assign, in no range of the
tables below, and contains no IPv4 address. `ipaddress.is_global` alone is not enough: its answers
for several of these ranges changed between patch releases of Python.

Sources: the IANA special-purpose address registries (RFC 6890 and later), RFC 9637 (3fff::/20),
RFC 3879 (fec0::/10), RFC 7526 (192.88.99.0/24), RFC 5214 (ISATAP), the providers' pages on
instance metadata.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

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
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
_ISATAP_MASK, _ISATAP_MARK = 0xFDFF_FFFF, 0x0000_5EFE


def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Allowed addresses and ports; by default those of public web servers.

    Attributes:
        ports: TCP ports.
        also: networks allowed although they are not public, for a proxy of one's own or a test's
            server on loopback.
    """

    ports: frozenset[int] = frozenset({80, 443})
    also: tuple[Network, ...] = ()
    _refused: tuple[Network, ...] = field(
        default=_networks(_REFUSED_V4 + _REFUSED_V6), init=False, repr=False
    )

    def allows(self, text: str) -> bool:
        """Whether connections to the address `text`, as a resolver writes it, are allowed."""
        try:
            address = ipaddress.ip_address(text)  # refuses leading zeros and shorthand
        except ValueError:
            return False
        if _contains(self.also, address):
            return True
        if isinstance(address, ipaddress.IPv6Address) and not _plain_v6(address):
            return False
        return address.is_global and not _contains(self._refused, address)


def _contains(networks: tuple[Network, ...], address: Address) -> bool:
    return any(address.version == net.version and address in net for net in networks)


def _plain_v6(address: ipaddress.IPv6Address) -> bool:
    """Whether it is assigned unicast space, without a zone and without an ISATAP IPv4 address.

    Mapped (::ffff:0:0/96), compatible (::/96), NAT64 (64:ff9b::/96, 64:ff9b:1::/48), site-local,
    unique local, link-local and multicast addresses all lie outside of 2000::/3.
    """
    interface = int(address) >> 32 & _ISATAP_MASK
    return address in _UNICAST_V6 and address.scope_id is None and interface != _ISATAP_MARK

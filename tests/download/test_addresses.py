"""Public and refused addresses, at the edges of every refused range."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.download.connection import NetworkPolicy
from tests.download.hostile_urls import INSIDE_V4, INSIDE_V6

POLICY = NetworkPolicy()
PUBLIC = (
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "93.184.216.34", "100.63.255.255",
    "100.128.0.0", "126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17",
    "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255",
    "192.0.1.1", "192.0.3.0", "192.80.8.123", "192.88.98.255", "192.88.100.0", "192.167.255.255",
    "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0",
    "203.0.112.255", "203.0.114.0", "223.255.255.255", "2000::1", "2001:200::1", "2001:4860::8888",
    "2001:db7:ffff::1", "2001:db9::1", "2003::1", "2606:4700:4700::1111", "2a00:1450:4001::200e",
    "2620:4f:7fff::1", "2620:4f:8001::1", "3ffd::1", "3fff:1000::1",
)  # fmt: skip


@pytest.mark.parametrize("address", [*INSIDE_V4, *INSIDE_V6])
def test_inside_is_refused(address: str) -> None:
    assert not POLICY.allows(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_is_allowed(address: str) -> None:
    assert POLICY.allows(address)


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0x7f.1", "010.8.8.8", "8.8.8.8 ", "8.8.8", "2606:4700::1%1"]
)
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    assert not POLICY.allows(text)


@given(st.ip_addresses())
def test_nothing_that_python_calls_private_is_allowed(address: ipaddress.IPv4Address) -> None:
    private = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )
    assert not (private and POLICY.allows(str(address)))


@given(st.ip_addresses(v=4))
def test_no_embedded_ipv4_is_allowed(address: ipaddress.IPv4Address) -> None:
    """Not even a public one: a gateway in between may read it as it likes."""
    low = int(address)
    for carrier in (
        low,
        0xFFFF << 32 | low,
        0x0064_FF9B << 96 | low,
        0x2002 << 112 | low << 80 | 1,
        0x2001 << 112 | low,
        0x2606_4700 << 96 | 0x5EFE << 32 | low,
    ):
        assert not POLICY.allows(str(ipaddress.IPv6Address(carrier)))


def test_a_policy_lets_more_networks_in() -> None:
    policy = NetworkPolicy(allowed=(ipaddress.ip_network("127.0.0.2/32"),))
    assert policy.allows("127.0.0.2")
    assert policy.allows("8.8.8.8")
    assert not policy.allows("127.0.0.1")
    assert not policy.allows("::ffff:127.0.0.2")

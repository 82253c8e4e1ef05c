"""Announcements by zeroconf: found by its own browser, withdrawn at the end, never in the way."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from zeroconf import IPVersion, ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from f5serve.errors import InvalidRequest
from f5serve.settings import Settings
from f5serve.wyoming.announcement import SERVICE, announce
from tests.service.house import PATIENCE_S, run
from tests.wyoming.house import house

Seen = asyncio.Queue[tuple[str, ServiceStateChange]]


def multicast_is_missing() -> str:
    """Why loopback carries no multicast here; "" if it does."""
    group = ("224.0.0.251", 5353)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try:
            own = socket.inet_aton("127.0.0.1")
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
            sender.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group[0]) + own
            )
            sender.sendto(b"", group)
        except OSError as error:
            return f"multicast on loopback: {error}"
    return ""


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[tuple[AsyncZeroconf, Seen]]:
    """What another program on this machine sees."""
    seen: Seen = asyncio.Queue()

    def note(**event: Any) -> None:
        seen.put_nowait((event["name"], event["state_change"]))

    responder = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    browsing = AsyncServiceBrowser(responder.zeroconf, [SERVICE], handlers=[note])
    try:
        yield responder, seen
    finally:
        await browsing.async_cancel()
        await responder.async_close()


async def next_of(seen: Seen, name: str, change: ServiceStateChange) -> str:
    """Wait for a change of a server whose name begins so; others may be there as well."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found, what = await seen.get()
            if found.startswith(name) and what is change:
                return found


@pytest.mark.skipif(bool(multicast_is_missing()), reason=multicast_is_missing())
def test_a_server_is_found_and_withdrawn(tmp_path: Path) -> None:
    name = "f5serve of the tests"

    async def story() -> None:
        async with browser() as (responder, seen):
            async with house(tmp_path, zeroconf=name) as here:
                found = await next_of(seen, name, ServiceStateChange.Added)
                assert found == f"{name}.{SERVICE}"
                info = AsyncServiceInfo(SERVICE, found)
                assert await info.async_request(responder.zeroconf, 1_000 * PATIENCE_S)
                assert (info.parsed_addresses(), info.port) == (["127.0.0.1"], here.port)
                async with house(tmp_path / "two", zeroconf=name) as other:
                    second = await next_of(seen, name, ServiceStateChange.Added)
                    assert second not in (found, "")
                    info = AsyncServiceInfo(SERVICE, second)
                    assert await info.async_request(responder.zeroconf, 1_000 * PATIENCE_S)
                    assert info.port == other.port
                assert await next_of(seen, name, ServiceStateChange.Removed) == second
            assert await next_of(seen, name, ServiceStateChange.Removed) == found

    run(story)


class Elsewhere(socket.socket):
    """A socket that claims an address which this machine does not have."""

    address: tuple[Any, ...] = ("192.0.2.1", 10_200)

    def getsockname(self) -> tuple[Any, ...]:
        """That address."""
        return self.address


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_what_prevents_it_is_logged(
    family: socket.AddressFamily, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        with Elsewhere(family) as listening:
            if family is socket.AF_INET6:
                listening.address = ("2001:db8::1", 10_200, 0, 0)
            await announce(listening, "one")

    run(story)
    assert "not announced by zeroconf" in caplog.text
    gc.collect()  # zeroconf leaves its socket behind where its start fails


def test_a_missing_extra_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf", None)  # as if it were not installed
    with socket.socket() as listening:
        asyncio.run(announce(listening, "one"))
    assert "pip install 'f5serve[zeroconf]'" in caplog.text


def test_names() -> None:
    def named(text: str) -> str:
        return Settings.from_environ({"F5_ZEROCONF": text}).zeroconf

    assert (Settings().zeroconf, named(""), named("0")) == ("", "", "")
    assert (named("1"), named("Küche")) == ("f5serve", "Küche")
    for wrong in ("a.b", "x" * 64, "ü" * 32, "a\nb"):
        with pytest.raises(InvalidRequest) as caught:
            named(wrong)
        assert caught.value.code == "BAD_SETTING"

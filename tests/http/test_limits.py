"""How much one caller may ask for, and how large and slow a body may be."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from f5serve.errors import F5Error
from f5serve.http.app import INLINE_PATHS, body_limits_of, build_middleware
from f5serve.http.errors import error_response
from f5serve.http.middleware.body_limit import BodyLimitMiddleware, BodyLimits
from f5serve.http.middleware.rate_limit import TokenBuckets, client_address
from f5serve.secrets import digest, parse_keys
from f5serve.settings import Settings
from tests.http.house import running

ANA, BEN = "key-of-ana-who-speaks", "key-of-ben-who-speaks"
CY, DAN = "the-key-of-cy-1234", "the-key-of-dan-1234"
KEYS = parse_keys(f"{ANA},{BEN}")
MB = 1_000_000
FILE = {"Content-Type": "multipart/form-data; boundary=x"}


class Small:
    """An application that tells the length of a body, or streams until it is told or left."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.lengths: list[int] = []
        routes = [
            Route("/v1/body", self.body, methods=["POST", "GET"]),
            Route("/v1/stream", self.stream),
            Route("/ping", self.body),
        ]
        self.app = Starlette(routes=routes)

    async def body(self, request: Request) -> JSONResponse:
        length = len(await request.body())
        self.lengths.append(length)
        return JSONResponse({"bytes": length})

    async def stream(self, request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            while not self.go_on.is_set():
                yield b"part"
                await asyncio.sleep(0.01)

        return StreamingResponse(parts())


@contextlib.contextmanager
def guarded(**settings: Any) -> Iterator[tuple[Small, httpx.Client]]:
    small = Small()
    with (
        running(build_middleware(small.app, replace(Settings(), **settings))) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield small, client
        small.go_on.set()


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


def heard(link: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    return b"".join(iter(lambda: link.recv(4096), b""))


def within(seconds: float, condition: Any) -> bool:
    ends = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < ends:
        time.sleep(0.02)
    return bool(met)


def test_a_key_has_its_rate_and_others_have_theirs() -> None:
    with guarded(api_keys=KEYS, rate_per_minute=5) as (_, client):
        ana, ben = {"X-API-Key": ANA}, {"X-API-Key": BEN}
        answers = [client.get("/v1/body", headers=ana) for _ in range(8)]
        assert [answer.status_code for answer in answers[:5]] == [200] * 5
        assert code(answers[-1]) == "rate_limited"
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 12
        assert client.get("/v1/body", headers=ben).status_code == 200
        assert [client.get("/ping", headers=ana).status_code for _ in range(9)] == [200] * 9


def test_without_keys_an_address_has_a_rate() -> None:
    with guarded(rate_per_minute=2) as (_, client):
        assert [client.get("/v1/body").status_code for _ in range(3)] == [200, 200, 429]


def test_requests_of_a_key_at_a_time_until_they_end_or_their_caller_leaves() -> None:
    with guarded(api_keys=KEYS, key_concurrency=2) as (small, client):
        ana, ben = {"X-API-Key": ANA}, {"X-API-Key": BEN}

        def is_let_in() -> bool:
            return client.get("/v1/body", headers=ana).status_code == 200

        with client.stream("GET", "/v1/stream", headers=ana) as first:
            with client.stream("GET", "/v1/stream", headers=ana) as second:
                heard = first.iter_raw(), second.iter_raw()
                assert [next(parts)[:4] for parts in heard] == [b"part", b"part"]
                refused = client.get("/v1/body", headers=ana)
                assert (refused.status_code, code(refused)) == (429, "too_many_requests")
                assert refused.headers["Retry-After"] == "1"
                assert client.get("/v1/body", headers=ben).status_code == 200
            assert within(5, is_let_in)  # the second has left without hearing all
            small.go_on.set()
        assert within(5, is_let_in)


TENANT_KEYS = parse_keys(
    ",".join(
        f"{name}:{digest(clear.encode()).hex()}"
        for name, clear in (("acme/ana", ANA), ("acme/cy", CY), ("beta/ben", BEN), ("dan", DAN))
    )
)


def test_the_keys_of_a_tenant_share_its_rate() -> None:
    limits = {"tenant_rate_per_minute": 5, "rate_per_minute": 4}
    with guarded(api_keys=TENANT_KEYS, **limits) as (_, client):

        def status(key: str) -> tuple[int, str]:
            answer = client.get("/v1/body", headers={"X-API-Key": key})
            return answer.status_code, "" if answer.is_success else answer.json()["error"][
                "message"
            ]

        assert [status(ANA)[0] for _ in range(4)] == [200] * 4
        assert status(ANA)[1].startswith("You have sent 4 requests in a minute.")
        refused = status(CY)
        assert refused[0] == 429
        assert refused[1].startswith("The keys of your tenant have together sent 5 requests")
        assert [status(BEN)[0] for _ in range(4)] == [200] * 4
        assert [status(DAN)[0] for _ in range(4)] == [200] * 4  # of no tenant


def test_the_keys_of_a_tenant_share_what_runs_at_a_time() -> None:
    with guarded(api_keys=TENANT_KEYS, tenant_concurrency=1) as (small, client):
        with client.stream("GET", "/v1/stream", headers={"X-API-Key": ANA}) as first:
            heard = first.iter_raw()
            assert next(heard)[:4] == b"part"
            refused = client.get("/v1/body", headers={"X-API-Key": CY})
            assert (refused.status_code, code(refused)) == (429, "too_many_requests")
            assert "of your tenant" in refused.json()["error"]["message"]
            assert client.get("/v1/body", headers={"X-API-Key": BEN}).status_code == 200
            small.go_on.set()
        assert within(5, lambda: client.get("/v1/body", headers={"X-API-Key": CY}).is_success)


def test_keys_without_a_tenant_are_of_the_one_that_is_set() -> None:
    limits = {"tenant": "acme", "tenant_rate_per_minute": 1}
    with guarded(api_keys=TENANT_KEYS, **limits) as (_, client):
        answers = [client.get("/v1/body", headers={"X-API-Key": key}) for key in (ANA, DAN)]
        assert [answer.status_code for answer in answers] == [200, 429]


def test_a_bucket_refills_steadily() -> None:
    now = [0.0]
    buckets = TokenBuckets(60, clock=lambda: now[0])
    assert [buckets.take("ana") for _ in range(61)] == [0.0] * 60 + [1.0]
    now[0] = 1.0
    assert (buckets.take("ana"), buckets.take("ana")) == (0.0, 1.0)
    assert buckets.take("ben") == 0.0


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 30)), max_size=200))
def test_nobody_gets_more_than_the_rate_and_nobody_less(asked: list[tuple[int, float]]) -> None:
    now, given_to = [0.0], [0, 0, 0, 0]
    buckets = TokenBuckets(10, clock=lambda: now[0])
    for caller, pause_s in asked:
        now[0] += pause_s
        wait_s = buckets.take(str(caller))
        given_to[caller] += wait_s == 0.0
        assert given_to[caller] <= 10 + now[0] / 6 + 1e-6
        if wait_s:
            assert given_to[caller] >= 10
            assert wait_s <= 6


def test_unknown_callers_do_not_fill_the_memory() -> None:
    buckets = TokenBuckets(10, max_callers=100)
    for n in range(1000):
        buckets.take(f"10.0.{n // 250}.{n % 250}")
    assert len(buckets) == 100


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_a_host_is_one_caller(one: str, other: str, same: bool) -> None:
    addresses = {client_address({"client": (host, 1)}) for host in (one, other)}
    assert (len(addresses) == 1) is same
    assert client_address({"client": None}) == ""


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(
    ("headers", "size", "is_taken"),
    [({}, 2 * MB, True), ({}, 2 * MB + 1, False), (FILE, 3 * MB, True), (FILE, 3 * MB + 1, False)],
)
def test_bodies_have_a_size(
    headers: dict[str, str], size: int, is_taken: bool, is_chunked: bool
) -> None:
    with guarded(max_body_mb=3) as (small, client):
        content = iter([b"x" * (size - 7), b"x" * 7]) if is_chunked else b"x" * size
        answer = client.post("/v1/body", content=content, headers=headers)
    if is_taken:
        assert answer.json() == {"bytes": size}
    else:
        assert (answer.status_code, code(answer)) == (413, "body_too_large")
        assert answer.headers["Connection"] == "close"
        assert small.lengths == []


def test_long_texts_get_room() -> None:
    assert body_limits_of(Settings()) == BodyLimits(30 * MB, 2 * MB, inline_paths=INLINE_PATHS)
    assert body_limits_of(Settings(max_text_chars=1_000_000)).plain_bytes == 12 * MB
    assert body_limits_of(Settings(max_text_chars=1_000_000, max_body_mb=5)).plain_bytes == 5 * MB


def test_what_is_declared_too_large_is_not_waited_for() -> None:
    with guarded() as (_, client):
        began = time.monotonic()
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as link:
            link.sendall(
                b"POST /v1/body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
            )
            link.settimeout(60)
            told = heard(link)
        assert b"413" in told.splitlines()[0]
        assert time.monotonic() - began < 15


@pytest.mark.parametrize("sent", [b"", b"some of it"])
def test_a_body_that_does_not_come_is_given_up(sent: bytes) -> None:
    small = Small()
    bodies = BodyLimitMiddleware(small.app, BodyLimits(100, 100, timeout_s=0.2))

    async def answered(scope: Any, receive: Any, send: Any) -> None:
        try:
            await bodies(scope, receive, send)
        except F5Error as error:
            await error_response(error)(scope, receive, send)

    with running(answered) as url:
        parts = httpx.URL(url)
        with socket.create_connection((parts.host, parts.port or 0)) as link:
            link.sendall(
                b"POST /v1/body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n" + sent
            )
            link.settimeout(60)
            told = heard(link)
    assert b"408" in told.splitlines()[0]
    assert b"body_too_slow" in told
    assert small.lengths == []

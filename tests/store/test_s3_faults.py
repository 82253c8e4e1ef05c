"""Faults of a bucket: the error names the cause, retries happen where they help, calls end."""

from __future__ import annotations

import dataclasses
import logging
import random
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.s3 import S3Options, S3Store
from tests.store import servers
from tests.store.conftest import FAULT_LIMITS, asked, through
from tests.store.fault_proxy import Fault, FaultProxy

DATA = random.Random(3).randbytes(3_000_000)
WORDS = f"The key '{servers.ACCESS_KEY}' with {servers.SECRET_KEY} is refused."

OPERATIONS: dict[str, Callable[[S3Store, Path], object]] = {
    "get": lambda store, to: store.get("a"),
    "put": lambda store, to: store.put("a", b"1"),
    "exists": lambda store, to: store.exists("a"),
    "delete": lambda store, to: store.delete("a"),
    "list": lambda store, to: list(store.list("a")),
    "download": lambda store, to: store.download("a", to / "x"),
    "upload in parts": lambda store, to: store.put("a", bytes(6 << 20)),
}
REFUSALS = [
    # status, server's code, words, our code, tries
    (403, "InvalidAccessKeyId", WORDS, "S3_WRONG_KEY", 1),
    (403, "SignatureDoesNotMatch", WORDS, "S3_WRONG_SECRET", 1),
    (403, "RequestTimeTooSkewed", WORDS, "S3_CLOCK_SKEW", 1),
    (403, "AccessDenied", WORDS, "S3_FORBIDDEN", 1),
    (403, "SomethingNew", WORDS, "S3_FORBIDDEN", 1),
    (403, "SlowDown", WORDS, "S3_FORBIDDEN", 1),
    (403, "AccessDenied", "Transaction cap exceeded, see Caps &amp; Alerts", "S3_CAP_REACHED", 1),
    (403, "AccessDenied", "Cannot download, download cap exceeded.", "S3_CAP_REACHED", 1),
    (401, "Unauthorized", WORDS, "S3_FORBIDDEN", 1),
    (400, "ExpiredToken", WORDS, "S3_WRONG_KEY", 1),
    (400, "AuthorizationHeaderMalformed", WORDS, "S3_WRONG_REGION", 1),
    (400, "InvalidRequest", WORDS, "S3_REFUSED", 1),
    (301, "PermanentRedirect", WORDS, "S3_WRONG_REGION", 1),
    (404, "NoSuchBucket", WORDS, "S3_NO_BUCKET", 1),
    (405, "MethodNotAllowed", WORDS, "S3_WRONG_ENDPOINT", 1),
    (501, "NotImplemented", WORDS, "S3_UNSUPPORTED", 1),
    (507, "XMinioStorageFull", WORDS, "NO_SPACE", 1),
    (503, "SlowDown", WORDS, "S3_SLOW_DOWN", 4),
    (429, "TooManyRequests", WORDS, "S3_SLOW_DOWN", 4),
    (500, "InternalError", WORDS, "S3_SERVER_FAILED", 4),
    (400, "RequestTimeout", WORDS, "S3_SERVER_FAILED", 4),
    (599, "Unheard", WORDS, "S3_SERVER_FAILED", 4),
]
PAGES = [(403, "S3_FORBIDDEN", 1), (404, "S3_WRONG_ENDPOINT", 1), (400, "S3_WRONG_ENDPOINT", 1)]
PAGES += [(502, "S3_SERVER_FAILED", 4), (503, "S3_SLOW_DOWN", 4), (504, "S3_SERVER_FAILED", 4)]


@pytest.fixture(scope="session")
def fails(rclone_server: S3Options) -> Iterator[tuple[S3Store, FaultProxy]]:
    """One store for all refusals: making a client costs more than being refused."""
    with FaultProxy(rclone_server.endpoint_url) as proxy:
        yield through(proxy, rclone_server), proxy


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("status", "server_code", "words", "code", "tries"),
    REFUSALS,
    ids=[f"{r[0]} {r[1]} {r[3]}" for r in REFUSALS],
)
def test_refusals_have_a_cause_and_are_tried_again_only_if_that_helps(
    fails: tuple[S3Store, FaultProxy],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    operation: str,
    status: int,
    server_code: str,
    words: str,
    code: str,
    tries: int,
) -> None:
    fault = Fault("answer", status=status, code=server_code, words=words)
    error = failure(fails, fault, operation, tmp_path, caplog)
    assert (error.code, asked(fails[1])) == (code, tries)
    assert server_code in error.message
    assert str(status) in error.message
    assert error.hint
    assert error.retryable == (tries > 1)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("status", "code", "tries"), PAGES)
def test_answers_of_something_else_than_s3(
    fails: tuple[S3Store, FaultProxy],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    operation: str,
    status: int,
    code: str,
    tries: int,
) -> None:
    error = failure(fails, Fault("html", status=status), operation, tmp_path, caplog)
    assert (error.code, asked(fails[1])) == (code, tries)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_connections_that_are_reset(
    fails: tuple[S3Store, FaultProxy],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    operation: str,
) -> None:
    error = failure(fails, Fault("reset"), operation, tmp_path, caplog)
    assert error.code in ("S3_CUT", "S3_UNREACHABLE")
    assert (error.retryable, asked(fails[1])) == (True, 4)


def failure(
    fails: tuple[S3Store, FaultProxy],
    fault: Fault,
    operation: str,
    to: Path,
    caplog: pytest.LogCaptureFixture,
) -> StorageFailed:
    """The error of an operation that meets `fault` whenever it asks; it tells nobody a secret."""
    store, proxy = fails
    proxy.faults = [fault]
    proxy.seen.clear()
    with caplog.at_level(logging.DEBUG, "f5serve"), pytest.raises(StorageFailed) as caught:
        OPERATIONS[operation](store, to)
    assert not isinstance(caught.value, KeyMissing)
    assert list(to.iterdir()) == []
    told = "".join(traceback.format_exception(caught.value)) + caught.value.hint + caplog.text
    for secret in (servers.ACCESS_KEY, servers.SECRET_KEY, "X-Amz-Signature"):
        assert secret not in told
    return caught.value


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", ["SlowDown", "InternalError", "reset", "html"])
def test_failures_that_pass_are_not_noticed(
    behind: S3Store, proxy: FaultProxy, tmp_path: Path, operation: str, kind: str
) -> None:
    behind.put("a", b"1")
    named = Fault("answer", status=503 if kind == "SlowDown" else 500, code=kind, times=3)
    proxy.faults = [named if kind[0].isupper() else Fault(kind, status=502, times=3)]
    OPERATIONS[operation](behind, tmp_path)
    assert proxy.faults[0].times == 0


def test_a_server_may_say_how_long_to_wait(behind: S3Store, proxy: FaultProxy) -> None:
    behind.put("a", b"1")
    slow_down = {"status": 503, "code": "SlowDown", "times": 1}
    proxy.faults = [Fault("answer", headers={"Retry-After": "1"}, **slow_down)]  # type: ignore[arg-type]
    start = time.monotonic()
    assert behind.get("a") == b"1"
    assert time.monotonic() - start >= 1
    proxy.faults = [Fault("answer", headers={"Retry-After": "3600"}, **slow_down)]  # type: ignore[arg-type]
    start = time.monotonic()
    with pytest.raises(StorageFailed) as caught:
        behind.get("a")
    assert caught.value.code == "S3_SLOW_DOWN"
    assert time.monotonic() - start < FAULT_LIMITS.operation_s


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        *((operation, "deaf") for operation in OPERATIONS),
        *((operation, "stall") for operation in ("get", "list", "download")),
        *((operation, "drip") for operation in ("get", "list", "download")),
    ],
)
def test_silence_ends_with_the_time_agreed(
    proxy: FaultProxy, rclone_server: S3Options, tmp_path: Path, operation: str, kind: str
) -> None:
    rate = 10_000_000
    limits = dataclasses.replace(FAULT_LIMITS, operation_s=0.8, window_s=0.3, min_bytes_per_s=rate)
    store = through(proxy, rclone_server, limits)
    S3Store(rclone_server).put("a", DATA)  # under limits that a busy machine keeps
    proxy.faults = [Fault(kind, rate=20)]
    start = time.monotonic()
    with pytest.raises(StorageFailed) as caught:
        OPERATIONS[operation](store, tmp_path)
    assert caught.value.code == "S3_STALLED"
    assert caught.value.retryable
    assert time.monotonic() - start < 30  # a hang lasts a minute
    assert list(tmp_path.iterdir()) == []


def test_a_listing_that_never_ends_is_ended(behind: S3Store, proxy: FaultProxy) -> None:
    behind.put("a", b"1")
    pages: list[bytes] = []

    def endless(body: bytes) -> bytes:
        more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>"
        pages.append(body.replace(b"<IsTruncated>false</IsTruncated>", more))
        return pages[0]

    proxy.faults = [Fault("rewrite", on="list-type=2", rewrite=endless)]
    proxy.seen.clear()
    with pytest.raises(StorageFailed) as caught:
        list(behind.list())
    assert caught.value.code == "S3_CUT"
    assert asked(proxy) == 2


def test_the_time_is_that_of_the_server(behind: S3Store, proxy: FaultProxy) -> None:
    ahead = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 7200))
    proxy.faults = [
        Fault("answer", status=403, code="RequestTimeTooSkewed", headers={"Date": ahead})
    ]
    assert 7190 < behind.now() - time.time() < 7210
    before = len(proxy.seen)
    assert behind.now() <= behind.now()
    assert len(proxy.seen) == before, "the clock is not asked each time"


def test_a_server_that_is_gone_is_told_soon(rclone_server: S3Options) -> None:
    gone = f"http://127.0.0.1:{servers.free_port()}"
    store = S3Store(dataclasses.replace(rclone_server, endpoint_url=gone, limits=FAULT_LIMITS))
    start = time.monotonic()
    with pytest.raises(StorageFailed) as caught:
        store.get("a")
    assert (caught.value.code, caught.value.retryable) == ("S3_UNREACHABLE", True)
    assert gone not in caught.value.message + caught.value.hint
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("at", [0, 20, 120])
def test_an_answer_that_is_cut_is_asked_for_again(
    behind: S3Store, proxy: FaultProxy, at: int
) -> None:
    """A listing must not look empty, nor a missing key like another service."""
    behind.put("there/a", b"1")

    def missing() -> bool:
        with pytest.raises(KeyMissing):
            behind.get("none")
        return True

    asks: list[Callable[[], object]] = [
        missing,
        lambda: not behind.exists("none"),
        lambda: [one.key for one in behind.list("there/")] == ["there/a"],
    ]
    for ask in asks:
        proxy.faults = [Fault("cut", at=at, times=2)]
        proxy.seen.clear()
        assert ask()
        assert asked(proxy) == 3


def test_the_cause_is_told_when_every_answer_is_cut(behind: S3Store, proxy: FaultProxy) -> None:
    proxy.faults = [Fault("cut", at=20)]
    for ask in (lambda: behind.get("none"), lambda: list(behind.list())):
        with pytest.raises(StorageFailed) as caught:
            ask()
        assert (caught.value.code, caught.value.retryable) == ("S3_CUT", True)


def test_a_read_that_is_not_answered_is_asked_anew_before_its_connection_times_out(
    proxy: FaultProxy, rclone_server: S3Options
) -> None:
    limits = dataclasses.replace(FAULT_LIMITS, operation_s=60, read_s=30, first_try_s=0.3)
    store = through(proxy, rclone_server, limits)
    store.put("a/b", DATA)
    reads: list[Callable[[], object]] = [
        lambda: store.get("a/b") == DATA,
        lambda: store.get_part("a/b", 0, 2) == DATA[:2],
        lambda: store.exists("a/b"),
        lambda: [one.key for one in store.list("a/")] == ["a/b"],
    ]
    for read in reads:
        proxy.faults = [Fault("deaf", times=1)]
        began = time.monotonic()
        assert read()
        assert time.monotonic() - began < 15
        assert proxy.faults[0].times == 0
    assert store.hung == len(reads)


def test_a_slow_value_is_not_asked_for_again_while_its_bytes_come(
    proxy: FaultProxy, rclone_server: S3Options
) -> None:
    limits = dataclasses.replace(FAULT_LIMITS, operation_s=30, first_try_s=0.5, min_bytes_per_s=400)
    store = through(proxy, rclone_server, limits)
    store.put("a", b"x" * 2000)
    proxy.faults = [Fault("drip", rate=1000)]
    proxy.seen.clear()
    assert store.get("a") == b"x" * 2000
    assert asked(proxy) == 1

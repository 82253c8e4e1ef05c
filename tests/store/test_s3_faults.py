"""What a bucket does wrong: told with its cause, tried again where it helps, bounded in time."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from f5serve.errors import KeyMissing, StorageFailed
from f5serve.store.s3 import S3Limits, S3Options, S3Store
from f5serve.store.s3_calls import S3Calls
from tests.store import servers
from tests.store.conftest import empty_bucket
from tests.store.fault_proxy import Fault, FaultProxy

LIMITS = S3Limits(
    operation_s=6,
    connect_s=1,
    read_s=1,
    pause_s=0.01,
    window_s=1,
    min_bytes_per_s=1_000_000,
    part_bytes=5 << 20,
)
DATA = random.Random(3).randbytes(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
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


@pytest.fixture
def proxy(rclone_server: S3Options) -> Iterator[FaultProxy]:
    with FaultProxy(rclone_server.endpoint_url) as one:
        yield one


@pytest.fixture
def behind(proxy: FaultProxy, rclone_server: S3Options) -> S3Store:
    """A store whose every request goes through the proxy."""
    return through(proxy, rclone_server)


def through(proxy: FaultProxy, options: S3Options, limits: S3Limits = LIMITS) -> S3Store:
    return empty_bucket(dataclasses.replace(options, endpoint_url=proxy.url, limits=limits))


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


def asked(proxy: FaultProxy) -> int:
    """Requests of the operation itself, not those that look for the bucket's region."""
    return len([one for one in proxy.seen if not one.line.startswith("HEAD ")])


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
    assert time.monotonic() - start < 1


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
    limits = dataclasses.replace(LIMITS, operation_s=0.8, window_s=0.3, min_bytes_per_s=rate)
    store = through(proxy, rclone_server, limits)
    store.put("a", DATA)
    proxy.faults = [Fault(kind, rate=20)]
    start = time.monotonic()
    with pytest.raises(StorageFailed) as caught:
        OPERATIONS[operation](store, tmp_path)
    assert caught.value.code == "S3_STALLED"
    assert caught.value.retryable
    assert time.monotonic() - start < 0.8 + 2 * len(DATA) / rate + 0.5
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_breaks_off_is_read_again(behind: S3Store, proxy: FaultProxy) -> None:
    behind.put("a", DATA)
    for at in (0, 1, 100_000, len(DATA) - 1):
        proxy.faults = [Fault("cut", at=at, times=3)]
        assert behind.get("a") == DATA
    proxy.faults = [Fault("cut", at=5)]
    proxy.seen.clear()
    with pytest.raises(StorageFailed) as caught:
        behind.get("a")
    assert (caught.value.code, asked(proxy)) == ("S3_CUT", 4)


def test_a_download_goes_on_where_it_broke_off(
    behind: S3Store, proxy: FaultProxy, tmp_path: Path
) -> None:
    behind.put("a", DATA)
    proxy.seen.clear()
    proxy.faults = [Fault("cut", at=300_000, times=8)]  # more breaks than attempts, each further
    behind.download("a", tmp_path / "x", len(DATA), SHA256)
    assert (tmp_path / "x").read_bytes() == DATA
    starts = [int(one.range.removeprefix("bytes=").split("-")[0]) for one in proxy.seen]
    assert len(starts) == 9
    assert starts == sorted(set(starts))
    assert all(later - earlier >= 300_000 - 65_536 for earlier, later in pairwise(starts))


def test_a_download_that_gets_nowhere_ends(
    behind: S3Store, proxy: FaultProxy, tmp_path: Path
) -> None:
    behind.put("a", DATA)
    proxy.seen.clear()
    proxy.faults = [Fault("cut", at=1000)]
    with pytest.raises(StorageFailed) as caught:
        behind.download("a", tmp_path / "x", len(DATA), SHA256)
    assert (caught.value.code, asked(proxy)) == ("S3_CUT", 4)
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_drips_is_replaced(
    behind: S3Store, proxy: FaultProxy, tmp_path: Path
) -> None:
    big = DATA * 5
    behind.put("a", big)
    proxy.seen.clear()
    # The slow one goes on sending while another reads the same part.
    proxy.faults = [Fault("drip", rate=200_000, times=1), Fault("drip", rate=5_000_000)]
    start = time.monotonic()
    behind.download("a", tmp_path / "x", len(big), hashlib.sha256(big).hexdigest())
    assert (tmp_path / "x").read_bytes() == big
    assert time.monotonic() - start < 5
    assert asked(proxy) == 4, "three parts and one again: nothing was damaged and fetched anew"


def test_a_flipped_bit_is_fetched_again_or_told(
    behind: S3Store, proxy: FaultProxy, tmp_path: Path
) -> None:
    behind.put("a", DATA)
    proxy.faults = [Fault("flip", at=1_234_567, times=1)]
    behind.download("a", tmp_path / "x", len(DATA), SHA256)
    assert (tmp_path / "x").read_bytes() == DATA
    (tmp_path / "x").unlink()
    proxy.faults = [Fault("flip", at=1_234_567)]
    with pytest.raises(StorageFailed) as caught:
        behind.download("a", tmp_path / "x", len(DATA), SHA256)
    assert caught.value.code == "OBJECT_CORRUPT"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1000, 6 << 20])
def test_a_bit_flipped_on_the_way_up_is_noticed_by_a_server_that_looks(
    juicefs_server: S3Options, size: int
) -> None:
    data = random.Random(size).randbytes(size)  # rclone does not compare the hash it is sent
    with FaultProxy(juicefs_server.endpoint_url) as proxy:
        store = through(proxy, juicefs_server)
        proxy.faults = [Fault("flip_up", on="PUT ", at=500, times=1)]
        store.put("a", data)
        assert store.get("a") == data
        assert proxy.faults[0].times == 0


def test_an_object_replaced_during_a_download_is_no_mix(
    proxy: FaultProxy, rclone_server: S3Options, tmp_path: Path
) -> None:
    store = through(proxy, rclone_server, dataclasses.replace(LIMITS, connections=1))
    store.put("a", b"o" * (11 << 20))
    proxy.faults = [Fault("drip", rate=8_000_000, times=1)]
    writer = threading.Timer(0.3, lambda: store.put("a", b"n" * (11 << 20)))
    writer.start()  # while the first of three parts is on its way
    store.download("a", tmp_path / "x")
    writer.join()
    assert (tmp_path / "x").read_bytes() == b"n" * (11 << 20)


def test_slow_uploads_get_the_time_they_need(proxy: FaultProxy, rclone_server: S3Options) -> None:
    limits = dataclasses.replace(LIMITS, connect_s=0.3, read_s=1.5, part_bytes=16 << 20)
    store = through(proxy, rclone_server, limits)
    proxy.faults = [Fault("slow_up", on="PUT ", rate=8_000_000)]
    store.put("a", DATA * 5)  # takes many times the connect timeout, which sockets apply to sending
    assert asked(proxy) == 1
    assert store.get("a") == DATA * 5


@pytest.mark.parametrize("server", ["rclone_server", "juicefs_server"])
def test_an_upload_whose_last_answer_is_lost_has_arrived(
    request: pytest.FixtureRequest, server: str
) -> None:
    options = request.getfixturevalue(server)
    with FaultProxy(options.endpoint_url) as proxy:
        store = through(proxy, options)
        proxy.faults = [Fault("lost", on="POST .*uploadId=", times=1)]
        data = DATA * 2
        store.put("a", data)
        assert store.get("a") == data
        assert proxy.faults[0].times == 0


@pytest.mark.parametrize("server", ["rclone_server", "juicefs_server"])
def test_an_upload_that_fails_leaves_nothing(request: pytest.FixtureRequest, server: str) -> None:
    options = request.getfixturevalue(server)
    with FaultProxy(options.endpoint_url) as proxy:
        store = through(proxy, options)
        proxy.faults = [Fault("answer", on="partNumber=2", status=403, code="AccessDenied")]
        with pytest.raises(StorageFailed) as caught:
            store.put("a", DATA * 4)
        assert caught.value.code == "S3_FORBIDDEN"
        assert any(one.line.startswith("DELETE ") for one in proxy.seen)
        assert not store.exists("a")
        assert store.abort_old_uploads(older_than_s=-60) == 0


@pytest.mark.parametrize("server", ["rclone_server", "juicefs_server"])
def test_parts_of_killed_uploads_can_be_removed(
    request: pytest.FixtureRequest, server: str
) -> None:
    store = empty_bucket(request.getfixturevalue(server))
    place = {"Bucket": servers.BUCKET, "Key": f"{store.options.prefix}/a"}
    S3Calls(store.options).run(lambda client: client.create_multipart_upload(**place))
    assert store.abort_old_uploads() == 0  # too young
    assert store.abort_old_uploads(older_than_s=-60) == 1
    assert store.abort_old_uploads(older_than_s=-60) == 0


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
    store = S3Store(dataclasses.replace(rclone_server, endpoint_url=gone, limits=LIMITS))
    start = time.monotonic()
    with pytest.raises(StorageFailed) as caught:
        store.get("a")
    assert (caught.value.code, caught.value.retryable) == ("S3_UNREACHABLE", True)
    assert gone not in caught.value.message + caught.value.hint
    assert time.monotonic() - start < 3

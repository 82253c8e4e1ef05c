"""Transfers that break off, slow down, flip bits or meet a replaced object."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from f5serve.errors import StorageFailed
from f5serve.store.s3 import S3Options, S3Store
from f5serve.store.s3_client import S3Client
from tests.store import servers
from tests.store.conftest import FAULT_LIMITS, asked, empty_bucket, through
from tests.store.fault_proxy import Fault, FaultProxy

DATA = random.Random(3).randbytes(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


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
    assert starts == sorted(starts)
    # On a busy machine an attempt may be taken for a stalled one, and is replaced where it stands.
    reached = sorted(set(starts))
    assert len(reached) >= 7, "more breaks than one part has attempts"
    assert all(later - earlier >= 300_000 - 65_536 for earlier, later in pairwise(reached))


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
    assert time.monotonic() - start < 20
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
    store = through(proxy, rclone_server, dataclasses.replace(FAULT_LIMITS, connections=1))
    store.put("a", b"o" * (11 << 20))
    proxy.faults = [Fault("drip", rate=8_000_000, times=1)]
    writer = threading.Timer(0.3, lambda: store.put("a", b"n" * (11 << 20)))
    writer.start()  # while the first of three parts is on its way
    store.download("a", tmp_path / "x")
    writer.join()
    assert (tmp_path / "x").read_bytes() == b"n" * (11 << 20)


def test_slow_uploads_get_the_time_they_need(proxy: FaultProxy, rclone_server: S3Options) -> None:
    limits = dataclasses.replace(FAULT_LIMITS, connect_s=0.3, read_s=10, part_bytes=16 << 20)
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
    S3Client(store.options).call(lambda boto: boto.create_multipart_upload(**place))
    assert store.abort_old_uploads() == 0  # too young
    assert store.abort_old_uploads("b", older_than_s=-60) == 0  # of another key
    assert store.abort_old_uploads(older_than_s=-60) == 1
    assert store.abort_old_uploads(older_than_s=-60) == 0

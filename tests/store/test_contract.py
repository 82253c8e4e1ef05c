"""The contract of `ObjectStore`, for memory, a folder and two S3 servers."""

from __future__ import annotations

import hashlib
import random
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from f5serve.errors import InvalidRequest, KeyMissing, StorageFailed
from f5serve.store.base import ObjectStore
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.store.s3 import S3Store
from tests.store import servers

BIG = random.Random(7).randbytes((40 << 20) + 12_345)
BIG_SHA256 = hashlib.sha256(BIG).hexdigest()


@pytest.mark.parametrize("data", [b"", b"x", b"\x00\xff\r\n" * 5000], ids=["empty", "x", "binary"])
def test_what_is_put_can_be_got(store: ObjectStore, data: bytes) -> None:
    store.put("voices/Kim.wav", data, content_type="audio/wav")
    assert store.get("voices/Kim.wav") == data
    assert store.exists("voices/Kim.wav")


def test_parts_of_a_value_can_be_got(store: ObjectStore) -> None:
    store.put("a/b", b"0123456789")
    store.put("a/c", b"")
    parts = [(0, 4), (4, 6), (8, 100), (10, 1), (500, 1), (3, 0)]
    found = [store.get_part("a/b", start, size) for start, size in parts]
    assert found == [b"0123", b"456789", b"89", b"", b"", b""]
    assert store.get_part("a/c", 0, 10) == b""
    with pytest.raises(KeyMissing):
        store.get_part("a/d", 0, 1)


def test_a_later_value_replaces_an_earlier(store: ObjectStore) -> None:
    for data in (b"a long first value", b"short", b""):
        store.put("jobs/1/state.json", data)
        assert store.get("jobs/1/state.json") == data


def test_what_is_missing_is_told_as_such(store: ObjectStore, tmp_path: Path) -> None:
    store.put("a/b", b"1")
    for key in ("a/c", "a/b2", "b/c"):
        assert not store.exists(key)
        store.delete(key)
        for read in (store.get, lambda key: store.download(key, tmp_path / "x")):
            with pytest.raises(KeyMissing) as caught:
                read(key)
            assert (caught.value.key, caught.value.code) == (key, "KEY_MISSING")
    assert not (tmp_path / "x").exists()
    assert store.get("a/b") == b"1"


def test_delete_removes_and_may_be_repeated(store: ObjectStore) -> None:
    store.put("a/b/c", b"1")
    store.put("a/b/d", b"2")
    store.delete("a/b/c")
    store.delete("a/b/c")
    assert [one.key for one in store.list()] == ["a/b/d"]
    store.delete("a/b/d")
    assert list(store.list()) == []
    store.put("a/b/c", b"3")
    assert store.get("a/b/c") == b"3"


def test_a_reader_may_refuse_large_values(store: ObjectStore) -> None:
    store.put("a", b"12345")
    assert store.get("a", max_bytes=5) == b"12345"
    with pytest.raises(StorageFailed) as caught:
        store.get("a", max_bytes=4)
    assert caught.value.code == "OBJECT_TOO_LARGE"


def test_listing_tells_keys_sizes_and_times(store: ObjectStore) -> None:
    sizes = {"voices/Kim.wav": 3, "voices/Kim.txt": 0, "voices/Ada/x.y": 5, "voices2/z": 1, "q": 2}
    for key, size in sizes.items():
        store.put(key, b"." * size)
    for prefix in ("", "voices", "voices/", "voices/K", "voices/Kim.wav", "voices/Ada/", "n", "q/"):
        found = list(store.list(prefix))
        assert {o.key: o.size for o in found} == {
            key: size for key, size in sizes.items() if key.startswith(prefix)
        }, prefix
        assert len(found) == len({o.key for o in found})
        for one in found:
            assert abs((datetime.now(UTC) - one.modified).total_seconds()) < 60


def test_a_listing_of_one_level(store: ObjectStore) -> None:
    for key in ("voices/Kim.wav", "voices/Kim.b.txt", "voices/Kimball.wav", "voices/Kim/x.wav"):
        store.put(key, b"")
    for prefix, expected in {
        "voices/": {"Kim.wav", "Kim.b.txt", "Kimball.wav"},
        "voices/Kim.": {"Kim.wav", "Kim.b.txt"},
        "voices/Kim/": {"Kim/x.wav"},
        "voices": set(),
    }.items():
        found = {one.key.removeprefix("voices/") for one in store.list(prefix, recursive=False)}
        assert found == expected, prefix


def test_listing_goes_over_all_pages(store: ObjectStore) -> None:
    keys = {f"many/{n % 7}/{n:04d}" for n in range(1105)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b""), keys))
    assert {one.key for one in store.list("many/")} == keys


def test_pages_are_in_order_and_begin_behind_any_key(store: ObjectStore) -> None:
    keys = sorted(f"{a}/{b}{c}" for a in ("i-x", "i/1", "i/10", "i") for b in "ab" for c in (1, 2))
    for key in (*keys, "i/odd/deep/a"):
        store.put(key, b"1")
    keys = sorted([*keys, "i/odd/deep/a"])
    of_i = [key for key in keys if key.startswith("i/")]
    assert [one.key for one in store.page("i/")] == of_i
    assert [one.key for one in store.page("i")] == keys
    for limit in (1, 2, 5):
        found: list[str] = []
        while part := store.page("i/", found[-1] if found else "", limit):
            assert len(part) <= limit
            found += [one.key for one in part]
        assert found == of_i
    assert [one.key for one in store.page("i/", "i/1/a9", 2)] == ["i/1/b1", "i/1/b2"]
    assert store.page("nothing/") == []
    assert store.page("i/", "z") == []
    with pytest.raises(InvalidRequest):
        store.page("i/", "../x")


def test_large_files_go_up_and_down_in_parts(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(BIG)
    sent: list[int] = []
    store.put_file("models/_blobs/big", tmp_path / "big", on_progress=sent.append)
    assert max(sent) == (tmp_path / "big").stat().st_size
    seen: list[int] = []
    to = tmp_path / "not/there/yet/copy"
    store.download("models/_blobs/big", to, len(BIG), BIG_SHA256.upper(), seen.append)
    assert hashlib.sha256(to.read_bytes()).hexdigest() == BIG_SHA256
    assert seen == sorted(seen)
    assert seen[-1] == len(BIG)
    to.write_bytes(b"old")
    store.download("models/_blobs/big", to)  # neither size nor hash is known
    assert to.read_bytes() == BIG
    assert [p.name for p in to.parent.iterdir()] == ["copy"]


def test_large_values_go_up_from_memory(store: ObjectStore) -> None:
    store.put("big", BIG[: 11 << 20])
    assert store.get("big") == BIG[: 11 << 20]


@pytest.mark.parametrize("size", [0, 1, (5 << 20) - 1, 5 << 20, (5 << 20) + 1])
def test_files_at_the_edges_of_parts(store: ObjectStore, tmp_path: Path, size: int) -> None:
    (tmp_path / "in").write_bytes(BIG[:size])
    store.put_file("edge", tmp_path / "in")
    for expected in (None, size):
        store.download("edge", tmp_path / "out", expected, hashlib.sha256(BIG[:size]).hexdigest())
        assert (tmp_path / "out").read_bytes() == BIG[:size]
    assert [one.size for one in store.list("edge")] == [size]


@pytest.mark.parametrize(
    ("size", "sha256"),
    [(4, None), (6, None), (0, None), (5, "0" * 64), (None, hashlib.sha256(b"other").hexdigest())],
)
def test_other_bytes_than_expected_are_refused(
    store: ObjectStore, tmp_path: Path, size: int | None, sha256: str | None
) -> None:
    store.put("a", b"12345")
    (tmp_path / "to").write_bytes(b"kept")
    with pytest.raises(StorageFailed) as caught:
        store.download("a", tmp_path / "to", size, sha256)
    assert caught.value.code == "OBJECT_CORRUPT"
    assert (tmp_path / "to").read_bytes() == b"kept"
    assert {p.name for p in tmp_path.iterdir()} <= {"to", "store"}


def test_a_file_that_is_not_there_cannot_be_put(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(StorageFailed) as caught:
        store.put_file("a", tmp_path / "nothing")
    assert caught.value.code == "NOT_READABLE"
    assert str(tmp_path) not in str(caught.value)
    assert not store.exists("a")


CALLS: dict[str, Callable[[ObjectStore, str], object]] = {
    "get": lambda store, key: store.get(key),
    "put": lambda store, key: store.put(key, b"1"),
    "put_file": lambda store, key: store.put_file(key, Path(__file__)),
    "download": lambda store, key: store.download(key, Path("/nowhere/x")),
    "delete": lambda store, key: store.delete(key),
    "list": lambda store, key: list(store.list(key + "/x")),
    "exists": lambda store, key: store.exists(key),
    "url": lambda store, key: store.url(key),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", "a\nb", "a//b", ".tmp/x"])
def test_hostile_keys_reach_no_store(
    store: ObjectStore, call: Callable[[ObjectStore, str], object], key: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        call(store, key)
    assert caught.value.code == "BAD_KEY"


def test_urls_lead_to_the_value(store: ObjectStore) -> None:
    store.put("output/1/a.flac", b"fLaC", content_type="application/octet-stream")
    url = store.url("output/1/a.flac", 300, 'naïve "x"/..\n.flac', "audio/flac")
    if isinstance(store, MemoryStore):
        assert url == "memory:output/1/a.flac"
        return
    with urllib.request.urlopen(url, context=trusting(store)) as answer:
        assert answer.read() == b"fLaC"
        if isinstance(store, S3Store):
            assert answer.headers["Content-Type"] == "audio/flac"
            disposition = answer.headers["Content-Disposition"]
            assert disposition.startswith('attachment; filename="na_ve _x_')
            assert "\n" not in disposition


def test_signed_urls_open_one_key_for_reading(s3: S3Store) -> None:
    s3.put("mine", b"1")
    s3.put("other", b"2")
    url = s3.url("mine")
    assert servers.SECRET_KEY not in url
    tampered = urllib.request.Request(url.replace("/mine", "/other"))
    writing = urllib.request.Request(url, data=b"3", method="PUT")
    removing = urllib.request.Request(url, method="DELETE")
    for request in (tampered, writing, removing):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, context=trusting(s3))
        assert caught.value.code == 403
        caught.value.close()
    assert s3.get("mine") == b"1"


def test_signed_urls_lead_where_callers_reach_the_server(s3: S3Store) -> None:
    endpoint = s3.options.endpoint_url
    if endpoint.startswith("https"):
        pytest.skip("its certificate is for one name")
    public = endpoint.replace("127.0.0.1", "localhost")
    assert public != endpoint
    outside = S3Store(replace(s3.options, public_url=public))
    outside.put("there", b"1")
    url = outside.url("there")
    assert url.startswith(public)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"1"
    moved = url.replace("localhost", "127.0.0.1")  # the host is signed: it cannot be put in later
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(moved)
    assert caught.value.code == 403
    caught.value.close()


@pytest.mark.parametrize(("asked", "given"), [(1, 60), (3600, 3600), (10**9, 604_800)])
def test_lifetimes_of_urls_are_bounded(s3: S3Store, asked: float, given: int) -> None:
    assert f"X-Amz-Expires={given}&" in s3.url("a", asked) + "&"


def trusting(store: ObjectStore) -> ssl.SSLContext | None:
    bundle = store.options.ca_bundle if isinstance(store, S3Store) else ""
    return ssl.create_default_context(cafile=bundle) if bundle else None


def test_the_store_tells_the_time(store: ObjectStore) -> None:
    assert abs(store.now() - time.time()) < 2
    assert abs(store.now() - time.time()) < 2


def test_a_line_for_logs_holds_no_secret(store: ObjectStore) -> None:
    line = store.describe()
    assert line
    assert "\n" not in line
    for secret in (servers.ACCESS_KEY, servers.SECRET_KEY):
        assert secret not in line + repr(store)


def test_threads_do_not_disturb_one_another(store: ObjectStore) -> None:
    def work(n: int) -> bool:
        for turn in range(5):
            data = b"%d-%d" % (n, turn) * 1000
            store.put(f"threads/{n}", data)
            if store.get(f"threads/{n}") != data:
                return False
        store.delete(f"threads/{n}")
        return not store.exists(f"threads/{n}")

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(work, range(12)))
    assert list(store.list("threads/")) == []


def test_any_sequence_of_calls_agrees_with_a_dictionary(store: ObjectStore) -> None:
    chance = random.Random(20)
    keys = ["a", "b/c", "b/d", "b/e/f", "_g/h.json"]
    model: dict[str, bytes] = {}
    for _ in range(120):
        key = chance.choice(keys)
        match chance.choice(["put", "get", "delete", "exists", "list"]):
            case "put":
                model[key] = chance.randbytes(chance.randrange(50))
                store.put(key, model[key])
            case "delete":
                model.pop(key, None)
                store.delete(key)
            case "get" if key in model:
                assert store.get(key) == model[key]
            case "get":
                with pytest.raises(KeyMissing):
                    store.get(key)
            case "exists":
                assert store.exists(key) == (key in model)
            case _:
                assert {one.key: one.size for one in store.list()} == {
                    name: len(data) for name, data in model.items()
                }


def test_a_key_is_no_folder_of_others(tmp_path: Path) -> None:
    for store in (MemoryStore(), LocalStore(tmp_path)):
        store.put("a/b", b"1")
        for key in ("a", "a/b/c"):
            with pytest.raises(StorageFailed) as caught:
                store.put(key, b"2")
            assert caught.value.code == "KEY_CONFLICT"
            assert not store.exists(key)
            with pytest.raises(KeyMissing):
                store.get(key)
        assert store.get("a/b") == b"1"

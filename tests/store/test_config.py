"""Which store the settings open, and the errors for settings that contradict one another."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from f5serve.errors import InvalidRequest
from f5serve.settings import Settings
from f5serve.store.config import open_store, s3_options
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.store.s3 import S3Store
from tests.store import servers

KEYS = {"AWS_ACCESS_KEY_ID": "ak", "AWS_SECRET_ACCESS_KEY": "canary-sk"}
SHARED = {"BUCKET_ACCESS_KEY_ID": "bk", "BUCKET_SECRET_ACCESS_KEY": "canary-bsk"}
R2 = "abc.r2.cloudflarestorage.com"
B2 = "https://s3.us-west-001.backblazeb2.com"


def settings(**environ: str) -> Settings:
    return Settings.from_environ(environ)


def opened(**environ: str) -> S3Store:
    store = open_store(settings(**environ)).inner
    assert isinstance(store, S3Store)
    return store


def test_nothing_set_is_a_folder(tmp_path: Path) -> None:
    store = open_store(settings(F5_DATA_DIR=str(tmp_path))).inner
    assert isinstance(store, LocalStore)
    assert store.root == tmp_path / "store"
    default = open_store(settings()).inner
    assert isinstance(default, LocalStore)
    assert default.root == Path.home() / ".local/share/f5serve/store"


def test_a_store_can_be_named_outright(tmp_path: Path) -> None:
    assert isinstance(open_store(settings(F5_STORE="memory:")).inner, MemoryStore)
    folder = open_store(settings(F5_STORE=f"file://{tmp_path}/my%20store")).inner
    assert isinstance(folder, LocalStore)
    assert folder.root == tmp_path / "my store"
    bucket = opened(F5_STORE="s3://b2-bucket/some/prefix", AWS_ENDPOINT_URL=B2 + "/", **KEYS)
    assert bucket.options.bucket == "b2-bucket"
    assert bucket.options.prefix == "some/prefix"
    assert bucket.options.endpoint_url == B2
    assert (bucket.options.access_key, bucket.options.secret_key) == ("ak", "canary-sk")


def test_signed_urls_may_lead_elsewhere() -> None:
    public = "https://files.example.com"
    named = {"S3_BUCKET": "mine", "AWS_ENDPOINT_URL": "http://s3:7070", **KEYS}
    options = opened(F5_S3_PUBLIC_URL=public + "/", **named).options
    assert (options.endpoint_url, options.public_url) == ("http://s3:7070", public)
    assert opened(**named).options.public_url == ""
    for wrong in (public + "/mine", "files.example.com"):
        with pytest.raises(InvalidRequest, match="F5_S3_PUBLIC_URL"):
            opened(F5_S3_PUBLIC_URL=wrong, **named)


def test_the_names_of_aws() -> None:
    options = opened(S3_BUCKET="mine", AWS_ENDPOINT_URL=B2, S3_ADDRESSING="virtual", **KEYS).options
    assert (options.bucket, options.prefix, options.region) == ("mine", "", "us-west-001")
    assert options.addressing == "virtual"
    named = opened(S3_BUCKET="mine", AWS_REGION="eu-north-1", AWS_SESSION_TOKEN="t", **KEYS).options
    assert (named.endpoint_url, named.region, named.session_token) == ("", "eu-north-1", "t")


@pytest.mark.parametrize(
    ("url", "bucket", "prefix", "endpoint", "region"),
    [
        # bucket in the host, or in the path with a prefix after it
        (f"mine.{B2[8:]}", "mine", "", B2[8:], "us-west-001"),
        ("mine.s3.eu-west-1.amazonaws.com/", "mine", "", "s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3.eu-west-1.amazonaws.com/mine", "mine", "", "s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("a.b.s3.us-east-2.amazonaws.com", "a.b", "", "s3.us-east-2.amazonaws.com", "us-east-2"),
        (f"{R2}/mine/a/b", "mine", "a/b", R2, "auto"),
        (f"mine.{R2}", "mine", "", R2, "auto"),
        ("mine.ams3.digitaloceanspaces.com", "mine", "", "ams3.digitaloceanspaces.com", "ams3"),
        ("s3api-eu-ro-1.runpod.io/vol1", "vol1", "", "s3api-eu-ro-1.runpod.io", "EU-RO-1"),
        ("127.0.0.1:9000/mine", "mine", "", "127.0.0.1:9000", "us-east-1"),
    ],
)
def test_the_names_of_runpod(
    url: str, bucket: str, prefix: str, endpoint: str, region: str
) -> None:
    options = opened(BUCKET_ENDPOINT_URL=f"https://{url}", **SHARED).options
    found = (options.bucket, options.prefix, options.endpoint_url, options.region)
    assert found == (bucket, prefix, f"https://{endpoint}", region)
    assert (options.access_key, options.secret_key) == ("bk", "canary-bsk")


def test_runpods_endpoint_may_leave_the_bucket_to_its_own_name() -> None:
    options = opened(
        BUCKET_ENDPOINT_URL="https://minio.example", S3_BUCKET="mine", **SHARED
    ).options
    assert (options.bucket, options.endpoint_url) == ("mine", "https://minio.example")
    options = opened(BUCKET_ENDPOINT_URL="https://mine.minio.example", S3_BUCKET="mine").options
    assert (options.bucket, options.endpoint_url) == ("mine", "https://minio.example")


@pytest.mark.parametrize(
    "environ",
    [
        {"F5_STORE": "ftp://x/y"},
        {"F5_STORE": "file://otherhost/x"},
        {"F5_STORE": "file:///"},
        {"F5_STORE": "relative/folder"},
        {"F5_STORE": "s3://"},
        {"F5_STORE": "s3://bucket/a//b"},
        {"F5_STORE": "s3://bucket/../b"},
        {"S3_BUCKET": "with space"},
        {"S3_BUCKET": "b2", "AWS_ENDPOINT_URL": "s3.example.com"},
        {"S3_BUCKET": "b2", "AWS_ENDPOINT_URL": "https://s3.example.com/b2"},
        {"S3_BUCKET": "b2", "AWS_ENDPOINT_URL": "https://user:canary-pw@s3.example.com"},
        {"S3_BUCKET": "b2", "AWS_ENDPOINT_URL": "https://[::1"},
        {"S3_BUCKET": "b2", "AWS_ENDPOINT_URL": "https://host:port"},
        {"S3_BUCKET": "b2", "AWS_ACCESS_KEY_ID": "canary-only"},
        {"S3_BUCKET": "b2", "AWS_SECRET_ACCESS_KEY": "canary-only"},
        {"BUCKET_ENDPOINT_URL": "https://minio.example", **SHARED},
        {"BUCKET_ENDPOINT_URL": "minio.example/bucket", **SHARED},
        {"BUCKET_ENDPOINT_URL": "https://h/one", "BUCKET_ACCESS_KEY_ID": "canary-only"},
        {"BUCKET_ENDPOINT_URL": "https://h/one", "S3_BUCKET": "two", **SHARED},
        {"BUCKET_ENDPOINT_URL": "https://h/one", "S3_BUCKET": "one", "AWS_ENDPOINT_URL": B2},
        {"S3_BUCKET": "b2", "S3_ADDRESSING": "sideways"},
    ],
    ids=lambda e: " ".join(f"{k}={v}" for k, v in e.items()),
)
def test_contradictions_are_told_without_secrets(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        open_store(settings(**environ))
    assert caught.value.code == "BAD_SETTING"
    assert caught.value.hint
    assert "canary" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"F5_STORE": "memory:", "S3_BUCKET": "mine"}, "S3_BUCKET"),
        ({"F5_STORE": "memory:", "BUCKET_ENDPOINT_URL": "https://h/b"}, "BUCKET_ENDPOINT_URL"),
        ({"F5_STORE": "s3://other", "S3_BUCKET": "mine", **KEYS}, "S3_BUCKET"),
        ({"AWS_ENDPOINT_URL": B2}, "AWS_ENDPOINT_URL"),
        ({"BUCKET_ACCESS_KEY_ID": "x"}, "BUCKET_ACCESS_KEY_ID"),
        ({"BUCKET_ENDPOINT_URL": "https://s3api-us-ks-2.runpod.io/vol", **SHARED}, "signed URLs"),
    ],
)
def test_what_has_no_effect_is_told(
    caplog: pytest.LogCaptureFixture, environ: dict[str, str], word: str
) -> None:
    with caplog.at_level(logging.WARNING):
        open_store(settings(**environ))
    assert word in caplog.text


def test_no_secret_is_shown() -> None:
    everything = settings(S3_BUCKET="mine", AWS_SESSION_TOKEN="canary", **KEYS, **SHARED)
    store = open_store(everything)
    options = s3_options(everything)
    assert "canary" not in repr(everything) + repr(options) + repr(store) + store.describe()
    assert "mine" in store.describe()


def test_a_bucket_needs_the_extra() -> None:
    code = """
import sys
sys.modules["boto3"] = None
from f5serve.errors import StorageFailed
from f5serve.settings import Settings
from f5serve.store.config import open_store
open_store(Settings(store="memory:")).put("a", b"")
try:
    open_store(Settings(s3_bucket="mine"))
except StorageFailed as error:
    print(error.code, error.hint)
"""
    assert run(code).strip() == "EXTRA_MISSING pip install 'f5serve[s3]'"


def test_the_library_is_loaded_for_buckets_alone(tmp_path: Path) -> None:
    code = f"""
import sys
from f5serve.settings import Settings
from f5serve.store.config import open_store
from pathlib import Path
open_store(Settings(data_dir=Path({str(tmp_path)!r}))).put("a", b"")
print("boto3" in sys.modules, "botocore" in sys.modules, "f5serve.store.s3" in sys.modules)
"""
    assert run(code).split() == ["False"] * 3


def run(code: str) -> str:
    done: Any = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=servers.clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return str(done.stdout)

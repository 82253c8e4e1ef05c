"""TLS to a bucket: trusted certificates work, others give an error at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from f5serve.errors import StorageFailed
from f5serve.store.s3 import S3Options, S3Store
from tests.store import servers, test_contract
from tests.store.conftest import empty_bucket
from tests.store.fault_proxy import FaultProxy


def code_of(options: S3Options) -> str:
    with pytest.raises(StorageFailed) as caught:
        S3Store(options).get("a")
    assert not caught.value.retryable
    assert options.endpoint_url not in caught.value.message + caught.value.hint
    return caught.value.code


def test_everything_works_over_tls(rclone_tls_server: S3Options, tmp_path: Path) -> None:
    for promise in (
        test_contract.test_a_later_value_replaces_an_earlier,
        test_contract.test_delete_removes_and_may_be_repeated,
        test_contract.test_a_reader_may_refuse_large_values,
        test_contract.test_large_values_go_up_from_memory,
        test_contract.test_listing_tells_keys_sizes_and_times,
        test_contract.test_urls_lead_to_the_value,
        test_contract.test_the_store_tells_the_time,
    ):
        promise(empty_bucket(rclone_tls_server))
    large = test_contract.test_large_files_go_up_and_down_in_parts
    large(empty_bucket(rclone_tls_server), tmp_path)


def test_a_certificate_that_nobody_trusts(rclone_tls_server: S3Options) -> None:
    assert code_of(dataclasses.replace(rclone_tls_server, ca_bundle="")) == "S3_TLS"


def test_a_certificate_of_somebody_else(rclone_tls_server: S3Options, tmp_path: Path) -> None:
    other, _ = servers.certificate(tmp_path)
    assert code_of(dataclasses.replace(rclone_tls_server, ca_bundle=str(other))) == "S3_TLS"


def test_a_certificate_for_another_name(rclone_tls_server: S3Options) -> None:
    elsewhere = rclone_tls_server.endpoint_url.replace("127.0.0.1", "localhost")
    assert code_of(dataclasses.replace(rclone_tls_server, endpoint_url=elsewhere)) == "S3_TLS"


def test_a_bundle_that_is_not_there(rclone_tls_server: S3Options) -> None:
    missing = dataclasses.replace(rclone_tls_server, ca_bundle="/nowhere/ca.pem")
    assert code_of(missing) == "S3_BAD_SETTINGS"


def test_https_to_a_server_that_speaks_http(rclone_server: S3Options) -> None:
    with FaultProxy(rclone_server.endpoint_url) as proxy:
        secure = proxy.url.replace("http:", "https:")
        assert code_of(dataclasses.replace(rclone_server, endpoint_url=secure)) == "S3_TLS"


def test_http_to_a_server_that_speaks_https(rclone_tls_server: S3Options) -> None:
    plain = rclone_tls_server.endpoint_url.replace("https:", "http:")
    with pytest.raises(StorageFailed) as caught:
        S3Store(dataclasses.replace(rclone_tls_server, endpoint_url=plain)).get("a")
    # It sends a sentence and closes; whether the sentence arrives is a matter of luck.
    assert caught.value.code in ("S3_WRONG_ENDPOINT", "S3_CUT", "S3_UNREACHABLE")
    assert "AWS_ENDPOINT_URL" in caught.value.hint

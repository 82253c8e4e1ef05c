"""Fixtures: an empty store of every kind, S3 servers, and stores behind a fault proxy."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from f5serve.store.base import ObjectStore
from f5serve.store.bounded import BoundedStore
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.store.namespace import tenant_store
from f5serve.store.s3 import S3Limits, S3Options, S3Store
from tests.store import servers
from tests.store.fault_proxy import FaultProxy

LIMITS = S3Limits(part_bytes=5 << 20, pause_s=0.02)
FAULT_LIMITS = S3Limits(
    operation_s=20,
    connect_s=1,
    read_s=1,
    pause_s=0.01,
    window_s=1,
    min_bytes_per_s=1_000_000,
    part_bytes=5 << 20,
)


@pytest.fixture(scope="session", autouse=True)
def _plain_environment() -> Iterator[None]:
    """Calls to loopback must meet no proxy, and no certificates or keys of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - servers.clean_environment().keys():
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Options]:
    with servers.rclone(tmp_path_factory.mktemp("rclone")) as options:
        yield dataclasses.replace(options, limits=LIMITS)


@pytest.fixture(scope="session")
def rclone_tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Options]:
    folder = tmp_path_factory.mktemp("rclone-tls")
    with servers.rclone(folder, servers.certificate(folder / "tls")) as options:
        yield dataclasses.replace(options, limits=LIMITS)


@pytest.fixture(scope="session")
def juicefs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Options]:
    with servers.juicefs(tmp_path_factory.mktemp("juicefs")) as options:
        yield dataclasses.replace(options, limits=LIMITS)


@pytest.fixture(params=["rclone", "rclone_tls", "juicefs"])
def s3(request: pytest.FixtureRequest) -> S3Store:
    return empty_bucket(request.getfixturevalue(f"{request.param}_server"))


@pytest.fixture(params=["memory", "folder", "bounded", "tenant", "rclone", "juicefs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "folder":
        return LocalStore(tmp_path / "store")
    if request.param == "bounded":
        return BoundedStore(LocalStore(tmp_path / "store"), inner_has_deadlines=False)
    if request.param == "tenant":
        return tenant_store(LocalStore(tmp_path / "store"), "acme")
    return empty_bucket(request.getfixturevalue(f"{request.param}_server"))


def empty_bucket(options: S3Options) -> S3Store:
    """A store on a server that others use as well."""
    return S3Store(dataclasses.replace(options, prefix=f"t/{uuid.uuid4().hex}"))


@pytest.fixture
def proxy(rclone_server: S3Options) -> Iterator[FaultProxy]:
    with FaultProxy(rclone_server.endpoint_url) as one:
        yield one


@pytest.fixture
def behind(proxy: FaultProxy, rclone_server: S3Options) -> S3Store:
    """A store whose every request goes through the proxy."""
    return through(proxy, rclone_server)


def through(proxy: FaultProxy, options: S3Options, limits: S3Limits = FAULT_LIMITS) -> S3Store:
    return empty_bucket(dataclasses.replace(options, endpoint_url=proxy.url, limits=limits))


def asked(proxy: FaultProxy) -> int:
    """Requests of the operation itself, not those that look for the bucket's region."""
    return len([one for one in proxy.seen if not one.line.startswith("HEAD ")])

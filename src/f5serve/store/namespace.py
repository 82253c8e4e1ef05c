"""A part of a store for each tenant: an ObjectStore over another one, whose keys get a prefix.

    acme: voices/_records/ana.json  ->  tenants/acme/voices/_records/ana.json

What has no tenant lies at the root of the store, where nothing else begins with `tenants/`. A key
cannot lead out of a namespace, because `check_key` knows no `..`.
"""

from __future__ import annotations

import builtins
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from f5serve.errors import KeyMissing
from f5serve.secrets import is_tenant
from f5serve.store.base import (
    ObjectStore,
    Progress,
    StoredObject,
    check_after,
    check_key,
    check_prefix,
)

TENANTS: Final = "tenants/"


def tenant_store(store: ObjectStore, tenant: str) -> ObjectStore:
    """The part of a store that belongs to a tenant; all of it for ""."""
    return NamespaceStore(store, tenant) if tenant else store


def tenant_names(store: ObjectStore) -> Iterator[str]:
    """The tenants that have something in a store, in the order of keys; a request for each.

    Raises:
        StorageFailed: the store's own code.
    """
    after = ""
    while found := store.page(TENANTS, after, 1):
        name = found[0].key.removeprefix(TENANTS).partition("/")[0]
        if is_tenant(name):
            yield name
        after = f"{TENANTS}{name}0"  # the first key behind all that begins with name and a slash


class NamespaceStore:
    """The objects of one tenant, under keys without its prefix; as safe for threads as `inner`.

    Args:
        inner: the whole store.
        tenant: of `secrets.is_tenant`.
    """

    def __init__(self, inner: ObjectStore, tenant: str) -> None:
        if not is_tenant(tenant):
            raise ValueError(tenant)
        self.inner = inner
        self._prefix = f"{TENANTS}{tenant}/"

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.get`."""
        with self._named(key):
            return self.inner.get(self._key(key), max_bytes)

    def get_part(self, key: str, start: int, size: int) -> bytes:
        """See `ObjectStore.get_part`."""
        with self._named(key):
            return self.inner.get_part(self._key(key), start, size)

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        """See `ObjectStore.put`."""
        self.inner.put(self._key(key), data, content_type)

    def put_file(
        self, key: str, path: Path, content_type: str = "", on_progress: Progress | None = None
    ) -> None:
        """See `ObjectStore.put_file`."""
        self.inner.put_file(self._key(key), path, content_type, on_progress)

    def download(
        self,
        key: str,
        to: Path,
        size: int | None = None,
        sha256: str | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """See `ObjectStore.download`."""
        with self._named(key):
            self.inner.download(self._key(key), to, size, sha256, on_progress)

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        self.inner.delete(self._key(key))

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[StoredObject]:
        """See `ObjectStore.list`."""
        prefix = self._prefix + check_prefix(prefix)
        return map(self._without_prefix, self.inner.list(prefix, recursive=recursive))

    def page(self, prefix: str, after: str = "", limit: int = 1000) -> builtins.list[StoredObject]:
        """See `ObjectStore.page`."""
        after = self._prefix + check_after(after) if after else ""
        found = self.inner.page(self._prefix + check_prefix(prefix), after, limit)
        return [self._without_prefix(one) for one in found]

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`."""
        return self.inner.exists(self._key(key))

    def abort_old_uploads(self, prefix: str = "", older_than_s: float = 24 * 3600) -> int:
        """See `ObjectStore.abort_old_uploads`."""
        return self.inner.abort_old_uploads(self._prefix + check_prefix(prefix), older_than_s)

    def url(
        self, key: str, expires_s: float = 3600, filename: str = "", content_type: str = ""
    ) -> str:
        """See `ObjectStore.url`."""
        return self.inner.url(self._key(key), expires_s, filename, content_type)

    def now(self) -> float:
        """See `ObjectStore.now`."""
        return self.inner.now()

    def describe(self) -> str:
        """One line for logs, without secrets."""
        return f"{self.inner.describe()}, {self._prefix}"

    @contextlib.contextmanager
    def _named(self, key: str) -> Iterator[None]:
        """Have a missing key called as the caller knows it."""
        try:
            yield
        except KeyMissing:
            raise KeyMissing(key) from None

    def _key(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _without_prefix(self, stored: StoredObject) -> StoredObject:
        return replace(stored, key=stored.key.removeprefix(self._prefix))

"""Parts of a store: what one tenant has, no other meets."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.secrets import is_tenant
from f5serve.store.base import is_key
from f5serve.store.memory import MemoryStore
from f5serve.store.namespace import NamespaceStore, tenant_names, tenant_store

TENANTS = ("acme", "acme-2", "acme_", "ac", "z")
KEYS = ("voices/a.wav", "jobs/1/state.json", "q")


def test_keys_of_tenants_lie_side_by_side() -> None:
    whole = MemoryStore()
    for tenant in ("", *TENANTS):
        for key in KEYS:
            tenant_store(whole, tenant).put(key, f"{tenant}:{key}".encode())
    for tenant in TENANTS:
        part = tenant_store(whole, tenant)
        assert sorted(one.key for one in part.list()) == sorted(KEYS)
        assert [one.key for one in part.page("")] == sorted(KEYS)
        assert [one.key for one in part.page("", "jobs/1/state.json")] == ["q", "voices/a.wav"]
        assert [one.key for one in part.list(recursive=False)] == ["q"]
        assert all(part.get(key) == f"{tenant}:{key}".encode() for key in KEYS)
        assert whole.get(f"tenants/{tenant}/q") == f"{tenant}:q".encode()
    assert sorted(tenant_names(whole)) == sorted(TENANTS)


def test_tenants_are_found_among_what_others_have_put_there() -> None:
    whole = MemoryStore()
    assert list(tenant_names(whole)) == []
    for key in ("tenants/Acme/x", "tenants/file", "tenants/b/x", "tenants/b-1/x", "u/x"):
        whole.put(key, b"")
    assert list(tenant_names(whole)) == ["b-1", "b", "file"]


@given(st.text(st.sampled_from("ab/._-"), max_size=20))
def test_no_key_leads_out_of_a_namespace(key: str) -> None:
    whole = MemoryStore()
    part = NamespaceStore(whole, "acme")
    if is_key(key):
        part.put(key, b"1")
        assert [one.key for one in whole.list()] == [f"tenants/acme/{key}"]
        return
    with pytest.raises(InvalidRequest):
        part.put(key, b"1")
    assert not list(whole.list())


@pytest.mark.parametrize("name", ["Acme", "a/b", "..", "-a", "a.b", "x" * 41, "\u0661"])
def test_what_is_no_name_of_a_tenant_has_no_namespace(name: str) -> None:
    assert not is_tenant(name)
    with pytest.raises(ValueError, match=re.escape(name)):
        NamespaceStore(MemoryStore(), name)

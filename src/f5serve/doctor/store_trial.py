"""Puts a small object into the store, reads it back, fetches its signed URL and removes it.

A store flows in, `StoreFacts` flow out; what fails is a fact, too. Nothing else in the store is
touched.
"""

from __future__ import annotations

import contextlib
import ssl
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import replace

from f5serve.doctor.facts import StoreFacts
from f5serve.errors import F5Error, StorageFailed
from f5serve.store.base import ObjectStore

PREFIX = "_meta/probe/"
_FETCH_S = 15.0


def try_store(store: ObjectStore, is_shared: bool, ca_bundle: str = "") -> StoreFacts:
    """Use the store as a job does, once.

    Args:
        is_shared: whether other machines see it.
        ca_bundle: PEM file of the authorities to trust; "" for the system's.
    """
    facts = StoreFacts(description=store.describe(), is_shared=is_shared, tried=True)
    began = time.perf_counter()
    key, said = f"{PREFIX}{uuid.uuid4().hex}", uuid.uuid4().bytes
    step = "put"
    try:
        store.put(key, said)
        step = "get"
        _check_same(store.get(key), said)
        step = "url"
        url = store.url(key, expires_s=60)
        if url.startswith(("http:", "https:")):
            facts = replace(facts, has_urls=True, url_error=_fetch(url, said, ca_bundle))
        facts = replace(facts, skew_s=_skew(store.now))
        step = "delete"
        store.delete(key)
    except F5Error as error:
        facts = _failure(facts, step, error)
        if step != "delete":
            with contextlib.suppress(F5Error):
                store.delete(key)
    return replace(facts, seconds=time.perf_counter() - began)


def unopened(error: F5Error, is_shared: bool) -> StoreFacts:
    """The facts of a store that could not even be opened."""
    return _failure(StoreFacts("store", is_shared), "open", error)


def _failure(facts: StoreFacts, step: str, error: F5Error) -> StoreFacts:
    return replace(
        facts,
        step=step,
        code=error.code,
        message=error.message,
        hint=error.hint,
        exit_code=error.exit_code,
    )


def _check_same(found: bytes, said: bytes) -> None:
    if found != said:
        raise StorageFailed(
            "The store returned something else than was put there.",
            code="STORE_FORGETS",
            hint="Check that nothing else writes under _meta/probe/.",
        )


def _fetch(url: str, said: bytes, ca_bundle: str) -> str:
    """Why what a URL leads to is not `said`, or ""."""
    try:
        context = ssl.create_default_context(cafile=ca_bundle or None)
        with urllib.request.urlopen(url, timeout=_FETCH_S, context=context) as answer:
            found = answer.read(len(said) + 1)
    except urllib.error.HTTPError as error:
        error.close()
        return f"the server answered {error.code}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))[:200]
    return "" if found == said else "other bytes came"


def _skew(now: Callable[[], float]) -> float:
    """The store's clock less ours; a request in the middle of it takes half its time each way."""
    before = time.time()
    theirs = now()
    return theirs - (before + time.time()) / 2

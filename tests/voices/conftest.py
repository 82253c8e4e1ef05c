"""Every library test runs over both stores that need no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from f5serve.store.base import ObjectStore
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.voices.library import LibraryOptions, VoiceLibrary

Machine = Callable[..., VoiceLibrary]


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return MemoryStore() if request.param == "memory" else LocalStore(tmp_path / "store")


@pytest.fixture
def machine(store: ObjectStore, tmp_path: Path) -> Machine:
    """Makes libraries over one store, each on a machine of its own."""
    count = 0

    def make(
        over: ObjectStore | None = None,
        external_refresh_s: float = 0.0,
        options: LibraryOptions | None = None,
        **more: object,
    ) -> VoiceLibrary:
        nonlocal count
        count += 1
        options = options or LibraryOptions(external_refresh_s=external_refresh_s)
        return VoiceLibrary(over or store, tmp_path / f"cache{count}", options=options, **more)

    return make

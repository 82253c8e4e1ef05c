"""What must be right on a machine before anybody is served from it.

RunPod's SDK runs these once, reports the first that raises as its name and sentence, and ends the
worker; a server does the same beside the loading of its model. Another machine is tried then. So
they are quick, and no check asks for what a later job can be told better about.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

from f5serve.errors import StorageFailed
from f5serve.settings import Settings
from f5serve.startup import check
from f5serve.store.base import ObjectStore

FREE_BYTES = 256 * 1024 * 1024
"""Room for the voices and results that are under way; models have been placed before."""


def make_checks(settings: Settings, store: ObjectStore) -> list[Callable[[], None]]:
    """The checks of one process, named as they are reported: engine, store, disk."""

    def engine_can_be_chosen() -> None:
        check(settings)

    def store_keeps_and_returns() -> None:
        check_store(store)

    def disk_has_room() -> None:
        for folder in (Path(tempfile.gettempdir()), settings.data_dir):
            check_room(folder)

    return [engine_can_be_chosen, store_keeps_and_returns, disk_has_room]


def check_store(store: ObjectStore) -> None:
    """Put, read and remove one small object.

    Raises:
        StorageFailed: what the store says, or STORE_FORGETS.
    """
    key, said = f"_meta/probe/{uuid.uuid4().hex}", uuid.uuid4().bytes
    store.put(key, said)
    try:
        if store.get(key) != said:
            raise StorageFailed(
                f"The store returned something else than was put under {key!r}.",
                code="STORE_FORGETS",
                hint="Check that nothing else writes there.",
            )
    finally:
        store.delete(key)


def check_room(folder: Path, needed: int = FREE_BYTES) -> None:
    """Refuse a disk that is nearly full.

    Raises:
        StorageFailed: NO_SPACE.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StorageFailed(
            f"{folder} has {free >> 20} MiB free, and {needed >> 20} MiB are needed.",
            code="NO_SPACE",
            hint="Give the worker a larger container disk, or set TMPDIR and F5_DATA_DIR.",
        )

"""What health tells of store and machine: asked side by side, and answered whatever hangs.

A store and a `Checkup` flow in, a few fields of health flow out. Health is asked often and by
several callers at once, so one look serves them all for a while, and tells how old it is.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from f5serve.checkup import Checkup
from f5serve.errors import F5Error
from f5serve.service.probe import Probe, Seen
from f5serve.store.bounded import BoundedStore

HEALTH_S = 3.0
"""Longest wait for store and machine."""

STORE_REMEMBERED_S = 5.0
"""How long a look at the store counts."""

WRITE_AGAIN_S = 300.0
"""Where nothing else was written for so long, health writes: a full disk can still be read."""

MAX_TRIED_BYTES = 1 << 20
"""Most that is written to find out whether what did not fit fits now."""

KEY = "_meta/health"


class Health:
    """The looks of one process; used within one event loop.

    Args:
        remembered_s: see STORE_REMEMBERED_S.
    """

    def __init__(
        self,
        store: BoundedStore,
        checkup: Checkup,
        remembered_s: float = STORE_REMEMBERED_S,
    ) -> None:
        self._store = Probe("f5-health", lambda: look_at_store(store), remembered_s, HEALTH_S)
        self._machine = Probe("f5-checkup", checkup.summary, checkup.remembered_s, HEALTH_S)

    async def ask(self) -> dict[str, Any]:
        """`store`: ok, slow, or the code of what is wrong; `doctor` and `disk`, see `Checkup`, None
        while they are not known; `age_s`: how old these answers are.
        """
        store, machine = await asyncio.gather(self._store.ask(), self._machine.ask())
        told = machine.value or {"doctor": None, "disk": None}
        ages = {"store": _age(store), "machine": _age(machine)}
        return {"store": _state(store), **told, "age_s": ages}


def look_at_store(store: BoundedStore) -> str:
    """ok, or the code of what the store says; writes where it is not known whether that works."""
    last = store.last_write
    try:
        if last is not None and last.code:
            store.put(KEY, bytes(min(max(1, last.size), MAX_TRIED_BYTES)))
            store.put(KEY, b"")
        elif last is None or time.monotonic() - last.at > WRITE_AGAIN_S:
            store.put(KEY, b"")
        else:
            store.exists(KEY)
    except F5Error as error:
        return error.code
    return "ok"


def _state(seen: Seen[str]) -> str:
    return "slow" if seen.is_late or seen.value is None else seen.value


def _age(seen: Seen[Any]) -> float | None:
    return None if seen.age_s is None else round(seen.age_s, 1)

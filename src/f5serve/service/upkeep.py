"""Upkeep in the background: caches and unreferenced objects of voices, and the index of jobs.

One task of each kind goes round all tenants, so that their number costs no tasks.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from f5serve.errors import F5Error, StorageFailed
from f5serve.jobs.history import REBUILD_S, JobIndex
from f5serve.service.executor import BoundedExecutor
from f5serve.store.base import ObjectStore
from f5serve.store.json_documents import canonical_json
from f5serve.voices.garbage import GcOptions
from f5serve.voices.library import VoiceLibrary

_log = logging.getLogger(__name__)

MARK: Final = "_meta/voices-swept.json"

INDEX_AFTER_S = 5.0
"""From the start to the first look for jobs that are not in the index; each gives or takes half."""


@dataclass(frozen=True, slots=True)
class MaintenanceIntervals:
    """Seconds; each gives or takes a third, so that servers that start together do not look so.

    Attributes:
        first_s: from the start to the first look at the caches.
        sweep_s: from one sweep of the store to the next, by any server, and from one look at the
            caches of this machine to the next.
        look_s: from one look whether a sweep is due to the next.
    """

    first_s: float = 10.0
    sweep_s: float = 6 * 3600.0
    look_s: float = 1800.0


@dataclass(slots=True)
class VoiceMaintenance:
    """The upkeep of one library; its calls block."""

    voices: VoiceLibrary
    store: ObjectStore
    times: MaintenanceIntervals = field(default_factory=MaintenanceIntervals)
    _tidied_at: float = float("-inf")
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Have a sweep that is under way end early."""
        self._stopped.set()

    def sweep_if_due(self) -> None:
        """Sweep the store and the caches where that was not done for long."""
        if self._is_due():
            # Other processes now leave it to this one; the mark of one that dies ages.
            self.store.put(MARK, canonical_json({"at": self.store.now()}), "application/json")
            swept = self.voices.collect_garbage(GcOptions(should_stop=self._stopped.is_set))
            if swept.files:
                message = "%d recordings and words that no voice refers to are removed, %d bytes"
                _log.info(message, swept.files, swept.bytes)
        if time.monotonic() - self._tidied_at >= self.times.sweep_s:
            self.tidy()

    def tidy(self) -> None:
        """Remove from the caches of this machine what was deleted or replaced."""
        self.voices.evict_stale()
        self._tidied_at = time.monotonic()

    def _is_due(self) -> bool:
        """By the time at which the mark was written, whatever it says."""
        listed = [entry.modified.timestamp() for entry in self.store.list(MARK)]
        return not listed or abs(self.store.now() - listed[0]) >= self.times.sweep_s


async def maintain_voices(
    libraries: Sequence[VoiceMaintenance],
    pool: BoundedExecutor,
    times: MaintenanceIntervals | None = None,
) -> None:
    """Go on until cancelled; a store that fails is looked at again later.

    Args:
        libraries: may grow meanwhile.
    """
    times = times or MaintenanceIntervals()
    try:
        await _pause(times.first_s)
        for one in list(libraries):
            await _quietly(pool, one.tidy)
        while True:
            await _pause(times.look_s)
            for one in list(libraries):
                await _quietly(pool, one.sweep_if_due)
    finally:
        for one in libraries:
            one.stop()


async def maintain_indexes(stores: Sequence[ObjectStore], pool: BoundedExecutor) -> None:
    """Once a day see to it that the list of each store knows every job, until cancelled.

    Args:
        stores: may grow meanwhile.
    """
    await asyncio.sleep(INDEX_AFTER_S * random.uniform(0.5, 1.5))
    while True:
        for index in map(JobIndex, list(stores)):
            try:
                if await pool.finish(index.is_due):
                    missing = await pool.finish(index.rebuild)
                    _log.info("%d jobs were added to the index", missing)
            except StorageFailed as error:
                _log.warning("the index of jobs was not looked through: %s", error.message)
        await asyncio.sleep(REBUILD_S / 24 * random.uniform(0.8, 1.2))


async def _quietly(pool: BoundedExecutor, call: Callable[[], object]) -> None:
    try:
        await pool.run(call)
    except F5Error as error:
        _log.warning("the upkeep of voices is put off: %s", error.message)


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds * random.uniform(0.67, 1.33))

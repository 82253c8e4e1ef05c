"""Keeps voices in order beside the work: caches without voices that are gone, recordings swept.

    start -> drop what is gone from this machine -> now and then: sweep the store, drop again

A library and a store flow in; nothing flows out. Servers over one store note when somebody has
swept it, so that as a rule one of them does; two do no harm. What is swept is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from f5serve.errors import F5Error
from f5serve.service.pools import BoundedExecutor
from f5serve.store.base import ObjectStore
from f5serve.store.json_documents import canonical_json
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.storage import GcOptions

_log = logging.getLogger(__name__)

MARK: Final = "_meta/voices-swept.json"


@dataclass(frozen=True, slots=True)
class UpkeepTimes:
    """Seconds; each gives or takes a third, so that servers that start together do not look so.

    Attributes:
        first_s: from the start to the first look at the caches.
        sweep_s: from one sweep of the store to the next, whoever sweeps, and from one look at the
            caches of this machine to the next.
        look_s: from one look whether a sweep is due to the next.
    """

    first_s: float = 10.0
    sweep_s: float = 6 * 3600.0
    look_s: float = 1800.0


@dataclass(slots=True)
class VoiceUpkeep:
    """The upkeep of one process; `run` is a background task for a supervisor."""

    voices: VoiceLibrary
    store: ObjectStore
    pool: BoundedExecutor
    times: UpkeepTimes = field(default_factory=UpkeepTimes)
    _tidied_at: float = float("-inf")
    _stopped: threading.Event = field(default_factory=threading.Event)

    async def run(self) -> None:
        """Go on until cancelled; a store that fails is looked at again later."""
        try:
            await _pause(self.times.first_s)
            await self._quietly(self._tidy)
            while True:
                await _pause(self.times.look_s)
                await self._quietly(self._sweep_if_due)
        finally:
            self._stopped.set()

    async def _quietly(self, call: Callable[[], object]) -> None:
        try:
            await self.pool.run(call)
        except F5Error as error:
            _log.warning("the upkeep of voices is put off: %s", error.message)

    def _sweep_if_due(self) -> None:
        if self._is_due():
            # Whoever looks from now on leaves it to this process; the mark of one that dies ages.
            self.store.put(MARK, canonical_json({"at": self.store.now()}), "application/json")
            swept = self.voices.collect_garbage(GcOptions(should_stop=self._stopped.is_set))
            if swept.files:
                told = "%d recordings and words that no voice refers to are removed, %d bytes"
                _log.info(told, swept.files, swept.bytes)
        if time.monotonic() - self._tidied_at >= self.times.sweep_s:
            self._tidy()

    def _tidy(self) -> None:
        self.voices.evict_stale()
        self._tidied_at = time.monotonic()

    def _is_due(self) -> bool:
        """By the time at which the mark was written, whatever it says."""
        listed = [entry.modified.timestamp() for entry in self.store.list(MARK)]
        return not listed or abs(self.store.now() - listed[0]) >= self.times.sweep_s


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds * random.uniform(0.67, 1.33))

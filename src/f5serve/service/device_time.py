"""How long the device works for a second of speech, as the jobs that were done last tell it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from f5serve.jobs.history import JobIndex
from f5serve.jobs.records import Record, Status
from f5serve.jobs.store import JobStore

JOBS = 20
"""So many of the newest jobs are looked at."""

ENOUGH = 5
"""Jobs that tell something; no more are read."""

LEAST_S = 2.0
"""Shorter speech says little: most of its time is not that of the device."""


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """What speech will cost.

    Attributes:
        seconds: of the device; None before a job was done whose time is known.
        usd: at the price of the device; None where one of the two is not known.
    """

    seconds: float | None
    usd: float | None

    def as_dict(self) -> dict[str, Any]:
        """As answers have it."""
        return {
            "device_s": None if self.seconds is None else round(self.seconds, 1),
            "cost_usd": None if self.usd is None else round(self.usd, 4),
        }


def device_time(duration_s: float, rate: float | None, price: float) -> DeviceTime:
    """What speech of that length will cost.

    Args:
        rate: as `device_rate` returns it.
        price: of the device, USD an hour; 0 where it is not known.
    """
    seconds = None if rate is None else duration_s * rate
    return DeviceTime(seconds, seconds * price / 3_600 if seconds is not None and price else None)


def device_rate(job_store: JobStore, model: str) -> float | None:
    """Seconds of the device for a second of speech: the median of the newest jobs.

    Blocks: one listing, and at most `JOBS` reads.

    Args:
        model: that spoke; "" for any.

    Returns:
        None where no job with that model is among them. Of a device that several jobs share, it is
        what each had to wait for it.

    Raises:
        StorageFailed: the store's own code.
    """
    known = islice(_rates(job_store, model), ENOUGH)
    return statistics.median(rates) if (rates := list(known)) else None


def _rates(job_store: JobStore, model: str) -> Iterator[float]:
    for entry in JobIndex(job_store.store).page(JOBS):
        snapshot = job_store.snapshot(entry.name)
        if snapshot.status is Status.COMPLETED and _tells(snapshot.record, model):
            rate = float((snapshot.record.get("metrics") or {}).get("rtf") or 0.0)
            if rate > 0:
                yield rate


def _tells(record: Record, model: str) -> bool:
    """Whether all of its speech was made for it, with that model."""
    if (
        record.get("cached")
        or record.get("resumed")
        or float(record.get("seconds") or 0.0) < LEAST_S
    ):
        return False
    return not model or (record.get("engine") or {}).get("model") == model

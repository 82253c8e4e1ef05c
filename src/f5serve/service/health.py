"""Health of store and machine, checked side by side with time limits.

Many callers share one check for a while; the answer says how old it is. A probe uses one thread, so
a check that never returns holds one thread and no caller.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from f5serve.doctor.checks_services import unreadable_records
from f5serve.doctor.report import Report, health_summary
from f5serve.errors import F5Error
from f5serve.jobs.record_reader import UnreadableRecords
from f5serve.store.bounded import BoundedStore

if TYPE_CHECKING:
    from f5serve.service.service import SpeechService

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ProbeResult(Generic[T]):
    """What the last look that ended has found.

    Attributes:
        value: None before the first one.
        age_s: seconds since it ended; None before the first one.
        is_late: whether a newer look has been at it for longer than callers wait.
    """

    value: T | None
    age_s: float | None
    is_late: bool


class Probe(Generic[T]):
    """Looks when it is asked and the last answer is old; any thread may request.

    Args:
        name: of its thread.
        look: may block as long as it likes.
        ttl_s: how long an answer counts.
        timeout_s: longest wait of a caller, counted from when the look began.
    """

    def __init__(self, name: str, look: Callable[[], T], ttl_s: float, timeout_s: float) -> None:
        self._name = name
        self._look = look
        self._ttl_s = ttl_s
        self._timeout_s = timeout_s
        self._lock = threading.Lock()  # never held while something is looked at
        self._running: Future[None] | None = None
        self._began = 0.0
        self._value: T | None = None
        self._ended: float | None = None

    async def get(self) -> ProbeResult[T]:
        """The newest answer; waits for the look under way, within its patience."""
        running = self._begin()
        if running is not None and (left_s := self._left_s()) > 0:
            await asyncio.wait({asyncio.wrap_future(running)}, timeout=left_s)
        return self._seen()

    def get_blocking(self) -> ProbeResult[T]:
        """As `get`, for threads."""
        running = self._begin()
        if running is not None and (left_s := self._left_s()) > 0:
            concurrent.futures.wait({running}, timeout=left_s)
        return self._seen()

    def _left_s(self) -> float:
        return self._began + self._timeout_s - time.monotonic()

    def _begin(self) -> Future[None] | None:
        """The look that is to be waited for, begun if need be; None while the last one counts."""
        with self._lock:
            now = time.monotonic()
            if self._running is None:
                if self._ended is not None and now - self._ended < self._ttl_s:
                    return None
                running: Future[None] = Future()
                # A thread of its own, which holds up neither other work nor the end of the process.
                thread = threading.Thread(
                    target=self._look_once, args=(running,), name=self._name, daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # the system has no more threads for us; the next one tries
                    _log.warning("%s: there is no thread for a look", self._name)
                    return None
                self._began, self._running = now, running
            return self._running

    def _look_once(self, running: Future[None]) -> None:
        try:
            value: T | None = self._look()
        except Exception:  # noqa: BLE001 - the answer says nothing, the log what failed
            _log.exception("%s: a look has failed", self._name)
            value = None
        with self._lock:
            self._value, self._ended, self._running = value, time.monotonic(), None
        if running.set_running_or_notify_cancel():
            running.set_result(None)

    def _seen(self) -> ProbeResult[T]:
        with self._lock:
            now = time.monotonic()
            is_late = self._running is not None and now - self._began >= self._timeout_s
            return ProbeResult(
                self._value, None if self._ended is None else now - self._ended, is_late
            )


HEALTH_S = 3.0
"""Longest wait for store and machine."""

STORE_TTL_S = 5.0
"""How long a look at the store counts."""

MACHINE_TTL_S = 30.0
"""How long a look at the machine counts."""

WRITE_AGAIN_S = 300.0
"""Where nothing else was written for so long, health writes: a full disk can still be read."""

MAX_TRIED_BYTES = 1 << 20
"""Most that is written to find out whether what did not fit fits now."""

KEY = "_meta/health"


class HealthChecks:
    """The looks of one process; used within one event loop.

    Args:
        damage: records that could not be read, which are findings as well.
        ttl_s: see STORE_TTL_S.
    """

    def __init__(
        self,
        store: BoundedStore,
        examine: Callable[[], Report],
        damage: UnreadableRecords,
        ttl_s: float = STORE_TTL_S,
    ) -> None:
        self._damage = damage
        self._store = Probe("f5-health", lambda: check_store(store), ttl_s, HEALTH_S)
        self._machine = Probe(
            "f5-doctor", lambda: health_summary(examine()), MACHINE_TTL_S, HEALTH_S
        )

    async def get(self) -> dict[str, Any]:
        """`store`: ok, slow, or the code of what is wrong; `doctor` and `disk`: see
        `health_summary`, None while they are not known; `age_s`: how old these answers are.
        """
        store, machine = await asyncio.gather(self._store.get(), self._machine.get())
        report = {**(machine.value or {"doctor": None, "disk": None})}
        if report["doctor"] is not None:
            found = unreadable_records(self._damage.counts(), self._damage.first())
            report["doctor"] = [*report["doctor"], *(finding.public() for finding in found)]
        ages = {"store": _age(store), "machine": _age(machine)}
        state = "slow" if store.is_late or store.value is None else store.value
        return {"store": state, **report, "age_s": ages}


def check_store(store: BoundedStore) -> str:
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


def _age(seen: ProbeResult[Any]) -> float | None:
    return None if seen.age_s is None else round(seen.age_s, 1)


def overall_status(model: str, store: str, down: list[str]) -> str:
    """loading, failed, ok or degraded, from the states of model, store and background tasks."""
    if model != "ready":
        return "failed" if model == "failed" else "loading"
    return "ok" if store == "ok" and not down else "degraded"


async def answer_health(
    service: SpeechService, payload: Mapping[str, Any], owner: str
) -> dict[str, Any]:
    """Version, state, queue and findings of this process."""
    runtime, model = service.runtime, service.runtime.executor.health()
    seen = await runtime.health_checks.get()
    wait_s, start = runtime.admission.backlog_s, runtime.options.start
    return {
        "status": overall_status(model["state"], seen["store"], runtime.background.down),
        **service.job_store.program,
        "model": model,
        "models": runtime.executor.models.health(),
        "store": seen.pop("store"),
        "device": runtime.executor.description,
        "queue": {
            "jobs": sum(each.running for each in runtime.services),
            "waiting": runtime.executor.waiting,
            "estimated_s": None if wait_s is None else round(wait_s, 1),
        },
        "background": runtime.background.health(),
        "metrics": runtime.metrics.summary(runtime.executor.counters()),
        **seen,
        "start": start() if start else None,
    }

"""The models of one process: loaded when they are asked for, let go when memory is needed.

    name or language -> ModelLease -> loaded, or loading in a thread -> Synthesizer

A model that is in use is never let go. Loads take turns, in a thread that lets others go first.
Used within one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from f5serve.errors import F5Error, InvalidRequest
from f5serve.process import lower_priority
from f5serve.synthesis.synthesizer import Synthesizer

_log = logging.getLogger(__name__)

NICER = 10
"""By how much the loading thread lets others go first."""

COUNTS = {
    "f5_model_loads_total": "Models that were loaded after the first one.",
    "f5_model_load_failures_total": "Loads of these that failed.",
    "f5_model_evictions_total": "Models that were let go, so that others could be loaded.",
}
"""What a pool counts, by the names of their metrics."""

OnLoaded = Callable[[float], None]
"""Called with the share of a download that is done, 0..1."""


class ModelSource(Protocol):
    """Models that may be loaded beside the first one."""

    @property
    def names(self) -> Sequence[str]:
        """In the order in which they are chosen by language; the first one is loaded first."""
        ...

    @property
    def memory_bytes(self) -> int:
        """What all models that are loaded may take; 0 for no limit. It may read the device."""
        ...

    @property
    def preloaded(self) -> Sequence[str]:
        """Those that are loaded at the start."""
        ...

    def speaks(self, name: str, language: str) -> bool:
        """Whether a model is for the language with that primary subtag."""
        ...

    def needs_bytes(self, name: str) -> int:
        """About what a model will take that was not loaded yet."""
        ...

    def load(self, name: str, on_loaded: OnLoaded) -> Synthesizer:
        """Load a model; blocks.

        Raises:
            F5Error: as `startup.load`.
        """
        ...


@dataclass(slots=True, eq=False)
class _Slot:
    """A model that was asked for.

    Attributes:
        loading: until it is let go; None before and after.
        users: leases of it that are ready.
        leaves: set while it is to go as soon as nothing uses it; new leases wait until it is gone,
            so that a model that is in demand all the time keeps no other one out.
        memory_bytes: what it was measured to take; 0 before it was loaded once.
        load_s: how long its last load took.
        failure: why the last load failed.
    """

    name: str
    loading: Future[Synthesizer] | None = None
    users: int = 0
    leaves: asyncio.Event | None = None
    used_at: float = 0.0
    began_at: float = 0.0
    share: float = 0.0
    memory_bytes: int = 0
    load_s: float = 0.0
    failure: BaseException | None = None

    @property
    def loaded(self) -> Synthesizer | None:
        loading = self.loading
        if loading is None or not loading.done() or loading.cancelled() or loading.exception():
            return None
        return loading.result()

    @property
    def state(self) -> str:
        if (synthesizer := self.loaded) is not None:
            return "failed" if synthesizer.engine.broken else "loaded"
        if self.loading is not None and not self.loading.done():
            return "loading"
        return "failed" if self.failure else "unloaded"

    @property
    def left_s(self) -> float | None:
        """Seconds until it is loaded, by its progress or its last load; None: not known."""
        passed = time.monotonic() - self.began_at
        if self.share:
            return passed * (1 - self.share) / self.share
        return max(0.0, self.load_s - passed) if self.load_s else None


@dataclass(slots=True, eq=False)
class ModelLease:
    """A model that is not let go before the lease ends, from when it was asked to be ready."""

    _pool: ModelPool
    _slot: _Slot
    _name: str
    _holds: bool = False

    async def ready(self, wait: bool = True) -> Synthesizer:
        """The model, once it is loaded.

        Raises:
            InvalidRequest: MODEL_NOT_LOADED, where another one was loaded in its place.
            F5Error: why it cannot be loaded; MODEL_LOADING at once, without `wait`.
        """
        slot = self._slot
        while slot.leaves is not None and wait and not self._holds:
            await slot.leaves.wait()
        loading = self._pool.begin(slot)
        if not wait and (slot.leaves is not None or not loading.done()):
            raise _still_loading(slot)
        if not self._holds:
            slot.users, self._holds = slot.users + 1, True
        made = await asyncio.shield(asyncio.wrap_future(loading))
        if self._name and made.engine.model != self._name:
            raise self._pool.not_loaded(self._name)
        return made

    def end(self) -> None:
        """Let the model be let go."""
        self._slot.users -= self._holds
        self._holds = False

    @property
    def share(self) -> float:
        """How much of its download is done, 0..1."""
        return self._slot.share


class ModelPool:
    """Loads models and lets them go.

    Args:
        load_first: loads the model that speaks where a request names none; called once.
        source: other models, and the first one once it was let go; None: there are no others.

    Attributes:
        counts: see `COUNTS`.
    """

    def __init__(
        self, load_first: Callable[[], Future[Synthesizer]], source: ModelSource | None = None
    ) -> None:
        self._load_first: Callable[[], Future[Synthesizer]] | None = load_first
        self._source = source
        self._first = _Slot("")
        self._others: dict[str, _Slot] = {}
        self._thread = ThreadPoolExecutor(1, "load", initializer=lower_priority, initargs=(NICER,))
        self._turn = asyncio.Lock()
        self._left = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts = dict.fromkeys(COUNTS, 0)

    @property
    def names(self) -> tuple[str, ...]:
        """What a request may name; the first may turn out to be another one once it is loaded."""
        names = tuple(self._source.names) if self._source else ()
        if self._first.name:
            names = (self._first.name, *names[1:])
        return tuple(dict.fromkeys(names))

    @contextmanager
    def lease(self, model: str = "", language: str = "") -> Iterator[ModelLease]:
        """Hold the model of that name, or the one for a language; without both the first one.

        Args:
            language: a BCP 47 tag; the first model speaks what no other one is for.

        Raises:
            InvalidRequest: MODEL_NOT_LOADED.
        """
        slot = self._slot(model, language)
        lease = ModelLease(self, slot, model)
        try:
            yield lease
        finally:
            lease.end()
            slot.used_at = time.monotonic()
            self._left.set()

    def begin(self, slot: _Slot | None = None) -> Future[Synthesizer]:
        """Start loading a model, the first one without a name, if that has not begun."""
        slot = slot or self._first
        if slot.loading is not None:
            return slot.loading
        slot.began_at, slot.share, slot.failure = time.monotonic(), 0.0, None
        if slot is self._first and self._load_first is not None:
            slot.loading, self._load_first = self._load_first(), None
            slot.loading.add_done_callback(self._first_ended)
        else:
            slot.loading = Future()
            task = asyncio.get_running_loop().create_task(self._load(slot, slot.loading))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return slot.loading

    def preload(self, names: Sequence[str]) -> None:
        """Begin to load models that are wanted at the start."""
        for name in names:
            self.begin(self._slot(name, ""))

    @property
    def slots(self) -> list[_Slot]:
        """All that were asked for, the first one first."""
        return [self._first, *self._others.values()]

    @property
    def first(self) -> _Slot:
        """The model that speaks where a request names none."""
        return self._first

    @property
    def loaded(self) -> list[Synthesizer]:
        """All that are loaded."""
        return [slot.loaded for slot in self.slots if slot.loaded is not None]

    @property
    def memory_bytes(self) -> int:
        """What all that are loaded take; parts that they share count once."""
        found: dict[int, int] = {}
        for synthesizer in self.loaded:
            found.update(synthesizer.engine.memory())
        return sum(found.values())

    def health(self) -> list[dict[str, Any]]:
        """State of each model: loaded, loading, failed or unloaded."""
        names = self.names
        asked = {slot.name or next(iter(names), ""): slot for slot in self.slots}
        return [_described(name, asked.get(name, _Slot(name))) for name in names]

    def close(self) -> None:
        """Begin no more loads; what is under way ends by itself."""
        for task in self._tasks:
            task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _slot(self, name: str, language: str) -> _Slot:
        source = self._source
        names = source.names if source else ()
        if source and language and not name:
            primary = language.partition("-")[0].lower()
            name = next((one for one in names if source.speaks(one, primary)), "")
        if name in ("", self._first.name, *names[:1]) or not (self._first.name or name in names):
            return self._first  # `ready` looks whether it is the one
        if name not in names:
            raise self.not_loaded(name)
        return self._others.setdefault(name, _Slot(name))

    def not_loaded(self, name: str) -> InvalidRequest:
        """The error of a request for a model that is none of this process."""
        return InvalidRequest(
            f"This worker speaks with {' or '.join(self.names)}, not with {name[:60]!r}.",
            code="MODEL_NOT_LOADED",
            hint="Leave model out, or name it in F5_MODELS of the worker.",
        )

    def _first_ended(self, loading: Future[Synthesizer]) -> None:
        slot = self._first
        if not loading.cancelled() and loading.exception() is None:
            engine = loading.result().engine
            slot.name, slot.memory_bytes = engine.model, sum(engine.memory().values())
            slot.load_s = time.monotonic() - slot.began_at
            slot.used_at = time.monotonic()

    async def _load(self, slot: _Slot, loading: Future[Synthesizer]) -> None:
        assert self._source is not None
        try:
            async with self._turn:
                await self._make_room(slot.memory_bytes or self._source.needs_bytes(slot.name))
                slot.began_at = time.monotonic()
                run = asyncio.get_running_loop().run_in_executor
                made = await run(self._thread, self._source.load, slot.name, slot_reporter(slot))
                slot.load_s = time.monotonic() - slot.began_at
                slot.memory_bytes = sum(made.engine.memory().values())
                slot.used_at = time.monotonic()
                self.counts["f5_model_loads_total"] += 1
                loading.set_result(made)
        except BaseException as error:
            self.counts["f5_model_load_failures_total"] += 1
            slot.failure, slot.loading = error, None
            loading.set_exception(error)
            if isinstance(error, asyncio.CancelledError):
                raise
            _log.warning("%s cannot be loaded: %s", slot.name, error)
        else:
            _log.info(
                "model: %s, %s; %.1f s, %d MB",
                *(slot.name, made.engine.description, slot.load_s, slot.memory_bytes >> 20),
            )

    async def _make_room(self, needed: int) -> None:
        """Let models go until there is room for so many bytes, or nothing is left to let go."""
        assert self._source is not None
        budget = self._source.memory_bytes
        while budget and self.loaded and self.memory_bytes + needed > budget:
            there = [slot for slot in self.slots if slot.loaded is not None and slot.memory_bytes]
            if not there:
                return
            slot = min(there, key=lambda slot: (bool(slot.users), slot.used_at))
            slot.leaves = slot.leaves or asyncio.Event()
            try:
                while slot.users:
                    self._left.clear()
                    await self._left.wait()
                self._let_go(slot)
            finally:
                slot.leaves.set()
                slot.leaves = None

    def _let_go(self, slot: _Slot) -> None:
        assert slot.loading is not None
        engine = slot.loading.result().engine
        slot.loading = None
        self.counts["f5_model_evictions_total"] += 1
        engine.close()
        _log.info("model: %s was let go", slot.name)


def slot_reporter(slot: _Slot) -> OnLoaded:
    """Notes how far a load is; called in its thread."""

    def report(share: float) -> None:
        slot.share = share

    return report


def _described(name: str, slot: _Slot) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "state": slot.state}
    if slot.loaded is not None:
        found |= {"memory_mb": slot.memory_bytes >> 20, "requests": slot.users}
    if slot.state == "loading":
        found |= {"progress": round(slot.share, 3), "left_s": _rounded(slot.left_s)}
    if slot.failure is not None:
        error = slot.failure
        found["failure"] = error.as_dict() if isinstance(error, F5Error) else {"code": "INTERNAL"}
    return found


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _still_loading(slot: _Slot) -> F5Error:
    left_s = slot.left_s
    when = "" if left_s is None else f"; it takes about {left_s:.0f} s more"
    return F5Error(
        f"The model {slot.name or 'of this process'} is being loaded{when}.",
        code="MODEL_LOADING",
        hint="Send the request again then, or let it wait.",
        retryable=True,
    )

"""Threads for inference and for blocking calls.

`InferenceExecutor` loads the model once. With an engine that batches, each request has a thread of
its own, in which it is also joined and encoded; with any other engine they take turns in one.
`Pools` has a bounded executor for each kind of blocking call, so that slow listings do not hold up
speech. A caller that finds the queue full, or waits too long in it, gets BUSY.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from f5serve.errors import F5Error
from f5serve.process import lower_priority
from f5serve.service.model_pool import ModelPool, ModelSource
from f5serve.store.scratch import ScratchFile
from f5serve.synthesis.hooks import SynthesisHooks
from f5serve.synthesis.result import SpeechResult
from f5serve.synthesis.speech_plan import SpeechPlan
from f5serve.synthesis.synthesizer import Synthesizer

T = TypeVar("T")

WAIT_S = 10.0
"""Longest wait for a thread, seconds; then BUSY, so that the caller tries again later."""


WRITE_WAIT_S = 3_600.0
"""Longest wait for a thread that writes a whole book: another one may take that long."""


class BoundedExecutor:
    """A thread pool with a bounded queue; thread-safe.

    A started call ends, even if no caller waits for it any more, and keeps its thread until
    then.

    Args:
        what: what its calls do, for errors: "N {what} are under way".
        threads: calls that run side by side.
        waiting: calls that may wait for a thread.
        wait_s: longest wait.
    """

    def __init__(self, what: str, threads: int, waiting: int, wait_s: float = WAIT_S) -> None:
        self._what = what
        self._threads = threads
        self._most = threads + waiting
        self._wait_s = wait_s
        self._pool = ThreadPoolExecutor(threads, what.replace(" ", "-"))
        self._lock = threading.Lock()
        self._taken = 0

    def __len__(self) -> int:
        """Calls that run or wait."""
        return self._taken

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """What the call returns, or raises.

        Raises:
            F5Error: BUSY, where the queue is full or no thread is free in time.
        """
        may_wait = self._taken >= self._threads
        future = self.submit(call, *args, most=self._most)
        waiter = asyncio.wrap_future(future)
        if may_wait:
            try:
                await asyncio.wait({waiter}, timeout=self._wait_s)
            except asyncio.CancelledError:
                waiter.cancel()
                raise
            if not future.running() and future.cancel():
                raise self._busy()
        return await waiter

    async def finish(self, call: Callable[..., T], *args: Any) -> T:
        """As `run` for work that was begun, which is never refused however long the queue is."""
        return await asyncio.wrap_future(self.submit(call, *args))

    def close(self) -> None:
        """Take no more calls; those that are under way end by themselves."""
        self._pool.shutdown(wait=False)

    def submit(self, call: Callable[..., T], *args: Any, most: int | None = None) -> Future[T]:
        """As `finish`, for threads; with `most`, refused as by `run` where so many are taken."""
        with self._lock:
            if most is not None and self._taken >= most:
                raise self._busy()
            self._taken += 1
        try:
            # Logs of the thread name the same request as those of its caller.
            future = self._pool.submit(contextvars.copy_context().run, call, *args)
        except RuntimeError:  # closed
            self._leave()
            raise
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _: object = None) -> None:
        with self._lock:
            self._taken -= 1

    def _busy(self) -> F5Error:
        return F5Error(
            f"{self._taken:,} {self._what} are running or waiting here.",
            code="BUSY",
            hint="Send it again in a few seconds.",
            retryable=True,
        )


class Pools:
    """The executors of one process; docs/decisions/0032-pools-and-deadlines.md gives the reasons.

    Attributes:
        jobs: claims, signs of life, results and records of jobs at work.
        voices: voices and earlier results that speech is asked in.
        utterances: finished utterances of long jobs, kept for the next attempt.
        queue: looks for jobs that others have left.
        lookups: one job or one voice.
        listings: all jobs, voices or models.
        downloads: files of jobs, part by part.
        recordings: recordings that are made voices of.
        alignments: recordings whose words are timed.
        transcriptions: recordings whose words are found; they take turns, piece by piece.
        books: books that are read and begun.
        book_files: whole books that are written as one file.
        encoders: speech that is streamed.
        metrics: collecting what is counted.
        checks: what must be right at the start.
        upkeep: erasures, and the removal of unreferenced objects.
    """

    def __init__(self) -> None:
        self.jobs = BoundedExecutor("steps of jobs", 32, 4096)
        self.voices = BoundedExecutor("looks at voices", 32, 4096)
        self.utterances = BoundedExecutor("utterances to keep", 8, 4096)
        self.queue = BoundedExecutor("looks into the queue", 2, 64)
        self.lookups = BoundedExecutor("look-ups", 16, 256)
        self.listings = BoundedExecutor("listings", 8, 64)
        self.downloads = BoundedExecutor("downloads", 16, 256)
        self.recordings = BoundedExecutor("recordings", 4, 60)
        self.alignments = BoundedExecutor("alignments", 2, 30)
        self.transcriptions = BoundedExecutor("transcriptions", 4, 28)
        self.books = BoundedExecutor("books", 2, 32)
        self.book_files = BoundedExecutor("files of books", 1, 16, wait_s=WRITE_WAIT_S)
        self.encoders = BoundedExecutor("streams", 16, 4096)
        self.metrics = BoundedExecutor("looks at the metrics", 2, 16)
        self.checks = BoundedExecutor("checks", 2, 16)
        self.upkeep = BoundedExecutor("erasures", 2, 8)

    def close(self) -> None:
        """Take no more calls; those that are under way end by themselves."""
        for pool in vars(self).values():
            pool.close()


REQUEST_THREADS = 256
"""Most requests that an engine is given at once; others wait, first come first served, so a short
one would wait behind long ones. Threads sleep while the engine works, and begin when needed."""


NICER = 5
"""By how much request threads let others go first: they encode, while the event loop answers
everybody and the engine's own thread feeds the device."""


@dataclass(frozen=True, slots=True)
class InferenceResult:
    """A result, when work on it began (`time.perf_counter()`) and the seconds it took."""

    result: SpeechResult
    began: float
    seconds: float


class InferenceExecutor:
    """Runs synthesis in threads, with one of the models that are loaded.

    Args:
        load_speech: called once, in the thread that speaks where there is one.
        source: models beside that one.

    Attributes:
        models: an error of loading the first one is raised to every caller.
    """

    def __init__(
        self, load_speech: Callable[[], Synthesizer], source: ModelSource | None = None
    ) -> None:
        self._one = ThreadPoolExecutor(1, "device")  # its thread starts with the first work
        self._many = ThreadPoolExecutor(
            REQUEST_THREADS, "request", initializer=lower_priority, initargs=(NICER,)
        )
        self.models = ModelPool(partial(self._one.submit, load_speech), source)
        self._counters: Mapping[str, float] = {}
        self._waiting: set[Future[InferenceResult]] = set()

    def submit(
        self, speech: Synthesizer, plan: SpeechPlan, scratch: ScratchFile, hooks: SynthesisHooks
    ) -> Future[InferenceResult]:
        """Synthesize into a file.

        Args:
            speech: of a `ModelLease` that lasts as long.
        """

        def timed() -> InferenceResult:
            began = time.perf_counter()
            with scratch.writing(), scratch.open() as file:
                result = speech.synthesize_to_file(plan, file, hooks)
            return InferenceResult(result, began, time.perf_counter() - began)

        pool = self._many if speech.engine.concurrent else self._one
        future = pool.submit(timed)
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)  # in its thread; one step of the set
        return future

    def health(self) -> dict[str, Any]:
        """Name and state (waiting, loading, ready, failed) of the model that speaks where a request
        names none, and why it failed."""
        loading = self.models.first.loading
        if self.models.first.name and (loading is None or not loading.done()):
            # It was let go for others, and comes back when it is asked for.
            return {"name": self.models.first.name, "state": "ready", "engine": "f5"}
        if loading is None or not loading.done():
            return {"name": "", "state": "loading" if loading else "waiting"}
        error = loading.exception(0)
        if error is None:
            engine = loading.result(0).engine
            state = "failed" if engine.broken else "ready"
            return {"name": engine.model, "state": state, "engine": engine.kind}
        failure = error.as_dict() if isinstance(error, F5Error) else {"code": "INTERNAL"}
        return {"name": "", "state": "failed", "failure": failure}

    @property
    def description(self) -> str:
        """The engine's own line on device and precision; "" before it is loaded."""
        speech = self.loaded
        return speech.engine.description if speech else ""

    @property
    def loaded(self) -> Synthesizer | None:
        """The Synthesizer of requests that name no model, if it is there already."""
        return self.models.first.loaded

    @property
    def broken(self) -> bool:
        """Whether only a new process can speak again."""
        return any(speech.engine.broken for speech in self.models.loaded)

    @property
    def is_shared(self) -> bool:
        """Whether requests are spoken side by side, so that times are no costs."""
        speech = self.loaded
        return speech is not None and speech.engine.concurrent

    def counters(self) -> Mapping[str, float]:
        """See `types.Engine.counters`; empty before the model is loaded."""
        for speech in self.models.loaded:  # models on one device count together
            self._counters = speech.engine.counters()
            break
        return self._counters

    @property
    def waiting(self) -> int:
        """Requests that are being spoken or wait for it."""
        return len(self._waiting)

    def close(self) -> None:
        """Take no more work; what is running ends by itself."""
        self.models.close()
        for pool in (self._one, self._many):
            pool.shutdown(wait=False, cancel_futures=True)

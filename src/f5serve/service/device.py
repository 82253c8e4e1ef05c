"""Where speech is computed: the model is loaded once, requests are spoken in threads.

With an engine that works on several calls together each request has a thread of its own, in which
it is also joined and encoded; with any other they take turns in one. Requests flow in, results flow
out as futures. What loading means comes from outside; jobs and stores are not known here.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from f5serve.errors import F5Error
from f5serve.store.scratch import ScratchFile
from f5serve.synthesis.speech import Speech
from f5serve.synthesis.watch import Watch
from f5serve.types import SpeechRequest, SpeechResult
from f5serve.waits import lower_priority

REQUEST_THREADS = 256
"""Most requests that an engine is given at once; others wait, first come first served, so a short
one would wait behind long ones. Threads sleep while the engine works, and begin when needed."""


NICER = 5
"""By how much request threads let others go first: they encode, while the event loop answers
everybody and the engine's own thread feeds the device."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A result, when work on it began (`time.perf_counter()`) and the seconds it took."""

    result: SpeechResult
    began: float
    seconds: float


class Device:
    """Owns the threads. What cannot be loaded is told to every caller.

    Args:
        load_speech: called once, in the thread that speaks where there is one.
    """

    def __init__(self, load_speech: Callable[[], Speech]) -> None:
        self._load_speech = load_speech
        self._one = ThreadPoolExecutor(1, "device")  # its thread starts with the first work
        self._many = ThreadPoolExecutor(
            REQUEST_THREADS, "request", initializer=lower_priority, initargs=(NICER,)
        )
        self._loading: Future[Speech] | None = None
        self._waiting = 0
        self._lock = threading.Lock()

    def begin(self) -> Future[Speech]:
        """Start loading, if it has not been started."""
        if self._loading is None:
            self._loading = self._one.submit(self._load_speech)
        return self._loading

    async def speech(self) -> Speech:
        """The loaded Speech; waits for it.

        Raises:
            F5Error: why it could not be loaded.
        """
        return await asyncio.shield(asyncio.wrap_future(self.begin()))

    def say(
        self, request: SpeechRequest, scratch: ScratchFile, job_id: str, watch: Watch
    ) -> Future[Spoken]:
        """Speak into a file at the engine's next opportunity; call after `speech` has returned."""
        speech = self.begin().result(0)

        def timed() -> Spoken:
            began = time.perf_counter()
            with scratch.writing(), scratch.open() as file:
                result = speech.write(request, file, job_id, watch)
            return Spoken(result, began, time.perf_counter() - began)

        self._count(1)
        pool = self._many if speech.engine.concurrent else self._one
        future = pool.submit(timed)
        future.add_done_callback(lambda _: self._count(-1))
        return future

    def health(self) -> dict[str, Any]:
        """Name and state (waiting, loading, ready, failed) of the model, and why it failed."""
        if self._loading is None or not self._loading.done():
            return {"name": "", "state": "loading" if self._loading else "waiting"}
        error = self._loading.exception(0)
        if error is None:
            engine = self._loading.result(0).engine
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
    def loaded(self) -> Speech | None:
        """The Speech, if it is there already."""
        loading = self._loading
        if loading is None or not loading.done() or loading.cancelled() or loading.exception():
            return None
        return loading.result()

    @property
    def broken(self) -> bool:
        """Whether only a new process can speak again."""
        speech = self.loaded
        return speech is not None and speech.engine.broken

    @property
    def is_shared(self) -> bool:
        """Whether requests are spoken side by side, so that times are no costs."""
        speech = self.loaded
        return speech is not None and speech.engine.concurrent

    def counters(self) -> Mapping[str, float]:
        """See `types.Engine.counters`; empty before the model is loaded."""
        speech = self.loaded
        return speech.engine.counters() if speech else {}

    @property
    def waiting(self) -> int:
        """Requests that are being spoken or wait for it."""
        return self._waiting

    def close(self) -> None:
        """Take no more work; what is running ends by itself."""
        for pool in (self._one, self._many):
            pool.shutdown(wait=False, cancel_futures=True)

    def _count(self, more: int) -> None:
        with self._lock:  # futures end in many threads
            self._waiting += more

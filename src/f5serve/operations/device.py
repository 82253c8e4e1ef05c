"""The one thread that computes: it loads the model, then speaks one request after the other.

Requests flow in, results flow out as futures. What loading means comes from outside; jobs and
stores are not known here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from f5serve.errors import F5Error
from f5serve.speech import Speech
from f5serve.types import SpeechRequest, SpeechResult
from f5serve.watch import Watch


class Device:
    """Owns the thread. What cannot be loaded is told to every caller.

    Args:
        load_speech: called once, in the thread.
    """

    def __init__(self, load_speech: Callable[[], Speech]) -> None:
        self._load_speech = load_speech
        self._pool = ThreadPoolExecutor(1, "device")  # its thread starts with the first work
        self._loading: Future[Speech] | None = None
        self._waiting = 0

    def begin(self) -> Future[Speech]:
        """Start loading, if it has not been started."""
        if self._loading is None:
            self._loading = self._pool.submit(self._load_speech)
        return self._loading

    async def speech(self) -> Speech:
        """The loaded Speech; waits for it.

        Raises:
            F5Error: why it could not be loaded.
        """
        return await asyncio.shield(asyncio.wrap_future(self.begin()))

    def say(
        self,
        request: SpeechRequest,
        job_id: str,
        on_progress: Callable[[int, int], None],
        check: Callable[[], None],
    ) -> Future[tuple[SpeechResult, float]]:
        """Speak when all that came before is done; call after `speech` has returned.

        Returns:
            The result, and the seconds it took without the time it waited.
        """
        speech = self.begin().result(0)

        def timed() -> tuple[SpeechResult, float]:
            began = time.perf_counter()
            result = speech.say(request, job_id, Watch(on_progress, check=check))
            return result, time.perf_counter() - began

        self._waiting += 1
        future = self._pool.submit(timed)
        future.add_done_callback(self._one_less)
        return future

    def health(self) -> dict[str, Any]:
        """Name and state (waiting, loading, ready, failed) of the model, and why it failed."""
        if self._loading is None or not self._loading.done():
            return {"name": "", "state": "loading" if self._loading else "waiting"}
        error = self._loading.exception(0)
        if error is None:
            engine = self._loading.result(0).engine
            return {"name": engine.model, "state": "ready", "engine": engine.kind}
        failure = error.as_dict() if isinstance(error, F5Error) else {"code": "INTERNAL"}
        return {"name": "", "state": "failed", "failure": failure}

    @property
    def description(self) -> str:
        """The engine's own line on device and precision; "" before it is loaded."""
        ready = self.health()["state"] == "ready"
        return self.begin().result(0).engine.description if ready else ""

    @property
    def waiting(self) -> int:
        """Requests that are being spoken or wait for it."""
        return self._waiting

    def close(self) -> None:
        """Take no more work; what is running ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _one_less(self, _: Future[tuple[SpeechResult, float]]) -> None:
        self._waiting -= 1

"""A worker that beeps: the real door, loop, SDK and main path, with a tone instead of a model.

    python -m tests.worker.tone_worker --cost-s 0.5 --load-s 2 [the SDK's arguments]

An input may also name `fault`, one of the ways in which an operation can go wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from f5serve.errors import InvalidRequest, KeyMissing
from f5serve.settings import Settings
from f5serve.speech import Speech
from f5serve.standin.tone import Tone
from f5serve.store.folder import FolderStore
from f5serve.transports import runpod_worker
from f5serve.transports.runpod_queue import RunPodQueue
from f5serve.transports.runpod_worker import OnProgress
from f5serve.types import SpeechRequest, Voice, Wave


class Ended(BaseException):
    """Ends the engine's work from within."""


class ToneOperations:
    """Operations in small: tts over the main path, status from the store, faults on demand."""

    def __init__(self, settings: Settings, cost_s: float, load_s: float) -> None:
        self._store = FolderStore(Path(urlsplit(settings.store).path))
        self._queue = RunPodQueue(
            settings.runpod_api, settings.runpod_endpoint, settings.runpod_key
        )
        self._speech = Speech(Tone(cost_s=cost_s))
        self._load_s = load_s
        self._loaded = threading.Event()
        self._device = threading.Lock()
        self._working: set[threading.Event] = set()
        self._closing = False

    def begin(self) -> None:
        """Load the model, which takes its time."""
        threading.Thread(target=self._load, daemon=True).start()

    def _load(self) -> None:
        time.sleep(self._load_s)
        self._loaded.set()

    async def answer(
        self, payload: Mapping[str, Any], job_id: str, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """See `runpod_worker.Answering`."""
        if "fault" in payload:
            return _go_wrong(str(payload["fault"]), payload)
        if payload.get("endpoint") == "status":
            return self._status(str(payload.get("job_id")))
        if payload.get("mode") == "async":
            again = {name: value for name, value in payload.items() if name != "mode"}
            return {"job_id": await self._queue(again), "status": "QUEUED"}
        stop = threading.Event()
        self._working.add(stop)
        try:
            return await asyncio.to_thread(self._say, payload, job_id, on_progress, stop)
        except asyncio.CancelledError:
            stop.set()
            self._record(job_id, {"status": "RELEASED" if self._closing else "CANCELLED"})
            raise
        finally:
            self._working.discard(stop)

    async def close(self, within_s: float) -> None:
        """See `runpod_worker.Answering`."""
        until = time.monotonic() + within_s
        while self._working and time.monotonic() < until:
            await asyncio.sleep(0.02)
        self._closing = True

    def _say(
        self,
        payload: Mapping[str, Any],
        job_id: str,
        on_progress: OnProgress | None,
        stop: threading.Event,
    ) -> dict[str, Any]:
        if "text" not in payload:
            raise InvalidRequest("Text input is required.", code="EMPTY_TEXT", hint="Send text.")
        self._loaded.wait()

        def check() -> None:
            if stop.is_set():
                self._record(job_id + "-ended", {"at": time.monotonic()})
                raise Ended

        def tell(done: int, of: int) -> None:
            if on_progress is not None:
                on_progress({"done": done, "of": of})

        voice = Voice("tone", Wave(_silence()), "Tone.", "0" * 64)
        try:
            with self._device:
                spoken = self._speech.say(
                    SpeechRequest(text=str(payload["text"]), voice=voice), job_id, tell, check
                )
        except Ended:
            return {}
        self._store.put(f"output/{job_id}.wav", spoken.audio)
        answer = {
            "job_id": job_id,
            "status": "COMPLETED",
            "audio_url": self._store.url(f"output/{job_id}.wav"),
            "sha256": hashlib.sha256(spoken.audio).hexdigest(),
            "duration": spoken.wave.duration_s,
        }
        self._record(job_id, answer)
        return answer

    def _record(self, job_id: str, record: dict[str, Any]) -> None:
        self._store.put(f"jobs/{job_id}.json", json.dumps(record).encode())

    def _status(self, job_id: str) -> dict[str, Any]:
        try:
            return dict(json.loads(self._store.get(f"jobs/{job_id}.json")))
        except KeyMissing:
            raise InvalidRequest("Invalid job_id.", code="INVALID_JOB_ID") from None


def _silence() -> Any:
    import numpy as np

    return np.zeros(24000, np.float32)


def _go_wrong(fault: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    if fault == "raise":
        raise RuntimeError(f"/srv/secret/path: {payload.get('note')}")
    if fault == "nan":
        return {"value": float("nan")}
    if fault == "object":
        return {"value": object()}
    if fault == "surrogate":
        raise InvalidRequest(f"Voice {payload.get('note')} is unknown.", code="X")
    return {"status": "success", "unknown": fault}


def main() -> None:
    """Parse our own arguments, leave the rest to the SDK."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cost-s", type=float, default=0.0)
    parser.add_argument("--load-s", type=float, default=0.0)
    parser.add_argument("--unfit", action="store_true")
    ours, theirs = parser.parse_known_args()
    settings = runpod_worker.prepare()

    def make() -> ToneOperations:
        operations = ToneOperations(settings, ours.cost_s, ours.load_s)
        operations.begin()
        return operations

    def disk() -> None:
        if ours.unfit:
            raise RuntimeError("the disk is full")

    runpod_worker.serve(make, settings, theirs, [disk])


if __name__ == "__main__":
    sys.exit(main())

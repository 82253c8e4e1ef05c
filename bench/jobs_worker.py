"""One worker of `bench/jobs.py`: jobs on standard input, answers on standard output, a line each.

The store comes from the environment, as for any worker. Two schemes speak the same lines: `records`
is ours; `memory` is the usual one, which answers at once, works in a thread and remembers statuses
in a dictionary.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from f5serve.errors import F5Error
from f5serve.fallback.tone import Tone
from f5serve.service import ServiceOptions, SpeechService
from f5serve.settings import Settings
from f5serve.store.base import ObjectStore
from f5serve.store.config import open_store
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import SpeechRequest
from f5serve.voices.libraries import open_library
from f5serve.voices.prepare import default_voice


class Answering(Protocol):
    """What both schemes can do."""

    async def answer(self, payload: Mapping[str, Any], job_id: str) -> dict[str, Any]: ...


class InMemory:
    """The usual scheme: a dictionary and a thread that outlives its request."""

    def __init__(self, store: ObjectStore, speech: Synthesizer) -> None:
        self._store = store
        self._speech = speech
        self._jobs: dict[str, dict[str, Any]] = {}

    async def answer(self, payload: Mapping[str, Any], job_id: str) -> dict[str, Any]:
        """QUEUED at once; status from the dictionary."""
        if payload.get("endpoint") == "status":
            return self._jobs.get(str(payload["job_id"]), {"status": "UNKNOWN"})
        self._jobs[job_id] = {"job_id": job_id, "status": "QUEUED"}
        threading.Thread(target=self._work, args=(dict(payload), job_id), daemon=True).start()
        return {"job_id": job_id, "status": "QUEUED"}

    def _work(self, payload: Mapping[str, Any], job_id: str) -> None:
        request = SpeechRequest(str(payload["text"]), default_voice())
        self._store.put(f"output/{job_id}.wav", self._speech.synthesize(request, job_id).audio)
        self._jobs[job_id] = {"job_id": job_id, "status": "COMPLETED"}


def make(args: argparse.Namespace, folder: str) -> Answering:
    """The scheme that was asked for."""
    settings = replace(Settings.from_environ(), data_dir=Path(folder))
    store = open_store(settings)
    speech = Synthesizer(Tone(cost_s=args.cost_s, s_per_byte=0.005))
    if args.scheme == "memory":
        return InMemory(store, speech)
    options = ServiceOptions(lease_s=args.lease_s, heartbeat_s=args.lease_s / 4)
    return SpeechService(store, open_library(settings, store), lambda: speech, settings, options)


async def serve(answering: Answering) -> None:
    """Answer every line until there are no more; jobs run beside one another."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    tasks: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = asyncio.create_task(answer_one(answering, json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks)


async def answer_one(answering: Answering, job: Mapping[str, Any]) -> None:
    """One line for one job."""
    try:
        said = await answering.answer(job["input"], job["id"])
    except F5Error as error:
        said = {**error.as_dict(), "retryable": error.retryable}
    print(json.dumps({"delivery": job["delivery"], "said": said}), flush=True)


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scheme", choices=["records", "memory"], default="records")
    parser.add_argument("--cost-s", type=float, default=0.05)
    parser.add_argument("--lease-s", type=float, default=2.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(serve(make(args, folder)))


if __name__ == "__main__":
    main()

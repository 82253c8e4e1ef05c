"""Does a worker that is never restarted stay as it was? Memory, threads and open files over time.

    python bench/soak.py                    60 s, as CI runs it
    python bench/soak.py --seconds 600      what a release is judged by

Two workers in this process, one with F5-TTS of few and narrow layers on random weights, one with
the test tone, answer requests of every kind from several clients at once: short, long, streamed,
hung up on, cancelled, out of time, refused, asked before, and those that need no model. Now and
then everybody pauses, and memory, threads and open files are taken down. Memory is compared between
the first and the last third of these pauses, which begin after a warm-up. The allocator is set as
in the image. Prints one JSON line; exits with 1 when something grew, or when a request ended
otherwise than it should.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from f5serve.build import stamp
from f5serve.errors import F5Error
from f5serve.fallback.tone import Tone
from f5serve.service import ServiceOptions, SpeechService
from f5serve.service.events import AudioChunk, DeliveryOptions
from f5serve.settings import Settings, limit_onednn_cache
from f5serve.store.local import LocalStore
from f5serve.synthesis.checkpoints import CheckpointPolicy
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import Engine
from f5serve.voices.library import VoiceLibrary

MAX_GROWTH = 0.02
WARM_SHARE = 0.3
PAUSES = 9
_STREAMED = DeliveryOptions(chunks=True)
ALLOCATOR = {"MALLOC_ARENA_MAX": "2"}
"""As the Dockerfile has it; read by the C library when the process starts."""

WORDS = ("the", "river", "runs", "past", "an", "old", "mill", "where", "nobody", "has", "worked")


@dataclass
class Seen:
    """What was measured while the clients ran."""

    asked: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    pauses: list[tuple[float, int, int]] = field(default_factory=list)


def small_engine() -> Engine:
    """F5-TTS with its whole path and little work in each step."""
    limit_onednn_cache()
    import torch

    from f5serve.engine import checkpoint
    from f5serve.engine.config import preset
    from f5serve.engine.engine import F5Engine
    from f5serve.engine.vocos import Vocos, random_tensors
    from f5serve.text.tokens import Vocab

    torch.set_num_threads(1)
    letters = [chr(code) for code in range(ord(" "), ord("~") + 1)]
    arch = replace(
        preset("F5TTS_v1_Base"),
        dim=64,
        depth=1,
        text_dim=32,
        conv_layers=1,
        vocab_size=len(letters) + 1,
    )
    placement = checkpoint.DeviceAndDtype(torch.device("cpu"), torch.float32)
    backbone, schedules = checkpoint.load_random(arch, placement, 0)
    vocos = Vocos.from_tensors(random_tensors(0, 32, 48, 1), placement.device)
    return F5Engine(backbone, schedules, vocos, Vocab(letters), "random:tiny")


class Clients:
    """Requests of every kind against one worker."""

    def __init__(self, worker: SpeechService, seen: Seen, name: str, seed: int) -> None:
        self._worker = worker
        self._seen = seen
        self._name = name
        self._random = random.Random(seed)
        self._numbers = itertools.count()
        self._kinds: dict[str, tuple[int, Callable[[str], Awaitable[None]]]] = {
            "short": (6, self._short),
            "long": (1, self._long),
            "stream": (2, self._stream),
            "hang-up": (2, self._hang_up),
            "cancel": (2, self._cancel),
            "out-of-time": (1, self._out_of_time),
            "refused": (2, self._refused),
            "again": (2, self._again),
            "other": (4, self._other),
        }

    async def fill_pools(self) -> None:
        """Have every thread made that there will ever be; else they come with the first peak."""
        pools = vars(self._worker.pools).values()
        await asyncio.gather(*(pool.finish(time.sleep, 0.2) for pool in pools for _ in range(40)))

    async def run(self, until: float) -> None:
        """Ask one thing after another."""
        names = list(self._kinds)
        weights = [weight for weight, _ in self._kinds.values()]
        while time.monotonic() < until:
            await self.ask(self._random.choices(names, weights)[0])

    async def ask(self, kind: str) -> None:
        """Ask one thing, and note when it ends otherwise than it should."""
        job = f"{self._name}-{next(self._numbers)}"
        self._seen.asked[kind] += 1
        try:
            await self._kinds[kind][1](job)
        except F5Error as error:
            self._seen.wrong.append(f"{kind}: {error.code}")

    def _text(self, words: int) -> str:
        told = " ".join(self._random.choices(WORDS, k=words))
        return f"{told.capitalize()}."

    def _payload(self, words: int = 6, **more: Any) -> dict[str, Any]:
        text = " ".join(self._text(words) for _ in range(more.pop("sentences", 1)))
        return {"text": text, "nfe_step": 5, "response_format": self._format(), **more}

    def _format(self) -> str:
        return self._random.choice(["wav", "pcm", "mp3", "flac", "opus"])

    async def _short(self, job: str) -> None:
        await self._worker.answer(self._payload(self._random.randint(1, 12)), job)

    async def _long(self, job: str) -> None:
        await self._worker.answer(self._payload(9, sentences=6), job)

    async def _stream(self, job: str) -> None:
        async for _ in self._worker.events(self._payload(7, sentences=3), job, _STREAMED):
            pass

    async def _hang_up(self, job: str) -> None:
        async with contextlib.aclosing(
            self._worker.events(self._payload(7, sentences=4), job, _STREAMED)
        ) as events:
            async for event in events:
                if isinstance(event, AudioChunk):
                    break

    async def _cancel(self, job: str) -> None:
        task = asyncio.create_task(self._worker.answer(self._payload(7, sentences=4), job))
        await asyncio.sleep(self._random.random() / 10)
        task.cancel()
        await asyncio.wait({task})

    async def _out_of_time(self, job: str) -> None:
        # Long enough for a second of the model; the tone has it done before.
        with contextlib.suppress(F5Error):
            await self._worker.answer(self._payload(12, sentences=12, timeout_s=1), job)

    async def _refused(self, job: str) -> None:
        wrong = self._random.choice([{"text": ""}, {"text": "a", "speed": 9}, {"endpoint": "x"}])
        with contextlib.suppress(F5Error):
            await self._worker.answer(wrong, job)
            self._seen.wrong.append("refused: it was not")

    async def _again(self, job: str) -> None:
        payload = {"text": self._text(2), "seed": 1, "nfe_step": 5}
        first = await self._worker.answer(payload, job)
        again = await self._worker.answer(payload, f"{job}-again")
        if not again["cached"] or again["audio_url"] != first["audio_url"]:
            self._seen.wrong.append("again: not the earlier result")

    async def _other(self, job: str) -> None:
        endpoint = self._random.choice(["list_voices", "health"])
        await self._worker.answer({"endpoint": endpoint}, job)


@contextlib.asynccontextmanager
async def worker(folder: Path, load: Callable[[], Engine]) -> AsyncIterator[SpeechService]:
    """Operations over a store on disk, closed at the end."""
    store = LocalStore(folder / "store")
    voices = VoiceLibrary(store, folder / "cache")
    options = ServiceOptions(checkpoints=CheckpointPolicy(min_runtime_s=0.2))
    made = SpeechService(store, voices, lambda: Synthesizer(load()), Settings(), options)
    try:
        yield made
    finally:
        await made.close(10)


def rss_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def held() -> tuple[int, int]:
    """Threads and open files of this process."""
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


async def warm_up(clients: list[Clients], per_worker: int, until: float) -> None:
    """Fill every pool of threads once, then do what will be measured."""
    await asyncio.gather(*(c.fill_pools() for c in clients))
    await asyncio.gather(*(c.ask("other") for c in clients for _ in range(40)))
    await asyncio.gather(*(c.ask("stream") for c in clients for _ in range(2 * per_worker)))
    await asyncio.gather(*(c.run(until) for c in clients for _ in range(per_worker)))


async def soak(seconds: float, per_worker: int) -> dict[str, Any]:
    """Run both workers for so long and tell what became of the process."""
    seen = Seen()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="f5-soak-") as name:
        folder = Path(name)
        async with (
            worker(folder / "f5", small_engine) as model,
            worker(folder / "tone", lambda: Tone(cost_s=0.01)) as tone,
        ):
            clients = [Clients(model, seen, "f5", 1), Clients(tone, seen, "tone", 2)]
            await warm_up(clients, per_worker, began + WARM_SHARE * seconds)
            left_s = max(began + seconds - time.monotonic(), 1.0)
            seen.pauses.append(await pause())
            for _ in range(PAUSES - 1):
                until = time.monotonic() + left_s / (PAUSES - 1)
                await asyncio.gather(*(c.run(until) for c in clients for _ in range(per_worker)))
                seen.pauses.append(await pause())
    memory, threads, files = zip(*seen.pauses, strict=True)
    third = PAUSES // 3
    growth = statistics.median(memory[-third:]) / statistics.median(memory[:third]) - 1
    return {
        "seconds": round(time.monotonic() - began, 1),
        "requests": sum(seen.asked.values()),
        "kinds": dict(sorted(seen.asked.items())),
        "wrong": dict(Counter(seen.wrong)),
        "rss_mb": [round(mb, 1) for mb in memory],
        "rss_growth": round(growth, 4),
        "threads": threads,
        "files": files,
    }


async def pause() -> tuple[float, int, int]:
    """Memory in MB, threads and files once nothing is under way: the least of a second.

    What is free is given back to the system first: how much of it the allocator holds at a moment
    goes up and down by a twentieth, and would hide what is never freed.
    """
    gc.collect()
    counts = []
    for _ in range(10):
        ctypes.CDLL(None).malloc_trim(0)
        counts.append((rss_mb(), *held()))
        await asyncio.sleep(0.1)
    memory, threads, files = (min(found) for found in zip(*counts, strict=True))
    return memory, int(threads), int(files)


def main() -> int:
    """Soak and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="a third of it warms up")
    parser.add_argument("--clients", type=int, default=4, help="of each worker")
    parser.add_argument("--max-growth", type=float, default=MAX_GROWTH, help="share of the memory")
    args = parser.parse_args()
    if os.environ.get("MALLOC_ARENA_MAX") is None:
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALLOCATOR})
    found = asyncio.run(soak(args.seconds, args.clients))
    passed = (
        not found["wrong"]
        and found["rss_growth"] < args.max_growth
        and found["threads"][-1] <= found["threads"][0]
        and found["files"][-1] <= found["files"][0]
    )
    line = {"bench": "soak", "commit": stamp().commit, "clients": args.clients}
    print(json.dumps({**line, **found, "passed": passed}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

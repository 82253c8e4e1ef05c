"""What do several models in one process cost? Stalls while one is loaded, memory after many loads.

    python bench/models.py stall [--requests 30] [--rounds 3] [--small]
    python bench/models.py soak [--loads 500]

`stall` gives a server with F5TTS_v1_Base of the real shapes short requests, one after the other:
in turn without a load, and while two other models are loaded and let go all the time. `p95_ratio`
is what a load adds. `soak` has four clients ask three small models, of which memory holds two,
until so many loads were done; memory is compared between the first and the last third, `failed` are
requests that were not answered. The models are random weights, published into a folder.
Prints one JSON line; exits with 1 beyond 1.3 times, 2 %, or with a request that failed.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from bench.long_job import resident_mb
from safetensors.torch import save_file

from f5serve.engine.config import preset
from f5serve.engine.convert import convert
from f5serve.engine.vocos import random_tensors as random_vocos
from f5serve.engine.weight_map import random_tensors
from f5serve.models.installed import LocalFile
from f5serve.models.manifest import ARTIFACT_API, Description
from f5serve.models.publish import UploadPlan, publish
from f5serve.service import ServiceOptions, SpeechService
from f5serve.settings import Settings
from f5serve.startup import LoadOptions, load
from f5serve.startup.model_set import ModelSet
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import VoiceLibrary

MODELS = {"F5TTS_v1_Base": "F5TTS_v1_Base", "german": "F5TTS_Base", "french": "F5TTS_Base"}
VOCAB = [chr(code) for code in range(ord(" "), ord("~") + 1)]
TEXT = "Four score and seven."
MAX_RATIO, MAX_GROWTH = 1.3, 0.02
CLIENTS = 4


def publish_models(store: Path, work: Path, dim: int, depth: int) -> None:
    """Random models of these sizes in a store."""
    for seed, (model, arch) in enumerate(MODELS.items()):
        sizes = {"dim": dim, "depth": depth, "vocab_size": len(VOCAB) + 1}
        config = replace(preset(arch), **sizes)  # type: ignore[arg-type]
        tensors = {f"ema_model.transformer.{k}": v for k, v in random_tensors(config, seed).items()}
        published, weights = work / "model.safetensors", work / "artifact.safetensors"
        save_file(tensors, published)
        convert(published, arch, weights, license="", dtype="float16")
        published.unlink()
        vocab, vocoder = work / "vocab.txt", work / "pytorch_model.bin"
        vocab.write_text("".join(f"{line}\n" for line in VOCAB))
        torch.save(random_vocos(0), vocoder)
        files = (
            LocalFile("weights", weights),
            LocalFile("vocab", vocab),
            LocalFile("vocoder", vocoder),
        )
        description = Description(model, ARTIFACT_API, arch, "CC-BY-NC-4.0", False)
        publish(LocalStore(store), UploadPlan(description, files))


def service_of(folder: Path, memory_gb: float) -> SpeechService:
    """A server with these models, and memory for so much of them."""
    settings = Settings(
        engine="f5",
        device="cpu",
        store=f"file://{folder / 'store'}",
        models_dir=folder / "image",
        cache_dir=folder / "cache",
        hub_endpoint="http://127.0.0.1:9",
        quality="fast",
        models=",".join(MODELS),
        model_memory_gb=memory_gb,
        result_cache=False,
    )
    options = LoadOptions(warm_up=True)

    def load_first() -> Synthesizer:
        return load(settings, options).synthesizer

    models = ServiceOptions(models=ModelSet(settings, options))
    voices = VoiceLibrary(MemoryStore(), folder / "voices")
    return SpeechService(MemoryStore(), voices, load_first, settings, models)


class Speaker:
    """Asks a server for short speech."""

    def __init__(self, service: SpeechService) -> None:
        self._service = service
        self._numbers = itertools.count()

    async def __call__(self, model: str) -> float:
        """Seconds until it was there."""
        began = time.perf_counter()
        number = next(self._numbers)
        payload = {"text": TEXT, "seed": number, "model": model, "return_word_timings": False}
        await self._service.answer(payload, f"job-{number}")
        return time.perf_counter() - began


async def measure_stall(folder: Path, requests: int, rounds: int) -> dict[str, Any]:
    """Short requests with and without loads beside them, in turn."""
    service = service_of(folder, memory_gb=0.0)
    models, speak = service.runtime.executor.models, Speaker(service)
    for model in MODELS:
        await speak(model)
    size = max(slot.memory_bytes for slot in models.slots)
    source = models._source
    assert isinstance(source, ModelSet)
    source._settings = replace(source._settings, model_memory_gb=2.5 * size / 1e9)  # two of three

    async def load_all_the_time() -> None:
        for model in itertools.cycle(("german", "french")):
            with models.lease(model) as lease:
                await lease.ready()

    first, waits = next(iter(MODELS)), {"alone": [], "loading": []}  # type: ignore[var-annotated]
    before = models.counts["f5_model_loads_total"]
    for _ in range(rounds):
        for kind, times in waits.items():
            loading = asyncio.create_task(load_all_the_time()) if kind == "loading" else None
            for _ in range(requests):
                times.append(await speak(first))
            if loading is not None:
                loading.cancel()
                with suppress(asyncio.CancelledError):
                    await loading
                while any(told["state"] == "loading" for told in models.health()):
                    await asyncio.sleep(0.01)
    loads = models.counts["f5_model_loads_total"] - before
    await service.close(5)
    p50 = {kind: statistics.median(times) for kind, times in waits.items()}
    p95 = {kind: statistics.quantiles(times, n=20)[-1] for kind, times in waits.items()}
    return {
        "requests": {kind: len(times) for kind, times in waits.items()},
        "loads": loads,
        "model_mb": size >> 20,
        "p50_s": {kind: round(value, 4) for kind, value in p50.items()},
        "p95_s": {kind: round(value, 4) for kind, value in p95.items()},
        "p50_ratio": round(p50["loading"] / p50["alone"], 3),
        "p95_ratio": round(p95["loading"] / p95["alone"], 3),
    }


async def soak(folder: Path, loads: int) -> dict[str, Any]:
    """Loads and evictions under load: failed requests, and memory over time."""
    service = service_of(folder, memory_gb=0.0)
    models, speak, failed = service.runtime.executor.models, Speaker(service), list[str]()
    for model in MODELS:
        await speak(model)
    source = models._source
    assert isinstance(source, ModelSet)
    budget = 2.5 * max(slot.memory_bytes for slot in models.slots) / 1e9
    source._settings = replace(source._settings, model_memory_gb=budget)
    memory: list[tuple[int, float]] = []
    count = lambda: models.counts["f5_model_loads_total"]  # noqa: E731
    goal = count() + loads

    async def ask(seed: int) -> None:
        rng = random.Random(seed)
        while count() < goal:
            try:
                await speak(rng.choice(list(MODELS)))
            except Exception as error:  # noqa: BLE001 - each of them is counted
                failed.append(f"{type(error).__name__}: {error}")

    clients = [asyncio.create_task(ask(seed)) for seed in range(CLIENTS)]
    while count() < goal:
        await asyncio.sleep(0.2)
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        memory.append((count(), resident_mb("VmRSS")))
    await asyncio.gather(*clients)
    await service.close(5)
    settled = [mb for done, mb in memory if done > goal - 0.9 * loads]
    third = max(1, len(settled) // 3)
    growth = statistics.median(settled[-third:]) / statistics.median(settled[:third]) - 1
    return {
        "loads": loads,
        "evictions": models.counts["f5_model_evictions_total"],
        "failed": len(failed),
        "errors": sorted(set(failed))[:3],
        "memory_mb": [
            round(statistics.median(part), 1) for part in (settled[:third], settled[-third:])
        ],
        "growth": round(growth, 4),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["stall", "soak"])
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loads", type=int, default=500)
    parser.add_argument("--small", action="store_true", help="few layers, to see that it runs")
    args = parser.parse_args(argv)
    is_small = args.small or args.what == "soak"
    with tempfile.TemporaryDirectory(prefix="f5-models-") as name:
        folder = Path(name)
        dim, depth = (256, 3) if is_small else (1024, 22)
        publish_models(folder / "store", folder, dim, depth)
        if args.what == "soak":
            told = asyncio.run(soak(folder, args.loads))
        else:
            told = asyncio.run(measure_stall(folder, args.requests, args.rounds))
    print(json.dumps(told))
    return int(told.get("p95_ratio", 0) > MAX_RATIO or told.get("failed", 0) > 0)


if __name__ == "__main__":
    sys.exit(main())

"""A worker whose engine takes a fixed time and writes down when; see worker_overhead.py.

    python bench/timed_worker.py --cost-s 0.05 --spans FILE [--plain]

Each line of FILE is one utterance: its words, and when it began and ended by the monotonic clock.
`--plain` leaves the SDK's own loop in place of ours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from f5serve.fallback.tone import Tone
from f5serve.process import kill_forks_with_parent
from f5serve.runpod import sdk as runpod_sdk
from f5serve.runpod import service as runpod_service
from f5serve.runpod.handler import Handler
from f5serve.service.tenants import Tenants
from f5serve.settings import Settings
from f5serve.startup.process import init_process
from f5serve.store.config import open_store
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import OnDone, Utterance, Wave
from f5serve.voices.libraries import VoiceLibraries


class Timed(Tone):
    """A tone that notes when it was made."""

    def __init__(self, cost_s: float, spans: Path) -> None:
        super().__init__(cost_s=cost_s)
        self._spans = spans.open("a", buffering=1)

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        """As `Tone.generate`."""
        began = time.monotonic()
        waves = super().generate(utterances, on_done, check, deadline=deadline)
        self._spans.write(f"{utterances[0].text}\t{began}\t{time.monotonic()}\n")
        return waves


def start_plain(settings: Settings, load: Callable[[], Synthesizer]) -> None:
    """The same operations behind the loop that the SDK brings."""
    store = open_store(settings)
    tenants = Tenants(store, VoiceLibraries(settings, store), load, settings)
    handler = Handler(runpod_sdk.load(), lambda: tenants, {}, settings)
    kill_forks_with_parent()  # else each run of the control leaves a heartbeat behind
    runpod_sdk.start({"handler": handler.handle, "concurrency_modifier": _many(settings)}, [])


def _many(settings: Settings) -> Callable[[int], int]:
    return lambda _: settings.concurrency


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cost-s", type=float, required=True)
    parser.add_argument("--spans", type=Path, required=True)
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    settings = init_process("worker")

    def load() -> Synthesizer:
        return Synthesizer(Timed(args.cost_s, args.spans))

    if args.plain:
        start_plain(settings, load)
    else:
        runpod_service.run(settings, [], load)


if __name__ == "__main__":
    main()

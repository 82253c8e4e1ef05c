"""The HTTP server over an engine of fixed cost, for http_load.py; ends when its input does.

    python bench/http_server.py --cost-s 2 --folder DIR

The first line on stdout is the address. Everything but the engine is what `f5serve serve` runs.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from f5serve.alignment.aligners import Aligners
from f5serve.fallback.tone import Tone
from f5serve.http import server
from f5serve.http.app import build_middleware, make_app
from f5serve.http.middleware.access_log import AccessLogMiddleware
from f5serve.http.serve import listen, url_of
from f5serve.http.server import ServerOptions
from f5serve.http.state import AppState
from f5serve.service import SpeechService
from f5serve.settings import Settings
from f5serve.store.config import open_store
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import Utterance, Wave
from f5serve.voices.libraries import open_library

STEP_S = 1.0
"""From one look whether the call is still wanted to the next."""


class FixedCost(Tone):
    """Each utterance takes the same time, however many are made; sleeping, not computing."""

    concurrent = True

    def __init__(self, cost_s: float) -> None:
        super().__init__(cost_s=cost_s)
        self._check = threading.local()

    def estimate_s(self, utterances: Sequence[Utterance]) -> float | None:
        """Unknown: what calls cost does not add up here, so nobody is to be sent away for it."""
        return None

    def _work(self, check: Callable[[], None] | None) -> None:
        """The tone itself takes a millisecond, which is part of the cost: see `_beep`."""
        self._check.value = check

    def _beep(self, utterance: Utterance) -> Wave:
        until = time.perf_counter() + self._cost_s
        wave = super()._beep(utterance)
        while (left_s := until - time.perf_counter()) > 0:
            if self._check.value is not None:
                self._check.value()
            time.sleep(min(left_s, STEP_S))
        return wave


def serve(settings: Settings, cost_s: float) -> None:
    """Serve until told to stop."""
    store = open_store(settings)
    voices = open_library(settings, store)
    speech = Synthesizer(FixedCost(cost_s))
    operations = SpeechService(store, voices, lambda: speech, settings)
    service = AppState(operations, store, voices, Aligners(), settings)
    app = AccessLogMiddleware(build_middleware(make_app(service), settings), operations.metrics)
    listening = listen("127.0.0.1", 0)
    sys.stdout.write(url_of(listening, "127.0.0.1") + "\n")
    sys.stdout.flush()
    options = ServerOptions(settings.shutdown_s, on_ready=server.freeze_gc)
    made = server.Server(app, operations, service.lifecycle, options)
    server.run(made, listening, None)


def stop_with_input() -> None:
    """Be told to stop when whoever started this process is gone."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Parse and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cost-s", type=float, required=True, help="of each utterance")
    parser.add_argument("--folder", type=Path, required=True, help="where the store is made")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    threading.Thread(target=stop_with_input, daemon=True).start()
    folder = args.folder.resolve()
    made = replace(Settings(), store=f"file://{folder}", data_dir=folder, shutdown_s=4.0)
    serve(made, args.cost_s)


if __name__ == "__main__":
    main()

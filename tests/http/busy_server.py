"""A server with everything that can keep it busy, as a process: python -m tests.http.busy_server

    FOLDER   where its store and its disk are made

Writes its address; ends when its standard input does. What it speaks is a tone, without marks, so
that aligner and recogniser have work with it; all else is what `f5serve serve` runs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

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
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import OnDone, Utterance, Wave

MAX_CHARS = 200_000


class Unmarked(Tone):
    """Speaks for several at once, and does not tell when it says what."""

    concurrent = True

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        def done(index: int, wave: Wave) -> None:
            if on_done is not None:
                on_done(index, Wave(wave.samples))

        waves = super().generate(utterances, done, check, deadline=deadline)
        return [Wave(wave.samples) for wave in waves]


def serve(folder: Path) -> None:
    """Serve until told to stop."""
    settings = replace(
        Settings(),
        store=f"file://{folder / 'store'}",
        data_dir=folder,
        max_text_chars=MAX_CHARS,
        openai_max_chars=MAX_CHARS,
        shutdown_s=4.0,
    )
    ears = SpeechRecognition(settings)
    store = open_store(settings)
    voices = ears.library(store)
    speech = Synthesizer(
        Unmarked(), MAX_CHARS, verification=ears.verification_policy(), aligners=ears.aligners()
    )
    operations = SpeechService(store, voices, lambda: speech, settings)
    service = AppState(operations, store, voices, ears.aligners(), settings)
    app = AccessLogMiddleware(build_middleware(make_app(service), settings), operations.metrics)
    listening = listen("127.0.0.1", 0)
    sys.stdout.write(url_of(listening, "127.0.0.1") + "\n")
    sys.stdout.flush()
    options = ServerOptions(settings.shutdown_s, on_ready=server.freeze_gc)
    server.run(
        server.Server(app, operations, service.lifecycle, options),
        listening,
        None,
    )


def _stop_with_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_with_input, daemon=True).start()
    serve(Path(sys.argv[1]).resolve())

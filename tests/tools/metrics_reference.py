"""docs/reference/metrics.md: all that /metrics can tell, read from a server that was asked."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from starlette.types import Message, Receive, Scope, Send

from f5serve.fallback.tone import Tone
from f5serve.http.middleware.access_log import AccessLogMiddleware
from f5serve.metrics import Registry
from f5serve.service import SpeechService
from f5serve.settings import Settings
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import Engine
from f5serve.voices.library import VoiceLibrary

HEAD = """\
# Metrics

What `GET /metrics` tells, in Prometheus' text format; [deploy/](../../deploy/README.md) has alerts
and a dashboard for it. Those of the engine are there once a model is loaded that counts them.

| name | kind | labels | meaning |
|---|---|---|---|
"""


class Counted(Tone):
    """Counts everything that an engine may count."""

    def counters(self) -> Mapping[str, float]:
        return dict.fromkeys(re.findall(r"`(\w+)`", Engine.counters.__doc__ or ""), 1.0)


def metrics_page() -> str:
    """Name, kind, labels and meaning of each."""
    registry = asyncio.run(_asked())
    return HEAD + "".join(_lines(registry.render()))


def _lines(told: str) -> Iterator[str]:
    docs: dict[str, str] = {}
    labels: dict[str, list[str]] = {}
    for line in told.splitlines():
        _, what, name, *rest = line.split(" ", 3) if line[0] == "#" else ("", "", line)
        if what == "HELP":
            docs[name] = rest[0]
        elif not what and "{" in name:
            found = re.findall(r'(\w+)="', name.split("} ")[0])
            base = re.sub(r"_(bucket|sum|count)$", "", name.split("{")[0])
            labels.setdefault(base if base in docs else name.split("{")[0], found)
    kinds = re.findall(r"# TYPE (\w+) (\w+)", told)
    for name, kind in sorted(kinds):
        named = " ".join(f"`{label}`" for label in labels.get(name, []) if label != "le")
        yield f"| `{name}` | {kind} | {named} | {docs[name]} |\n"


async def _asked() -> Registry:
    """The registry of a server that has spoken once, and answered one request."""
    store = MemoryStore()
    with tempfile.TemporaryDirectory() as folder:
        voices = VoiceLibrary(store, Path(folder))
        settings = Settings(data_dir=Path(folder))
        operations = SpeechService(store, voices, lambda: Synthesizer(Counted()), settings)
        operations.begin()
        await operations.answer({"text": "Hello."}, "hello")
        await AccessLogMiddleware(_empty, operations.metrics)(_SCOPE, _receive, _send)
        await operations.close(5)
        return operations.metrics


_SCOPE = {"type": "http", "method": "GET", "headers": []}


async def _empty(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


async def _receive() -> Message:
    return {"type": "http.disconnect"}


async def _send(message: Message) -> None:
    pass

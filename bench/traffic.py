"""Clients that a worker process serves: each in a thread, one request after the other.

Runs inside of both workers; only the standard library is imported.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

Request = dict[str, Any]
Speak = Callable[[Request, Callable[[], None]], int]
"""(request, to be called at the first audio) -> samples of the whole answer."""

LIMIT_S = 3600


def drive(clients: list[list[Request]], speak: Speak) -> dict[str, Any]:
    """Let all clients ask at once; what became of each request, times from the common start."""
    began, began_cpu = time.monotonic(), time.process_time()
    told: list[dict[str, Any]] = []

    def client(number: int, requests: list[Request]) -> None:
        for request in requests:
            time.sleep(request["pause_s"])
            record = {"client": number, "kind": request["kind"]}
            record["arrived"] = time.monotonic() - began

            def first(record: dict[str, Any] = record) -> None:
                record.setdefault("first", time.monotonic() - began)

            try:
                record["samples"] = speak(request, first)
            except Exception as error:  # noqa: BLE001 - told, and then counted by the driver
                record["error"] = repr(error)
            record["done"] = time.monotonic() - began
            record.setdefault("first", record["done"])
            told.append(record)

    threads = [
        threading.Thread(target=client, args=pair, daemon=True) for pair in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    if any(thread.is_alive() for thread in threads):
        raise TimeoutError(f"clients still wait after {LIMIT_S} s")
    cpu_s = time.process_time() - began_cpu
    return {"cpu_s": cpu_s, "requests": sorted(told, key=lambda record: record["arrived"])}

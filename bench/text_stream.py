"""Time to the first sound of a clause: written word by word over a WebSocket, or sent whole.

    python bench/text_stream.py --rounds 30

Three callers of one server, one after the other in each round, each with a clause of its own: the
words one by one over /v1/audio/speech/stream, the same clause whole over the same route, and by
POST /v1/audio/speech. The clock begins when the last word is sent. Prints the table of
docs/reference/websockets.md: with a tone that costs half a second, and with the stand-in speaker.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import httpx
from websockets.sync.client import ClientConnection, connect

HERE = Path(__file__).parent
ROUTE = "/v1/audio/speech/stream"
CONFIG = {
    "type": "session.config",
    "voice": "default",
    "response_format": "pcm",
    "stream_audio": True,
}
WORD_S = 0.02
"""From one word to the next, as a fast language model writes."""

COST_S = 0.5
ENGINES = ("tone", "stand-in")


def clause(number: int) -> list[str]:
    """The words of a clause that was not spoken before."""
    return f"This is clause number {number}, ".split(" ")[:-1]


def first_sound(link: ClientConnection, began: float) -> float:
    """Seconds until the first binary frame."""
    while isinstance(link.recv(60), str):
        pass
    return time.perf_counter() - began


def word_by_word(url: str, words: list[str]) -> float:
    with connect(url.replace("http", "ws", 1) + ROUTE) as link:
        link.send(json.dumps({**CONFIG, "split_granularity": "clause"}))
        for word in words:
            time.sleep(WORD_S)
            link.send(json.dumps({"type": "input.text", "text": f"{word} "}))
        return first_sound(link, time.perf_counter())


def whole(url: str, words: list[str]) -> float:
    with connect(url.replace("http", "ws", 1) + ROUTE) as link:
        link.send(json.dumps(CONFIG))
        time.sleep(WORD_S * len(words))
        began = time.perf_counter()
        link.send(json.dumps({"type": "input.text", "text": " ".join(words)}))
        link.send(json.dumps({"type": "input.done"}))
        return first_sound(link, began)


def posted(url: str, words: list[str]) -> float:
    body = {"model": "tts-1", "voice": "default", "response_format": "pcm"}
    with httpx.Client() as client:
        client.get(f"{url}/ping")  # its connection is open, as a socket is
        began = time.perf_counter()
        body["input"] = " ".join(words)
        with client.stream("POST", f"{url}/v1/audio/speech", json=body, timeout=60) as answer:
            next(answer.iter_raw())
            return time.perf_counter() - began


WAYS = (word_by_word, whole, posted)


@contextmanager
def server(kind: str) -> Iterator[str]:
    """A server with the tone or the stand-in speaker, as a URL."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / "http_server.py"), "--cost-s", str(COST_S)]
        command += ["--folder", folder]
        if kind != "tone":
            command = [sys.executable, "-m", "f5serve", "serve", "--port", "0"]
        environ = {**os.environ, "HOME": folder, "F5_DATA_DIR": folder, "F5_ENGINE": "standin"}
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if "http://" in line)
            url = line[line.index("http://") :].split()[0].rstrip(",;")
            while httpx.get(f"{url}/ping").status_code != 200:
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def measure(kind: str, rounds: int) -> str:
    """A line of the table."""
    found: dict[str, list[float]] = {way.__name__: [] for way in WAYS}
    with server(kind) as url:
        for way in WAYS:
            way(url, clause(0))
        for number in range(1, rounds + 1):
            for turn in range(len(WAYS)):  # each is first as often as the others
                index = (number + turn) % len(WAYS)
                words = clause(10 * number + index)
                found[WAYS[index].__name__].append(1000 * WAYS[index](url, words))
    written, sent, post = found.values()
    extra = [a - b for a, b in zip(written, sent, strict=True)]
    low, middle, high = quantiles(extra, n=4)
    return (
        f"| {kind} | {median(written):.0f} ms | {median(sent):.0f} ms | {median(post):.0f} ms "
        f"| {middle:+.0f} ms [{low:+.0f}, {high:+.0f}] |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    options = parser.parse_args()
    print("| engine | word by word | whole, socket | whole, POST | difference, sockets |")
    print("|---|---|---|---|---|")
    for kind in options.engines:
        print(measure(kind, options.rounds), flush=True)


if __name__ == "__main__":
    main()

"""What arrives from the server, heard as its callers would."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import av
import numpy as np

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
LONG = "".join(f"This is sentence number {n} of a longer text. " for n in range(12))
"""Several utterances."""

SHORT = "Here are two of them. The second one is a little longer than the first."
"""Two or three."""


def heard_s(data: bytes, format: str) -> float:
    """Seconds of sound in the beginning of a file, 0 where there is none yet."""
    if format == "pcm":
        return len(data) / 48_000
    try:
        with av.open(io.BytesIO(data)) as file:
            rate = file.streams.audio[0].rate
            return sum(frame.samples for frame in file.decode(audio=0)) / rate
    except av.FFmpegError:
        return 0.0


def samples_of(data: bytes) -> np.ndarray:
    """The samples of a file in a container that FFmpeg knows."""
    with av.open(io.BytesIO(data)) as file:
        return np.concatenate([f.to_ndarray().reshape(-1) for f in file.decode(audio=0)])


def events(text: str) -> list[dict[str, Any]]:
    """The events of an SSE stream, which has nothing else in it."""
    blocks = text.split("\n\n")
    assert blocks.pop() == ""
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def joined(told: list[dict[str, Any]]) -> bytes:
    """The file that the deltas of a stream make."""
    deltas = [event for event in told if event["type"] == "speech.audio.delta"]
    assert all(set(delta) == {"type", "audio"} for delta in deltas)
    return b"".join(base64.b64decode(delta["audio"]) for delta in deltas)

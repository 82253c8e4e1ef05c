"""What does a long job cost in memory? Speech of hours, in every format, streamed or not.

    python bench/long_job.py [--hours 3] [--formats wav,mp3] [--most-mb 400]

Each case is a process of its own: the real path over a store in a folder, with an engine that
beeps. First a short job, so that everything is loaded; then the long one. `over_mb` is how far the
peak of resident memory rose above what it was before the long job, `mb` of the result, `seconds` it
took. Streamed cases are read to the end, pieces and file, as a listener would. Prints a line of
JSON for each case, and exits with 1 where one needs more than `--most-mb`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from f5serve.audio.encode import FORMATS
from f5serve.fallback.tone import Tone
from f5serve.service import SpeechService
from f5serve.service.events import AudioChunk, AudioFile, Completed, DeliveryOptions
from f5serve.settings import Settings
from f5serve.store.local import LocalStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import VoiceLibrary

S_PER_BYTE = 0.06
SENTENCE = "This is one of the sentences of a text that goes on for a long time. "
READ_BYTES = 256_000
MOST_CHARS = 10_000_000


def text_of(hours: float) -> str:
    """A text whose speech lasts about so long."""
    return SENTENCE * max(2, round(hours * 3600 / S_PER_BYTE / len(SENTENCE)))


def resident_mb(name: str) -> float:
    """VmRSS or VmHWM of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError(name)


def forget_peak() -> None:
    """Have the kernel count the peak anew."""
    Path("/proc/self/clear_refs").write_text("5")


async def measure(folder: Path, hours: float, format: str, is_streamed: bool) -> dict[str, Any]:
    """One case, in this process."""
    store = LocalStore(folder / "store")
    settings = replace(Settings(), data_dir=folder, max_text_chars=MOST_CHARS)
    voices = VoiceLibrary(store, folder / "cache")
    speech = Synthesizer(Tone(s_per_byte=S_PER_BYTE), max_text_chars=MOST_CHARS)
    operations = SpeechService(store, voices, lambda: speech, settings)
    operations.begin()
    asked: dict[str, Any] = {"response_format": format, "return_word_timings": False}
    await say(operations, {**asked, "text": SENTENCE * 3}, "short", is_streamed)
    before, began = resident_mb("VmRSS"), time.perf_counter()
    forget_peak()
    answer = await say(operations, {**asked, "text": text_of(hours)}, "long", is_streamed)
    told = {
        "format": format,
        "streamed": is_streamed,
        "hours": round(answer["duration"] / 3600, 2),
        "over_mb": round(resident_mb("VmHWM") - before),
        "mb": round(sum(one.size for one in store.list("output/long/")) / 1e6),
        "seconds": round(time.perf_counter() - began, 1),
    }
    await operations.close(5)
    return told


async def say(
    operations: SpeechService, payload: dict[str, Any], job_id: str, is_streamed: bool
) -> dict[str, Any]:
    """The answer, read as it is wanted."""
    if not is_streamed:
        return await operations.answer(payload, job_id)
    delivery = DeliveryOptions(chunks=True, whole_files=True)
    async for told in operations.events(payload, job_id, delivery):
        if isinstance(told, AudioChunk):
            assert len(told.read().samples)
        elif isinstance(told, AudioFile):
            for start in range(0, told.size, READ_BYTES):
                await asyncio.to_thread(told.read, start, READ_BYTES)
        elif isinstance(told, Completed):
            answer = told.response
    return answer


def cases(hours: float, formats: list[str]) -> list[dict[str, Any]]:
    """All of them, each in a process."""
    found = []
    for format in formats:
        for streamed in ("", "--streamed"):
            command = [sys.executable, __file__, "--one", format, "--hours", str(hours)]
            done = subprocess.run(
                [*command, *filter(None, [streamed])], stdout=subprocess.PIPE, check=True
            )
            found.append(json.loads(done.stdout))
            print(json.dumps(found[-1]), flush=True)
    return found


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--most-mb", type=float, default=400.0)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--streamed", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        with tempfile.TemporaryDirectory() as folder:
            told = asyncio.run(measure(Path(folder), args.hours, args.one, args.streamed))
        print(json.dumps(told))
        return 0
    found = cases(args.hours, args.formats.split(","))
    return int(any(case["over_mb"] > args.most_mb for case in found))


if __name__ == "__main__":
    sys.exit(main())

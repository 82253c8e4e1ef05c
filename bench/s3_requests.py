"""How many requests each operation asks of a bucket: time, and money where they are billed.

    python bench/s3_requests.py --server rclone

Requests are counted where the S3 library sends them, repeats included. Own uploads are what an
operation has to write: state, audio, record and cache entry of a job. The control is the usual way
to a stored voice, look and then download, for audio and words anew with each job; it must need more
than ours, else this proves nothing. Prints one JSON line; exits with 1 when a bound is not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any

from f5serve.build import stamp
from f5serve.fallback.tone import Tone
from f5serve.service import SpeechService
from f5serve.settings import Settings
from f5serve.store.s3 import S3Store
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import LibraryOptions, VoiceLibrary

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the servers are those of the tests

WORDS = "He was not an ill-disposed young man."
BOUNDS = {"tts_warm": 3, "tts_default_voice": 3, "status_done": 2, "status_running": 2}
"""Most requests of an operation besides its own uploads."""

UPLOADS = ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")


class Wire:
    """Counts what a store sends, by operation of the S3 API."""

    def __init__(self, store: S3Store) -> None:
        self.client = store._client.boto3()  # the one place where requests can be seen leaving
        self.sent: Counter[str] = Counter()
        self.client.meta.events.register("before-send.s3", self._note)

    def _note(self, event_name: str, **_: Any) -> None:
        self.sent[event_name.rpartition(".")[2]] += 1

    async def during(self, work: Awaitable[Any]) -> dict[str, int]:
        """Requests that were sent while `work` was done."""
        self.sent.clear()
        await work
        return dict(self.sent)


async def measure(store: S3Store, folder: Path) -> dict[str, dict[str, int]]:
    """Requests by operation."""
    wire = Wire(store)
    library = VoiceLibrary(store, folder, options=LibraryOptions(external_refresh_s=3600))
    speech = Synthesizer(Tone(cost_s=0.5, s_per_byte=0.01))
    operations = SpeechService(store, library, lambda: speech, Settings())
    recording = (ROOT / "tests" / "data" / "librivox-0880.wav").read_bytes()
    await asyncio.to_thread(library.put, "ana", recording, WORDS)

    def ask(job_id: str, /, **payload: Any) -> Awaitable[Any]:
        return wire.during(operations.answer(payload, job_id))

    found = {
        "tts_first": await ask("a", text="One.", voice="ana"),
        "tts_warm": await ask("b", text="Two.", voice="ana"),
        "tts_default_voice": await ask("c", text="Three."),
        "tts_equal_request": await ask("d", text="Two.", voice="ana"),
        "tts_delivered_again": await ask("b", text="Two.", voice="ana"),
        "status_done": await ask("x", endpoint="status", job_id="b"),
        "result": await ask("x", endpoint="result", job_id="b"),
        "download": await ask("x", endpoint="download", job_id="b"),
        "list_voices": await ask("x", endpoint="list_voices"),
        "health": await ask("x", endpoint="health"),
    }
    task = asyncio.ensure_future(operations.answer({"text": "Four."}, "e"))
    await asyncio.sleep(0.25)  # it has its claim, and speaks for another while
    found["status_running"] = await ask("x", endpoint="status", job_id="e")
    await task
    found["control"] = await wire.during(asyncio.to_thread(control, wire.client, store, folder))
    await operations.close(5)
    return found


def control(client: Any, store: S3Store, folder: Path) -> None:
    """Look whether a voice is there, then download it, audio and words."""
    folder.mkdir(exist_ok=True)
    bucket = store.options.bucket
    for name in ("ana.wav", "ana.txt"):
        key = f"control/{name}"
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
        client.head_object(Bucket=bucket, Key=key)
        client.download_file(bucket, key, str(folder / name))
    client.put_object(Bucket=bucket, Key="control/output.wav", Body=b"x")


def asked(sent: dict[str, int]) -> int:
    """Requests besides uploads."""
    return sum(count for name, count in sent.items() if name not in UPLOADS)


def main() -> int:
    """Measure and print the line."""
    from tests.store import servers

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=["rclone", "juicefs"], default="rclone")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="f5-bench-") as name:
        folder = Path(name)
        run = servers.rclone if args.server == "rclone" else servers.juicefs
        with run(folder / "server") as options:
            store = S3Store(replace(options, prefix="bench"))
            found = asyncio.run(measure(store, folder / "cache"))
    over = [name for name, bound in BOUNDS.items() if asked(found[name]) > bound]
    listing = [n for n, sent in found.items() if n != "list_voices" and "ListObjectsV2" in sent]
    passed = not over and not listing and asked(found["control"]) > BOUNDS["tts_warm"]
    line = {
        "bench": "s3_requests",
        "commit": stamp().commit,
        "server": args.server,
        "requests": {name: {"asked": asked(sent), **sent} for name, sent in found.items()},
        "bounds": BOUNDS,
        "over": over,
        "listing": listing,
        "passed": passed,
    }
    print(json.dumps(line))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

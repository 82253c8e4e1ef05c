"""A server in small as a process of its own, to be killed: python -m tests.service.queue_server

    FOLDER NAME JOBS   works on the store in FOLDER; first has JOBS jobs put off, NAME-0, NAME-1 ...
                       of no tenant and of two tenants in turn

Writes a line "posted" once all of them were answered, and notes each text that it speaks in
FOLDER/NAME.log. Ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from f5serve.fallback.tone import Tone
from f5serve.service import ServiceOptions
from f5serve.service.tenants import Tenants
from f5serve.settings import Settings
from f5serve.store.local import LocalStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import OnDone, Utterance, Wave
from f5serve.voices.libraries import VoiceLibraries

TENANTS = ("acme", "beta")
QUICK = ServiceOptions(lease_s=1.0, heartbeat_s=0.2, poll_s=0.2)
COST_S = 0.12


class NotingTone(Tone):
    """Appends what it has spoken to a file, a line each."""

    def __init__(self, log: Path) -> None:
        super().__init__(cost_s=COST_S)
        self._log = log

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        waves = super().generate(utterances, on_done, check, deadline=deadline)
        with self._log.open("a") as file:
            file.writelines(f"{utterance.text}\n" for utterance in utterances)
        return waves


async def serve(folder: Path, name: str, jobs: int) -> None:
    """Be that server."""
    store = LocalStore(folder / "store")
    speech = Synthesizer(NotingTone(folder / f"{name}.log"))
    settings = Settings(data_dir=folder / name)
    libraries = VoiceLibraries(settings, store)
    tenants = Tenants(store, libraries, lambda: speech, settings, QUICK)
    tenants.open(TENANTS)
    tenants.first.begin()
    for number in range(jobs):
        job_id, tenant = f"{name}-{number}", ("", *TENANTS)[number % 3]
        asked = {"text": f"This is job {job_id}.", "mode": "async"}
        await tenants.get(tenant).answer(asked, job_id)
    sys.stdout.write("posted\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await tenants.first.close(5)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))

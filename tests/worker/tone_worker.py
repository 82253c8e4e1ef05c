"""A worker that beeps: everything real but the model, which is a tone of known cost.

python -m tests.worker.tone_worker --cost-s 0.5 [the SDK's arguments]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from f5serve.errors import F5Error, ModelUnavailable
from f5serve.fallback.tone import Tone
from f5serve.jobs.records import LEASE_S
from f5serve.runpod import service as runpod_service
from f5serve.service import ServiceOptions
from f5serve.startup.process import init_process
from f5serve.synthesis.synthesizer import Synthesizer


def main() -> None:
    """Parse our own arguments, leave the rest to the SDK."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cost-s", type=float, default=0.0, help="of each utterance")
    parser.add_argument("--load-after", type=Path, help="this file is there")
    parser.add_argument("--lease-s", type=float, default=LEASE_S)
    parser.add_argument("--unloadable", action="store_true")
    ours, theirs = parser.parse_known_args()
    settings = init_process("worker")

    def load() -> Synthesizer:
        while ours.load_after is not None and not ours.load_after.exists():
            time.sleep(0.02)
        if ours.unloadable:
            raise ModelUnavailable("The model is damaged.", code="MODEL_DAMAGED")
        return Synthesizer(Tone(cost_s=ours.cost_s), settings.max_text_chars)

    try:
        runpod_service.run(settings, theirs, load, ServiceOptions(lease_s=ours.lease_s))
    except F5Error as error:
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

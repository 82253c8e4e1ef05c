"""8 clients of us and of the f5-tts package, in both its modes: bench/throughput.py as it is."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from gpu.common import Run
from gpu.sections.upstream import has_package
from throughput import Throughput

CONTENDERS = ("step", "f5-tts serial", "f5-tts threads")


def measure(run: Run) -> None:
    """One row for each contender; ours tells how many times as much audio it makes."""
    if not has_package(run):
        return
    with ExitStack() as stack:
        result = Throughput(_options(run), run.work, stack).run()
    for row in result["rows"]:
        run.tell("contender", nfe=result["mix"]["nfe_step"], **row)


def _options(run: Run) -> argparse.Namespace:
    return argparse.Namespace(
        upstream_python=sys.executable,
        only=CONTENDERS,
        clients=[2 if run.small else 8],
        requests=2 if run.small else 32,
        rounds=run.often(2),
        mix="small" if run.small else "full",
        nfe_step=None,
        arch="F5TTS_v1_Base",
        depth=2 if run.small else None,
        small=run.small,
        ckpt=None,
        vocab=run.work / "vocab.txt",
        device=run.device,
        threads=1 if run.small else 4,
    )

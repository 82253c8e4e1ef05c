"""One section in this process: python -m gpu.section NAME --device cuda --out ... --work ..."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from gpu.common import Run
from gpu.plan import SECTIONS


def main() -> None:
    """Measure, and tell each result as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=SECTIONS)
    parser.add_argument("--device", required=True, choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    run = Run(given.name, given.device, given.small, given.out, given.work, given.seconds)
    import_module(f"gpu.sections.{given.name}").measure(run)
    sys.stdout.flush()
    # All has been told. A thread that still records, or a driver that fails when it is unloaded,
    # is not what was measured.
    os._exit(0)


if __name__ == "__main__":
    main()

"""Files that the other sections read, so that none of them is charged for writing them."""

from __future__ import annotations

from pathlib import Path

from gpu.common import Run
from gpu.sections.info import facts


def measure(run: Run) -> None:
    """Write the published layout and our artifacts of it."""
    run.tell("machine", **facts(run))
    files = run.files(artifacts=True)
    for name in ("published", "artifact-float16", "artifact-float32"):
        run.tell("file", name=name, mb=Path(files[name]).stat().st_size / 1e6)

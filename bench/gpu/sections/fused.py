"""Steps by kernels of our own, beside the same by torch's: through the engine's own option."""

from __future__ import annotations

from gpu.common import Run, accepts, error
from gpu.sections.parity import mel
from gpu.sections.steps import measured

OPTION = "fused_kernels"
CHOICES = (False, True)
CASES = [
    ([800], False),
    ([800, 820, 780, 810], False),
    ([800, 820, 780, 810], True),
    ([800 + 7 * i for i in range(16)], True),
]


def measure(run: Run) -> None:
    """Both choices of the option, on the same rows."""
    if not accepts(OPTION):
        run.skip(f"The engine has no option {OPTION!r}: it has no kernels of its own.")
        return
    engines = {choice: run.engine(**{OPTION: choice}) for choice in CHOICES}
    frames = 60 if run.small else 300
    plain, own = (mel(engine, frames, run.device) for engine in engines.values())
    described = {str(choice): engine.description for choice, engine in engines.items()}
    run.tell("mels", error=error(own, plain), engines=described)
    for lengths, mixed in [([60, 70], True)] if run.small else CASES:
        for graphs in (False, True):
            for choice, engine in engines.items():
                found = measured(run, engine, lengths, mixed, graphs)
                if found:
                    run.tell("step", kernels=choice, rows=len(lengths), **found)

"""Each precision that the engine offers: its error against fp32 on the CPU, its speed."""

from __future__ import annotations

from f5serve.errors import F5Error
from gpu.common import Run, error
from gpu.sections.parity import mel
from gpu.sections.steps import measured

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "fp8": "fp8"}
"""Precisions that are asked for, and the word that the engine describes itself with then."""
LENGTHS = [[800], [800, 820, 780, 810]]


def measure(run: Run) -> None:
    """All of them; one that is refused or fails costs itself alone."""
    frames = 60 if run.small else 300
    exact = mel(run.engine(device="cpu", graphs=False, dtype="fp32"), frames)
    for dtype, word in DTYPES.items():
        try:
            engine = run.engine(dtype=dtype)
            if word not in engine.description.split(", "):
                run.skip(f"{dtype}: the engine does not have it ({engine.description}).")
                continue
            got = mel(engine, frames)
        except (F5Error, RuntimeError, NotImplementedError) as refused:
            run.skip(f"{dtype}: {(str(refused) or repr(refused)).splitlines()[0]}")
            continue
        told = {"dtype": dtype, "engine": engine.description, "attention": engine._attention}
        run.tell("error", **told, frames=frames, error=error(got, exact))
        for lengths in run.few(LENGTHS):
            lengths = [60, 70] if run.small else lengths
            for graphs in (False, True):
                found = measured(run, engine, lengths, len(lengths) > 1, graphs)
                if found:
                    run.tell("step", dtype=dtype, rows=len(lengths), **found)

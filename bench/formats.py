"""C7: what number formats cost in exactness, on random weights of the real shapes.

Runs in a process of its own, on a CPU. Each format says three rows alone and in one batch; its
error is the relative difference of the mel from that of float32. fp8 is computed by torch's own
operator, which CPUs have for tests; how fast it is, only a GPU can tell. Prints a JSON list.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from tests.parity.cases import row  # noqa: E402
from tests.parity.ours import engine_of, error, sequence_of  # noqa: E402
from torch import Tensor  # noqa: E402

from f5serve.engine.config import ModelConfig, preset  # noqa: E402
from f5serve.engine.quantize import QUANTISED  # noqa: E402
from f5serve.settings import limit_onednn_cache  # noqa: E402
from material import reduced  # noqa: E402

FORMATS = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "int8": torch.float32,
    "fp8": torch.bfloat16,
}
"""Ours beside fp32, and the type of what is not in 8 bit."""
FRAMES = (100, 80, 60)


def mels(arch: ModelConfig, dtype: str, steps: int) -> tuple[list[Tensor], list[Tensor]]:
    """Each row by itself, and all of them as one batch."""
    cases = [row(arch, str(n), n, nfe_step=steps) for n in FRAMES]
    engine = engine_of(cases[0], FORMATS.get(dtype, torch.float32))
    if dtype in QUANTISED:
        engine.quantize(dtype)
    else:
        engine.use_fast_linear()
    rows = [sequence_of(case) for case in cases]
    return [engine.runner.sample([one])[0] for one in rows], engine.runner.sample(rows)


def worst(ours: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The largest error of a row."""
    return max(error(mine, other) for mine, other in zip(ours, others, strict=True))


def measure(arch: ModelConfig, steps: int) -> list[dict[str, Any]]:
    """A row of each format."""
    exact, together = mels(arch, "fp32", steps)
    found = [{"format": "fp32", "error": 0.0, "beside": worst(together, exact)}]
    for dtype in FORMATS:
        alone, together = mels(arch, dtype, steps)
        found.append(
            {"format": dtype, "error": worst(alone, exact), "beside": worst(together, alone)}
        )
    return [item | {"model": arch.name, "steps": steps} for item in found]


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="F5TTS_v1_Base")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    limit_onednn_cache()
    torch.set_num_threads(options.threads)
    arch = preset(options.arch)
    print(json.dumps(measure(reduced(arch) if options.small else arch, options.steps)))


if __name__ == "__main__":
    main()

"""C5: gates that a release must pass, on reduced models with random weights.

Runs in a process of its own under our Python and asks the f5-tts package through
tests/tools/oracle.py; cases and their draws are those of tests/parity. Prints a JSON list.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from tests.parity.cases import row, small, small_cases  # noqa: E402
from tests.parity.ours import engine_of, error, mel_of, sequence_of  # noqa: E402

LAYOUTS = ("F5TTS_v1_Base", "F5TTS_Base", "E2TTS_Base")
SINGLES = (*LAYOUTS, "steps-16", "no-guidance")
EXACT = 1e-5


def singles() -> list[dict[str, Any]]:
    """Rows that are sampled alone; 16 steps are an EPSS grid on both sides."""
    return [case for case in small_cases()["mels"] if case["name"] in SINGLES]


def mixed(layout: str) -> list[dict[str, Any]]:
    """Rows of three lengths for one batch."""
    return [row(small(layout), f"{layout}.{n}", n) for n in (120, 90, 60)]


def half(dtype: str) -> dict[str, Any]:
    """A row for the error that 16 bit makes."""
    return row(small("F5TTS_v1_Base"), f"half-{dtype}", 72, weights_seed=4, dtype=dtype)


def upstream_answers(python: str, work: Path) -> dict[str, np.ndarray]:
    """What the package samples for every case."""
    cases = {
        "mels": [
            *singles(),
            *(case for layout in LAYOUTS for case in mixed(layout)),
            half("float32"),
            half("float16"),
        ]
    }
    asked, answered = work / "cases.json", work / "answers.npz"
    asked.write_text(json.dumps(cases))
    environ = dict(os.environ) | {"PYTHONPATH": str(ROOT / "src")}
    oracle = str(ROOT / "tests" / "tools" / "oracle.py")
    subprocess.run(
        [python, oracle, str(asked), str(answered)],
        check=True,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=None,
        timeout=600,
    )
    return dict(np.load(answered))


def gate(name: str, value: float, bound: float) -> dict[str, Any]:
    """One gate; NaN does not pass."""
    return {"gate": name, "value": value, "bound": bound, "passed": bool(value <= bound)}


def gates(theirs: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Every gate on mels."""
    found = [
        gate(f"mel, {case['name']}", error(mel_of(case), theirs[case["name"]]), EXACT)
        for case in singles()
    ]
    for layout in LAYOUTS:
        batch = mixed(layout)
        mels = engine_of(batch[0]).runner.sample([sequence_of(case) for case in batch])
        worst = max(error(mel, theirs[c["name"]]) for mel, c in zip(mels, batch, strict=True))
        found.append(gate(f"batch of mixed lengths, {layout}", worst, EXACT))
    exact = theirs["half-float32"]
    upstream_error = error(torch.as_tensor(theirs["half-float16"]), exact)
    ours = error(mel_of(half("float16"), torch.float16), exact)
    found.append(gate("fp16, bound is upstream's own error", ours, upstream_error))
    return found


def main() -> None:
    """Parse the command line, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upstream-python", required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    print(json.dumps(gates(upstream_answers(options.upstream_python, options.work))))


if __name__ == "__main__":
    main()

"""Write tests/data/goldens.npz, the `f5-tts` package's answers to the small cases."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from tests.parity.answers import ROOT, ask
from tests.parity.cases import small_cases

with tempfile.TemporaryDirectory() as folder:
    np.savez_compressed(ROOT / "tests/data/goldens.npz", **ask(small_cases(), Path(folder)))

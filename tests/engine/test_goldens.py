"""The engine against answers of the `f5-tts` package that are checked in (`make goldens`).

Weights and noise are drawn from seeds on both sides; what is stored is the package's answer alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from f5serve.engine.modules import log_mel
from f5serve.engine.vocos import Vocos
from f5serve.engine.vocos import random_tensors as random_vocos
from tests.parity.cases import small_cases
from tests.parity.ours import CPU, error, mel_of

CASES = small_cases()
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def goldens() -> Any:
    return np.load(Path(__file__).parents[1] / "data" / "goldens.npz")


@pytest.mark.parametrize("case", CASES["mels"], ids=lambda case: str(case["name"]))
def test_mel_is_upstreams(case: dict[str, Any], goldens: Any) -> None:
    assert error(mel_of(case), goldens[case["name"]]) <= TOLERANCE


def test_goldens_tell_the_architectures_apart(goldens: Any) -> None:
    """Two presets that gave one answer would prove nothing about either."""
    answers = [torch.from_numpy(goldens[c["name"]])[40:] for c in CASES["mels"][:5]]
    for i, one in enumerate(answers):
        assert all(error(one, other) > 0.1 for other in answers[:i])


def test_wave_is_that_of_vocos(goldens: Any) -> None:
    (case,) = CASES["vocos"]
    sizes = (case["width"], case["inner"], case["depth"])
    vocos = Vocos.from_tensors(random_vocos(case["weights_seed"], *sizes), CPU)
    generator = torch.Generator().manual_seed(case["mel_seed"])
    mel = torch.randn(1, case["frames"], 100, generator=generator) - 2
    assert error(vocos(mel)[0], goldens["vocos"]) <= TOLERANCE


def test_log_mel_is_upstreams(goldens: Any) -> None:
    (case,) = CASES["spectrograms"]
    generator = torch.Generator().manual_seed(case["cond_seed"])
    wave = torch.randn(1, case["samples"], generator=generator) * 0.1
    assert error(log_mel(wave)[0], goldens["spectrogram"]) <= TOLERANCE

"""Ours against the `f5-tts` package: the whole model, and all small ones that are checked in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.parity.answers import NEEDS_ORACLE, ROOT, ask
from tests.parity.cases import small_cases, whole_model_case
from tests.parity.ours import error, mel_of

TOLERANCE = 1e-5

pytestmark = NEEDS_ORACLE


@pytest.mark.slow
def test_whole_model_at_full_size(tmp_path: Path) -> None:
    """F5TTS_v1_Base with all its 337 M parameters."""
    (item,) = whole_model_case()["mels"]
    answers = ask({"mels": [item]}, tmp_path)
    assert error(mel_of(item), answers["whole"]) <= TOLERANCE


def test_goldens_are_still_upstreams_answers(tmp_path: Path) -> None:
    """The checked-in answers, made anew."""
    fresh = ask(small_cases(), tmp_path)
    stored = np.load(ROOT / "tests/data/goldens.npz")
    assert set(stored) == set(fresh)
    for name, answer in fresh.items():
        assert error(torch.from_numpy(stored[name]), answer) <= 1e-6, name

"""What holds for all tests: how Hypothesis looks for counterexamples, and how many threads compute.

The examples are the same ones in each run, however long each takes. F5_TEST_FULL=1 looks for
others, and for more where a test does not say how many.
"""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

IS_FULL = os.environ.get("F5_TEST_FULL") == "1"

settings.register_profile(
    "f5serve",
    deadline=None,  # a busy machine is no fault of what is tested
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=not IS_FULL,
    max_examples=1_000 if IS_FULL else 100,
)
settings.load_profile("f5serve")

# Threads of OpenMP that wait turn in a loop, which takes the cores from all other tests.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Small models lose by a second thread, and loading a model for a CPU sets as many as cores."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)

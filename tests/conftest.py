"""What holds for all tests: how Hypothesis looks for counterexamples, and how many threads compute.

The examples are the same ones in each run, however long each takes. F5_TEST_FULL=1 looks for
others, and for more where a test does not say how many.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

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


OF_TESTS = ("F5_TEST_FULL", "F5_TEST_CLIENTS", "F5_FUZZ_SECONDS")
"""What tests are told by the environment; each module has read it when the first of them runs."""


@pytest.fixture(autouse=True, scope="session")
def settings_alone() -> Iterator[None]:
    """The program warns of a variable that it does not know, and tests compare all that it says."""
    with pytest.MonkeyPatch.context() as patch:
        for name in OF_TESTS:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Small models lose by a second thread, and loading a model for a CPU sets as many as cores."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)

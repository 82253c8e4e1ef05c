"""How Hypothesis looks for counterexamples: the same ones in each run, however long each takes.

F5_TEST_FULL=1 looks for others, and for more where a test does not say how many.
"""

from __future__ import annotations

import os

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

"""Publishers and pullers that are killed, and models that are damaged: none broken is accepted."""

from __future__ import annotations

import pytest

from tests.conftest import IS_FULL
from tests.jobs.test_kills import measure

AMOUNTS = [("folder", 10, 30), ("rclone", 10, 10)]
if IS_FULL:
    AMOUNTS = [(server, 40, 100) for server, *_ in AMOUNTS]


@pytest.mark.slow
@pytest.mark.parametrize(("server", "kills", "cases"), AMOUNTS)
def test_no_broken_model_is_ever_accepted(server: str, kills: int, cases: int) -> None:
    options = ("--server", server, "--kills", str(kills), "--corruptions", str(cases))
    found = measure("cache_kills.py", *options)
    assert (found["ours"]["kills"], found["ours"]["broken"]) == (kills, 0)
    assert found["damage"] == {"cases": cases, "accepted": 0, "unhealed": 0}
    assert found["control"]["broken"] > 0

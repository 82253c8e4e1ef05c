"""Every error has OpenAI's shape and a fitting status."""

from __future__ import annotations

from pathlib import Path

import pytest

from f5serve.errors import EngineFailed, F5Error, InvalidRequest, ModelUnavailable, StorageFailed
from f5serve.transports.http.errors import answer_to, status_of
from tests.http.house import house


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequest("x.", code="BAD_OPTION"), 400),
        (InvalidRequest("x.", code="VOICE_NOT_FOUND"), 404),
        (ModelUnavailable("x.", code="MODEL_MISSING"), 503),
        (StorageFailed("x.", code="NO_SPACE"), 503),
        (EngineFailed("x.", code="NOT_FINITE"), 500),
        (F5Error("x.", code="BUSY"), 503),
    ],
)
def test_status_fits(error: F5Error, status: int) -> None:
    assert status_of(error) == status


def test_a_fault_tells_nothing_but_its_trace_id() -> None:
    answer = answer_to(ValueError("/secret/path"))
    assert answer.status_code == 500
    assert b"secret" not in answer.body
    assert b"trace id" in answer.body


def test_unknown_routes_and_methods_are_told(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        assert "/v1/nothing" in home.refused(home.client.get("/v1/nothing"), 404, "no_such_route")
